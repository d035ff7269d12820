"""Fetal growth: age from the head's size, size for an age against the INTERGROWTH-21st standards, and grades.

Ages are gestational (menstrual), in weeks. Everything takes numbers or arrays; undefined is NaN.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CHART_WEEKS",
    "HADLOCK_WEEKS",
    "atrial_width_grade",
    "centile",
    "centile_curve",
    "ga_weeks_hadlock",
    "ga_weeks_intergrowth",
    "growth_mean_sd",
    "trimester",
    "z_score",
]

Floats = NDArray[np.float64]

CHART_WEEKS = (14.0, 40.0)  # the charts hold from 14 to 40 weeks
HADLOCK_WEEKS = (14.0, 42.0)  # of the fetuses that the formula was made from

_erf = np.vectorize(math.erf, otypes=[float])


@overload
def ga_weeks_hadlock(hc_mm: float) -> float: ...
@overload
def ga_weeks_hadlock(hc_mm: Floats) -> Floats: ...
def ga_weeks_hadlock(hc_mm: Any) -> Any:
    """Gestational age in weeks from the head circumference in mm, Hadlock 1984 (Radiology 152:497).

    Made from 361 fetuses of 14 to 42 weeks (`HADLOCK_WEEKS`), an HC of 89 to 358 mm; outside it is an
    extrapolation, which is given all the same and is poor below 12 weeks (it can't fall below 9). NaN unless
    HC is above 0.
    """
    hc_cm = _positive(hc_mm) / 10
    return _plain(8.96 + 0.540 * hc_cm + 0.0003 * hc_cm**3)


@overload
def ga_weeks_intergrowth(hc_mm: float) -> float: ...
@overload
def ga_weeks_intergrowth(hc_mm: Floats) -> Floats: ...
def ga_weeks_intergrowth(hc_mm: Any) -> Any:
    """Gestational age in weeks from the head circumference in mm, INTERGROWTH-21st (doi 10.1002/uog.15894).

    Made from fetuses from 14 weeks on; below about 98 mm it is an extrapolation. NaN unless HC is above 0.
    """
    hc = _positive(hc_mm)
    return _plain(np.exp(0.05970 * np.log(hc) ** 2 + 6.409e-9 * hc**3 + 3.3258) / 7)


def growth_mean_sd(measure: str, ga_weeks: ArrayLike) -> tuple[Any, Any]:
    """Mean and standard deviation in mm of a measure at an age, NaN outside of 14 to 40 weeks.

    `measure` is hc_mm, bpd_mm, ofd_mm (Papageorghiou 2014, doi 10.1016/S0140-6736(14)61490-2) or tcd_mm;
    anything else is a ValueError.
    """
    if measure not in _CHARTS:
        raise ValueError(f"there is no chart of {measure!r}; there are {', '.join(_CHARTS)}")
    weeks = np.asarray(ga_weeks, dtype=float)
    weeks = np.where((weeks >= CHART_WEEKS[0]) & (weeks <= CHART_WEEKS[1]), weeks, np.nan)
    mean, sd = _CHARTS[measure](weeks)
    return _plain(mean), _plain(sd)


def z_score(measure: str, value: ArrayLike, ga_weeks: ArrayLike) -> Any:
    """How many standard deviations a measure in mm lies above the mean of its age; see `growth_mean_sd`."""
    mean, sd = growth_mean_sd(measure, ga_weeks)
    return _plain((np.asarray(value, dtype=float) - mean) / sd)


def centile(measure: str, value: ArrayLike, ga_weeks: ArrayLike) -> Any:
    """Share in % of fetuses of that age with a smaller measure; see `growth_mean_sd`."""
    return _plain(50 * (1 + _erf(np.asarray(z_score(measure, value, ga_weeks)) / math.sqrt(2))))


def centile_curve(measure: str, ga_weeks: ArrayLike, centiles: ArrayLike) -> Floats:
    """The measure in mm (C, G) that lies at each of the centiles (C,), in % between 0 and 100, at the ages (G,)."""
    mean, sd = growth_mean_sd(measure, np.atleast_1d(np.asarray(ga_weeks, dtype=float)))
    standard = NormalDist()
    z = np.array(
        [standard.inv_cdf(percent / 100) for percent in np.atleast_1d(np.asarray(centiles, dtype=float))]
    )
    return np.asarray(mean + z[:, None] * sd)


def trimester(ga_weeks: float) -> str:
    """`first` below 14 weeks, `second` below 28, `third` from then on; "" for NaN."""
    if math.isnan(ga_weeks):
        return ""
    return "first" if ga_weeks < 14 else "second" if ga_weeks < 28 else "third"


def atrial_width_grade(width_mm: float) -> str:
    """Grade of a lateral ventricle by the width of its atrium; "" for NaN or below 0.

    `normal` below 10 mm, `mild` to 12, `moderate` below 15, `severe` from then on (doi 10.1002/uog.1857).
    """
    if not width_mm >= 0:
        return ""
    if width_mm < 10:
        return "normal"
    return "mild" if width_mm <= 12 else "moderate" if width_mm < 15 else "severe"


def _head_circumference(g: Floats) -> tuple[Floats, Floats]:
    log = np.log(g)
    mean = -28.2849 + 1.69267 * g**2 - 0.397485 * g**2 * log
    sd = 1.98735 + 0.0136772 * g**3 - 0.00726264 * g**3 * log + 0.000976253 * g**3 * log**2
    return mean, sd


def _biparietal_diameter(g: Floats) -> tuple[Floats, Floats]:
    log = np.log(g)
    mean = 5.60878 + 0.158369 * g**2 - 0.00256379 * g**3
    sd = np.exp(0.101242 + 0.00150557 * g**3 - 0.000771535 * g**3 * log + 0.0000999638 * g**3 * log**2)
    return mean, sd


def _occipitofrontal_diameter(g: Floats) -> tuple[Floats, Floats]:
    log = np.log(g)
    mean = -12.4097 + 0.626342 * g**2 - 0.148075 * g**2 * log
    sd = np.exp(-0.880034 + 0.0631165 * g**2 - 0.0317136 * g**2 * log + 0.00408302 * g**2 * log**2)
    return mean, sd


def _transcerebellar_diameter(g: Floats) -> tuple[Floats, Floats]:
    tens = g / 10
    return -13.10907 + 20.8941 * tens**0.5 + 0.5035914 * tens**3, 0.4719837 + 0.0500382 * tens**3


_CHARTS = {
    "hc_mm": _head_circumference,
    "bpd_mm": _biparietal_diameter,
    "ofd_mm": _occipitofrontal_diameter,
    "tcd_mm": _transcerebellar_diameter,
}


def _positive(values: ArrayLike) -> Floats:
    """As an array, NaN where not above 0."""
    array = np.asarray(values, dtype=float)
    return np.where(array > 0, array, np.nan)


def _plain(values: Floats) -> Any:
    """A float for a single number, else the array."""
    array = np.asarray(values, dtype=float)
    return float(array) if array.ndim == 0 else array
