"""How much healthy fetuses of one age differ from each other, measure by measure, and where that is known from.

An atlas is one average brain a week: it tells the mean, not the spread. The spread below is published where a
publication could be read, derived from one where the geometry allows it, and else assumed, wider than what is
likely, so that a deviation is rather understated.
"""

from __future__ import annotations

from dataclasses import dataclass

from fetal_monai.measure.tissues import TISSUES

__all__ = ["BETWEEN_SUBJECTS", "Spread"]

PUBLISHED, DERIVED, ASSUMED = "published", "derived", "assumed"
_UNSURE = {PUBLISHED: 0.15, DERIVED: 0.25, ASSUMED: 0.35}

_INTERGROWTH = "INTERGROWTH-21st (Papageorghiou 2014, doi 10.1016/S0140-6736(14)61490-2), ultrasound"
_NOT_VERIFIED = "assumed: no published standard deviation could be verified, so it is set wide; "


@dataclass(frozen=True)
class Spread:
    """Standard deviation between healthy fetuses of one age.

    `value` is a share of the mean if `relative`, else in the measure's unit. `basis` is published, derived or
    assumed; `source` says from what.
    """

    value: float
    relative: bool
    basis: str
    source: str

    @property
    def uncertainty(self) -> float:
        """Relative standard error of `value`, a judgement: 15 % where published, 25 % derived, 35 % assumed."""
        return _UNSURE[self.basis]


_WHOLE = Spread(
    0.13,
    True,
    DERIVED,
    f"three times the HC's coefficient of variation, at most 4.2 % to 38 weeks; {_INTERGROWTH}",
)
_ATRIUM = Spread(
    1.4,
    False,
    PUBLISHED,
    "Alagappan 1994 (Radiology 193:405), ultrasound, 500 fetuses: 6.6 ± 1.4 mm; the wider of two, beside 6.4 ± 1.2 mm "
    "pooled of 8216 fetuses (Almog 2003, J Ultrasound Med 22:39)",
)

BETWEEN_SUBJECTS = {
    **{
        f"{tissue}_ml": Spread(0.18, True, ASSUMED, _NOT_VERIFIED + "wider than the whole brain's 13 %")
        for tissue in TISSUES
    },
    "extra_axial_csf_ml": Spread(
        0.30, True, ASSUMED, _NOT_VERIFIED + "datasets draw its outer border differently"
    ),
    "ventricles_ml": Spread(
        0.40,
        True,
        ASSUMED,
        _NOT_VERIFIED + "twice the coefficient of variation of the atrial width, as of an area",
    ),
    "cerebellum_ml": Spread(
        0.18,
        True,
        DERIVED,
        "three times the TCD's coefficient of variation, at most 5.8 % to 38 weeks; INTERGROWTH-21st, ultrasound",
    ),
    "brain_ml": _WHOLE,
    "intracranial_ml": _WHOLE,
    "ventricle_asymmetry": Spread(
        0.12, False, ASSUMED, _NOT_VERIFIED + "in units of (left - right) / (left + right)"
    ),
    "cortical_surface_mm2": Spread(
        0.12,
        True,
        ASSUMED,
        _NOT_VERIFIED + "twice the HC's coefficient of variation gives 8 %, folding adds to it",
    ),
    "gyrification_index": Spread(0.06, True, ASSUMED, _NOT_VERIFIED + "depends on how labels are drawn"),
    "mean_curvature_per_mm": Spread(0.15, True, ASSUMED, _NOT_VERIFIED + "depends on how labels are drawn"),
    "brain_bpd_mm": Spread(
        0.05, True, DERIVED, f"that of the skull, at most 4.6 % from 21 to 38 weeks; {_INTERGROWTH}"
    ),
    "brain_ofd_mm": Spread(
        0.05, True, DERIVED, f"that of the skull, at most 4.8 % from 21 to 38 weeks; {_INTERGROWTH}"
    ),
    "transcerebellar_diameter_mm": Spread(
        0.06,
        True,
        PUBLISHED,
        "at most 5.8 % from 21 to 38 weeks; INTERGROWTH-21st chart of the TCD, ultrasound",
    ),
    "atrial_width_left_mm": _ATRIUM,
    "atrial_width_right_mm": _ATRIUM,
}
