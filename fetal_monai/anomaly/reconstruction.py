"""How far a picture lies from what an autoencoder of healthy ones makes of it.

Pictures are (H, W) with values in 0..1; ``inside`` (H, W), 0 to 1, weighs the pixels that count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Gaussian", "mean_squared_error", "shrunk_covariance", "structural_error", "upper_mean"]

Floats = NDArray[np.float64]
WINDOW = 7  # pixels, of the structural term


def mean_squared_error(image: ArrayLike, reconstruction: ArrayLike, inside: ArrayLike) -> float:
    """Mean squared difference over the pixels that count; NaN if none does."""
    weight, difference = _weights(image, inside), np.asarray(image, float) - np.asarray(reconstruction, float)
    return float((weight * difference**2).sum() / weight.sum()) if weight.sum() > 0 else math.nan


def structural_error(image: ArrayLike, reconstruction: ArrayLike, inside: ArrayLike) -> float:
    """1 - SSIM (Wang 2004, doi 10.1109/TIP.2003.819861), its mean over the pixels that count; NaN if none does."""
    from skimage.metrics import structural_similarity

    weight = _weights(image, inside)
    if not weight.sum() > 0:
        return math.nan
    pictures = (np.asarray(picture, np.float32) for picture in (image, reconstruction))
    _, similarity = structural_similarity(*pictures, win_size=WINDOW, data_range=1.0, full=True)
    return float((weight * (1 - similarity)).sum() / weight.sum())


def upper_mean(values: ArrayLike, inside: ArrayLike, share: float) -> float:
    """Mean of the largest ``share`` of the values (H, W) on pixels that count half or more, at least one; else NaN."""
    within = np.asarray(values, float)[_weights(values, inside) >= 0.5]
    if not within.size:
        return math.nan
    count = max(1, round(share * within.size))
    return float(np.partition(within, within.size - count)[-count:].mean())


def shrunk_covariance(rows: ArrayLike) -> tuple[Floats, float]:
    """Covariance (d, d) of rows (n, d), drawn towards a multiple of the identity, and by what share.

    The share is the best for the squared error (Ledoit and Wolf 2004, doi 10.1016/S0047-259X(03)00096-4), so that it
    can be inverted though n is small. Raises ValueError for fewer than two rows.
    """
    table = np.asarray(rows, dtype=float)
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(f"rows have shape {table.shape}; give (n, d) with n of 2 or more")
    n, d = table.shape
    centred = table - table.mean(axis=0)
    sample = centred.T @ centred / n
    mean_variance = np.trace(sample) / d
    away = ((sample - mean_variance * np.eye(d)) ** 2).sum()
    noise = (((centred**2).sum(axis=1) ** 2).sum() / n - (sample**2).sum()) / n
    share = 1.0 if away <= 0 else float(np.clip(noise / away, 0, 1))
    return (1 - share) * sample + share * mean_variance * np.eye(d), share


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and precision (d, d) of what is usual; ``distance`` is that of Mahalanobis."""

    mean: Floats
    precision: Floats

    @classmethod
    def fit(cls, rows: ArrayLike) -> Gaussian:
        """From rows (n, d) by their shrunk covariance; ValueError where they do not vary."""
        covariance, _ = shrunk_covariance(rows)
        if not np.trace(covariance) > 0:
            raise ValueError("the rows do not vary")
        return cls(
            np.asarray(rows, dtype=float).mean(axis=0), np.asarray(np.linalg.inv(covariance), dtype=float)
        )

    def distance(self, vector: ArrayLike) -> float:
        """Mahalanobis distance over the root of d, so that about 1 is usual; ValueError for another length."""
        away = np.asarray(vector, dtype=float)
        if away.shape != self.mean.shape:
            raise ValueError(f"the vector has shape {away.shape}; this Gaussian has {self.mean.shape}")
        away = away - self.mean
        return math.sqrt(max(float(away @ self.precision @ away), 0.0) / len(self.mean))

    def save(self, path: str | Path) -> None:
        """Write as NPZ in single precision, whole or not at all."""
        from fetal_monai.files import atomic_path

        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, mean=self.mean.astype(np.float32), precision=self.precision.astype(np.float32)
            )

    @classmethod
    def load(cls, path: str | Path) -> Gaussian:
        """Read what ``save`` wrote; ValueError names the file and what is wrong with it."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                mean, precision = (np.asarray(stored[name], dtype=float) for name in ("mean", "precision"))
        except FileNotFoundError:
            raise ValueError(
                f"{path}: no such file of usual codes; calibrate first, or do without: null"
            ) from None
        except Exception as error:  # a damaged archive raises what it likes
            raise ValueError(f"{path} holds no usual codes: {error}") from error
        if precision.shape != (len(mean), len(mean)):
            raise ValueError(f"{path}: mean {mean.shape} and precision {precision.shape} do not fit")
        return cls(mean, precision)


def _weights(image: ArrayLike, inside: ArrayLike) -> Floats:
    weight = np.asarray(inside, dtype=float)
    if weight.shape != np.asarray(image).shape:
        raise ValueError(f"inside has shape {weight.shape}, the picture {np.asarray(image).shape}")
    return weight
