"""A picture with the structures that were found in it: a box for each, the midline, and the lines of the widths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fetal_monai.measure.detected import Found, StructureMeasurement, turned_box
from fetal_monai.measure.structures import box_points
from fetal_monai.record import Record
from fetal_monai.report.caption import Colour
from fetal_monai.report.labels import describe_spacing, value_text
from fetal_monai.report.overlay import data_uri, draw_ticks, picture_of, put_strip_below, stroke

__all__ = ["STRUCTURE_COLOURS", "draw_structures", "structure_caption", "structure_thumbnail"]

Pixels = NDArray[np.uint8]

STRUCTURE_COLOURS: dict[str, Colour] = {
    "head": (45, 212, 191),
    "midline_falx": (255, 170, 214),
    "cavum_septi_pellucidi": (255, 214, 102),
    "choroid_plexus": (196, 181, 253),
    "lateral_ventricle": (125, 196, 255),
}
NAMES = {
    "head": "Head",
    "midline_falx": "Midline",
    "cavum_septi_pellucidi": "Cavum",
    "choroid_plexus": "Choroid plexus",
    "lateral_ventricle": "Ventricle",
}
TURNED = ("lateral_ventricle", "cavum_septi_pellucidi")  # drawn as they lie, with their width
THUMBNAIL_WIDTH = 320


def draw_structures(
    image: NDArray,
    measured: StructureMeasurement,
    record: Record,
    ticks: Sequence[tuple[float, float]] = (),
) -> Pixels:
    """Draw what counts on a gray scan (H, W), 0 to 255, with a caption below; returns a picture (H', W', 3).

    Boxes of cavum and ventricles lie as the structure does. Sizes and `ticks`, of the ruler that the spacing was read
    from, are as those of :func:`fetal_monai.report.overlay.draw_overlay`.
    """
    picture, scale = picture_of(image, record.spacing_mm)
    _draw(picture, scale, measured)
    draw_ticks(picture, scale, ticks)
    best: dict[str, float] = {}
    for one in measured.found:
        if one.shown:
            best.setdefault(one.label, one.score)
    keys = [(f"{NAMES[label]} {score:.2f}", STRUCTURE_COLOURS[label]) for label, score in best.items()]
    return put_strip_below(picture, keys, structure_caption(record), record.all_flags)


def structure_thumbnail(image: NDArray, measured: StructureMeasurement, record: Record) -> str:
    """A small picture with the boxes as a data URI, at most 320 wide and 240 high."""
    picture, scale = picture_of(image, record.spacing_mm, thumbnail_width=THUMBNAIL_WIDTH)
    _draw(picture, scale, measured)
    return data_uri(picture)


def structure_caption(record: Record) -> list[str]:
    """The lines that stand below a picture: widths, how many structures were found, spacing and its source."""
    measures = record.measures
    widths = [
        f"{words} {text}"
        for name, words in (("atrial_width", "Atrium"), ("cavum_width", "Cavum"))
        for unit in ("_mm", "_px")
        if (text := value_text(name + unit, measures.get(name + unit)))
    ]
    count = int(measures.get("n_found") or 0)
    words = f"{count} structure{'' if count == 1 else 's'} found"
    last = f"Spacing {describe_spacing(record)}  ·  For research use only"
    return ["  ·  ".join(widths) or words, *([words] if widths else []), last]


def _draw(picture: Image.Image, scale: NDArray[np.float64], measured: StructureMeasurement) -> None:
    """Draw on the picture in place; places count from its edge."""
    width = max(1.2, min(picture.size) / 400)
    for one in measured.found:
        if not one.shown or (one.label == "midline_falx" and measured.midline is not None):
            continue
        lines = [_closed(_corners(one))]
        if one.label in TURNED:
            lines.append(one.width_ends)
        stroke(
            picture,
            [_pixels(line, scale) for line in lines],
            STRUCTURE_COLOURS[one.label],
            width,
            opacity=0.9,
        )
    if measured.midline is not None:
        ends = measured.midline.ends[:, ::-1] + 0.5
        stroke(picture, [_pixels(ends, scale)], STRUCTURE_COLOURS["midline_falx"], width, opacity=0.8)


def _corners(one: Found) -> NDArray[np.float64]:
    return turned_box(one) if one.label in TURNED else box_points(one.box)


def _closed(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([corners, corners[:2]])


def _pixels(points: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(x, y) from the scan's edge as (row, column) of pixel centres of the drawn picture."""
    return points[:, ::-1] * scale - 0.5
