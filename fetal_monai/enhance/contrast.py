"""Local contrast and gain along depth, both inside the sector only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fetal_monai.enhance.sector import Sector

__all__ = ["depth_profile", "equalise_locally", "level_gain"]

Floats = NDArray[np.float64]

BINS = 48  # of depth
LIT = 6.0  # gray values from which a pixel shows tissue
MOST_GAIN = 2.5  # that a depth is brightened by, and at most darkened by its inverse


def equalise_locally(
    image: NDArray, sector: Sector, clip_limit: float = 0.006, tiles: int = 6
) -> NDArray[np.float32]:
    """Contrast-limited adaptive histogram equalisation (scikit-image) of gray values 0 to 255 inside the sector.

    What is outside stays as it is, and does not count in the tiles' histograms: there each pixel is taken for the
    nearest inside. `tiles` along each side.
    """
    from scipy import ndimage
    from skimage.exposure import equalize_adapthist

    pixels = np.array(image, dtype=np.float32)
    if not sector.mask.any():
        return pixels
    nearest = ndimage.distance_transform_edt(~sector.mask, return_distances=False, return_indices=True)
    full = np.clip(pixels[tuple(nearest)] / 255, 0, 1)
    kernel = [max(8, side // tiles) for side in pixels.shape]
    low, high = float(full.min()), float(full.max())
    if low == high:
        return pixels
    # scikit-image stretches to 0..1 first, which would undo the picture's own black and white
    equal = low + (high - low) * equalize_adapthist(full, kernel, clip_limit=clip_limit)
    pixels[sector.mask] = 255 * equal[sector.mask]
    return pixels


def depth_profile(image: NDArray, sector: Sector) -> tuple[Floats, Floats]:
    """Depths in pixels along the beam, and the smoothed median gray value of lit tissue there; empty if none is."""
    from scipy import ndimage

    pixels = np.asarray(image, dtype=np.float64)
    depth = sector.depth_px
    lit = sector.mask & (pixels > LIT)
    if np.count_nonzero(lit) < BINS:
        return np.zeros(0), np.zeros(0)
    edges = np.linspace(depth[lit].min(), depth[lit].max() + 1e-6, BINS + 1)
    place = np.digitize(depth[lit], edges) - 1
    counts = np.bincount(place, minlength=BINS)[:BINS]
    median = np.asarray(ndimage.median(pixels[lit], place, np.arange(BINS)), dtype=float)
    known = counts > 0.1 * np.median(counts)
    middles = (edges[1:] + edges[:-1]) / 2
    median = np.interp(middles, middles[known], median[known])
    smooth = ndimage.gaussian_filter1d(median, BINS / 12, mode="nearest")
    return middles, smooth


def level_gain(image: NDArray, sector: Sector, strength: float = 0.5) -> NDArray[np.float32]:
    """Level the brightness along depth inside the sector, as a sonographer does with the time gain.

    Each depth is scaled towards the mean of the profile, by `strength` in 0 to 1 and within 1/2.5 to 2.5; black stays
    black. Raises ValueError for another strength.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; 0 leaves the picture as it is, 1 levels it")
    pixels = np.array(image, dtype=np.float32)
    depths, profile = depth_profile(pixels, sector)
    if not len(depths):
        return pixels
    factor = np.clip((profile.mean() / np.maximum(profile, 1.0)) ** strength, 1 / MOST_GAIN, MOST_GAIN)
    gain = np.interp(sector.depth_px, depths, factor).astype(np.float32)
    pixels[sector.mask] = np.clip(pixels * gain, 0, 255)[sector.mask]
    return pixels
