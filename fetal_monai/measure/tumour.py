"""Everything measured on the labels of a brain tumour: volumes, ratios, RANO diameters, and each lesion's row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.measure.tumour_lengths import axial_axis, longest_line, rano_lines
from fetal_monai.measure.tumour_regions import components, labels_to_regions
from fetal_monai.measure.tumour_sides import Midplane, find_midplane, side_of

__all__ = ["LESION_FIELDS", "LINE_MEASURES", "TUMOUR_MEASURES", "TumourMeasurement", "measure_tumour"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LINE_MEASURES = {  # line: the measure that is its length
    "rano_diameter": "rano_diameter_mm",
    "rano_perpendicular": "rano_perpendicular_mm",
    "longest": "longest_diameter_3d_mm",
}
TUMOUR_MEASURES = (
    "whole_tumour_ml",
    "tumour_core_ml",
    "enhancing_ml",
    "oedema_ml",
    "necrosis_ml",
    "oedema_ratio",
    "necrosis_ratio",
    *LINE_MEASURES.values(),
    "n_lesions",
)
LESION_FIELDS = (
    "lesion",
    "volume_ml",
    "tumour_core_ml",
    "enhancing_ml",
    "longest_diameter_mm",
    "enhancing_diameter_mm",
    "centre_ras_x_mm",
    "centre_ras_y_mm",
    "centre_ras_z_mm",
    "side",
)


@dataclass(frozen=True)
class TumourMeasurement:
    """What was measured on one tumour.

    `measures` all of `TUMOUR_MEASURES`, NaN where undefined; `lesions` a row of `LESION_FIELDS` each, the largest
    first; `lines` where lengths were taken, (2, 3) RAS mm for each of `LINE_MEASURES` that is defined; `flags` any of
    no_tumour and tumour_at_edge (it touches an end of the volume, so part of it may be missing); `extra` plain numbers
    and words: `rano_region` and `longest_region` (what was measured, None if nothing), `rano_slice` (its `axis`,
    `index` and `tilt_degrees` to the patient's axial plane) and the `midplane` (`origin_mm`, `right`, `source`; None
    for a single sagittal slice).
    """

    measures: dict[str, float]
    lesions: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[str, Floats] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def measure_tumour(
    labels: ArrayLike, affine: ArrayLike, image: ArrayLike | None = None, *, convention: str | None = None
) -> TumourMeasurement:
    """Measure a brain tumour from its labels; the order and direction of the volume's axes change nothing.

    Args: labels: (I, J, K) in a BraTS `convention` (see `labels_to_regions`). affine: (4, 4), voxel index to RAS mm.
    image: (I, J, K) gray values of any MR sequence, to find the brain's midplane, which is else the volume's middle.

    `necrosis_ml` is all of the core that does not enhance, `necrosis_ratio` its share of the core, `oedema_ratio` that
    of the oedema in the whole tumour. The RANO diameter and its perpendicular lie on one axial slice (`rano_lines`) of
    the enhancing tumour, or of the core if nothing enhances; the longest diameter is of the same region in 3D, or of
    the whole tumour where there is only oedema, and NaN for a single slice. A lesion is a connected part of the whole
    tumour (corners touch): its volume and longest diameter in 3D hold its oedema, `enhancing_diameter_mm` is that of
    its longest enhancing part; its centre, the mean of its voxels, is in RAS mm as the affine has them, whose 0 need
    not be the midline; its side is that which three quarters of it lie on, else the midline, and unknown on
    a single sagittal slice. Without a tumour volumes and lesions are 0, the rest is NaN.

    Raises:
    ValueError: labels are not 3D or hold nothing or other values, the affine is singular, or the image has another
    shape.
    """
    array, matrix = np.asarray(labels), np.asarray(affine, float)
    gray = None if image is None else np.asarray(image)
    if array.ndim != 3 or not array.size or (gray is not None and gray.shape != array.shape):
        shape = None if gray is None else gray.shape
        raise ValueError(f"labels have shape {array.shape}, image {shape}; both must be one (I, J, K)")
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError(
            "the affine must be a finite (4, 4) matrix, not singular, that takes voxels to RAS mm"
        )
    regions = labels_to_regions(array, convention)
    voxel_ml = abs(float(np.linalg.det(matrix[:3, :3]))) / 1000
    box = _box(regions[1])
    measures = dict.fromkeys(TUMOUR_MEASURES, math.nan)
    if box is None:
        measures |= dict.fromkeys(TUMOUR_MEASURES[:5], 0.0) | {"n_lesions": 0.0}
        nothing = {"rano_region": None, "longest_region": None}
        return TumourMeasurement(measures, flags=["no_tumour"], extra=nothing)
    found = regions[:, box[0], box[1], box[2]]
    local = matrix.copy()
    local[:3, 3] += matrix[:3, :3] @ [side.start for side in box]
    measures |= _volumes(found, voxel_ml)
    order, turn = _towards_ras(matrix)
    (core, whole, enhancing), local = _stored((found[0], found[1], found[2]), local, order, turn)
    axis = axial_axis(array.shape, matrix)
    lines, extra = _lines((core, whole, enhancing), local, order.index(axis), is_flat=1 in array.shape)
    if "rano_slice" in extra:
        index = extra["rano_slice"]["index"]
        is_turned = turn[order.index(axis)] < 0
        extra["rano_slice"] |= {
            "axis": axis,
            "index": box[axis].stop - 1 - index if is_turned else box[axis].start + index,
        }
    measures |= {LINE_MEASURES[name]: float(np.linalg.norm(b - a)) for name, (a, b) in lines.items()}
    images, upright = _stored((regions[1],) if gray is None else (regions[1], gray), matrix, order, turn)
    plane = find_midplane(upright, images[0].shape, None if gray is None else images[1], images[0])
    lesions = _lesions((core, whole, enhancing), local, voxel_ml, plane, is_flat=1 in array.shape)
    measures["n_lesions"] = float(len(lesions))
    extra["midplane"] = plane and {
        "origin_mm": plane.origin.tolist(),
        "right": plane.right.tolist(),
        "source": plane.source,
    }
    sides = zip(box, array.shape, strict=True)
    at_edge = any(size > 1 and (side.start == 0 or side.stop == size) for side, size in sides)
    return TumourMeasurement(measures, lesions, lines, ["tumour_at_edge"] if at_edge else [], extra)


def _box(mask: Bools) -> tuple[slice, slice, slice] | None:
    from scipy import ndimage

    boxes = ndimage.find_objects(mask.view(np.uint8))
    return boxes[0] if boxes else None


def _towards_ras(affine: Floats) -> tuple[list[int], list[int]]:
    """The axes that lie nearest to right, front and top, and for each 1, or -1 if it runs the other way."""
    from scipy.optimize import linear_sum_assignment

    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order = linear_sum_assignment(-np.abs(directions))[1].tolist()
    return order, [1 if directions[row, axis] >= 0 else -1 for row, axis in enumerate(order)]


def _stored(
    arrays: tuple[NDArray[Any], ...], affine: Floats, order: list[int], turn: list[int]
) -> tuple[list[NDArray[Any]], Floats]:
    """Views of volumes (I, J, K) with their axes in another order and direction, and the affine of these."""
    shape = np.array(arrays[0].shape)[order]
    flips = tuple(slice(None, None, sign) for sign in turn)
    matrix = affine.copy()
    matrix[:3, :3] = affine[:3, order] * turn
    matrix[:3, 3] += affine[:3, order] @ np.where(np.array(turn) < 0, shape - 1, 0)
    return [array.transpose(order)[flips] for array in arrays], matrix


def _volumes(regions: Bools, voxel_ml: float) -> dict[str, float]:
    core, whole, enhancing = (int(np.count_nonzero(region)) for region in regions)
    return {
        "whole_tumour_ml": whole * voxel_ml,
        "tumour_core_ml": core * voxel_ml,
        "enhancing_ml": enhancing * voxel_ml,
        "oedema_ml": (whole - core) * voxel_ml,
        "necrosis_ml": (core - enhancing) * voxel_ml,
        "oedema_ratio": (whole - core) / whole,
        "necrosis_ratio": (core - enhancing) / core if core else math.nan,
    }


def _lines(
    regions: tuple[Bools, Bools, Bools], affine: Floats, axis: int, *, is_flat: bool
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Where the lengths lie, RAS mm, and what they were taken of."""
    core, whole, enhancing = regions
    lines: dict[str, Floats] = {}
    extra: dict[str, Any] = {"rano_region": None, "longest_region": None}
    solid, name = (enhancing, "enhancing") if enhancing.any() else (core, "tumour_core")
    rano = rano_lines(solid, core, affine, axis)
    if rano is not None:
        lines |= {"rano_diameter": rano.diameter, "rano_perpendicular": rano.perpendicular}
        extra["rano_region"] = name
        extra["rano_slice"] = {"axis": axis, "index": rano.index, "tilt_degrees": rano.tilt_degrees}
    if not is_flat:
        longest = longest_line(whole if rano is None else solid, affine)
        if longest is not None:
            lines["longest"] = longest
            extra["longest_region"] = "whole_tumour" if rano is None else name
    return lines, extra


