"""The brain in an MR volume with skull and scalp, found by shape alone: no weights, and no more than that can tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.patient_alignment import Grid, resample

__all__ = ["BRAIN_ML", "Strip", "find_brain", "head_volume_ml"]

Bools = NDArray[np.bool_]

GRID_MM, HEAD_GRID_MM = 2.0, 4.0  # about, of the voxels on which brain and head are looked for
HEAD = 0.15  # of the usual brightness, from which it is head
DEEP = 0.5  # of the depth of the head's middle: there, most is brain
TISSUE = 0.4  # of the brightness in the depth, from which it is tissue; bone and air are darker
RADII_MM = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)  # of the bridges between brain and scalp that are cut
CLOSING_MM = 15.0  # sulci, and dark parts of a tumour at the surface
BRAIN_ML = (800.0, 2000.0)  # of an adult with or without a tumour
SCALP_MM, AT_SCALP = 4.0, 0.03  # the share of a brain's voxels that may lie so near to the head's surface


class Strip(NamedTuple):
    """`mask` (I, J, K) is None where nothing was taken off, and `flag` says why, or that it was."""

    mask: Bools | None
    flag: str


def find_brain(image: NDArray[np.float32], affine: NDArray[np.float64]) -> Strip:
    """The brain in a volume (I, J, K) of an adult's head with skull.

    What is bright enough for tissue is cut where it is thin, from 2 to 10 mm to either side, until the part in the
    depth of the head is apart from the scalp and as large as a brain (800 to 2000 mL); it is grown back, closed over
    15 mm and filled, so that dark tumours stay in. The flag is `skull_stripped`; `no_skull_found`, where the whole
    head is no larger than a brain; or `skull_strip_failed`, where no such part was found.
    """
    from scipy import ndimage

    small, coarse = _coarse(image, affine, GRID_MM)
    mm = np.linalg.norm(coarse[:3, :3], axis=0)
    voxel_ml = float(mm.prod()) / 1000
    head = _head(small)
    if head.sum() * voxel_ml <= BRAIN_ML[1]:
        is_brain = head.sum() * voxel_ml >= BRAIN_ML[0]
        return Strip(None, "no_skull_found" if is_brain else "skull_strip_failed")
    depth = _depth(head, mm)
    deep = depth > DEEP * depth.max()
    tissue = head & (small > TISSUE * np.median(small[deep]))
    inside = _depth(tissue, mm)
    for radius_mm in RADII_MM:
        parts, count = ndimage.label(inside > radius_mm)
        if not count:
            break
        among = np.bincount(parts[deep], minlength=count + 1)
        among[0] = 0
        apart = ndimage.distance_transform_edt(parts != among.argmax(), mm)
        brain = tissue & (apart <= radius_mm + mm.min())
        brain = _closed(brain, mm) & head
        volume_ml = int(brain.sum()) * voxel_ml
        at_scalp = np.count_nonzero(brain & (depth <= SCALP_MM)) / max(1, int(brain.sum()))
        if BRAIN_ML[0] <= volume_ml <= BRAIN_ML[1] and at_scalp <= AT_SCALP:
            fine = resample(brain.astype(np.float32), coarse, Grid(image.shape, affine)) > 0.5
            return Strip(fine, "skull_stripped")
    return Strip(None, "skull_strip_failed")


def head_volume_ml(image: NDArray[np.float32], affine: NDArray[np.float64]) -> float:
    """How large the head in a volume (I, J, K) is, skull and scalp with it if they are there, to a few per cent."""
    small, coarse = _coarse(image, affine, HEAD_GRID_MM)
    return float(_head(small).sum() * abs(np.linalg.det(coarse[:3, :3])) / 1000)


def _coarse(
    image: NDArray[np.float32], affine: NDArray[np.float64], grid_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The volume on every so many voxels, from 0, and the affine of these."""
    steps = np.maximum(1, np.round(grid_mm / np.linalg.norm(affine[:3, :3], axis=0))).astype(int)
    coarse = affine.copy()
    coarse[:3, :3] *= steps
    coarse[:3, 3] += affine[:3, :3] @ ((steps - 1) / 2)
    i, j, k = (int(n) for n in np.maximum(1, np.array(image.shape) // steps))
    small = resample(image, affine, Grid((i, j, k), coarse)) if steps.max() > 1 else image
    return (small - image.min()).clip(0), coarse


def _head(small: NDArray[np.float32]) -> Bools:
    from scipy import ndimage

    bright = small[small > small.mean()]
    level = HEAD * float(np.percentile(bright, 75)) if bright.size else 0.0
    return _largest(_filled(ndimage.binary_opening(small > level)))


def _largest(mask: Bools) -> Bools:
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    return np.asarray(parts == np.bincount(parts.ravel())[1:].argmax() + 1 if count else mask)


def _filled(mask: Bools) -> Bools:
    """What is enclosed on a slice of any of the three directions: a scalp is open at the neck."""
    from scipy import ndimage

    out = mask
    for axis in range(3):
        flat = np.expand_dims(np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool), axis)
        out = out | ndimage.binary_fill_holes(mask, flat)
    return np.asarray(out)


def _depth(mask: Bools, mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each voxel of a mask lies from what is not of it, in mm; beyond the volume is nothing of it."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1), mm)[1:-1, 1:-1, 1:-1])


def _closed(mask: Bools, mm: NDArray[np.float64]) -> Bools:
    """Closed by a ball of CLOSING_MM, and filled."""
    from scipy import ndimage

    room = [(int(np.ceil(CLOSING_MM / size)) + 1,) * 2 for size in mm]
    wide = np.pad(mask, room)
    grown = ndimage.distance_transform_edt(~wide, mm) <= CLOSING_MM
    closed = ndimage.binary_fill_holes(ndimage.distance_transform_edt(grown, mm) > CLOSING_MM) | wide
    return np.asarray(closed[tuple(slice(a, n - b) for (a, b), n in zip(room, wide.shape, strict=True))])
