"""How sure a classifier of planes may be: a temperature, and how far a picture lies from all that it was taught."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.anomaly.calibration import p_value
from fetal_monai.anomaly.reconstruction import Gaussian
from fetal_monai.measure.plane import PLANES, probabilities

__all__ = ["FeatureSpace", "PlaneCalibration", "fit_temperature"]

Floats = NDArray[np.float64]

TEMPERATURES = (0.05, 20.0)


def fit_temperature(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The temperature between 0.05 and 20 at which logits (N, C) give the labels (N,) the highest mean log-likelihood.

    ``weights`` (N,) says how much each counts. Source: Guo 2017, arXiv 1706.04599. ValueError without any row.
    """
    from scipy.optimize import minimize_scalar

    table, truth = np.asarray(logits, dtype=float), np.asarray(labels, dtype=int)
    if not len(table) or len(table) != len(truth):
        raise ValueError(f"{len(table)} rows of logits for {len(truth)} labels; give as many, at least one")
    weight = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=float)

    def loss(log_temperature: float) -> float:
        chances = probabilities(table, math.exp(log_temperature))[np.arange(len(truth)), truth]
        return float(-(weight * np.log(np.maximum(chances, 1e-12))).sum() / weight.sum())

    bounds = math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1])
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))


@dataclass(frozen=True)
class FeatureSpace:
    """Where the classes lie among the features: means (C, F), and one precision (F, F) for all of them.

    Source: Lee 2018, A simple unified framework for detecting out-of-distribution samples, arXiv 1807.03888; the
    covariance is shrunk (see :class:`fetal_monai.anomaly.reconstruction.Gaussian`).
    """

    means: Floats
    precision: Floats

    @classmethod
    def fit(cls, features: ArrayLike, labels: ArrayLike) -> FeatureSpace:
        """From rows (N, F) and the class of each; ValueError where they do not vary within their classes."""
        table, truth = np.asarray(features, dtype=float), np.asarray(labels, dtype=int)
        classes = np.unique(truth)
        means = np.stack([table[truth == one].mean(axis=0) for one in classes])
        away = Gaussian.fit(table - means[np.searchsorted(classes, truth)])
        return cls(means, away.precision)

    def distance(self, features: ArrayLike) -> float:
        """Mahalanobis distance to the nearest class over the root of F; ValueError for another length."""
        vector = np.asarray(features, dtype=float)
        if vector.shape != self.means.shape[1:]:
            raise ValueError(
                f"the features have shape {vector.shape}; these classes have {self.means.shape[1:]}"
            )
        return min(Gaussian(mean, self.precision).distance(vector) for mean in self.means)

    def save(self, path: str | Path) -> None:
        """Write as NPZ in single precision, whole or not at all."""
        from fetal_monai.files import atomic_path

        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            single = {name: getattr(self, name).astype(np.float32) for name in ("means", "precision")}
            np.savez_compressed(file, **single)

    @classmethod
    def load(cls, path: str | Path) -> FeatureSpace:
        """Read what ``save`` wrote; ValueError names the file and what is wrong with it."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                means, precision = (np.asarray(stored[name], dtype=float) for name in ("means", "precision"))
        except FileNotFoundError:
            raise ValueError(
                f"{path}: no such file of features; calibrate first, or do without: null"
            ) from None
        except Exception as error:  # a damaged archive raises what it likes
            raise ValueError(f"{path} holds no features of classes: {error}") from error
        if means.ndim != 2 or precision.shape != (means.shape[1], means.shape[1]):
            raise ValueError(f"{path}: means {means.shape} and precision {precision.shape} do not fit")
        return cls(means, precision)


@dataclass(frozen=True)
class PlaneCalibration:
    """What makes probabilities of logits, and a p-value of a distance.

    ``distances`` are sorted, of pictures of known planes that trained nothing; ``source`` says where they came from.
    """

    temperature: float
    distances: tuple[float, ...]
    source: str = ""
    planes: tuple[str, ...] = PLANES

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature is {self.temperature}; it must be above 0")

    def probabilities(self, logits: ArrayLike) -> Floats:
        """See :func:`fetal_monai.measure.plane.probabilities`."""
        return probabilities(logits, self.temperature)

    def p_value(self, distance: float) -> float:
        """Share of known pictures that lie as far away (conformal); NaN without any."""
        return float(p_value(distance, self.distances)) if self.distances else math.nan

    def save(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all."""
        from fetal_monai.files import write_json

        content: Mapping[str, Any] = {
            "temperature": self.temperature,
            "planes": self.planes,
            "source": self.source,
            "distances": [round(value, 5) for value in self.distances],
        }
        write_json(path, content, indent=None)

    @classmethod
    def load(cls, path: str | Path, planes: Sequence[str] = PLANES) -> PlaneCalibration:
        """Read what ``save`` wrote for these planes; ValueError names the file and what is wrong with it."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if tuple(content["planes"]) != tuple(planes):
                raise ValueError(f"it is of the planes {', '.join(content['planes'])}")
            distances = tuple(sorted(float(value) for value in content["distances"]))
            return cls(
                float(content["temperature"]), distances, str(content.get("source", "")), tuple(planes)
            )
        except FileNotFoundError:
            raise ValueError(f"{path}: no such calibration; calibrate first, or do without: null") from None
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no calibration of planes: {error}") from error
