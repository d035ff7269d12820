"""Less speckle, the same edges: anisotropic diffusion made for speckle, and non-local means."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["homogeneous_region", "non_local_means", "reduce_speckle", "srad"]

Box = tuple[slice, slice]


def homogeneous_region(image: NDArray, mask: NDArray[np.bool_] | None = None, side: int | None = None) -> Box:
    """A square of a picture (H, W) with nothing but speckle in it: the one that varies least for its brightness.

    It lies inside `mask`, and is neither black nor saturated. `side` is 1/14 of the picture's shorter side, at least
    12 pixels. The whole picture where there is none.
    """
    pixels = np.asarray(image, dtype=np.float64)
    side = max(12, min(pixels.shape) // 14) if side is None else side
    low, high = np.percentile(pixels if mask is None or not mask.any() else pixels[mask], (40, 97))
    best, found = math.inf, (slice(None), slice(None))
    for box in _boxes(pixels.shape, side):
        if mask is not None and not mask[box].all():
            continue
        mean, spread = float(pixels[box].mean()), float(pixels[box].std())
        if max(low, 1.0) <= mean <= high and 0 < spread / mean < best:
            best, found = spread / mean, box
    return found


def srad(
    image: NDArray,
    iterations: int = 40,
    time_step: float = 0.1,
    region: Box | None = None,
    speckle_scale: float | None = None,
    decay: float = 1 / 6,
) -> NDArray[np.float32]:
    """Speckle reducing anisotropic diffusion of a positive intensity picture (H, W).

    Diffusion stops where the instantaneous coefficient of variation q exceeds the speckle's, q0(t). q0 is measured in
    `region`, a square of mere speckle, at each step; where `speckle_scale` is given instead it is
    `speckle_scale · exp(-decay · t)`. Edges are Neumann's, and the mean is kept. `time_step` lies in 0 to 0.25. Raises
    ValueError for a picture that is not positive and for a step that would not be stable.

    Yu and Acton 2002, doi 10.1109/TIP.2002.804276.
    """
    u = np.array(image, dtype=np.float32)
    if u.ndim != 2 or not (u.min(initial=1) > 0 and np.isfinite(u).all()):
        raise ValueError(
            "the picture must be (H, W) and positive; add an offset, or undo its log compression"
        )
    if not 0 < time_step <= 0.25:
        raise ValueError(f"time_step is {time_step}; above 0 and at most 0.25 is stable")
    region = homogeneous_region(u) if region is None and speckle_scale is None else region
    for step in range(iterations):
        if speckle_scale is not None:
            q0_squared = (speckle_scale * math.exp(-decay * step * time_step)) ** 2
        else:
            sample = u[region].astype(np.float64)
            q0_squared = float(sample.var() / sample.mean() ** 2)
        if q0_squared <= 1e-12:
            break
        padded = np.pad(u, 1, mode="edge")
        north, south = padded[:-2, 1:-1] - u, padded[2:, 1:-1] - u
        west, east = padded[1:-1, :-2] - u, padded[1:-1, 2:] - u
        gradient = (north**2 + south**2 + west**2 + east**2) / u**2
        laplacian = (north + south + west + east) / u
        q_squared = np.maximum((gradient / 2 - laplacian**2 / 16) / (1 + laplacian / 4) ** 2, 0)
        c = 1 / (1 + (q_squared - q0_squared) / (q0_squared * (1 + q0_squared)))
        c = np.clip(np.nan_to_num(c, nan=0.0), 0, 1, dtype=np.float32)
        below, right = (
            np.pad(c, ((0, 1), (0, 0)), mode="edge")[1:],
            np.pad(c, ((0, 0), (0, 1)), mode="edge")[:, 1:],
        )
        u += np.float32(time_step) * (below * south + c * north + right * east + c * west)
    return u


def non_local_means(
    image: NDArray, region: Box | None = None, strength: float = 0.8, patch: int = 5, distance: int = 7
) -> NDArray[np.float32]:
    """Non-local means of a gray picture (H, W) by scikit-image.

    `strength` times the standard deviation of gray values in `region`, a square of mere speckle, is the filter's h.
    Buades 2005, doi 10.1109/CVPR.2005.38.
    """
    from skimage.restoration import denoise_nl_means

    pixels = np.asarray(image, dtype=np.float32)
    sigma = float(pixels[homogeneous_region(pixels) if region is None else region].std())
    if sigma == 0:
        return pixels.copy()
    return np.asarray(
        denoise_nl_means(pixels, patch, distance, h=strength * sigma, sigma=sigma, fast_mode=True), np.float32
    )


def reduce_speckle(
    image: NDArray,
    mask: NDArray[np.bool_] | None = None,
    method: str = "srad",
    dynamic_range_db: float = 50.0,
    iterations: int = 40,
) -> NDArray[np.float32]:
    """Less speckle in a log-compressed picture (H, W), gray values 0 to 255, by `srad` or `nlm`.

    The diffusion works on the amplitude, so the compression of `dynamic_range_db` over 255 gray values is undone
    before and done again after it. `mask` is where speckle is measured. Raises ValueError for another method.
    """
    pixels = np.asarray(image, dtype=np.float32)
    region = homogeneous_region(pixels, mask)
    if method == "nlm":
        return np.clip(non_local_means(pixels, region), 0, 255)
    if method != "srad":
        raise ValueError(f"method is {method!r}; there are srad and nlm")
    scale = np.float32(dynamic_range_db / 20 * math.log(10) / 255)
    return np.clip(np.log(srad(np.exp(pixels * scale), iterations, region=region)) / scale, 0, 255)


def _boxes(shape: tuple[int, ...], side: int) -> Iterator[Box]:
    step = max(1, side // 2)
    for row in range(0, shape[0] - side + 1, step):
        for column in range(0, shape[1] - side + 1, step):
            yield slice(row, row + side), slice(column, column + side)
