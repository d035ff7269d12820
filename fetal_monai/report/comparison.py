"""A picture before and after, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from fetal_monai.report.caption import LEVEL_COLOURS, draw_strip
from fetal_monai.report.overlay import TEAL, draw_overlay, stroke

__all__ = ["draw_comparison"]

GAP = 6
MARK = LEVEL_COLOURS["stop"]


def draw_comparison(
    before: ArrayLike,
    after: ArrayLike,
    *,
    outlines: Sequence[NDArray[np.float64]] = (),
    marks: NDArray[np.bool_] | None = None,
    caption: Sequence[str] = (),
    flags: Sequence[str] = (),
    spacing_mm: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Two gray scans (H, W), 0 to 255, beside each other over a caption: (H', W', 3).

    On the left one the sector's `outlines`, lines (N, 2) of (row, column), and the borders of `marks` (H, W) are drawn.
    `spacing_mm` (row, column) makes uneven pixels square. ValueError where shapes differ.
    """
    from skimage.measure import find_contours

    first, second = np.asarray(before), np.asarray(after)
    if first.shape != second.shape:
        raise ValueError(f"the pictures are {first.shape} and {second.shape}; they must be of one shape")
    left, right = (Image.fromarray(draw_overlay(image, spacing_mm=spacing_mm)) for image in (first, second))
    scale = np.array([left.height, left.width]) / first.shape
    borders = [] if marks is None else [b - 1 for b in find_contours(np.pad(marks, 1).astype(float), 0.5)]
    for lines, colour in ((outlines, TEAL), (borders, MARK)):
        stroke(
            left, [(line + 0.5) * scale - 0.5 for line in lines], colour, max(1.2, min(left.size) / 400), 0.8
        )
    sheet = Image.new("RGB", (2 * left.width + GAP, left.height))
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + GAP, 0))
    keys = [("sector", TEAL)] if outlines else []
    keys += [("marks", MARK)] if borders else []
    return np.vstack([np.asarray(sheet), np.asarray(draw_strip(sheet.width, keys, caption, flags))])
