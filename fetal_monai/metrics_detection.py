"""How well boxes agree with the truth: average precision as COCO reckons it, and precision and recall at a threshold.

Boxes are (N, 4): x, y of the upper left corner, width and height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["COCO_IOUS", "Detections", "average_precision", "box_iou", "detection_rates", "match_boxes"]

Floats = NDArray[np.float64]

COCO_IOUS = tuple(np.arange(50, 100, 5) / 100)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Detections:
    """The boxes of one class in one picture: `found` (N, 4) with their `scores` (N,), and the `truth` (M, 4)."""

    found: ArrayLike
    scores: ArrayLike
    truth: ArrayLike

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Found boxes, best first, their scores, and the true boxes; ValueError if there are fewer scores, or more."""
        found, truth = (np.asarray(boxes, dtype=float).reshape(-1, 4) for boxes in (self.found, self.truth))
        scores = np.asarray(self.scores, dtype=float).ravel()
        if len(scores) != len(found):
            raise ValueError(f"{len(found)} boxes have {len(scores)} scores")
        order = np.argsort(-scores, kind="stable")
        return found[order], scores[order], truth


def box_iou(first: ArrayLike, second: ArrayLike) -> Floats:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4); 0 where both are empty."""
    a, b = (np.asarray(boxes, dtype=float).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def match_boxes(found: ArrayLike, truth: ArrayLike, iou: float = 0.5) -> NDArray[np.int_]:
    """The true box (its index) that each found one, best first, stands for; -1 where it stands for none.

    As COCO does: each takes the true box that it overlaps most among those not taken yet, if by `iou` at least.
    """
    overlap = box_iou(found, truth)
    taken = np.full(len(overlap), -1)
    for place, row in enumerate(overlap):
        free = np.where(np.isin(np.arange(overlap.shape[1]), taken[:place]), -1.0, row)
        if free.size and free.max() >= iou - 1e-10:
            taken[place] = int(free.argmax())
    return taken


def average_precision(pictures: Sequence[Detections], ious: float | Sequence[float] = 0.5) -> float:
    """Mean precision at 101 recalls from 0 to 1, as COCO interpolates it, and over the thresholds `ious`.

    `average_precision(pictures, COCO_IOUS)` is AP50:95. NaN where no picture has a true box.
    """
    arrays = [picture.arrays() for picture in pictures]
    total = sum(len(truth) for *_, truth in arrays)
    if not total:
        return math.nan
    scores = np.concatenate([scores for _, scores, _ in arrays])
    order = np.argsort(-scores, kind="stable")
    values = []
    for iou in np.atleast_1d(np.asarray(ious, dtype=float)):
        hits = np.concatenate([match_boxes(found, truth, float(iou)) >= 0 for found, _, truth in arrays])[
            order
        ]
        true = np.cumsum(hits)
        recall = true / total
        precision = np.maximum.accumulate((true / np.arange(1, len(hits) + 1))[::-1])[::-1]
        place = np.searchsorted(recall, RECALLS - 1e-12)
        values.append(np.append(precision, 0.0)[np.minimum(place, len(hits))].mean())
    return float(np.mean(values))


def detection_rates(pictures: Sequence[Detections], threshold: float, iou: float = 0.5) -> dict[str, float]:
    """`precision`, `recall` and `f1` of the boxes with a score of `threshold` and more, and the counts they stand on.

    `n_truth`, `n_found` and `n_hit` are counts. NaN where the divisor is 0.
    """
    n_truth = n_found = n_hit = 0
    for picture in pictures:
        found, scores, truth = picture.arrays()
        found = found[scores >= threshold]
        n_truth, n_found = n_truth + len(truth), n_found + len(found)
        n_hit += int((match_boxes(found, truth, iou) >= 0).sum())
    return {
        "precision": n_hit / n_found if n_found else math.nan,
        "recall": n_hit / n_truth if n_truth else math.nan,
        "f1": 2 * n_hit / (n_found + n_truth) if n_found + n_truth else math.nan,
        "n_truth": n_truth,
        "n_found": n_found,
        "n_hit": n_hit,
    }
