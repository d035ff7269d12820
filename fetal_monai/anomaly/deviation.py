"""What is usual at an age, and how far a brain lies from it: curves, z-scores, centiles and one score for the whole.

The mean of a measure is a smooth curve through the atlas's weeks. The spread is that between healthy fetuses
(`spread`), to which the atlas's own scatter about the curve is added in squares. z is (value - mean) / spread.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.anomaly.spread import BETWEEN_SUBJECTS, Spread
from fetal_monai.measure.tissues import TISSUES

__all__ = ["GA_RANGE", "SCORE_MEASURES", "Curve", "Deviation", "NormativeModel", "deviation_measures"]

Floats = NDArray[np.float64]

GA_RANGE = (21.0, 38.0)  # weeks of the atlas
MIDDLE, HALF = 29.5, 8.5  # weeks, to which ages are scaled
SCORE_MEASURES = (
    *(f"{tissue}_ml" for tissue in TISSUES),
    "transcerebellar_diameter_mm",
    "atrial_width_left_mm",
    "atrial_width_right_mm",
    "ventricle_asymmetry",
    "gyrification_index",
)
MAX_Z = 5.0  # to which one measure counts in the score
LEVEL = 0.9  # of the intervals
_DEGREE = {"ventricle_asymmetry": 0, "atrial_width_left_mm": 1, "atrial_width_right_mm": 1}  # else 2
_NORMAL = NormalDist()
CAUTION = (
    "The mean is that of an atlas: one average brain a week, all of one centre. The spread between fetuses is not in "
    "it and was taken from elsewhere, see each curve; where it says 'assumed', z is rough. Not for diagnosis."
)


@dataclass(frozen=True)
class Deviation:
    """z-score and centile (%) of a measure, each with its 90 % interval.

    The interval tells how well curve and spread are known; it holds no error of segmentation or of the age.
    """

    z: float
    z_low: float
    z_high: float
    centile: float
    centile_low: float
    centile_high: float


@dataclass(frozen=True)
class Curve:
    """Mean and spread of one measure by age.

    The mean is a polynomial in t = (weeks - 29.5) / 8.5, lowest power first, of the measure's logarithm if
    `relative`. `covariance` is that of the coefficients, `residual_sd` the scatter of the `n` cases about it,
    `between_sd` the spread between fetuses (both as shares of the mean if `relative`), `between_uncertainty` its
    relative standard error, `between_source` where it comes from.
    """

    relative: bool
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    residual_sd: float
    between_sd: float
    between_uncertainty: float
    between_source: str
    n: int

    def mean(self, ga_weeks: ArrayLike) -> Floats:
        value = np.polynomial.polynomial.polyval(_scaled(ga_weeks), self.coefficients)
        return np.asarray(np.exp(value) if self.relative else value)

    def sd(self, ga_weeks: ArrayLike) -> Floats:
        spread = math.hypot(self.residual_sd, self.between_sd)
        return spread * (self.mean(ga_weeks) if self.relative else np.ones_like(_scaled(ga_weeks)))

    def mean_error(self, ga_weeks: float) -> float:
        """Standard error of the mean at an age, as a share of the spread."""
        powers = _scaled(ga_weeks) ** np.arange(len(self.coefficients))
        return float(np.sqrt(powers @ np.array(self.covariance) @ powers)) / math.hypot(
            self.residual_sd, self.between_sd
        )


@dataclass(frozen=True)
class NormativeModel:
    """Curves by measure, for `ga_range` weeks.

    `source` says what fitted it; `reference_scores` are the scores of the very cases that fitted it, each left
    out in turn: what is usual of an atlas. Healthy fetuses score higher, about 1, as they differ more from the
    mean than an average brain does.
    """

    curves: dict[str, Curve]
    source: str
    ga_range: tuple[float, float] = GA_RANGE
    reference_scores: tuple[float, ...] = ()
    caution: str = CAUTION

    @classmethod
    def fit(
        cls,
        ga_weeks: ArrayLike,
        measures: Mapping[str, ArrayLike],
        source: str,
        *,
        spreads: Mapping[str, Spread] = BETWEEN_SUBJECTS,
        ga_range: tuple[float, float] = GA_RANGE,
        with_reference: bool = True,
    ) -> NormativeModel:
        """Fit a curve to each measure that has a spread.

        Args: ga_weeks: (N,). measures: (N,) each, by name, NaN where unknown. source: kept in the file.
        with_reference: leave each case out in turn for `reference_scores`.

        Raises:
        ValueError: lengths differ, or a measure has too few known values.
        """
        ages = np.asarray(ga_weeks, dtype=float)
        curves = {
            name: _fit_curve(name, ages, np.asarray(values, dtype=float), spreads[name])
            for name, values in measures.items()
            if name in spreads
        }
        scores = leave_one_out_scores(ages, measures, spreads, ga_range) if with_reference else ()
        return cls(curves, source, ga_range, tuple(scores))

    def save(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all."""
        from fetal_monai.files import write_json

        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> NormativeModel:
        """Read what `save` wrote; ValueError names the file and what is wrong with it."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            curves = {name: _curve(values) for name, values in content["curves"].items()}
            first, last = content["ga_range"]
            scores = tuple(map(float, content["reference_scores"]))
            return cls(curves, content["source"], (float(first), float(last)), scores, content["caution"])
        except FileNotFoundError:
            raise ValueError(f"{path}: no such normative model; fit one first, or do without: null") from None
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no normative model: {error}") from error

    def covers(self, ga_weeks: float) -> bool:
        """Whether the curves hold for an age; not for NaN."""
        return self.ga_range[0] <= ga_weeks <= self.ga_range[1]

    def expected(self, name: str, ga_weeks: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and standard deviation of a measure at ages of any shape, NaN outside of `ga_range`.

        ValueError for a measure without a curve.
        """
        if name not in self.curves:
            raise ValueError(f"there is no curve of {name!r}; there are {', '.join(self.curves)}")
        weeks = np.asarray(ga_weeks, dtype=float)
        weeks = np.where((weeks >= self.ga_range[0]) & (weeks <= self.ga_range[1]), weeks, np.nan)
        return self.curves[name].mean(weeks), self.curves[name].sd(weeks)

    def deviation(self, measures: Mapping[str, float], ga_weeks: float) -> dict[str, Deviation]:
        """z-score and centile of each measure that has a curve; NaN for one that is NaN or an age not covered."""
        return {
            name: self._deviation(name, measures[name], ga_weeks) for name in self.curves if name in measures
        }

    def score(self, measures: Mapping[str, float], ga_weeks: float) -> float:
        """Deviation of the whole brain: root mean square of the z-scores of `SCORE_MEASURES`, each cut at 5.

        About 1 for a healthy fetus if the spreads are right. NaN at an age that is not covered, or if fewer than
        half of these measures are known.
        """
        found = self.deviation({name: measures.get(name, math.nan) for name in SCORE_MEASURES}, ga_weeks)
        z = np.array([deviation.z for deviation in found.values()])
        z = z[np.isfinite(z)]
        if 2 * len(z) < len(SCORE_MEASURES):
            return math.nan
        return float(np.sqrt(np.mean(np.clip(z, -MAX_Z, MAX_Z) ** 2)))

    def _deviation(self, name: str, value: float, ga_weeks: float) -> Deviation:
        mean, sd = self.expected(name, ga_weeks)
        z = float((value - mean) / sd)
        if not math.isfinite(z):
            return Deviation(*[math.nan] * 6)
        curve = self.curves[name]
        known = (curve.between_sd / math.hypot(curve.residual_sd, curve.between_sd)) ** 2
        error = math.hypot(curve.mean_error(ga_weeks), z * curve.between_uncertainty * known)
        half = _NORMAL.inv_cdf((1 + LEVEL) / 2) * error
        return Deviation(z, z - half, z + half, *(100 * _NORMAL.cdf(at) for at in (z, z - half, z + half)))


