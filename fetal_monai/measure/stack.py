"""What is measured of a brain's mask on a thick-slice stack: its volume, its slices, its extent, and what to doubt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["STACK_MEASURES", "StackMeasurement", "measure_stack", "slice_axis"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

STACK_MEASURES = (
    "brain_mask_ml",
    "brain_slices",
    "slice_spacing_mm",
    "brain_in_plane_mm",
    "brain_through_plane_mm",
)
MIN_MASK_ML = 1.0  # less is no brain
PLAUSIBLE_MASK_ML = (10.0, 700.0)  # with its fluid: more at 18 weeks, less at 40
CUT_MM2 = 20.0  # of the mask on one end of the field of view
FILLED = 0.5  # of the first slice that is not empty: from there the field of view ends, else a mask does


@dataclass(frozen=True)
class StackMeasurement:
    """What was measured on one mask.

    `measures` all of `STACK_MEASURES`, NaN where undefined; `flags` any of no_brain, implausible_volume and
    brain_cut_off; `box` the voxels that the mask lies in, None without a brain.
    """

    measures: dict[str, float]
    flags: list[str]
    box: Box | None = None


def measure_stack(mask: ArrayLike, affine: ArrayLike, image: ArrayLike | None = None) -> StackMeasurement:
    """Measure the brain's mask on a stack, whatever way it is stored.

    Args: mask: (I, J, K), not 0 in the brain. affine: (4, 4), voxel index to RAS mm. image: (I, J, K) gray values in
    any unit, to see where the field of view ends within the volume.

    `slice_spacing_mm` is from the middle of a slice to that of the next, gap included; `brain_through_plane_mm` is as
    long as the slices that show the brain, `brain_in_plane_mm` the mask's largest diameter seen across the slices.

    Raises:
    ValueError: the mask is not 3D, the affine is singular, or the image has another shape.
    """
    found, matrix = np.asarray(mask) != 0, np.asarray(affine, float)
    gray = None if image is None else np.asarray(image)
    if found.ndim != 3 or (gray is not None and gray.shape != found.shape):
        shape = None if gray is None else gray.shape
        raise ValueError(f"mask has shape {found.shape}, image {shape}; both must be one (I, J, K)")
    voxel_ml = abs(float(np.linalg.det(matrix[:3, :3]))) / 1000
    if not voxel_ml > 0:
        raise ValueError("the affine is singular; its columns must be the steps along three axes, in mm")
    axis = slice_axis(matrix)
    spacing = float(_distance(matrix, axis))
    measures = dict.fromkeys(STACK_MEASURES, math.nan) | {"slice_spacing_mm": spacing}
    volume = float(np.count_nonzero(found)) * voxel_ml
    box = _box(found)
    if volume < MIN_MASK_ML or box is None:
        return StackMeasurement(measures, ["no_brain"])
    across = tuple(n for n in range(3) if n != axis)
    measures["brain_mask_ml"] = volume
    measures["brain_slices"] = float(np.count_nonzero(found.any(axis=across)))
    measures["brain_through_plane_mm"] = (box[axis].stop - box[axis].start) * spacing
    measures["brain_in_plane_mm"] = _diameter(found.any(axis=axis), matrix[:3, across])
    flags = [] if PLAUSIBLE_MASK_ML[0] <= volume <= PLAUSIBLE_MASK_ML[1] else ["implausible_volume"]
    if _is_cut_off(found, matrix, gray):
        flags.append("brain_cut_off")
    return StackMeasurement(measures, flags, box)


def slice_axis(affine: ArrayLike) -> int:
    """The axis of a volume that its slices are stacked along: that of the largest spacing."""
    return int(np.argmax(np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)))


def _distance(affine: Floats, axis: int) -> float:
    """From one slice to the next, at a right angle, in mm."""
    first, second = (affine[:3, n] for n in range(3) if n != axis)
    normal = np.cross(first, second)
    return abs(float(affine[:3, axis] @ normal)) / float(np.linalg.norm(normal))


def _box(seen: Bools) -> Box | None:
    ends = []
    for axis in range(3):
        there = np.flatnonzero(seen.any(axis=tuple(n for n in range(3) if n != axis)))
        if not len(there):
            return None
        ends.append(slice(int(there[0]), int(there[-1]) + 1))
    return ends[0], ends[1], ends[2]


def _diameter(shadow: Bools, steps: Floats) -> float:
    """Largest distance in mm between points of a shadow (M, N) of whole voxels, whose axes have the `steps` (3, 2)."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    border = shadow.copy()  # only the ends of each row can be the farthest
    border[:, 1:-1] &= ~(shadow[:, :-2] & shadow[:, 2:])
    corners = np.argwhere(border)[:, None] + np.array(list(product((-0.5, 0.5), repeat=2)))
    x = steps[:, 0] / np.linalg.norm(steps[:, 0])
    y = steps[:, 1] - (steps[:, 1] @ x) * x
    plane = np.stack([x, y / np.linalg.norm(y)])
    points = corners.reshape(-1, 2) @ (plane @ steps).T
    return float(pdist(points[ConvexHull(points).vertices]).max())


def _is_cut_off(mask: Bools, affine: Floats, image: NDArray | None) -> bool:
    """Whether the mask reaches an end of the volume, or of the field of view, beyond which the image is empty."""
    seen = np.ones_like(mask) if image is None else image > image.min()
    field = _box(seen)
    if field is None:
        return False
    for axis, ends in enumerate(field):
        across = np.delete(affine[:3, :3], axis, axis=1)
        pixel_mm2 = float(np.linalg.norm(np.cross(across[:, 0], across[:, 1])))
        rest = tuple(s for n, s in enumerate(field) if n != axis)
        for end, edge in ((ends.start, 0), (ends.stop - 1, mask.shape[axis] - 1)):
            if end != edge and seen.take(end, axis)[rest].mean() < FILLED:
                continue  # what ends there is not a field of view: air, or a picture of the brain alone
            if np.count_nonzero(mask.take(end, axis)) * pixel_mm2 > CUT_MM2:
                return True
    return False
