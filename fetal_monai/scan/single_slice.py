"""A picture of one MR slice as a volume of one slice, and how large it is where nobody says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.reader import read_scan
from fetal_monai.scan.source import ScanSource
from fetal_monai.scan.spacing import SpacingTable
from fetal_monai.scan.volume import VolumeScan

__all__ = ["ASSUMED_HEAD_MM", "read_picture_scan"]

ASSUMED_HEAD_MM = 170.0  # the longer side of a head on a slice, skull stripped
BACKGROUND = 0.15  # of the usual brightness, under which it is none of the head


def read_picture_scan(
    source: ScanSource,
    *,
    spacing_mm: float | Sequence[float] | None = None,
    spacing_table: SpacingTable | None = None,
) -> VolumeScan:
    """Read a PNG, JPEG, BMP or TIFF as a volume (columns, rows, 1), axial as radiologists see it.

    The patient's right is at the picture's left and the front on top. `spacing_mm` is a number, or (i, j) or (i, j, k)
    with the size along rows first; else the table's counts. Where there is none, `spacing_source` is none, and the
    affine has the pixels at which the head would be 170 mm long: good for the network, not for measuring
    (`size_assumed`). How thick the slice is is never known: the third of the scan's `spacing_mm` is NaN.
    Raises ScanError as :func:`read_scan` does.
    """
    pair = None if spacing_mm is None else _row_and_column(spacing_mm)
    scan = read_scan(source, spacing_mm=pair, spacing_table=spacing_table)
    flags = tuple(flag for flag in scan.flags if flag != "sixteen_bit")
    if scan.spacing_mm is None:
        side = _assumed_mm(scan.image)
        row_mm, column_mm, spacing_source = side, side, "none"
        flags += ("size_assumed",)
    else:
        (row_mm, column_mm), spacing_source = scan.spacing_mm, scan.spacing_source
    affine = np.diag([-column_mm, -row_mm, column_mm, 1.0])
    return VolumeScan(
        source,
        np.ascontiguousarray(scan.image.T[:, :, None]),
        affine,
        (column_mm, row_mm, math.nan),
        spacing_source,
        flags,
        header=None,
        picture=scan,
    )


def _row_and_column(spacing_mm: float | Sequence[float]) -> tuple[float, float]:
    if isinstance(spacing_mm, (int, float)):
        return float(spacing_mm), float(spacing_mm)
    sizes = [float(size) for size in spacing_mm]
    if len(sizes) not in (1, 2, 3):
        raise ScanError(f"the spacing given has {len(sizes)} values; one, or (i, j, k), are needed")
    return sizes[min(1, len(sizes) - 1)], sizes[0]


def _assumed_mm(image: NDArray[np.number]) -> float:
    """The side of a pixel, if the longer side of what is bright were that of a head."""
    from scipy import ndimage

    gray = np.abs(image - np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))
    bright = gray[gray > gray.mean()]
    if not bright.size:
        return ASSUMED_HEAD_MM / max(image.shape)
    parts, count = ndimage.label(ndimage.binary_opening(gray > BACKGROUND * np.percentile(bright, 75)))
    if not count:
        return ASSUMED_HEAD_MM / max(image.shape)
    largest = np.bincount(parts.ravel())[1:].argmax()
    return ASSUMED_HEAD_MM / max(side.stop - side.start for side in ndimage.find_objects(parts)[largest])