def deviation_measures(
    model: NormativeModel, measures: Mapping[str, float], ga_weeks: float
) -> tuple[dict[str, float], list[str]]:
    """Columns and flags of a brain's deviation.

    `<measure>_z`, `_z_low`, `_z_high`, `_centile`, `_centile_low`, `_centile_high` of each measure with a curve,
    and `deviation_score`. Without an age all are NaN and the flag is `no_ga`, outside of the model's weeks
    `ga_out_of_range`.
    """
    columns: dict[str, float] = {}
    for name, found in model.deviation(measures, ga_weeks).items():
        columns |= {f"{name}_{part}": value for part, value in asdict(found).items()}
    columns["deviation_score"] = model.score(measures, ga_weeks)
    if math.isnan(ga_weeks):
        return columns, ["no_ga"]
    return columns, [] if model.covers(ga_weeks) else ["ga_out_of_range"]


def leave_one_out_scores(
    ga_weeks: ArrayLike,
    measures: Mapping[str, ArrayLike],
    spreads: Mapping[str, Spread] = BETWEEN_SUBJECTS,
    ga_range: tuple[float, float] = GA_RANGE,
) -> list[float]:
    """The score of each case under a model that all others fitted."""
    ages = np.asarray(ga_weeks, dtype=float)
    table = {name: np.asarray(values, dtype=float) for name, values in measures.items()}
    scores = []
    for case in range(len(ages)):
        rest = np.arange(len(ages)) != case
        others = {name: values[rest] for name, values in table.items()}
        model = NormativeModel.fit(
            ages[rest], others, "", spreads=spreads, ga_range=ga_range, with_reference=False
        )
        scores.append(
            model.score({name: float(values[case]) for name, values in table.items()}, float(ages[case]))
        )
    return scores


