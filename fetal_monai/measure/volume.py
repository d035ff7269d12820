"""Everything measured on the labels of a fetal brain: volumes, diameters, atrial widths, cortex, and what to doubt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.measure.brain_frame import (
    DEEP_GRAY,
    BrainFrame,
    LabelVolume,
    find_brain_frame,
    label_volume,
)
from fetal_monai.measure.brain_lengths import brain_diameters, transcerebellar_diameter
from fetal_monai.measure.cortex import bare_white_matter, cortex_shape
from fetal_monai.measure.growth import atrial_width_grade
from fetal_monai.measure.tissues import BRAIN_LABELS, TISSUES
from fetal_monai.measure.ventricles import atrial_widths, ventricle_asymmetry

__all__ = [
    "BRAIN_MEASURES",
    "LINE_MEASURES",
    "BrainMeasurement",
    "brain_flags",
    "measure_brain",
    "tissue_volumes",
]

Floats = NDArray[np.float64]

LINE_MEASURES = {  # line: the measure that is its length
    "bpd": "brain_bpd_mm",
    "ofd": "brain_ofd_mm",
    "tcd": "transcerebellar_diameter_mm",
    "atrial_width_left": "atrial_width_left_mm",
    "atrial_width_right": "atrial_width_right_mm",
}
BRAIN_MEASURES = (
    *(f"{tissue}_ml" for tissue in TISSUES),
    "brain_ml",
    "intracranial_ml",
    "ventricle_asymmetry",
    "cortical_surface_mm2",
    "gyrification_index",
    "mean_curvature_per_mm",
    *LINE_MEASURES.values(),
)
MIN_BRAIN_ML = 1.0  # less is no brain
PLAUSIBLE_BRAIN_ML = (
    8.0,
    550.0,
)  # a fetus of 18 weeks has more, one of 40 weeks less; an adult has over 1000
MIN_TISSUE_ML = 0.1
CUT_MM2 = 20.0  # of brain tissue along the volume's faces
MAX_BARE = (
    0.25  # of the surface; up to 0.17 in the atlases' labels, 0.35 to 0.70 where a network lost the cortex
)
MIN_VOXELS = 20  # of a tissue whose brightness is compared
WHITE_MATTER, VENTRICLES = 3, 4


@dataclass(frozen=True)
class BrainMeasurement:
    """What was measured on one brain.

    `measures` all of `BRAIN_MEASURES`, NaN where undefined; `flags` as `brain_flags` says; `lines` where lengths
    were taken, (2, 3) RAS mm for each of `LINE_MEASURES` that is defined; `extra` the brain's frame (`origin_mm`,
    `axes`: right, front, top) and `atrial_width_grade` of each side, as plain numbers and words.
    """

    measures: dict[str, float]
    flags: list[str]
    lines: dict[str, Floats] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def measure_brain(labels: ArrayLike, affine: ArrayLike, image: ArrayLike | None = None) -> BrainMeasurement:
    """Measure a fetal brain from its tissue labels, whatever way the volume is stored or the brain lies in it.

    Args: labels: (I, J, K) whole numbers, 1 to 7 in the order of `TISSUES`, 0 outside. affine: (4, 4), voxel index
    to RAS mm. image: (I, J, K) T2w intensities in any unit, only used to doubt a contrast that is none of T2w.

    Lengths are measured along the brain's own axes (`find_brain_frame`); where these are not sure they are NaN.

    Raises:
    ValueError: labels are not 3D or hold other values, the affine is singular, or the image has another shape.
    """
    array = np.asarray(labels)
    volume = label_volume(array, affine)
    volumes = dict.fromkeys(BRAIN_MEASURES[:9], 0.0) if volume is None else tissue_volumes(volume)
    if volume is None or volumes["brain_ml"] < MIN_BRAIN_ML:
        return BrainMeasurement(dict.fromkeys(BRAIN_MEASURES, math.nan), ["no_brain"])
    frame = find_brain_frame(volume)
    measures = {**dict.fromkeys(BRAIN_MEASURES, math.nan), **volumes}
    cortex = cortex_shape(volume, frame)
    if cortex is not None:
        measures["cortical_surface_mm2"] = cortex.surface_mm2
        measures["gyrification_index"] = cortex.gyrification_index
        measures["mean_curvature_per_mm"] = cortex.mean_curvature_per_mm
    lines: dict[str, Floats] = {}
    if frame.sure:
        measures["ventricle_asymmetry"] = ventricle_asymmetry(volume, frame)
        lines = _lines(volume, frame, None if cortex is None else cortex.vertices)
        measures |= {LINE_MEASURES[name]: float(np.linalg.norm(b - a)) for name, (a, b) in lines.items()}
    grades = {side: atrial_width_grade(measures[f"atrial_width_{side}_mm"]) for side in ("left", "right")}
    extra = {
        "brain_frame": {"origin_mm": frame.origin.tolist(), "axes": frame.axes.tolist()},
        "atrial_width_grade": grades,
    }
    flags = brain_flags(measures, axes_sure=frame.sure)
    if bare_white_matter(array) > MAX_BARE:
        flags.append("cortex_incomplete")
    if _cut_area(array, np.asarray(affine, dtype=float)) > CUT_MM2:
        flags.append("brain_cut_off")
    if image is not None and _dark_csf(array, np.asarray(image)):
        flags.append("csf_not_bright")
    return BrainMeasurement(measures, flags, lines, extra)


def tissue_volumes(volume: LabelVolume) -> dict[str, float]:
    """mL of each tissue, of the brain (without CSF) and of the intracranial space (with it)."""
    counts = np.bincount(volume.labels.ravel(), minlength=len(TISSUES) + 1)[: len(TISSUES) + 1]
    ml = counts * volume.voxel_ml
    named = {f"{tissue}_ml": float(ml[label]) for label, tissue in enumerate(TISSUES, start=1)}
    return {**named, "brain_ml": float(ml[list(BRAIN_LABELS)].sum()), "intracranial_ml": float(ml[1:].sum())}


def brain_flags(measures: dict[str, float], *, axes_sure: bool = True) -> list[str]:
    """What the measures of a brain give to doubt or to report.

    Any of implausible_volume (no fetus of 18 to 40 weeks), missing_tissue, brain_axes_unsure, atrium_not_found,
    and ventriculomegaly_mild, _moderate or _severe by the wider atrium (`atrial_width_grade`).
    """
    low, high = PLAUSIBLE_BRAIN_ML
    widths = [measures[f"atrial_width_{side}_mm"] for side in ("left", "right")]
    grade = atrial_width_grade(max((width for width in widths if width >= 0), default=math.nan))
    raised = {
        "implausible_volume": not low <= measures["brain_ml"] <= high,
        "missing_tissue": any(measures[f"{tissue}_ml"] < MIN_TISSUE_ML for tissue in TISSUES),
        "brain_axes_unsure": not axes_sure,
        "atrium_not_found": axes_sure and any(math.isnan(width) for width in widths),
        f"ventriculomegaly_{grade}": grade not in ("", "normal"),
    }
    return [flag for flag, is_raised in raised.items() if is_raised]


def _lines(volume: LabelVolume, frame: BrainFrame, surface: Floats | None) -> dict[str, Floats]:
    """Where the lengths lie, RAS mm."""
    heights = frame.to_brain(volume.points_mm(volume.holds((DEEP_GRAY,))))[:, 2]
    low, high = np.percentile(heights, [2, 98])
    local = {} if surface is None else brain_diameters(surface, (float(low), float(high)))
    cerebellum = transcerebellar_diameter(volume, frame)
    if cerebellum is not None:
        local["tcd"] = cerebellum
    lines = {name: frame.to_ras(line) for name, line in local.items()}
    return lines | {
        f"atrial_width_{side}": found.line for side, found in atrial_widths(volume, frame).items()
    }


def _cut_area(labels: NDArray[Any], affine: Floats) -> float:
    """Area in mm² of brain and ventricles on the volume's six faces."""
    area = 0.0
    for axis in range(3):
        across = np.delete(affine[:3, :3], axis, axis=1)
        pixel = float(np.linalg.norm(np.cross(across[:, 0], across[:, 1])))
        area += pixel * sum(int((labels.take(end, axis) > 1).sum()) for end in (0, -1))
    return area


def _dark_csf(labels: NDArray[Any], image: NDArray[Any]) -> bool:
    """Whether the ventricles are no brighter than the white matter, as on CT or a T1w image."""
    if image.shape != labels.shape:
        raise ValueError(
            f"image has shape {image.shape}, labels {labels.shape}; give the image that was labelled"
        )
    medians = []
    for label in (VENTRICLES, WHITE_MATTER):
        values = image[labels == label]
        values = values[np.isfinite(values)]
        if len(values) < MIN_VOXELS:
            return False
        medians.append(float(np.median(values)))
    return medians[0] <= medians[1]