def _lesions(
    regions: tuple[Bools, Bools, Bools],
    affine: Floats,
    voxel_ml: float,
    plane: Midplane | None,
    *,
    is_flat: bool,
) -> list[dict[str, Any]]:
    """A row for each lesion, the largest first."""
    from scipy import ndimage

    core, whole, enhancing = regions
    parts, _ = components(whole)
    rows = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        lesion = parts[box] == number
        local = affine.copy()
        local[:3, 3] += affine[:3, :3] @ [side.start for side in box]
        points = np.argwhere(lesion) @ local[:3, :3].T + local[:3, 3]
        kinds = [lesion, core[box] & lesion, enhancing[box] & lesion]
        values = (
            *(np.count_nonzero(kind) * voxel_ml for kind in kinds),
            *(math.nan if is_flat else _longest_mm(kind, local) for kind in (lesion, kinds[2])),
            *points.mean(axis=0).tolist(),
            side_of(points, plane),
        )
        rows.append(dict(zip(LESION_FIELDS[1:], values, strict=True)))
    rows.sort(key=lambda row: -row["volume_ml"])
    return [{"lesion": place, **row} for place, row in enumerate(rows, start=1)]


def _longest_mm(region: Bools, affine: Floats) -> float:
    line = longest_line(region, affine)
    return math.nan if line is None else float(np.linalg.norm(line[1] - line[0]))
