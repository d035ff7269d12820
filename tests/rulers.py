"""Depth rulers that the tests draw into pictures."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def fan_picture(shape: tuple[int, int] = (480, 640), seed: int = 0) -> tuple[Pixels, NDArray[np.bool_]]:
    """Speckle in a fan of 70 degrees whose apex lies above the picture, and the fan's mask."""
    from scipy import ndimage

    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    apex = (-0.15 * shape[0], shape[1] / 2)
    radius = np.hypot(rows - apex[0], columns - apex[1])
    angle = np.degrees(np.arctan2(columns - apex[1], rows - apex[0]))
    fan = (abs(angle) < 35) & (radius > 0.25 * shape[0]) & (radius < 1.1 * shape[0])
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).rayleigh(1, shape), (1.0, 1.8))
    return np.where(fan, np.clip(70 * noise, 12, 160), 0).astype(np.uint8), fan


def draw_ruler(
    picture: Pixels,
    step_px: float,
    length: Callable[[int], int],
    column: int = 16,
    first_row: float = 20.3,
    start: int = 0,
    value: int = 230,
) -> Pixels:
    """The picture with ticks `length(n)` pixels long, two thick, edges blended as scalers do, every `step_px`."""
    out = picture.astype(float)
    n = start
    while (row := first_row + (n - start) * step_px) < picture.shape[0] - 12:
        cover = np.clip(1.0 - np.maximum(np.abs(np.arange(picture.shape[0]) - row) - 0.5, 0), 0, 1)
        part = out[:, column : column + length(n)]
        part += cover[:, None] * np.maximum(value - part, 0)
        n += 1
    return np.rint(out).astype(np.uint8)


def as_jpeg(picture: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("L"))


def fifths(n: int) -> int:
    """1 cm, and 5 cm longer."""
    return 9 if n % 5 == 0 else 4


def halves(n: int) -> int:
    """5 mm, 1 cm, 5 cm."""
    return 8 if n % 10 == 0 else 4 if n % 2 == 0 else 2
