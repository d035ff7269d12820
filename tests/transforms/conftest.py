from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from brain_sources import SMALL, VOXEL_MM, save
from brains import brain_labels


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A brain of half the usual size, each tissue brighter than the one before."""
    from fetal_monai.transforms.mri import BrainSourced

    labels, affine = brain_labels(**SMALL)
    image = 100 * labels.astype(np.int16) + np.random.default_rng(0).integers(0, 60, labels.shape).astype(
        np.int16
    )
    return BrainSourced(VOXEL_MM)(save(tmp_path_factory.mktemp("brain"), image, labels, affine))["source"]
