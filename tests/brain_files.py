"""Brains made of ellipsoids as files: reconstructed volumes, thick-slice stacks, an atlas."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from brains import brain_labels, stored_otherwise
from numpy.typing import NDArray

T2W = np.array([0, 900, 350, 600, 1000, 300, 400, 380])  # gray value of each label
ATLAS_KEY = np.array([0, 4, 5, 1, 2, 3, 6, 7], np.uint8)  # label of FeTA -> label of the atlases
HALF = {"spacing": (1.5, 1.5, 1.5), "scale": 0.5}  # of `brain_labels`: 52 mm long, quick


def t2w(labels: NDArray[np.uint8], seed: int = 0) -> NDArray[np.int16]:
    """What T2w shows of labels, with noise; dark tissue around them."""
    random = np.random.default_rng(seed)
    return (T2W[labels] + 60 * (labels == 0) + random.normal(0, 20, labels.shape)).clip(0).astype(np.int16)


def write_volume(path: Path, which: int = 0) -> Path:
    """A reconstructed volume in one of 48 orientations."""
    labels, affine = list(stored_otherwise(*brain_labels(**HALF)))[which]
    return _save(path, t2w(labels), affine)


def write_stack(path: Path, which: int = 0) -> Path:
    """Slices of 3.5 mm, also in one of 48 orientations."""
    labels, affine = list(stored_otherwise(*brain_labels((1.5, 1.5, 3.5), scale=0.5)))[which]
    return _save(path, t2w(labels), affine)


def write_atlas(folder: Path, *cases: str) -> Path:
    """Volumes with their labels, in the atlases' layout and key."""
    for seed, case in enumerate(cases):
        labels, affine = brain_labels(**HALF)
        _save(folder / case / "t2w.nii.gz", t2w(labels, seed), affine)
        _save(folder / case / "labels.nii.gz", ATLAS_KEY[labels], affine)
    return folder


def _save(path: Path, array: NDArray, affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path
