"""What the readers of volumes hand over, and which voxels are taken for a scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError

__all__ = [
    "Volume",
    "VoxelSize",
    "check_kind",
    "check_shape",
    "check_time_point",
    "clean_voxels",
    "shape_text",
    "time_index",
]

VoxelSize = tuple[float, float, float]  # mm, along the array's axes

MIN_SIDE = 16  # of the two longer axes
MAX_VOXELS = 512 * 2**20
FEW_SLICES = 6
MAX_NOT_FINITE = 0.5  # of the voxels


@dataclass(frozen=True)
class Volume:
    """Voxels (I, J, K) as stored, and what the file says of where they lie.

    `affine` goes from voxel indices to RAS and mm; its columns are read as directions, and as long as
    `spacing_mm` says, which is None where the file does not tell it. `header` is nibabel's, if there is one.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    spacing_mm: VoxelSize | None
    spacing_source: str
    flags: tuple[str, ...] = ()
    header: Any = None


def shape_text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def check_shape(shape: Sequence[int], min_size: int) -> None:
    """Raise ScanError if (I, J, K) is a picture, has fewer than `min_size` along an axis or is too large.

    A `min_size` of 1 lets single slices pass.
    """
    sides = sorted(shape)
    text = shape_text(shape)
    if sides[0] <= 1 < sides[1] and min_size > 1:
        raise ScanError(
            f"is a 2D picture of {shape_text([side for side in shape if side > 1])}, not a volume; "
            "ultrasound pictures are for the bundle fetal_head_ultrasound_segmentation"
        )
    if sides[0] < min_size:
        raise ScanError(f"is {text} voxels; at least {min_size} along each axis are needed")
    if sides[1] < MIN_SIDE:
        raise ScanError(f"is {text} voxels; at least {MIN_SIDE}x{MIN_SIDE} in each slice are needed")
    if math.prod(sides) > MAX_VOXELS:
        raise ScanError(
            f"is {text} voxels, over {MAX_VOXELS // 10**6} million; cut out or resample the brain"
        )


def time_index(shape: Sequence[int], time_point: int | None, min_size: int) -> tuple[int, ...]:
    """Which volume of (I, J, K, …) is meant, as an index for the axes behind the third.

    Raises ScanError as `check_shape` does, if there are several and none is asked for, or if it is not there.
    """
    volume, times = (*shape, 1, 1, 1)[:3], tuple(shape[3:])
    check_shape(volume, min_size)
    count = math.prod(times)
    if count != 1 and time_point is None:
        raise ScanError(
            f"is {len(shape)}D: {count} volumes of {shape_text(volume)}; take one with --time_point 0 (the first) "
            f"to {count - 1}"
        )
    check_time_point(time_point, count)
    return tuple(int(index) for index in np.unravel_index(time_point or 0, times)) if times else ()


def check_time_point(time_point: int | None, count: int) -> None:
    """Raise ScanError unless there is such a time point, counted from 0."""
    if not 0 <= (time_point or 0) < count:
        last = "there is only 0" if count == 1 else f"there are 0 to {count - 1}"
        raise ScanError(f"has no time point {time_point}: {last}; give another --time_point")


def check_kind(dtype: np.dtype[Any]) -> None:
    """Raise ScanError unless voxels are integers or real numbers."""
    if dtype.names is not None:
        raise ScanError(
            "is a colour volume (RGB); a gray one is needed: save the scan itself, not a rendering"
        )
    if dtype.kind not in "buif":
        raise ScanError(f"has voxels of type {dtype}; integers or real numbers are needed")


def clean_voxels(voxels: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Integers as they are, real numbers as finite float32, and flags; the byte order is the machine's.

    What is NaN or infinite becomes the lowest finite value, `non_finite_voxels`. Raises ScanError if that is over
    half of them, if all are equal, and for colours and complex numbers.
    """
    check_kind(voxels.dtype)
    flags: tuple[str, ...] = ("few_slices",) if 1 < min(voxels.shape) < FEW_SLICES else ()
    if voxels.dtype.kind == "b":
        voxels = voxels.astype(np.uint8)
    elif voxels.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what float32 does not hold is infinite
            voxels = voxels.astype(np.float32, copy=False)
        finite = np.isfinite(voxels)
        share = 1 - np.count_nonzero(finite) / voxels.size
        if share > MAX_NOT_FINITE:
            raise ScanError(
                f"has {100 * share:.0f} % of its voxels NaN or infinite; replace them by numbers, such as 0 outside"
            )
        if share > 0:
            voxels = np.where(finite, voxels, voxels.min(initial=np.inf, where=finite))
            flags += ("non_finite_voxels",)
    else:
        voxels = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    low, high = voxels.min(), voxels.max()
    if low == high:
        raise ScanError(f"shows nothing: all voxels have the same value ({float(low):g})")
    return np.ascontiguousarray(voxels), flags
