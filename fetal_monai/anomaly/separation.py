"""How well the deviation score tells abnormal brains from usual ones, on cases that fitted nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.anomaly.deviation import SCORE_MEASURES, NormativeModel, leave_one_out_scores

__all__ = ["Separation", "auc", "auc_interval", "separation", "simulated_scores"]

Floats = NDArray[np.float64]

N_SIMULATED = 2000
CORRELATION = 0.5  # between the z-scores of one simulated fetus


@dataclass(frozen=True)
class Separation:
    """Areas under the ROC curve of the score, and the scores behind them.

    `auc_leave_one_out`: each usual case scored by a model of the others. `auc_split`: the model fitted on every
    second usual case by age, only the others compared; both halves, pooled as their mean. `auc_simulated`:
    against simulated fetuses with the assumed spread, which, unlike an atlas, vary as persons do.
    """

    auc_leave_one_out: float
    auc_split: float
    auc_simulated: float
    usual_scores: Floats
    abnormal_scores: Floats
    simulated_p95: float


def auc(abnormal: ArrayLike, usual: ArrayLike) -> float:
    """Share of pairs in which the abnormal case scores higher, ties half; NaN scores are left out.

    NaN if either side is empty.
    """
    from scipy.stats import mannwhitneyu

    high, low = (np.asarray(scores, dtype=float) for scores in (abnormal, usual))
    high, low = high[np.isfinite(high)], low[np.isfinite(low)]
    if not (len(high) and len(low)):
        return float("nan")
    return float(mannwhitneyu(high, low).statistic) / (len(high) * len(low))


def auc_interval(
    abnormal: ArrayLike,
    usual: ArrayLike,
    abnormal_subjects: Sequence[str] | None = None,
    usual_subjects: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    n_samples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of :func:`auc`; NaN scores are left out, (NaN, NaN) if a side is empty.

    Whole subjects are drawn, on both sides alike where a subject has scores on both: each case is its own without them.
    """
    sides = [np.asarray(scores, dtype=float) for scores in (abnormal, usual)]
    given = [abnormal_subjects, usual_subjects]
    names = [
        [(side, i) for i in range(len(scores))] if subjects is None else [(2, name) for name in subjects]
        for side, (scores, subjects) in enumerate(zip(sides, given, strict=True))
    ]
    known = [np.isfinite(scores) for scores in sides]
    if not all(mask.any() for mask in known):
        return float("nan"), float("nan")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names[0] + names[1]))}
    places = [
        np.array([numbers[name] for name in side])[mask] for side, mask in zip(names, known, strict=True)
    ]
    sides = [scores[mask] for scores, mask in zip(sides, known, strict=True)]
    random = np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < n_samples:
        times = np.bincount(random.integers(0, len(numbers), len(numbers)), minlength=len(numbers))
        drawn = [np.repeat(scores, times[place]) for scores, place in zip(sides, places, strict=True)]
        if all(map(len, drawn)):
            found.append(auc(*drawn))
    low, high = np.percentile(found, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def separation(
    usual_ga: ArrayLike,
    usual: Mapping[str, ArrayLike],
    abnormal_ga: ArrayLike,
    abnormal: Mapping[str, ArrayLike],
) -> Separation:
    """Separate abnormal cases from usual ones by the deviation score alone.

    Ages (N,) and (M,) in weeks, measures by name, (N,) and (M,) each. No case is scored by a model that it fitted.
    """
    ages, others = np.asarray(usual_ga, dtype=float), np.asarray(abnormal_ga, dtype=float)
    whole = NormativeModel.fit(ages, usual, "", with_reference=False)
    abnormal_scores = _scores(whole, others, abnormal)
    usual_scores = np.asarray(leave_one_out_scores(ages, usual))
    order = np.argsort(ages, kind="stable")
    halves = []
    for first in (0, 1):
        fitting, held = order[first::2], order[1 - first :: 2]
        model = NormativeModel.fit(ages[fitting], _pick(usual, fitting), "", with_reference=False)
        halves.append(auc(_scores(model, others, abnormal), _scores(model, ages[held], _pick(usual, held))))
    simulated = simulated_scores()
    return Separation(
        auc(abnormal_scores, usual_scores),
        float(np.mean(halves)),
        auc(abnormal_scores, simulated),
        usual_scores,
        abnormal_scores,
        float(np.quantile(simulated, 0.95)),
    )


def simulated_scores(n: int = N_SIMULATED, correlation: float = CORRELATION, seed: int = 0) -> Floats:
    """Scores (n,) of fetuses whose z-scores are normal, with the given correlation between any two of them.

    What healthy fetuses would score if the spreads were right; all measures are known.
    """
    random = np.random.default_rng(seed)
    common, own = random.standard_normal((n, 1)), random.standard_normal((n, len(SCORE_MEASURES)))
    z = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return np.asarray(np.sqrt((z**2).mean(axis=1)))


def _scores(model: NormativeModel, ages: Floats, measures: Mapping[str, ArrayLike]) -> Floats:
    rows = [_case(measures, case) for case in range(len(ages))]
    return np.array([model.score(row, float(age)) for row, age in zip(rows, ages, strict=True)])


def _case(measures: Mapping[str, ArrayLike], case: int) -> dict[str, float]:
    return {name: float(np.asarray(values, dtype=float)[case]) for name, values in measures.items()}


def _pick(measures: Mapping[str, ArrayLike], cases: NDArray[np.int_]) -> dict[str, Floats]:
    return {name: np.asarray(values, dtype=float)[cases] for name, values in measures.items()}
