"""A scan with what was found drawn on it: smooth outlines, axes, and a caption below that covers nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from fetal_monai.files import atomic_write
from fetal_monai.png import encode_png
from fetal_monai.report.caption import LEVEL_COLOURS, Colour, axis_labels, draw_strip, head_caption
from fetal_monai.report.flags import level_of

if TYPE_CHECKING:
    from fetal_monai.measure.ellipse import Ellipse

__all__ = [
    "COLOURS",
    "TEAL",
    "axis_labels",
    "data_uri",
    "draw_overlay",
    "draw_ticks",
    "head_caption",
    "picture_of",
    "put_strip_below",
    "save_overlay",
    "stroke",
    "thumbnail",
]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

TEAL: Colour = (45, 212, 191)
COLOURS: dict[str, Colour] = {**LEVEL_COLOURS, "": TEAL, "note": TEAL}  # of an outline, by its flags
OUTLINE: Colour = (232, 200, 255)
MINOR_AXIS: Colour = (125, 196, 255)
MAJOR_AXIS: Colour = (255, 170, 214)

MIN_SIDE, MAX_SIDE = 400, 1600  # of the drawn picture: smaller scans are enlarged, larger ones reduced
MIN_STRIP = 480  # width of the strip of text


def draw_overlay(
    image: ArrayLike,
    *,
    outline: ArrayLike | None = None,
    ellipse: Ellipse | None = None,
    axes: bool = True,
    axis_labels: tuple[str, str] = ("", ""),
    caption: Sequence[str] = (),
    flags: Sequence[str] = (),
    spacing_mm: tuple[float, float] | None = None,
    ticks: Sequence[tuple[float, float]] = (),
) -> Pixels:
    """Draw on a gray scan (H, W; or H, W, 3), 0 to 255, and return a picture (H', W', 3).

    `outline` is (N, 2) and `ellipse` in pixels of the scan, (row, column). `axis_labels` are the texts for the
    minor and the major axis, the first line of `caption` is large, the weight of the `flags` colours ellipse and
    title. Scans are enlarged so that no side is below 400, or reduced so that none is above 1600; with
    `spacing_mm` (row, column) uneven pixels are stretched, so that shapes and axes are true. `ticks` are
    those of the ruler that the spacing was read from, (row, column). ValueError for another shape.
    """
    picture, scale = picture_of(image, spacing_mm)
    _draw(picture, scale, outline, ellipse, axes, COLOURS[level_of(flags)])
    draw_ticks(picture, scale, ticks)
    keys = [key for key in zip(axis_labels, (MINOR_AXIS, MAJOR_AXIS), strict=True) if key[0]]
    keys = keys if axes and ellipse is not None else []
    if not (caption or flags or keys):
        return np.asarray(picture)
    return put_strip_below(picture, keys, caption, flags)


def put_strip_below(
    picture: Image.Image, keys: Sequence[tuple[str, Colour]], caption: Sequence[str], flags: Sequence[str]
) -> Pixels:
    """The picture with the strip of :func:`fetal_monai.report.caption.draw_strip` below it, (H', W', 3)."""
    strip = draw_strip(max(picture.width, MIN_STRIP), keys, caption, flags)
    both = Image.new("RGB", (strip.width, picture.height + strip.height))
    both.paste(picture)
    both.paste(strip, (0, picture.height))
    return np.asarray(both)


def save_overlay(path: str | Path, rgb: Pixels) -> None:
    """Write a picture (H, W, 3) as PNG, whole or not at all."""
    atomic_write(path, encode_png(rgb))


def thumbnail(
    image: ArrayLike,
    width: int = 320,
    *,
    outline: ArrayLike | None = None,
    ellipse: Ellipse | None = None,
    flags: Sequence[str] = (),
    spacing_mm: tuple[float, float] | None = None,
) -> str:
    """A small picture as a data URI (JPEG), at most `width` wide and 3/4 of that high.

    `image` is a scan or a drawn overlay; the rest is as in `draw_overlay`.
    """
    picture, scale = picture_of(image, spacing_mm, thumbnail_width=width)
    _draw(picture, scale, outline, ellipse, False, COLOURS[level_of(flags)])
    return data_uri(picture)


def data_uri(picture: Image.Image) -> str:
    """The picture as JPEG within a data URI."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=72)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _checked(image: ArrayLike) -> Pixels:
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or 0 in pixels.shape:
        raise ValueError(f"image is {pixels.shape}; it must be (H, W) or (H, W, 3)")
    if pixels.dtype == np.uint8:
        return pixels
    return np.clip(np.nan_to_num(pixels), 0, 255).astype(np.uint8)


