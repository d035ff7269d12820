"""A head with what is unlike a healthy one glowing on it, and below it what the network saw and made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from fetal_monai.record import Record
from fetal_monai.report.labels import value_text
from fetal_monai.report.overlay import draw_overlay, thumbnail
from fetal_monai.report.panels import Panel, tile

if TYPE_CHECKING:
    from fetal_monai.measure.ellipse import Ellipse

__all__ = ["anomaly_caption", "draw_anomaly", "heated", "thumbnail"]

Pixels = NDArray[np.uint8]

LEAST_HEAT = 0.2  # probability from which a pixel glows
GLOW = np.array(
    [[120, 20, 110], [230, 60, 60], [255, 180, 40], [255, 245, 190]], dtype=np.float32
)  # from low to high
OPACITY = 0.55
TITLES = ("Head in its frame", "As the network remakes it", "Probability of being altered")
GAP = 8


def heated(image: ArrayLike, heat: NDArray[np.float32]) -> Pixels:
    """A gray picture (H, W), 0 to 255, in colour (H, W, 3), glowing where ``heat`` (H, W), 0 to 1, is high."""
    gray = np.clip(np.nan_to_num(np.asarray(image, dtype=np.float32)), 0, 255)
    out = np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)
    hot = np.nonzero(heat >= LEAST_HEAT)
    if len(hot[0]):
        level = (np.clip(heat[hot], 0, 1) - LEAST_HEAT) / (1 - LEAST_HEAT)
        share = (OPACITY * np.sqrt(level))[:, None]
        out[hot] = (1 - share) * gray[hot][:, None] + share * _glow(level)
    return out


def draw_anomaly(
    shown: Pixels,
    ellipse: Ellipse | None,
    frames: Sequence[NDArray[np.float32]],
    *,
    caption: Sequence[str] = (),
    flags: Sequence[str] = (),
    spacing_mm: tuple[float, ...] | None = None,
) -> Pixels:
    """The picture with its ellipse, caption and flags, and below it three pictures (h, w), 0 to 1, of the frame.

    ``frames`` are what the network saw, its reconstruction, and the probability of being altered.
    """
    spacing = None if spacing_mm is None else (spacing_mm[0], spacing_mm[1])
    top = draw_overlay(shown, ellipse=ellipse, axes=False, caption=caption, flags=flags, spacing_mm=spacing)
    width = top.shape[1]
    side = (width - 2 * GAP) // 3
    panels = []
    for title, values in zip(TITLES, frames, strict=True):
        pixels = (
            _glow(values) * np.sqrt(values)[..., None] if title == TITLES[2] else np.clip(values, 0, 1) * 255
        )
        size = (side, round(side * values.shape[0] / values.shape[1]))
        picture = (
            Image.fromarray(pixels.astype(np.uint8)).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        )
        panels.append(Panel(picture, [(title, None)]))
    return np.vstack([top, tile(panels, width, GAP)])


def _glow(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours (..., 3) of levels 0 to 1."""
    stops = np.linspace(0, 1, len(GLOW))
    return np.stack([np.interp(level, stops, GLOW[:, channel]) for channel in range(3)], axis=-1).astype(
        np.float32
    )


def anomaly_caption(record: Record) -> list[str]:
    """The lines that stand below a head: its score with the p-value, what went into it, and what it is not."""
    measures = record.measures
    score, chance = (value_text(name, measures.get(name)) for name in ("anomaly_score", "p_value"))
    first = (
        f"Anomaly score {score}, p = {chance}"
        if score and chance
        else "No anomaly score: it is not calibrated"
    )
    names = [("alteration", "Altered"), ("mse", "MSE"), ("structural_error", "1 − SSIM")]
    names += [("latent_distance", "Distance of the code"), ("head_doubt", "Doubt of the head")]
    second = [f"{words} {text}" for name, words in names if (text := value_text(name, measures.get(name)))]
    last = "p: share of healthy heads that score as high. It names no disease  ·  For research use only"
    return [first, "  ·  ".join(second), last]
