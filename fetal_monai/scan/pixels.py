"""Pixels of any type to gray in 0..255, and the question whether their colours are blood flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError

__all__ = ["ColourUse", "colour_use", "gray_from_rgb", "scale_to_8_bit"]

DEPTHS = (8, 10, 12, 16)  # bits that scanners and converters use
CHROMA = 48  # largest minus smallest channel from which a pixel counts as coloured; JPEG noise stays below
LONG_SIDE = 400  # colours are judged on a picture reduced to about this
MARGIN = 0.1  # of each side; logos, menus and colour bars stand there, flow does not
BAR_SHARE, BAR_SPREAD = 0.6, 24  # a row or column with so much of one flat colour is a menu bar,
BAR_GAP = 0.02  # if it is at the edge, or so near to another
TINT_SHARE, TINT_COS = 0.7, 0.966  # so many of the bright pixels have one hue, within 15 degrees
STRAY_COS = 0.7  # in a tinted picture, hues 45 degrees off the tint are coloured


def scale_to_8_bit(pixels: NDArray[Any], bits: int | None = None) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Bring pixels to 0..255, and flag `sixteen_bit` if they had more.

    uint8 comes back as it is, bool as 0 and 255, all else as float32: unsigned values are divided by the full
    range of `bits`, else of the smallest usual depth that holds them; floats in 0..1 are multiplied by 255;
    what is negative or fits neither is stretched. Raises ScanError if a value is not finite, or all are
    equal.
    """
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind not in "uif":
        raise ScanError(f"has pixels of type {pixels.dtype}; integers or real numbers are needed")
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite(high - low):
        raise ScanError("has pixels that are NaN or infinite; replace them by numbers")
    if low == high:
        raise ScanError(f"shows nothing: all pixels have the same value ({low:g})")
    if pixels.dtype == np.uint8:
        return pixels, ()
    is_integer = pixels.dtype.kind in "ui"
    if not is_integer and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        return pixels.astype(np.float32), ()
    elif is_integer and low >= 0 and high < 2**16:
        depths = (bits, *DEPTHS) if bits is not None else DEPTHS
        depth = next(depth for depth in depths if high < 2**depth)
        low, high = 0.0, 2.0**depth - 1
    scaled = (pixels.astype(np.float64) - low) * (255 / (high - low))
    return scaled.astype(np.float32), ("sixteen_bit",) if is_integer else ()


def gray_from_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma (ITU-R 601) of (H, W, 3); channels that are equal come back exactly."""
    from PIL import Image

    return np.array(Image.fromarray(rgb).convert("L"))


@dataclass(frozen=True)
class ColourUse:
    """Shares of a picture's pixels: `solid` may be flow, `marks` are all colours but tint and menu bars."""

    solid: float = 0.0
    marks: float = 0.0
    tinted: bool = False


def colour_use(rgb: NDArray[np.uint8]) -> ColourUse:
    """Judge the colours of (H, W, 3).

    A tint over all of the picture, flat bars from edge to edge, thin strokes (text, calipers) and what stands
    in the margin are not solid. Pictures with equal channels are told at once.
    """
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return ColourUse()
    step = max(1, round(max(rgb.shape[:2]) / LONG_SIDE))
    rgb = np.ascontiguousarray(rgb[::step, ::step])
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    highest = np.maximum(np.maximum(red, green), blue)
    chroma = highest - np.minimum(np.minimum(red, green), blue)
    coloured = chroma > CHROMA
    if not coloured.any():
        return ColourUse()
    keep = ~_bars(rgb, coloured)
    coloured &= keep
    tinted = _remove_tint(rgb, coloured, (highest > CHROMA) & keep, chroma)
    solid = _opened(coloured)
    rows, columns = (round(side * MARGIN) for side in solid.shape)
    inner = solid[rows : solid.shape[0] - rows, columns : solid.shape[1] - columns]
    return ColourUse(float(inner.sum()) / solid.size, float(coloured.mean()), tinted)


def _bars(rgb: NDArray[np.uint8], coloured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows and columns at the picture's edges that one flat colour fills."""
    bars = np.zeros(coloured.shape, bool)
    for axis in (0, 1):
        full = []
        for index in np.flatnonzero(coloured.mean(axis=1 - axis) >= BAR_SHARE):
            line = (index, slice(None)) if axis == 0 else (slice(None), index)
            colours = rgb[line].astype(np.int16)
            near = np.abs(colours - np.median(colours[coloured[line]], axis=0)).max(axis=-1) <= BAR_SPREAD
            if near.mean() >= BAR_SHARE:
                full.append(int(index))
        length = coloured.shape[axis]
        np.moveaxis(bars, axis, 0)[: _run(full, length)] = True
        np.moveaxis(bars, axis, 0)[length - _run([length - 1 - index for index in full[::-1]], length) :] = (
            True
        )
    return bars


def _run(indices: list[int], length: int) -> int:
    """How far ascending indices go on from 0, over gaps of 2 % of the length."""
    end = 0
    for index in indices:
        if index - end > length * BAR_GAP:
            break
        end = index + 1
    return end


def _remove_tint(
    rgb: NDArray[np.uint8], coloured: NDArray[np.bool_], bright: NDArray[np.bool_], chroma: NDArray[np.uint8]
) -> bool:
    """Whether one hue lies over the bright pixels; if so, pixels of that hue are no longer `coloured`."""
    hued = bright & (chroma > CHROMA / 3)
    if hued.sum() < TINT_SHARE * bright.sum() or not hued.any():
        return False
    x, y = _hue(rgb)
    mean = np.array([x[hued].mean(), y[hued].mean()])
    length = float(np.hypot(*mean))
    cosine = (x * mean[0] + y * mean[1]) / max(length, 1e-6)
    if (cosine[hued] > TINT_COS).sum() < TINT_SHARE * bright.sum():
        return False
    coloured &= cosine < STRAY_COS
    return True


def _hue(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit vectors on the colour circle."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    x, y = red - (green + blue) / 2, (green - blue) * np.float32(np.sqrt(0.75))
    length = np.maximum(np.hypot(x, y), np.float32(1e-6))
    return x / length, y / length


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Morphological opening by 3x3."""
    return _spread(~_spread(~mask, True), False)


def _spread(mask: NDArray[np.bool_], outside: bool) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1, constant_values=outside)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
