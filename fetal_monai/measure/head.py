"""A fetal head in an ultrasound picture: from the network's probability map to outline, ellipse, measures and flags."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.biometry import head_biometry, head_flags
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.growth import centile, ga_weeks_hadlock, ga_weeks_intergrowth
from fetal_monai.measure.head_outline import Outline, find_outline, fit_outline
from fetal_monai.measure.interval import Calibration, interval

__all__ = ["HeadMeasurement", "insonated_hull", "measure_head"]

Floats = NDArray[np.float64]
Spacing = tuple[float, float]

MEASURES = ["hc_mm", "hc_mm_low", "hc_mm_high", "bpd_mm", "ofd_mm", "cephalic_index"]
MEASURES += ["ga_weeks_hadlock", "ga_weeks_intergrowth", "hc_centile"]


@dataclass(frozen=True)
class HeadMeasurement:
    """What is known of the head in one picture; lengths in mm are NaN without spacing.

    ``mask`` (H, W), ``outline`` (N, 2) and ``ellipse`` are on the input's pixels; both are None where no head is found.
    """

    mask: NDArray[np.bool_]
    measures: dict[str, float]
    flags: list[str]
    spacing_mm: Spacing | None = None
    spacing_source: str = "none"
    outline: Floats | None = None
    ellipse: Ellipse | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def insonated_hull(image: NDArray, most: int = 160) -> Floats:
    """Half planes (N, 3) whose intersection is the convex hull of what is not black in a picture (H, W).

    ``a·row + b·column + c <= 0`` inside. Text, rulers and other thin marks do not count. Found on at most ``most``
    pixels a side. The whole picture where hardly anything is to be seen.
    """
    from scipy import ndimage
    from scipy.spatial import ConvexHull, QhullError

    height, width = image.shape
    step = max(1, math.ceil(max(height, width) / most))
    small = image[::step, ::step]
    lit = small > max(2.0, 0.04 * float(np.percentile(small, 99)))
    lit = ndimage.binary_closing(np.pad(lit, 2), np.ones((3, 3)))
    lit = ndimage.binary_opening(lit, np.ones((5, 5)))[2:-2, 2:-2]
    rows = np.nonzero(lit.any(axis=1))[0]
    whole = np.array([[-1, 0, -0.5], [1, 0, 0.5 - height], [0, -1, -0.5], [0, 1, 0.5 - width]])
    if len(rows) < 0.2 * len(lit):
        return whole
    first, last = lit.argmax(axis=1)[rows], lit.shape[1] - 1 - lit[:, ::-1].argmax(axis=1)[rows]
    ends = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])]) * float(step)
    try:
        return ConvexHull(ends).equations
    except QhullError:
        return whole


def measure_head(
    probability: NDArray[np.float32],
    image: NDArray,
    scale: Spacing,
    spacing_at: Callable[[float, float], tuple[Spacing | None, str]],
    ga_weeks: float = math.nan,
    calibration: Calibration | None = None,
) -> HeadMeasurement:
    """Measure the head that a network sees in a picture.

    Args:
        probability: (h, w), the picture's part of the network's grid.
        image: (H, W), the picture in gray values 0..255.
        scale: size of an input pixel in grid pixels, along rows and columns.
        spacing_at: gives spacing (row, column) in mm per pixel, and its source, for a (row, column) of the input.
        ga_weeks: gestational age where it is known; gives the centile.
        calibration: of the 90 % interval of HC.
    """
    flags = ["low_contrast"] if _is_low_contrast(image) else []
    measures = dict.fromkeys(MEASURES, math.nan)
    outline = find_outline(probability)
    centre = np.asarray(image.shape) / 2
    if outline is not None:
        points = (outline.points + 0.5) / scale - 0.5
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
    spacing_mm, source = spacing_at(float(centre[0]), float(centre[1]))
    unit = spacing_mm or (1.0, 1.0)
    fit = None if outline is None else fit_outline(Outline(points, outline.on_border, 0), unit)
    if outline is None or fit is None:
        mask = np.zeros(image.shape, bool)
        return HeadMeasurement(mask, measures, [*flags, "no_head"], spacing_mm, source)

    ellipse = fit.ellipse.scaled((1 / unit[0], 1 / unit[1]))
    around = ellipse.points(360)
    hull = insonated_hull(image)
    outside = ((around @ hull[:, :2].T + hull[:, 2]) > 2).any(axis=1)
    mean_pixel = math.sqrt(unit[0] * unit[1])
    found = head_biometry(fit.ellipse)
    difficulty = {
        "hc_mm": found["hc_mm"],
        "band_mm": outline.band / math.sqrt(scale[0] * scale[1]) * mean_pixel,
        "residual_mm": fit.residual,
        "unseen": 1 - fit.arc_coverage,
    }
    measures["cephalic_index"] = found["cephalic_index"]
    if spacing_mm is None:
        measures |= {f"{name}_px": found[f"{name}_mm"] for name in ("hc", "bpd", "ofd")}
    else:
        measures |= found
        measures["residual_mm"] = fit.residual
        if calibration is not None:
            low, high = interval(calibration, found["hc_mm"], difficulty)
            measures["hc_mm_low"], measures["hc_mm_high"] = low, high
        if not math.isnan(ga_weeks):
            measures["ga_weeks"] = ga_weeks
            measures["hc_centile"] = centile("hc_mm", found["hc_mm"], ga_weeks)
    cut_fraction = max(float(outside.mean()), float(outline.on_border.mean()))
    flags += head_flags(fit, in_mm=spacing_mm is not None, cut_fraction=cut_fraction)
    flags += ["several_regions"] if _has_second_region(probability) else []
    if spacing_mm is not None and "hc_out_of_range" not in flags:
        measures["ga_weeks_hadlock"] = ga_weeks_hadlock(found["hc_mm"])
        measures["ga_weeks_intergrowth"] = ga_weeks_intergrowth(found["hc_mm"])
    extra = {
        "difficulty": difficulty,
        "inlier_fraction": fit.inlier_fraction,
        "outside_fraction": float(outside.mean()),
        "ellipse_px": {"center": ellipse.center, "semi_axes": ellipse.semi_axes, "angle": ellipse.angle},
    }
    mask = ellipse.mask(image.shape)
    return HeadMeasurement(mask, measures, flags, spacing_mm, source, points, ellipse, extra)


SECOND_REGION = 0.2  # of the largest region's area, from which another one may be a head too
LOW_CONTRAST = 30.0  # gray values of 255 between the darkest and the brightest hundredth


def _is_low_contrast(image: NDArray) -> bool:
    low, high = np.percentile(
        image[:: max(1, image.shape[0] // 200), :: max(1, image.shape[1] // 200)], (1, 99)
    )
    return bool(high - low < LOW_CONTRAST)


def _has_second_region(probability: NDArray[np.float32]) -> bool:
    from scipy import ndimage

    sizes = np.sort(np.bincount(ndimage.label(probability > 0.5)[0].ravel())[1:])
    return len(sizes) > 1 and bool(sizes[-2] > SECOND_REGION * sizes[-1])
