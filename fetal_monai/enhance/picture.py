"""A whole picture enhanced, with what was found on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.enhance.contrast import equalise_locally, level_gain
from fetal_monai.enhance.marks import fill_marks, find_marks
from fetal_monai.enhance.sector import Sector, find_sector
from fetal_monai.enhance.speckle import reduce_speckle

__all__ = ["STEPS", "Enhanced", "enhance"]

STEPS = ("marks", "gain", "speckle", "contrast")  # in the order that they are done


@dataclass(frozen=True)
class Enhanced:
    """`image` has shape and type of what came in; `marks` (H, W) lie inside the sector and outside of it."""

    image: NDArray[Any]
    sector: Sector
    marks: NDArray[np.bool_]


def enhance(
    image: NDArray,
    steps: Sequence[str] = STEPS,
    *,
    rgb: NDArray[np.uint8] | None = None,
    speckle: str = "srad",
    clip_limit: float = 0.006,
    gain_strength: float = 0.5,
) -> Enhanced:
    """Enhance a B-mode picture (H, W), gray values 0 to 255; the input is not changed.

    Args:
        steps: which of `marks` (filled; black outside of a fan or linear sector), `gain`, `speckle` and `contrast`;
            always done in this order.
        rgb: (H, W, 3), the picture in colour, by which coloured marks are found.
        speckle: `srad` or `nlm`.
        clip_limit: of the local contrast; 1/256 does nothing, 1 does most.
        gain_strength: 0 leaves the gain along depth, 1 levels it.

    Raises:
        ValueError: a step is not known, or the picture is not (H, W).
    """
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise ValueError(f"there is no step {', '.join(map(repr, unknown))}; there are {', '.join(STEPS)}")
    pixels = np.asarray(image)
    if pixels.ndim != 2:
        raise ValueError(f"image is {pixels.shape}; a gray picture (H, W) is needed")
    sector = find_sector(pixels)
    field = sector.mask if sector.is_certain else None  # else tissue may lie outside of it
    marks = find_marks(pixels, field, rgb)
    out = np.array(pixels, dtype=np.float32)
    if "marks" in steps:
        out = fill_marks(out, marks, field)
    if "gain" in steps:
        out = level_gain(out, sector, gain_strength)
    if "speckle" in steps:
        smooth = reduce_speckle(out, sector.mask & ~marks, speckle)
        out = np.where(sector.mask, smooth, out)
    if "contrast" in steps:
        out = equalise_locally(out, sector, clip_limit)
    if pixels.dtype.kind in "ui":
        out = np.rint(out)
    return Enhanced(out.astype(pixels.dtype), sector, marks)