def picture_of(
    image: ArrayLike, spacing_mm: Sequence[float] | None = None, thumbnail_width: int = 0
) -> tuple[Image.Image, Floats]:
    """The scan in RGB with square pixels, as large as it is drawn, and its pixels (row, column) for one of the scan.

    With `thumbnail_width` it is a small picture, at most that wide and 3/4 of that high. ValueError for another shape
    than (H, W) or (H, W, 3).
    """
    pixels = _checked(image)
    spacing = np.asarray((1.0, 1.0) if spacing_mm is None else spacing_mm, dtype=float)
    sides = spacing / spacing.min() * pixels.shape[:2]
    if thumbnail_width:
        factor, gap = min(thumbnail_width / sides[1], 0.75 * thumbnail_width / sides[0]), 1.0
    else:
        factor, gap = min(max(1.0, MIN_SIDE / sides.min()), MAX_SIDE / sides.max()), 2.0
    scale = spacing / spacing.min() * factor
    picture = Image.fromarray(pixels)
    if (scale != 1).any():
        height, width = np.maximum(1, np.round(scale * pixels.shape[:2])).astype(int).tolist()
        picture = picture.resize(
            (width, height), Image.Resampling.BICUBIC, reducing_gap=gap if scale.max() < 1 else None
        )
    return picture.convert("RGB"), scale


def _draw(
    picture: Image.Image,
    scale: Floats,
    outline: ArrayLike | None,
    ellipse: Ellipse | None,
    axes: bool,
    colour: Colour,
) -> None:
    """Draw on the picture in place; pixel centres lie at integers before and after scaling."""
    width = max(1.5, min(picture.size) / 320)
    if outline is not None and len(np.asarray(outline)) > 1:
        points = (np.asarray(outline, dtype=float) + 0.5) * scale - 0.5
        stroke(picture, [points], OUTLINE, 0.7 * width, opacity=0.55)
    if ellipse is None:
        return
    count = 360  # of points; a quarter of them leads from the major axis to the minor
    around = ellipse.scaled((scale[0], scale[1])).points(count) + 0.5 * (scale - 1)
    if axes:
        stroke(picture, [around[count // 4 :: count // 2]], MINOR_AXIS, 0.8 * width, opacity=0.75)
        stroke(picture, [around[:: count // 2]], MAJOR_AXIS, 0.8 * width, opacity=0.75)
    stroke(picture, [np.vstack([around, around[:2]])], colour, width, opacity=1.0)


def draw_ticks(picture: Image.Image, scale: Floats, ticks: Sequence[tuple[float, float]]) -> None:
    """A short line beside each tick, on the side away from the picture's edge."""
    if not ticks:
        return
    length = max(6.0, picture.width / 60)
    points = (np.asarray(ticks, dtype=float) + 0.5) * scale - 0.5
    away = 1 if points[:, 1].mean() < picture.width / 2 else -1
    lines = [np.array([[r, c + 0.6 * away * length], [r, c + 1.6 * away * length]]) for r, c in points]
    stroke(picture, lines, COLOURS["check"], max(1.5, min(picture.size) / 320))


def stroke(
    picture: Image.Image, lines: Sequence[Floats], colour: Colour, width: float, opacity: float = 1.0
) -> None:
    """Draw lines of points (N, 2), (row, column), `width` pixels wide, on the picture in place.

    Their edges are smooth: the box that they fill is supersampled.
    """
    if not lines:
        return
    margin = int(width) + 2
    low = np.floor(np.min([line.min(axis=0) for line in lines], axis=0)).astype(int) - margin
    high = np.ceil(np.max([line.max(axis=0) for line in lines], axis=0)).astype(int) + margin + 1
    low, high = np.maximum(low, 0), np.minimum(high, (picture.height, picture.width))
    rows, columns = (high - low).tolist()
    if rows <= 0 or columns <= 0:
        return
    factor = 4 if rows * columns < 100_000 else 3 if rows * columns < 400_000 else 2
    layer = Image.new("L", (columns * factor, rows * factor))
    draw = ImageDraw.Draw(layer)
    for line in lines:
        corners = ((line - low + 0.5) * factor)[:, ::-1].ravel().tolist()
        draw.line(corners, fill=round(255 * opacity), width=max(1, round(width * factor)))
    picture.paste(colour, (int(low[1]), int(low[0])), layer.reduce(factor))
