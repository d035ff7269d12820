"""Intervals that hold the truth as often as they say: split conformal prediction, wider where it is hard.

The half width of an interval is `quantile * difficulty`, where `difficulty = intercept + sum(weight *
feature)` grows with what is known to make a scan hard. Intercept and weights are fitted on some cases; the
quantile is that of `|error| / difficulty` on others, the value at rank ceil((n + 1)(1 - alpha)) of n. If a
new case is exchangeable with those n, its interval holds the truth with a probability of at least 1 - alpha,
whatever the weights are (Lei 2018, doi 10.1080/01621459.2017.1307116, section 5.2). Cases of one patient are
alike, so patients are taken apart whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Calibration", "coverage", "fit_calibration", "interval"]

Floats = NDArray[np.float64]

MIN_INTERCEPT = 0.2  # of the median error, so that no case counts as sure
CLIP = 3.0  # errors count up to this many times what is expected of them
ROUNDS = 10


@dataclass(frozen=True)
class Calibration:
    """What makes intervals.

    `alpha` is the share that may miss, `n` the number of cases behind `quantile`, `n_weights` that behind the
    intercept and the weights, `source` where they came from (dataset, split, model, date).
    """

    alpha: float
    quantile: float
    intercept: float
    weights: dict[str, float]
    n: int
    n_weights: int
    source: str = ""

    def __post_init__(self) -> None:
        numbers = (self.quantile, self.intercept, *self.weights.values())
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or not 0 < self.alpha < 1:
            raise ValueError(
                f"{self}: alpha must lie between 0 and 1, all other numbers be finite and not below 0"
            )

    def difficulty(self, features: Mapping[str, Any]) -> Any:
        """Expected error, in the unit of the errors, up to a factor; NaN where a feature is. Below 0 counts as 0.

        `features` must hold each name with a weight above 0, more are ignored; a missing one is a ValueError.
        """
        weights = {name: weight for name, weight in self.weights.items() if weight > 0}
        missing = [name for name in weights if name not in features]
        if missing:
            raise ValueError(f"feature {missing[0]!r} is missing; there are {', '.join(features) or 'none'}")
        total: Any = self.intercept
        for name, weight in weights.items():
            total = total + weight * np.maximum(np.asarray(features[name], dtype=float), 0)
        return total

    def save(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all."""
        from fetal_monai.files import atomic_write

        atomic_write(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote; ValueError names the file and what is wrong with it."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            known = {field.name for field in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except FileNotFoundError:
            raise ValueError(f"{path}: no such calibration; calibrate first, or do without: null") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no calibration: {error}") from error


def fit_calibration(
    errors_mm: ArrayLike,
    features: Mapping[str, ArrayLike],
    alpha: float = 0.1,
    *,
    groups: ArrayLike | None = None,
    for_weights: ArrayLike | None = None,
    seed: int = 0,
    source: str = "",
) -> Calibration:
    """Calibrate intervals on cases with known errors.

    Args: errors_mm: (N,) truth minus prediction. A case without an error (NaN), or without a feature, is left
    out. features: (N,) each, not below 0, by name. alpha: share of new cases that may lie outside of their
    interval. groups: (N,) who a case belongs to; cases of a patient stay together. Each is its own if None.
    for_weights: (N,) bool, the cases that fit the weights; all others give the quantile. Half of the groups,
    drawn with `seed`, if None. source: kept as it is, for the record.

    Raises:
    ValueError: a feature is negative, lengths differ, or there are too few cases for such an alpha.
    """
    error = np.abs(np.asarray(errors_mm, dtype=float))
    columns = {name: np.asarray(values, dtype=float) for name, values in features.items()}
    group = np.arange(len(error)) if groups is None else np.asarray(groups)
    mine = _half_of(group, seed) if for_weights is None else np.asarray(for_weights, dtype=bool)
    for name, values in {**columns, "groups": group, "for_weights": mine}.items():
        if values.shape != error.shape:
            raise ValueError(f"{name} has shape {values.shape}, errors_mm {error.shape}")
    shared = set(group[mine].tolist()) & set(group[~mine].tolist())
    if shared:
        raise ValueError(f"group {min(shared)!r} is on both sides of the split")
    table = np.column_stack([np.ones_like(error), *columns.values()])
    whole = np.isfinite(error) & np.isfinite(table).all(axis=1)
    for name, values in columns.items():
        if (values[whole] < 0).any():
            raise ValueError(
                f"feature {name!r} is negative; give its absolute value or its distance from the usual"
            )
    fitting, ranking = whole & mine, whole & ~mine
    n = int(ranking.sum())
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    if rank > n or not fitting.any():
        raise ValueError(
            f"{n} cases for the quantile and {fitting.sum()} for the weights are too few for alpha = {alpha}"
        )
    intercept, *weights = _fit_weights(error[fitting], table[fitting])
    score = error[ranking] / (table[ranking] @ [intercept, *weights])
    named = {name: float(weight) for name, weight in zip(columns, weights, strict=True)}
    quantile = float(np.sort(score)[rank - 1])
    return Calibration(alpha, quantile, float(intercept), named, n, int(fitting.sum()), source)


@overload
def interval(
    calibration: Calibration, value: float, features: Mapping[str, float]
) -> tuple[float, float]: ...
@overload
def interval(
    calibration: Calibration, value: Floats, features: Mapping[str, ArrayLike]
) -> tuple[Floats, Floats]: ...
def interval(calibration: Calibration, value: Any, features: Mapping[str, Any]) -> Any:
    """Low and high end of the interval about a measure, or about each of an array; NaN where it or a feature is NaN.

    The low end is not below 0, as no length is.
    """
    center = np.asarray(value, dtype=float)
    half = calibration.quantile * np.asarray(calibration.difficulty(features))
    low, high = np.maximum(center - half, 0), center + half
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def coverage(low: ArrayLike, high: ArrayLike, truth: ArrayLike) -> float:
    """Share of the intervals that hold the truth, ends included; those with a NaN don't count. NaN if none is left."""
    lows, highs, truths = np.broadcast_arrays(*(np.asarray(part, dtype=float) for part in (low, high, truth)))
    known = np.isfinite(lows) & np.isfinite(highs) & np.isfinite(truths)
    if not known.any():
        return math.nan
    return float(np.mean(((lows <= truths) & (truths <= highs))[known]))


def _half_of(group: NDArray[Any], seed: int) -> NDArray[np.bool_]:
    """Cases of half of the groups, drawn at random."""
    names = np.unique(group)
    drawn = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    return np.isin(group, drawn)


def _fit_weights(error: Floats, table: Floats) -> Floats:
    """Intercept and weights, not negative, by least squares of the relative error, large errors clipped."""
    from scipy.optimize import nnls

    floor = max(MIN_INTERCEPT * float(np.median(error)), 1e-9)
    scale = np.maximum(table.max(axis=0), 1e-12)
    expected = np.full(len(error), max(float(error.mean()), floor))
    weights = np.zeros(table.shape[1])
    for _ in range(ROUNDS):
        target = np.minimum(error, CLIP * expected) - floor
        weights = nnls(table / scale / expected[:, None], target / expected)[0] / scale
        weights[0] += floor
        expected = table @ weights
    return weights
