"""How well masks and measures agree with the truth: overlap, distances of surfaces, and differences of numbers.

Masks are arrays of any dimension, on where not 0. Where a figure is not defined (nothing in one or both
masks) it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "agreement",
    "average_surface_distance",
    "bootstrap_interval",
    "dice",
    "euler_characteristic_difference",
    "hd95",
    "label_scores",
    "surface_distances",
    "volume_similarity",
]

Floats = NDArray[np.float64]
LIMITS = 1.959963984540054  # standard deviations that hold 95 %


def dice(mask_pred: ArrayLike, mask_gt: ArrayLike) -> float:
    """Twice the overlap over the sum of both masks: 1 if alike, 0 without overlap, NaN if both are empty."""
    pred, truth = _pair(mask_pred, mask_gt)
    total = int(pred.sum()) + int(truth.sum())
    return 2 * int((pred & truth).sum()) / total if total else math.nan


def volume_similarity(mask_pred: ArrayLike, mask_gt: ArrayLike) -> float:
    """One less the difference of the volumes over their sum, wherever they lie; NaN if both are empty."""
    pred, truth = _pair(mask_pred, mask_gt)
    first, second = int(pred.sum()), int(truth.sum())
    return 1 - abs(first - second) / (first + second) if first + second else math.nan


def euler_characteristic_difference(mask_pred: ArrayLike, mask_gt: ArrayLike) -> float:
    """How far the Euler characteristics (pieces - tunnels + cavities) of two masks lie apart; NaN if either is empty.

    Pixels belong together where they share a side or face, as in the FeTA challenge of 2024
    (doi 10.48550/arXiv.2505.02784).
    """
    from skimage.measure import euler_number

    pred, truth = _pair(mask_pred, mask_gt)
    if not (pred.any() and truth.any()):
        return math.nan
    return float(abs(euler_number(pred, connectivity=1) - euler_number(truth, connectivity=1)))


def label_scores(
    labels_pred: ArrayLike,
    labels_gt: ArrayLike,
    names: Sequence[str],
    spacing_mm: float | Sequence[float] = 1.0,
) -> dict[str, dict[str, float]]:
    """`dice`, `hd95_mm`, `volume_similarity` and `euler_difference` for each label 1, 2, … of two maps, by its name.

    Each label is looked at within the box that holds it in both, so that a volume takes seconds. NaN as for masks.
    """
    from scipy import ndimage

    pred, truth = np.asarray(labels_pred), np.asarray(labels_gt)
    _check_shapes(pred, truth)
    pred, truth = (
        labels if labels.dtype.kind in "iu" else labels.astype(np.int64) for labels in (pred, truth)
    )
    boxes = [ndimage.find_objects(labels, max_label=len(names)) for labels in (pred, truth)]
    found = {}
    for label, name in enumerate(names, 1):
        box = _union(boxes[0][label - 1], boxes[1][label - 1], pred.ndim)
        masks = pred[box] == label, truth[box] == label
        found[name] = {
            "dice": dice(*masks),
            "hd95_mm": hd95(surface_distances(*masks, spacing_mm)),
            "volume_similarity": volume_similarity(*masks),
            "euler_difference": euler_characteristic_difference(*masks),
        }
    return found


def surface_distances(
    mask_pred: ArrayLike, mask_gt: ArrayLike, spacing_mm: float | Sequence[float] = 1.0
) -> dict[str, Floats]:
    """Distances in mm from each surface pixel of one mask to the nearest of the other.

    A surface pixel is one of the mask with a neighbour (along an axis) outside of it or of the image.
    `spacing_mm` is one number, or one for each axis. Returns `pred_to_gt` (P,) and `gt_to_pred` (G,), both
    empty if either mask is.
    """
    from scipy import ndimage

    pred, truth = _pair(mask_pred, mask_gt)
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=float), (pred.ndim,))
    if not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(f"spacing_mm is {spacing_mm}; give numbers above 0")
    if not (pred.any() and truth.any()):
        return {"pred_to_gt": np.empty(0), "gt_to_pred": np.empty(0)}
    box = ndimage.find_objects((pred | truth).astype(np.uint8))[0]
    padded = [np.pad(mask[box], 1) for mask in (pred, truth)]
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in padded]
    to_pred, to_truth = (ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in surfaces)
    return {"pred_to_gt": to_truth[surfaces[0]], "gt_to_pred": to_pred[surfaces[1]]}


def hd95(distances: dict[str, Floats]) -> float:
    """95 % Hausdorff distance: the larger of the 95th percentiles of both directions of `surface_distances`."""
    if not len(distances["pred_to_gt"]):
        return math.nan
    return max(float(np.percentile(distances[way], 95)) for way in ("pred_to_gt", "gt_to_pred"))


def average_surface_distance(distances: dict[str, Floats]) -> float:
    """Mean over the surface pixels of both masks of `surface_distances`."""
    both = np.concatenate([distances["pred_to_gt"], distances["gt_to_pred"]])
    return float(both.mean()) if len(both) else math.nan


def agreement(pred: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Differences of a measure from its truth, prediction less truth, in its unit.

    `n` pairs count and `n_missing` have a NaN; `mean`, `sd` (n - 1), `median` of the differences; `mae`,
    `mae_sd` of their sizes; `rmse`; and the 95 % limits of agreement `loa_low` and `loa_high`, mean -+ 1.96
    SD (Bland and Altman 1986).
    """
    first, second = np.asarray(pred, dtype=float).ravel(), np.asarray(truth, dtype=float).ravel()
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} predictions and {len(second)} truths; give as many of each")
    difference = first - second
    known = difference[np.isfinite(difference)]
    found: dict[str, float] = {"n": len(known), "n_missing": len(difference) - len(known)}
    if not len(known):
        names = ("mean", "sd", "median", "mae", "mae_sd", "rmse", "loa_low", "loa_high")
        return found | dict.fromkeys(names, math.nan)
    size = np.abs(known)
    mean, sd = float(known.mean()), _sd(known)
    return found | {
        "mean": mean,
        "sd": sd,
        "median": float(np.median(known)),
        "mae": float(size.mean()),
        "mae_sd": _sd(size),
        "rmse": float(np.sqrt(np.mean(known**2))),
        "loa_low": mean - LIMITS * sd,
        "loa_high": mean + LIMITS * sd,
    }


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[Floats], float] = lambda sample: float(np.mean(sample)),
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    n_samples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of a statistic of values (N,), NaNs left out.

    With `groups` (N,), as patients of several scans, whole groups are drawn. (NaN, NaN) if nothing is left.
    """
    array = np.asarray(values, dtype=float)
    group = np.arange(len(array)) if groups is None else np.asarray(groups)
    if group.shape != array.shape:
        raise ValueError(f"groups has shape {group.shape}, values {array.shape}")
    known = np.isfinite(array)
    array, group = array[known], group[known]
    if not len(array):
        return math.nan, math.nan
    _, place = np.unique(group, return_inverse=True)
    n_groups = int(place.max()) + 1
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_samples):
        times = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)
        found.append(statistic(np.repeat(array, times[place])))
    low, high = np.percentile(found, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _pair(mask_pred: ArrayLike, mask_gt: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    pred, truth = np.asarray(mask_pred, dtype=bool), np.asarray(mask_gt, dtype=bool)
    _check_shapes(pred, truth)
    return pred, truth


def _check_shapes(pred: NDArray[Any], truth: NDArray[Any]) -> None:
    if pred.shape != truth.shape:
        raise ValueError(f"masks have shapes {pred.shape} and {truth.shape}; they must be on one grid")


def _union(first: Any, second: Any, ndim: int) -> tuple[slice, ...]:
    """The smallest box around two, either of which may be None; an empty one around none."""
    boxes = [box for box in (first, second) if box is not None]
    if not boxes:
        return (slice(0, 0),) * ndim
    return tuple(
        slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True)
    )


def _sd(values: NDArray[Any]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
