"""Label maps of fetal brain datasets: their keys, and reading them onto the grid of their scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ATLAS_TO_FETA", "read_labels", "read_on_grid", "remap_labels"]

# Key of the atlases' labels (Fidon 2021, and their refinement of Gholipour 2017): 1 white matter, 2 intra-axial CSF,
# 3 cerebellum, 4 extra-axial CSF, 5 cortical gray, 6 deep gray matter, 7 brainstem, 8 corpus callosum.
ATLAS_TO_FETA = {0: 0, 1: 3, 2: 4, 3: 5, 4: 1, 5: 2, 6: 6, 7: 7, 8: 3}
LABEL_KEYS = {"atlas": ATLAS_TO_FETA, "feta": {label: label for label in range(8)}, "brain": {0: 0, 1: 1}}


def remap_labels(labels: ArrayLike, label_key: str) -> NDArray[np.uint8]:
    """Labels of a dataset's own key in the order of FeTA (``fetal_monai.measure.tissues``), of the same shape.

    ``label_key`` is ``atlas`` (:data:`ATLAS_TO_FETA`), ``feta`` (kept) or ``brain`` (a mask of 0 and 1). Raises
    ``ValueError`` for another key and for a label that the key does not know.
    """
    if label_key not in LABEL_KEYS:
        raise ValueError(f"label_key is {label_key!r}; give one of {', '.join(LABEL_KEYS)}")
    key = LABEL_KEYS[label_key]
    array = np.asarray(labels)
    table = np.array([key[label] for label in range(len(key))], dtype=np.uint8)
    if array.size and not (array.min() >= 0 and array.max() < len(table)):
        raise ValueError(
            f"labels from {array.min():g} to {array.max():g}; the key {label_key!r} has 0 to {len(table) - 1}"
        )
    whole = array.astype(np.uint8)
    if array.dtype.kind == "f" and not np.array_equal(whole, array):
        raise ValueError("labels are not whole numbers; resample a label map by nearest neighbour")
    return table[whole]


def read_labels(
    path: str | Path, label_key: str, shape: Sequence[int], affine: ArrayLike
) -> NDArray[np.uint8]:
    """The labels of a NIfTI file in the order of FeTA, with its axes turned as those of a scan.

    ``shape`` (3,) and ``affine`` (4, 4) are the scan's; ``label_key`` is what :func:`remap_labels` takes. Raises
    ``ValueError`` as :func:`read_on_grid` does, and when the file holds other labels than the key has.
    """
    labels = read_on_grid(path, shape, affine)
    try:
        return remap_labels(labels, label_key)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_on_grid(path: str | Path, shape: Sequence[int], affine: ArrayLike) -> NDArray[Any]:
    """A label map as it is stored in a NIfTI file, with its axes turned as those of a scan (``shape``, ``affine``).

    Raises ``ValueError`` when the file is not on the scan's grid however its axes are turned.
    """
    import nibabel

    from fetal_monai.scan.patient_alignment import Grid, is_same_grid

    image, affine = nibabel.load(path), np.asarray(affine, dtype=float)
    turn = [nibabel.io_orientation(grid) for grid in (image.affine, affine)]
    if image.ndim == 3:
        image = image.as_reoriented(nibabel.orientations.ornt_transform(*turn))
    if not is_same_grid(Grid(tuple(shape), affine), Grid(image.shape, image.affine)):
        raise ValueError(
            f"{path}: labels of {_size(image.shape)} voxels are not on the grid of their scan, {_size(shape)}; "
            "resample them by nearest neighbour"
        )
    return np.asanyarray(image.dataobj)


def _size(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape)
