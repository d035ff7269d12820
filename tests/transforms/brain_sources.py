"""Small brains as training files, and random pictures made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from fetal_monai.transforms.mri_synthesis import RandFetalBraind

SMALL = {"spacing": (1.5, 1.5, 1.5), "scale": 0.5}  # of `brain_labels`
VOXEL_MM = 1.2  # of the source that the fixture makes
SHAPE = (48, 64, 48)  # of a picture
STILL: dict[str, Any] = {  # nothing moves but what a test asks for
    "rotate": 0.0,
    "turn_prob": 0.0,
    "zoom": 0.0,
    "stretch": 0.0,
    "elastic_mm": 0.0,
    "ventricle_mm": 0.0,
    "narrow_mm": 0.0,
    "widen_mm": 0.0,
    "shift_mm": 0.0,
    "length_mm": (1.0, 1000.0),
}


def save(folder: Path, image: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> dict[str, str]:
    """Write a scan and its labels, in the order of FeTA; returns their item."""
    folder.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(image, affine), folder / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "labels.nii.gz")
    paths = {"image": str(folder / "image.nii.gz"), "label": str(folder / "labels.nii.gz")}
    return {**paths, "label_key": "feta"}


def made(
    source: dict[str, Any], seed: int, kind: type[RandFetalBraind] = RandFetalBraind, **kwargs: Any
) -> dict[Any, Any]:
    """What a seed makes of a source."""
    transform = kind(**{"shape": SHAPE, "voxel_mm": 1.4, **kwargs})
    transform.set_random_state(seed)
    return transform({"source": source, "ga_weeks": 26.0})
