"""How well the lesions of a tumour were found, each scored alone, as in the BraTS challenge of 2023."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.measure.tumour_regions import REGIONS, components, labels_to_regions
from fetal_monai.metrics import dice, hd95, surface_distances

__all__ = ["MISSED_HD95_MM", "lesion_scores", "lesion_wise"]

Bools = NDArray[np.bool_]

MISSED_HD95_MM = 374.0  # the diagonal of the challenge's volumes of 240 x 240 x 155 mm, rounded
MIN_LESION_MM3 = 50.0
DILATIONS = 3


def lesion_wise(
    prediction: ArrayLike,
    truth: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    dilations: int = DILATIONS,
    min_lesion_mm3: float = MIN_LESION_MM3,
) -> dict[str, dict[str, float]]:
    """The scores of `lesion_scores` for each of `REGIONS`.

    `prediction` and `truth` are either label maps (I, J, K) in any BraTS convention (see `labels_to_regions`), or
    regions (3, I, J, K) in the order of `REGIONS`, on where not 0.
    """
    both = [
        labels_to_regions(array) if array.ndim == 3 else array != 0
        for array in (np.asarray(prediction), np.asarray(truth))
    ]
    if both[0].ndim != 4 or len(both[0]) != len(REGIONS) or both[0].shape != both[1].shape:
        shapes = f"{np.shape(prediction)} and {np.shape(truth)}"
        raise ValueError(
            f"the shapes are {shapes}; give labels (I, J, K) or regions (3, I, J, K) on one grid"
        )
    return {
        region: lesion_scores(pred, gt, spacing_mm, dilations=dilations, min_lesion_mm3=min_lesion_mm3)
        for region, pred, gt in zip(REGIONS, *both, strict=True)
    }


def lesion_scores(
    mask_pred: ArrayLike,
    mask_gt: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    dilations: int = DILATIONS,
    min_lesion_mm3: float = MIN_LESION_MM3,
) -> dict[str, float]:
    """Scores of a mask (I, J, K) against the truth, as a whole and lesion by lesion.

    `dice`, `hd95_mm`, `sensitivity` (share of the truth that was found) and `specificity` (share of the rest that was
    left out) are of all voxels, NaN where undefined. Of the lesions, `n_lesions` are in the truth, `n_missed` of these
    without any prediction near by, and `n_false` predicted parts lie near none. `lesion_dice` and `lesion_hd95_mm`
    are means over `n_lesions` and `n_false`, a missed or false one counting as 0 and 374 mm; 1 and 0 mm where there
    is nothing to score, as the challenge has it.

    The truth is widened `dilations` times by its 18 neighbours; what then hangs together (corners touch) is one lesion.
    Each is compared with all predicted parts that its own widened shape meets. Lesions of `min_lesion_mm3` or less are
    not scored, nor are the parts that they meet. The challenge has 3 and 50 mm³ for gliomas, 1 and 50 for meningiomas,
    1 and 2 for metastases. HD95 here is that of `metrics.hd95`, which counts surface voxels alike, and the challenge's
    weighs them by area.

    Source: https://github.com/rachitsaluja/BraTS-2023-Metrics; Moawad 2023 (doi 10.48550/arXiv.2306.00838).
    """
    from scipy import ndimage

    pred, truth = np.asarray(mask_pred) != 0, np.asarray(mask_gt) != 0
    spacing = [float(mm) for mm in spacing_mm]
    if pred.ndim != 3 or not pred.size or pred.shape != truth.shape:
        raise ValueError(f"masks have shapes {pred.shape} and {truth.shape}; both must be one (I, J, K)")
    if len(spacing) != 3 or not all(math.isfinite(mm) and mm > 0 for mm in spacing):
        raise ValueError(f"spacing_mm is {spacing_mm}; give three numbers above 0")
    n_voxels = pred.size
    boxes = ndimage.find_objects((pred | truth).view(np.uint8))
    if boxes:
        pred, truth = (np.pad(mask[boxes[0]], dilations) for mask in (pred, truth))
    n_pred, n_truth, n_both = (int(np.count_nonzero(mask)) for mask in (pred, truth, pred & truth))
    n_rest = n_voxels - n_truth
    scores = {
        "dice": dice(pred, truth),
        "hd95_mm": hd95(surface_distances(pred, truth, spacing)),
        "sensitivity": n_both / n_truth if n_truth else math.nan,
        "specificity": (n_rest - (n_pred - n_both)) / n_rest if n_rest else math.nan,
    }
    found, n_false = _lesions(pred, truth, spacing, dilations, min_lesion_mm3)
    distances = [MISSED_HD95_MM if math.isinf(mm) else mm for _, mm in found] + n_false * [MISSED_HD95_MM]
    n_scored = len(distances)
    return scores | {
        "lesion_dice": sum(score for score, _ in found) / n_scored if n_scored else 1.0,
        "lesion_hd95_mm": sum(distances) / n_scored if n_scored else 0.0,
        "n_lesions": float(len(found)),
        "n_missed": float(sum(math.isinf(mm) for _, mm in found)),
        "n_false": float(n_false),
    }


def _lesions(
    pred: Bools, truth: Bools, spacing: Sequence[float], dilations: int, min_mm3: float
) -> tuple[list[tuple[float, float]], int]:
    """Dice and HD95 (infinite if missed) of each lesion that is large enough, and how many predicted parts meet none.

    Both masks are off within `dilations` voxels of their ends.
    """
    from scipy import ndimage

    neighbours = ndimage.generate_binary_structure(3, 2)
    parts, n_parts = components(pred)
    lesions, n_lesions = components(_widened(truth, neighbours, dilations))
    boxes = ndimage.find_objects(lesions)
    is_met = np.zeros(n_parts + 1, bool)
    found = []
    for number in range(1, n_lesions + 1):
        lesion = truth & (lesions == number)
        box = boxes[number - 1]
        met = np.unique(parts[box][_widened(lesion[box], neighbours, dilations)])
        met = met[met > 0]
        is_met[met] = True
        if np.count_nonzero(lesion) * float(np.prod(spacing)) <= min_mm3:
            continue
        if not len(met):
            found.append((0.0, math.inf))
            continue
        is_near = np.zeros(n_parts + 1, bool)
        is_near[met] = True
        near = is_near[parts]
        found.append((dice(near, lesion), hd95(surface_distances(near, lesion, spacing))))
    return found, n_parts - int(is_met.sum())


def _widened(mask: Bools, neighbours: Bools, times: int) -> Bools:
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, neighbours, iterations=times)) if times else mask
