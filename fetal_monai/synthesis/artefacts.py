"""Ultrasound artefacts put on a picture: speckle, shadow, uneven gain and burned-in marks.

Every function takes a float image (H, W) with values in 0..1 and a ``numpy.random.RandomState``, and returns a new
float32 array of the same shape in 0..1. The same state gives the same picture.
"""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]

__all__ = ["acoustic_shadow", "burned_in_marks", "depth_gain", "speckle"]


def speckle(image: Image, rng: RandomState, strength: float = 0.2, size_px: float = 1.0) -> Image:
    """Multiply the image with spatially correlated noise.

    ``strength`` is the standard deviation of the factor (mean 1), ``size_px`` the correlation length (Gaussian sigma).
    """
    noise = rng.standard_normal(image.shape).astype(np.float32)
    if size_px > 0:
        noise = ndimage.gaussian_filter(noise, size_px)
        noise /= max(float(noise.std()), 1e-6)
    return np.clip(image * (1 + strength * noise), 0, 1, dtype=np.float32)


def acoustic_shadow(
    image: Image, rng: RandomState, width_deg: float = 12.0, depth: float = 0.3, darkness: float = 0.8
) -> Image:
    """Darken a wedge that opens away from a probe at the top of the picture.

    ``width_deg`` is the wedge's full angle, ``depth`` the fraction of the height where it starts and ``darkness`` the
    part of the signal that is lost along its axis (0..1).
    """
    height, width = image.shape
    apex_row, apex_column = -0.5 * height, width * rng.uniform(0.3, 0.7)
    rows = np.arange(height, dtype=np.float32)[:, None] - apex_row
    columns = np.arange(width, dtype=np.float32)[None] - apex_column
    half_fan = np.arctan2(width / 2, 1.5 * height)
    axis = rng.uniform(-half_fan, half_fan)
    angle = np.arctan2(columns, rows) - axis
    across = np.exp(-0.5 * (angle / (np.deg2rad(width_deg) / 2.355)) ** 2)
    start = np.clip((rows + apex_row - depth * height) / (0.05 * height + 1), 0, 1)
    return (image * (1 - darkness * across * start)).astype(np.float32)


def depth_gain(image: Image, rng: RandomState, strength: float = 0.5) -> Image:
    """Multiply the image with a smooth gain along depth and across, between 1/(1+strength) and 1+strength."""
    height, width = image.shape
    along = np.interp(np.linspace(0, 1, height), np.linspace(0, 1, 4), rng.uniform(-1, 1, 4))
    across = np.interp(np.linspace(0, 1, width), np.linspace(0, 1, 3), 0.5 * rng.uniform(-1, 1, 3))
    exponent = np.clip(along[:, None] + across[None], -1, 1)
    return np.clip(image * (1 + strength) ** exponent, 0, 1, dtype=np.float32)


def burned_in_marks(image: Image, rng: RandomState, count: int = 4) -> Image:
    """Draw what a scanner burns in: caliper crosses, dotted lines, rulers, grey bars, text and black patches."""
    from PIL import Image as PilImage
    from PIL import ImageDraw

    height, width = image.shape
    canvas = PilImage.fromarray(np.uint8(np.clip(image, 0, 1) * 255))
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        shade = int(rng.uniform(120, 256))
        column, row = rng.uniform(0, width), rng.uniform(0, height)
        kind = rng.randint(6)
        if kind == 0:
            arm = rng.uniform(2, 5)
            draw.line([(column - arm, row), (column + arm, row)], fill=shade)
            draw.line([(column, row - arm), (column, row + arm)], fill=shade)
        elif kind == 1:
            end = rng.uniform(0, width), rng.uniform(0, height)
            for step in np.linspace(0, 1, rng.randint(20, 60)):
                draw.point((column + (end[0] - column) * step, row + (end[1] - row) * step), fill=shade)
        elif kind == 2:
            side = float(rng.choice([1, width - 4]))
            for tick in np.arange(0, height, rng.uniform(6, 25)):
                draw.line([(side, tick), (side + 2, tick)], fill=shade)
        elif kind == 3:
            bar = int(rng.uniform(0.15, 0.4) * height)
            left = 2 if rng.rand() < 0.7 else width - 6
            for offset in range(bar):
                grey = int(255 * (1 - offset / bar))
                draw.line([(left, offset + 4), (left + 2, offset + 4)], fill=grey)
        elif kind == 4:
            corner = float(rng.choice([4, width * 0.78])), float(rng.choice([2, height * 0.8]))
            for line in range(rng.randint(1, 6)):
                text = "".join(rng.choice(list("0123456789.cmHzGnABFR% "), rng.randint(4, 12)))
                draw.text((corner[0], corner[1] + 9 * line), text, fill=shade)
        else:
            patch_width, patch_height = rng.uniform(0.08, 0.3) * width, rng.uniform(0.05, 0.2) * height
            left = float(rng.choice([0, width - patch_width]))
            top = float(rng.choice([0, height - patch_height]))
            draw.rectangle([left, top, left + patch_width, top + patch_height], fill=0)
    return np.asarray(canvas, dtype=np.float32) / np.float32(255)
