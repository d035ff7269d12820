"""The nested regions of a brain tumour, and the label conventions of the BraTS challenges that they are written in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CONVENTIONS",
    "REGIONS",
    "check_not_ambiguous",
    "components",
    "drop_small",
    "drop_unsure",
    "labels_to_regions",
    "make_nested",
    "regions_to_labels",
]

Bools = NDArray[np.bool_]

REGIONS = ("tumour_core", "whole_tumour", "enhancing")  # the channels of MONAI's own BraTS bundle
NECROSIS, OEDEMA = 1, 2  # in every convention
CONVENTIONS = {  # convention: its label of the enhancing tumour
    "brats2013": 4,  # until 2015; 3 is the tumour that neither enhances nor is necrotic
    "brats2018": 4,  # 2017 to 2021; 3 is part of 1
    "brats2023": 3,
}


def labels_to_regions(labels: ArrayLike, convention: str | None = None) -> Bools:
    """Regions (3, ...) in the order of `REGIONS` of a label map (...).

    1 is necrosis and tumour that does not enhance, 2 oedema, 4 enhancing, and 3 depends on the `convention`, one of
    `CONVENTIONS`. Without one, 3 is part of the core if there is a 4 too, else enhancing, as in BraTS 2023; for a file
    of BraTS 2013 or 2015 without any enhancing tumour, name the convention.

    Raises:
    ValueError: labels other than whole numbers from 0 to 4, a 4 in BraTS 2023, or an unknown convention.
    """
    found = _whole_numbers(labels)
    enhances = _enhancing_label(found, convention)
    enhancing, oedema = found == enhances, found == OEDEMA
    whole = found > 0
    return np.stack([whole & ~oedema, whole, enhancing])


def check_not_ambiguous(labels: ArrayLike, convention: str | None, option: str) -> None:
    """Raise ValueError for labels with a 3 and no 4 without a `convention`; `option` is where the user gives it."""
    found = np.asarray(labels)
    if convention is None and (found == 3).any() and not (found == 4).any():
        raise ValueError(
            "labels hold a 3 and no 4: enhancing tumour in BraTS 2023, tumour that does not enhance in BraTS 2013; say "
            f"which with {option}"
        )


def regions_to_labels(regions: ArrayLike, convention: str = "brats2018") -> NDArray[np.uint8]:
    """Label map (...) uint8 of regions (3, ...): 1 the core that does not enhance, 2 oedema, 4 (or 3) enhancing.

    `convention` is "brats2018" or "brats2023", which writes 3 for enhancing. Regions are nested first (`make_nested`).
    """
    if convention not in ("brats2018", "brats2023"):
        raise ValueError(f"convention is {convention!r}; labels are written as brats2018 or brats2023")
    core, whole, enhancing = make_nested(regions)
    labels = np.where(whole, OEDEMA, 0).astype(np.uint8)
    labels[core] = NECROSIS
    labels[enhancing] = CONVENTIONS[convention]
    return labels


def make_nested(regions: ArrayLike) -> Bools:
    """Regions (3, ...), on where not 0, with what lies outside of the next larger one taken off.

    The core is cut to the whole tumour, the enhancing tumour to that core.
    """
    found = np.asarray(regions) != 0
    if found.ndim < 2 or len(found) != len(REGIONS):
        raise ValueError(
            f"regions have shape {found.shape}; the first axis must be the three of {', '.join(REGIONS)}"
        )
    core, whole, enhancing = found
    core = core & whole
    return np.stack([core, whole, enhancing & core])


def drop_small(
    labels_or_regions: ArrayLike, min_ml: float | Sequence[float], spacing_mm: Sequence[float]
) -> NDArray[np.uint8] | Bools:
    """Without the connected parts of each region that are under `min_ml`, one number or one for each of `REGIONS`.

    Takes and gives a label map (I, J, K), in BraTS 2018 or 2023 convention as it came (3 beside 4 becomes 1), or
    regions (3, I, J, K). What is no longer enhancing stays core, what is no longer core stays tumour. Voxels belong
    together where they share a face, edge or corner. `spacing_mm` is that of the three axes.
    """
    array = np.asarray(labels_or_regions)
    spacing, least_ml = np.asarray(spacing_mm, float), np.broadcast_to(np.asarray(min_ml, float), (3,))
    if spacing.shape != (3,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(f"spacing_mm is {spacing_mm}; give three numbers above 0")
    if array.ndim == 3:
        read = _whole_numbers(array)
        convention = "brats2023" if _enhancing_label(read, None) == 3 else "brats2018"
        return regions_to_labels(drop_small(labels_to_regions(read), min_ml, spacing_mm), convention)
    if array.ndim != 4:
        raise ValueError(f"the shape is {array.shape}; give labels (I, J, K) or regions (3, I, J, K)")
    least = least_ml / (float(np.prod(spacing)) / 1000) - 1e-6  # voxels
    nested = make_nested(array)
    return make_nested([_large_parts(region, size) for region, size in zip(nested, least, strict=True)])


def drop_unsure(probability: ArrayLike, least_share: float, threshold: float = 0.5) -> Bools:
    """Regions (3, I, J, K) where `probability` is above `threshold`, without their less sure parts.

    A part stays if its highest probability is at least `least_share` of the highest in the region, so that the surest
    part of a region always does. 0 keeps all.
    """
    if not 0 <= least_share <= 1:
        raise ValueError(f"least_share is {least_share}; give a share between 0 and 1")
    values = np.asarray(probability)
    return np.stack([_sure_parts(region, least_share, threshold) for region in values])


def _sure_parts(values: NDArray[np.floating], least_share: float, threshold: float) -> Bools:
    from scipy import ndimage

    mask = values > threshold
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes or least_share == 0:
        return mask
    parts, n_parts = components(mask[boxes[0]])
    peaks = ndimage.maximum(values[boxes[0]], parts, np.arange(n_parts + 1))
    is_sure = np.asarray(peaks) >= least_share * values.max()
    is_sure[0] = False
    mask[boxes[0]] = is_sure[parts]
    return mask


def components(mask: Bools) -> tuple[NDArray[np.int32], int]:
    """Connected parts of a mask (I, J, K), numbered from 1, and how many: faces, edges and corners touch."""
    from scipy import ndimage

    parts, n_parts = ndimage.label(mask, np.ones((3, 3, 3)))
    return np.asarray(parts), int(n_parts)


def _large_parts(mask: Bools, least: float) -> Bools:
    """Without parts of fewer voxels."""
    from scipy import ndimage

    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes or least <= 1:
        return mask
    kept = np.zeros_like(mask)
    parts, _ = components(mask[boxes[0]])
    is_large = np.bincount(parts.ravel()) >= least
    is_large[0] = False
    kept[boxes[0]] = is_large[parts]
    return kept


def _whole_numbers(labels: ArrayLike) -> NDArray[np.uint8]:
    array = np.asarray(labels)
    if array.dtype == bool:
        raise ValueError("labels are a mask; give whole numbers from 0 to 4, or regions (3, I, J, K)")
    if array.size:
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 4) or (array.dtype.kind == "f" and (array % 1).any()):
            raise ValueError(f"labels go from {low} to {high}; they must be whole numbers from 0 to 4")
    return array.astype(np.uint8, copy=False)


def _enhancing_label(labels: NDArray[np.uint8], convention: str | None) -> int:
    if convention is None:
        return 3 if not (labels == 4).any() and (labels == 3).any() else 4
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; choose one of {', '.join(CONVENTIONS)}")
    if convention == "brats2023" and (labels == 4).any():
        raise ValueError("labels hold a 4, which BraTS 2023 does not have; name another convention")
    return CONVENTIONS[convention]
