"""Made patients with a tumour, for tests: a head of four tissues, a nested tumour, and its sequences."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SIZE = (48, 56, 44)  # voxels of 2 mm
AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])
AFFINE[:3, 3] = (50, 60, -40)
GRAY = {  # of fluid, white and gray matter, then of core, oedema and enhancing tumour
    "t1": (20, 90, 70, 40, 55, 60),
    "t1c": (30, 90, 70, 40, 60, 150),
    "t2": (150, 40, 60, 120, 110, 80),
    "flair": (20, 60, 80, 60, 150, 100),
}


def tumour_labels(size: tuple[int, ...] = SIZE) -> NDArray[np.uint8]:
    """Core (1), enhancing (4) around it, oedema (2) around that, in BraTS 2018's labels."""
    place = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
    far = np.linalg.norm(place - np.array([30, 26, 24]), axis=-1)
    return np.select([far < 3, far < 5.5, far < 9], [1, 4, 2], 0).astype(np.uint8)


def head_tissues(size: tuple[int, ...] = SIZE) -> NDArray[np.int64]:
    """0 outside, 1 fluid, 2 white matter, 3 gray matter."""
    place = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
    middle, radius = np.array(size) / 2, np.array(size) / 2 - 2
    r = (((place - middle) / radius) ** 2).sum(-1)
    return np.select([r < 0.05, r < 0.6, r < 1], [1, 2, 3], 0)


def write_patient(
    folder: Path, sequences: tuple[str, ...] = ("t1c", "flair"), labels: NDArray[np.uint8] | None = None
) -> Path:
    """`<name>_<sequence>.nii.gz` of a made patient, and its labels as `<name>_seg.nii.gz`."""
    labels = tumour_labels() if labels is None else labels
    shown = np.where(labels > 0, np.select([labels == 1, labels == 2], [4, 5], 6), head_tissues(labels.shape))
    folder.mkdir(parents=True, exist_ok=True)
    for number, sequence in enumerate(sequences):
        noise = np.random.default_rng(number).normal(0, 2, labels.shape)
        image = np.where(shown > 0, np.array([0, *GRAY[sequence]])[shown] + noise, 0).clip(0)
        nib.save(
            nib.Nifti1Image(image.astype(np.float32), AFFINE), folder / f"{folder.name}_{sequence}.nii.gz"
        )
    nib.save(nib.Nifti1Image(labels, AFFINE), folder / f"{folder.name}_seg.nii.gz")
    return folder
