"""Normative models from folders of labelled brains, and how well they separate two such folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.anomaly.deviation import NormativeModel
from fetal_monai.anomaly.separation import Separation, separation
from fetal_monai.datasets import fetal_atlas_items, remap_labels
from fetal_monai.measure.volume import BRAIN_MEASURES, measure_brain

__all__ = ["CRL_SOURCE", "fit_normative", "measure_items", "separate_folders"]

Floats = NDArray[np.float64]

CRL_SOURCE = (
    "18 T2w atlases of the neurotypical fetal brain, 21 to 38 weeks (Gholipour 2017, doi 10.1038/s41598-017-00525-w; "
    "CRL, non-commercial research and education), labels refined by Fidon and Aertsen"
)


def measure_items(items: Sequence[dict[str, Any]]) -> tuple[Floats, dict[str, Floats]]:
    """Ages (N,) in weeks and measures (N,) by name of labelled brains, as `datasets.fetal_atlas_items` lists them."""
    import nibabel

    rows = []
    for item in items:
        labels = nibabel.load(item["label"])
        rows.append(
            measure_brain(remap_labels(np.asarray(labels.dataobj), item["label_key"]), labels.affine).measures
        )
    ages = np.array([item["ga_weeks"] for item in items], dtype=float)
    return ages, {name: np.array([row[name] for row in rows]) for name in BRAIN_MEASURES}


def fit_normative(dataset_dir: str | Path, path: str | Path, source: str = CRL_SOURCE) -> NormativeModel:
    """Fit the normative model to a folder of labelled neurotypical brains and write it to a JSON file.

    The shipped one is `fit_normative(<neurotypical atlases>,
    "bundles/fetal_brain_mri_segmentation/models/normative.json")`. Raises ValueError for a folder without cases
    or with too few.
    """
    model = NormativeModel.fit(*measure_items(fetal_atlas_items(dataset_dir)), source=source)
    model.save(path)
    return model


def separate_folders(usual_dir: str | Path, abnormal_dir: str | Path) -> Separation:
    """How well the deviation score tells the brains of one folder from those of another, see `separation`."""
    return separation(
        *measure_items(fetal_atlas_items(usual_dir)), *measure_items(fetal_atlas_items(abnormal_dir))
    )
