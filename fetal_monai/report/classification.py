"""A picture with the plane that it was taken for, and one of what the network looked at."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fetal_monai.record import Record
from fetal_monai.report.anomaly import heated
from fetal_monai.report.caption import draw_strip
from fetal_monai.report.labels import value_text
from fetal_monai.report.overlay import data_uri, draw_overlay

__all__ = ["draw_cam", "draw_plane", "plane_caption"]

Pixels = NDArray[np.uint8]

CAM_WIDTH = 320
THUMBNAIL = (400, 300)
SHOWN = 3  # probabilities in the caption


def draw_plane(image: NDArray, record: Record) -> Pixels:
    """A gray scan (H, W), 0 to 255, with plane, probabilities and flags below; a picture (H', W', 3)."""
    spacing = None if record.spacing_mm is None else (record.spacing_mm[0], record.spacing_mm[1])
    return draw_overlay(image, caption=plane_caption(record), flags=record.all_flags, spacing_mm=spacing)


def draw_cam(image: NDArray, heat: NDArray[np.float32], record: Record) -> tuple[Pixels, str]:
    """A gray scan (H, W), glowing where ``heat`` (h, w), 0 to 1, is high, 320 pixels wide, with a line below.

    With it comes the thumbnail: the scan beside the same with its heat, as a data URI.
    """
    size = CAM_WIDTH, max(1, round(CAM_WIDTH * image.shape[0] / image.shape[1]))
    gray = _sized(image, size)
    glowing = _glowing(gray, heat)
    words = value_text("plane", record.extra.get("cam_plane")) or "the likeliest plane"
    caption = [f"Grad-CAM of: {words}", "Where the network looked, coarsely  ·  For research use only"]
    strip = np.asarray(draw_strip(CAM_WIDTH, (), caption, ()))
    return np.vstack([glowing, strip]), _thumbnail(gray, glowing)


def plane_caption(record: Record) -> list[str]:
    """The lines that stand below a picture: the plane, the likeliest ones with their probabilities, and a warning."""
    measures = record.measures
    first = value_text("plane", measures.get("plane"))
    chances = {
        name.removeprefix("probability_"): value
        for name, value in measures.items()
        if name.startswith("probability_") and isinstance(value, float)
    }
    best = sorted(chances, key=lambda plane: -chances[plane])[:SHOWN]
    if measures.get("plane") in chances:
        first += f", probability {chances[str(measures['plane'])]:.2f}"
    told = [f"{value_text('plane', plane)} {chances[plane]:.2f}" for plane in best]
    lines = [first[:1].upper() + first[1:], "  ·  ".join(told)]
    experimental = "Experimental weights  ·  " if "experimental_weights" in record.flags else ""
    return [*lines, f"{experimental}For research use only"]


def _sized(image: NDArray, size: tuple[int, int]) -> Pixels:
    gray = image if image.dtype == np.uint8 else np.clip(np.nan_to_num(image), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def _glowing(gray: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """The picture (H, W) in colours, looked up by its gray value and the heat, enlarged to it, in 256 steps."""
    wide = Image.fromarray(np.asarray(heat, dtype=np.float32)).resize(
        gray.shape[::-1], Image.Resampling.BICUBIC
    )
    step = np.rint(255 * np.clip(np.asarray(wide), 0, 1)).astype(np.uint16)
    return _colours().take(256 * step + gray, axis=0)


@functools.lru_cache(maxsize=1)
def _colours() -> Pixels:
    """What 256 steps of heat make of 256 gray values, (256 * 256, 3): far quicker looked up than worked out."""
    steps, grays = np.divmod(np.arange(1 << 16), 256)
    return heated(grays[None].astype(np.uint8), (steps[None] / 255).astype(np.float32))[0]


def _thumbnail(gray: Pixels, glowing: Pixels) -> str:
    pair = Image.new("RGB", (2 * gray.shape[1], gray.shape[0]))
    pair.paste(Image.fromarray(gray), (0, 0))
    pair.paste(Image.fromarray(glowing), (gray.shape[1], 0))
    pair.thumbnail(THUMBNAIL, Image.Resampling.BILINEAR)
    return data_uri(pair)
