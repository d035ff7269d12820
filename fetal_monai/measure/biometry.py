"""Sizes of a fetal head from its ellipse, and what is to be doubted about them."""

from __future__ import annotations

import math

from fetal_monai.measure.ellipse import EllipseFit
from fetal_monai.measure.growth import ga_weeks_hadlock
from fetal_monai.measure.shape import Ellipse

__all__ = ["CEPHALIC_INDEX_MEAN", "CEPHALIC_INDEX_USUAL", "head_biometry", "head_flags", "head_shape"]

CEPHALIC_INDEX_MEAN = 78.3  # %, Hadlock 1981, AJR 137:83
CEPHALIC_INDEX_USUAL = (74.0, 83.0)  # %, one standard deviation to either side, same source
CEPHALIC_INDEX_PLAUSIBLE = (65.0, 95.0)  # %, beyond it the outline is doubted, not the head
GA_WEEKS_PLAUSIBLE = (12.0, 42.0)
POOR_RESIDUAL = 0.05  # of the mean radius
POOR_INLIER_FRACTION = 0.75
POOR_ARC_COVERAGE = 0.6
CUT_FRACTION = 0.05  # of the outline along the edge of what is seen


def head_biometry(ellipse_mm: Ellipse) -> dict[str, float]:
    """Head circumference, diameters (outer to outer), cephalic index in % and area of an ellipse in mm."""
    a, b = ellipse_mm.semi_axes
    return {
        "hc_mm": ellipse_mm.perimeter,
        "bpd_mm": 2 * b,
        "ofd_mm": 2 * a,
        "cephalic_index": 100 * b / a,
        "head_area_mm2": ellipse_mm.area,
    }


def head_shape(cephalic_index: float) -> str:
    """`long` (dolichocephaly), `usual` or `round` (brachycephaly) by the range of Hadlock 1981; "" for NaN."""
    low, high = CEPHALIC_INDEX_USUAL
    if math.isnan(cephalic_index):
        return ""
    return "long" if cephalic_index < low else "round" if cephalic_index > high else "usual"


def head_flags(fit: EllipseFit | None, *, in_mm: bool, cut_fraction: float = 0.0) -> list[str]:
    """What is doubtful about a fitted head.

    `in_mm` tells whether the fit is in mm, without which a size can't be doubted; `cut_fraction` is the share
    of the outline along the edge of the picture or of the ultrasound sector. One or more of no_head,
    head_cut_off, poor_ellipse_fit, implausible_cephalic_index, hc_out_of_range (outside 12 to 42 weeks by
    Hadlock 1984).
    """
    if fit is None:
        return ["no_head"]
    a, b = fit.ellipse.semi_axes
    low, high = CEPHALIC_INDEX_PLAUSIBLE
    first, last = GA_WEEKS_PLAUSIBLE
    raised = {
        "head_cut_off": cut_fraction > CUT_FRACTION,
        "poor_ellipse_fit": fit.residual > POOR_RESIDUAL * math.sqrt(a * b)
        or fit.inlier_fraction < POOR_INLIER_FRACTION
        or fit.arc_coverage < POOR_ARC_COVERAGE,
        "implausible_cephalic_index": not low <= 100 * b / a <= high,
        "hc_out_of_range": in_mm and not first <= ga_weeks_hadlock(fit.ellipse.perimeter) <= last,
    }
    return [flag for flag, is_raised in raised.items() if is_raised]
