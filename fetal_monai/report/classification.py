"""A picture with the plane that it was taken for, and one of what the network looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fetal_monai.record import Record
from fetal_monai.report.anomaly import heated
from fetal_monai.report.caption import draw_strip
from fetal_monai.report.labels import value_text
from fetal_monai.report.overlay import data_uri, draw_overlay

__all__ = ["cam_thumbnail", "draw_cam", "draw_plane", "plane_caption"]

Pixels = NDArray[np.uint8]

CAM_WIDTH = 480
THUMBNAIL = (320, 240)
SHOWN = 3  # probabilities in the caption


def draw_plane(image: NDArray, record: Record) -> Pixels:
    """A gray scan (H, W), 0 to 255, with plane, probabilities and flags below; a picture (H', W', 3)."""
    spacing = None if record.spacing_mm is None else (record.spacing_mm[0], record.spacing_mm[1])
    return draw_overlay(image, caption=plane_caption(record), flags=record.all_flags, spacing_mm=spacing)


def draw_cam(image: NDArray, heat: NDArray[np.float32], record: Record) -> Pixels:
    """A gray scan (H, W), glowing where ``heat`` (h, w), 0 to 1, is high; 480 pixels wide, with a line below."""
    picture = _glowing(image, heat, (CAM_WIDTH, max(1, round(CAM_WIDTH * image.shape[0] / image.shape[1]))))
    words = value_text("plane", record.extra.get("cam_plane")) or "the likeliest plane"
    caption = [f"Where it saw: {words}", "Grad-CAM, coarse  ·  For research use only"]
    return np.vstack([picture, np.asarray(draw_strip(CAM_WIDTH, (), caption, ()))])


def cam_thumbnail(image: NDArray, heat: NDArray[np.float32]) -> str:
    """The scan above the same with its ``heat``, as a data URI of at most 320x240 pixels."""
    scale = min(THUMBNAIL[0] / image.shape[1], THUMBNAIL[1] / image.shape[0])
    scale *= 0.5 if image.shape[1] * 0.75 > image.shape[0] else 0.6
    size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
    plain = np.repeat(_sized(image, size)[..., None], 3, axis=2)
    return data_uri(Image.fromarray(np.hstack([plain, _glowing(image, heat, size)])))


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


def _glowing(image: NDArray, heat: NDArray[np.float32], size: tuple[int, int]) -> Pixels:
    wide = Image.fromarray(np.asarray(heat, dtype=np.float32)).resize(size, Image.Resampling.BICUBIC)
    return heated(_sized(image, size), np.clip(np.asarray(wide), 0, 1))
