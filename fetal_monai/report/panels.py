"""Pictures of cuts: letters of their sides, borders, lengths and a scale drawn on them, and many set side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fetal_monai.report.caption import MUTED, STRIP, TEXT, Colour, drawable, font, write_text
from fetal_monai.report.overlay import stroke
from fetal_monai.report.slices import Plane

__all__ = ["Panel", "draw_labels", "draw_lengths", "draw_marks", "stack_panels", "tile"]

Floats = NDArray[np.float64]

BORDER_PX, FILL = 1.3, 0.1  # width of a border, share of colour within it
BAR_MM = 20
TITLE_SIZE = 15


@dataclass
class Panel:
    """A picture and the lines of text above it; a colour of None is that of text."""

    picture: Image.Image
    titles: list[tuple[str, Colour | None]]


def draw_labels(
    picture: Image.Image,
    shares: NDArray[np.float32],
    lines: Sequence[Sequence[Floats]],
    colours: Sequence[Colour],
    order: Sequence[int],
    scale: float,
) -> None:
    """Tint each label and draw its border, in place; `scale` is pixels of the picture per pixel of the cut.

    `order` has the labels, from 0, in which they are drawn: where two touch, the later one's border is seen. A single
    label is not tinted.
    """
    most = shares.argmax(axis=0)
    for n in order if len(colours) > 1 else ():
        if lines[n]:
            tint = Image.fromarray(((most == n + 1) * round(255 * FILL)).astype(np.uint8))
            picture.paste(colours[n], (0, 0), tint.resize(picture.size, Image.Resampling.BILINEAR))
    for n in order:
        stroke(picture, [(line + 0.5) * scale - 0.5 for line in lines[n]], colours[n], _border_px(picture))


def draw_lengths(
    picture: Image.Image, lengths: Sequence[Floats], plane: Plane, zoom: float, colours: Sequence[Colour]
) -> None:
    """Draw lengths, (2, 3) RAS mm each, as thin calipers with a bar at each end."""
    scale = plane.step_mm * zoom
    for ends, colour in zip(lengths, colours, strict=True):
        first, last = (plane.pixels(ends) + 0.5) * scale - 0.5
        long = float(np.linalg.norm(last - first))
        if long < 1:
            continue
        across = np.array([-(last - first)[1], (last - first)[0]]) / long * 6
        lines = [np.array([first, last]), *(np.array([end - across, end + across]) for end in (first, last))]
        stroke(picture, lines, (0, 0, 0), 3.2, 0.45)
        stroke(picture, lines, colour, 1.5)


def draw_marks(
    picture: Image.Image, letters: Sequence[str], zoom: float | None = None, size: int = 17
) -> None:
    """Write the letters of the left, right, upper and lower side; with `zoom`, px per mm, a bar of 20 mm."""
    draw, face = ImageDraw.Draw(picture), font(size)
    width, height = picture.size
    places = [
        (5, height / 2, "lm"),
        (width - 5, height / 2, "rm"),
        (width / 2, 4, "ma"),
        (width / 2, height - 4, "md"),
    ]
    for text, (left, top, anchor) in zip(letters, places, strict=True):
        draw.text(
            (left, top), text, fill=TEXT, font=face, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0)
        )
    if zoom is not None and BAR_MM * zoom < 0.5 * width:
        top, left = height - 12, width - 10 - BAR_MM * zoom
        draw.rectangle((left - 1, top - 1, width - 9, top + 2), fill=(0, 0, 0))
        draw.rectangle((left, top, width - 10, top + 1), fill=TEXT)


def tile(panels: Sequence[Panel], width: int, gap: int, columns: int | None = None) -> NDArray[np.uint8]:
    """Panels side by side, their titles above them, in a picture `width` wide.

    With `columns` each stands in the middle of a cell of that share of the width.
    """
    line = round(1.5 * TITLE_SIZE)
    head = max(len(panel.titles) for panel in panels) * line
    head += 6 if head else 0
    height = max(panel.picture.height for panel in panels)
    row = Image.new("RGB", (width, head + height))
    draw = ImageDraw.Draw(row)
    if head:
        draw.rectangle((0, 0, width, head - 1), fill=STRIP)
    left = 0.0
    for panel in panels:
        cell = (width + gap) / columns - gap if columns else panel.picture.width
        place = round(left + (cell - panel.picture.width) / 2)
        row.paste(panel.picture, (place, head + (height - panel.picture.height) // 2))
        for number, (text, colour) in enumerate(panel.titles):
            fill = colour or (TEXT if number == 0 else MUTED)
            write_text(row, left + 5, 4 + number * line, drawable(text), fill, TITLE_SIZE)
        left += cell + gap
    return np.asarray(row)


def stack_panels(rows: Sequence[NDArray[np.uint8]], gap: int) -> NDArray[np.uint8]:
    """Rows of one width above each other."""
    between = np.zeros((gap, rows[0].shape[1], 3), np.uint8)
    parts = [part for row in rows for part in (row, between)]
    return np.vstack(parts[:-1])


def _border_px(picture: Image.Image) -> float:
    return BORDER_PX if picture.height > 240 else 1.0
