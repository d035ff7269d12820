"""From a score to a p-value: how many healthy cases that trained nothing score as high (conformal).

The p-value of a score is (1 + number of normal scores at or above it) / (n + 1). If the new case is as healthy as those
n, and exchangeable with them, a p-value of at most alpha comes with a probability of at most alpha, whatever the score
is (Vovk 2005, Algorithmic learning in a random world, doi 10.1007/b106715; Bates 2023, doi 10.1214/22-AOS2244).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ScoreCalibration", "fit_score", "p_value", "threshold"]

Floats = NDArray[np.float64]

LEAST_SPREAD = 1e-6
UPPER, UPPER_SPREADS = 0.95, 1.6449  # quantile of the spread, and where it lies in a Gaussian


def p_value(score: ArrayLike, normal_scores: ArrayLike) -> Floats:
    """Conformal p-value of each score, 1 / (n + 1) to 1, against normal scores (n,); NaN of NaN."""
    scores, normal = np.asarray(score, dtype=float), _known(normal_scores)
    above = len(normal) - np.searchsorted(normal, scores, side="left")
    return np.where(np.isnan(scores), math.nan, (1 + above) / (len(normal) + 1))


def threshold(normal_scores: ArrayLike, false_alarm_rate: float) -> float:
    """The normal score above which p-values are at most ``false_alarm_rate``; infinite where n is too small for it.

    Raises ValueError for a rate outside of 0 to 1.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate is {false_alarm_rate}; it must lie between 0 and 1")
    normal = _known(normal_scores)
    above = math.floor(false_alarm_rate * (len(normal) + 1) + 1e-9) - 1  # normal scores that may be as high
    return math.inf if above < 0 else float(normal[len(normal) - 1 - above])


@dataclass(frozen=True)
class ScoreCalibration:
    """What makes one score of several terms, and a p-value of that.

    ``centre`` and ``spread`` of each term among normal cases; the score is the largest (term - centre) / spread.
    ``normal_scores`` are sorted, of cases that trained nothing and gave neither centre nor spread. ``source`` says
    where they came from.
    """

    centre: dict[str, float]
    spread: dict[str, float]
    normal_scores: tuple[float, ...]
    source: str = ""
    n_spread: int = field(default=0)

    def __post_init__(self) -> None:
        if self.centre.keys() != self.spread.keys() or not self.centre:
            raise ValueError("centre and spread must name the same terms, at least one")
        if not all(value > 0 for value in self.spread.values()):
            raise ValueError("every spread must be above 0")

    def score(self, terms: Mapping[str, float]) -> float:
        """Spreads above the centre of the most unusual term; NaN if one is NaN, ValueError if one is missing."""
        missing = [name for name in self.centre if name not in terms]
        if missing:
            raise ValueError(f"term {missing[0]!r} is missing; there are {', '.join(terms) or 'none'}")
        values = [(terms[name] - centre) / self.spread[name] for name, centre in self.centre.items()]
        return float(np.max(values))

    def p_value(self, score: float) -> float:
        """See :func:`p_value`."""
        return float(p_value(score, self.normal_scores))

    def threshold(self, false_alarm_rate: float) -> float:
        """See :func:`threshold`."""
        return threshold(self.normal_scores, false_alarm_rate)

    def save(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all."""
        from fetal_monai.files import write_json

        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> ScoreCalibration:
        """Read what ``save`` wrote; ValueError names the file and what is wrong with it."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            normal = tuple(sorted(float(score) for score in content["normal_scores"]))
            centre, spread = (
                {str(name): float(value) for name, value in content[part].items()}
                for part in ("centre", "spread")
            )
            return cls(
                centre, spread, normal, str(content.get("source", "")), int(content.get("n_spread", 0))
            )
        except FileNotFoundError:
            raise ValueError(f"{path}: no such calibration; calibrate first, or do without: null") from None
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no calibration of a score: {error}") from error


def fit_score(
    terms: Mapping[str, ArrayLike], for_spread: ArrayLike, weights: Mapping[str, float], source: str = ""
) -> ScoreCalibration:
    """Calibrate on normal cases: ``terms`` (N,) by name, ``for_spread`` (N,) bool.

    Centre (median) and spread (from the 95th percentile) of the terms in ``weights`` come from the cases
    ``for_spread``, the normal scores from all others. A term of weight 0.5 must lie twice as far out as one of weight 1
    to count as much: its spread is kept as twice what it is. A case with a NaN is left out. Raises ValueError where
    either side is empty, or a weight is not above 0.
    """
    names = list(weights)
    if not all(weight > 0 for weight in weights.values()):
        raise ValueError(f"weights are {dict(weights)}; each must be above 0, or its term left out")
    table = np.column_stack([np.asarray(terms[name], dtype=float) for name in names])
    whole, first = np.isfinite(table).all(axis=1), np.asarray(for_spread, dtype=bool)
    fitting, ranking = table[whole & first], table[whole & ~first]
    if not (len(fitting) and len(ranking)):
        raise ValueError(
            f"{len(fitting)} cases for the spread and {len(ranking)} for the p-value; both need some"
        )
    centre = np.median(fitting, axis=0)
    upper = np.quantile(fitting, UPPER, axis=0) - centre  # of the side that counts, whose tail is the longer
    spread = np.maximum(upper / UPPER_SPREADS, LEAST_SPREAD) / np.array(list(weights.values()))
    scores = ((ranking - centre) / spread).max(axis=1)
    return ScoreCalibration(
        dict(zip(names, centre.tolist(), strict=True)),
        dict(zip(names, spread.tolist(), strict=True)),
        tuple(np.sort(scores).tolist()),
        source,
        len(fitting),
    )


def _known(scores: ArrayLike) -> Floats:
    values = np.asarray(scores, dtype=float)
    return np.sort(values[np.isfinite(values)])
