"""What the readers of single formats hand over: the pixels as stored, and what the file says of its geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError

__all__ = ["Grid", "Picture", "Region", "Spacing", "check_size"]

Spacing = tuple[float, float]  # mm per pixel, (row, column)

MIN_SIDE = 32
MAX_MEGAPIXELS = 100


@dataclass(frozen=True)
class Region:
    """A calibrated 2D region of an ultrasound DICOM; bounds are inclusive pixels inside the image."""

    row0: int
    row1: int
    column0: int
    column1: int
    spacing_mm: Spacing
    colour_flow: bool = False

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.row1 - self.row0 + 1) * (self.column1 - self.column0 + 1)

    def contains(self, row: float, column: float) -> bool:
        """Whether the point lies in it."""
        return self.row0 <= row <= self.row1 and self.column0 <= column <= self.column1


@dataclass(frozen=True)
class Grid:
    """How the file stores the picture, where that differs from plain rows and columns.

    `shape` and `affine` (RAS, mm) are those of a NIfTI, MHA or NRRD, whose first long axis is the picture's
    column and second its row; `orientation` is the EXIF tag of a JPEG or TIFF, 1 for upright.
    """

    shape: tuple[int, ...] | None = None
    affine: NDArray[np.float64] | None = None
    header: Any = None
    orientation: int = 1


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W) or (H, W, 3) in the type that the file holds, rows down, and the file's own spacing.

    `bits` is the stored depth where the file tells it; `spacing_problem` says why the file's spacing makes no
    sense.
    """

    pixels: NDArray[Any]
    spacing_mm: Spacing | None = None
    spacing_source: str = "none"
    spacing_problem: str = ""
    regions: tuple[Region, ...] = ()
    flags: tuple[str, ...] = ()
    bits: int | None = None
    grid: Grid | None = None


def check_size(height: int, width: int) -> None:
    """Raise ScanError if a picture is too small or too large to be a scan; asked before decoding."""
    if min(height, width) < MIN_SIDE:
        raise ScanError(f"is {width}x{height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed")
    if height * width > MAX_MEGAPIXELS * 1e6:
        raise ScanError(
            f"is {width}x{height} pixels, over {MAX_MEGAPIXELS} megapixels; reduce it or cut out the scan"
        )