def _fit_curve(name: str, ages: Floats, values: Floats, spread: Spread) -> Curve:
    degree = _DEGREE.get(name, 2)
    if values.shape != ages.shape:
        raise ValueError(f"{name} has shape {values.shape}, ga_weeks {ages.shape}")
    known = np.isfinite(values) & np.isfinite(ages) & ((values > 0) | (not spread.relative))
    n = int(known.sum())
    if n < degree + 3:
        raise ValueError(f"{name} has {n} known values; a curve of degree {degree} needs {degree + 3}")
    target = np.log(values[known]) if spread.relative else values[known]
    design = np.polynomial.polynomial.polyvander(_scaled(ages[known]), degree)
    coefficients, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    if rank <= degree:
        raise ValueError(f"{name} is known at too few ages for a curve of degree {degree}")
    residual = float(np.sqrt(np.sum((target - design @ coefficients) ** 2) / (n - degree - 1)))
    covariance = residual**2 * np.linalg.inv(design.T @ design)
    return Curve(
        spread.relative,
        tuple(map(float, coefficients)),
        tuple(tuple(map(float, row)) for row in covariance),
        residual,
        spread.value,
        spread.uncertainty,
        f"{spread.basis}: {spread.source}" if not spread.source.startswith(spread.basis) else spread.source,
        n,
    )


def _curve(values: Mapping[str, object]) -> Curve:
    """A curve from a file; TypeError or ValueError for one that is not whole."""
    read = {item.name: values[item.name] for item in fields(Curve)}
    read["coefficients"] = tuple(map(float, _sequence(read["coefficients"])))
    read["covariance"] = tuple(tuple(map(float, _sequence(row))) for row in _sequence(read["covariance"]))
    curve = Curve(**read)  # type: ignore[arg-type]
    numbers = (*curve.coefficients, curve.residual_sd, curve.between_sd, curve.between_uncertainty)
    if not all(map(math.isfinite, numbers)) or curve.between_sd <= 0 or curve.residual_sd < 0:
        raise ValueError("numbers must be finite and standard deviations above 0")
    return curve


def _sequence(value: object) -> Sequence[float]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _scaled(ga_weeks: ArrayLike) -> Floats:
    return np.asarray((np.asarray(ga_weeks, dtype=float) - MIDDLE) / HALF)
