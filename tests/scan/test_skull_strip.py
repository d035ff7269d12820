"""A made head: scalp, skull, fluid and a brain of known volume with a tumour, stripped and not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from volume_files import save_nifti

from fetal_monai.scan import find_patients, read_patient
from fetal_monai.scan.skull_strip import find_brain

MM = 3.0
AFFINE = np.diag([-MM, -MM, MM, 1.0])
RADII = np.array([62.0, 80.0, 68.0])  # mm, of the brain: 1413 mL


def made_head(with_skull: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gray values, the brain, and a dark tumour at its surface with a bright one beside."""
    place = np.stack(np.meshgrid(*((np.arange(72) - 35.5) * MM,) * 3, indexing="ij"), -1)

    def within(radii: np.ndarray, at: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
        return np.linalg.norm((place - at) / radii, axis=-1) < 1

    image = np.zeros(place.shape[:3], np.float32)
    if with_skull:
        image[within(RADII + 18)] = 130  # scalp
        image[within(RADII + 10)] = 10  # bone
        image[within(RADII + 3)] = 25  # fluid
    brain = within(RADII)
    image[brain] = 90
    tumour = within(np.full(3, 12.0), (0, 72, 0)) & brain
    image[tumour] = 15
    bright = within(np.full(3, 15.0), (40, 0, 0)) & brain
    image[bright] = 170
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.where(image > 0, (image + noise).clip(1), 0).astype(np.float32), brain, tumour | bright


def test_brain_with_its_tumour_is_left():
    image, brain, tumour = made_head()
    found = find_brain(image, AFFINE)
    assert found.flag == "skull_stripped" and found.mask is not None
    overlap = 2 * np.count_nonzero(found.mask & brain) / (found.mask.sum() + brain.sum())
    assert overlap > 0.97
    assert np.count_nonzero(found.mask & tumour) > 0.9 * np.count_nonzero(
        tumour
    )  # dark ones at the surface lose some


def test_thick_slices_and_a_head_that_ends_with_the_volume():
    image, brain, _ = made_head()
    thick = np.diag([-MM, -MM, 2 * MM, 1.0])
    found = find_brain(image[:, :, 12::2], thick)
    assert found.flag == "skull_stripped" and found.mask is not None
    expected = brain[:, :, 12::2]
    assert 2 * np.count_nonzero(found.mask & expected) / (found.mask.sum() + expected.sum()) > 0.95


def test_a_brain_alone_stays():
    found = find_brain(made_head(with_skull=False)[0], AFFINE)
    assert found == (None, "no_skull_found")


@pytest.mark.parametrize("size", [0.6, 1.6])  # of a child, and of nobody: wrong voxel sizes
def test_what_is_no_adult_s_brain_is_not_cut(size):
    found = find_brain(made_head()[0], AFFINE * size)
    assert found.mask is None and found.flag != "skull_stripped"


def test_patient_with_skull_is_flagged_and_stripped_on_request(tmp_path: Path):
    image, brain, _ = made_head()
    for sequence, factor in (("flair", 1.0), ("t1", 0.5)):
        save_nifti(tmp_path / f"p1_{sequence}.nii", image * np.float32(factor), sform=AFFINE)
    (source,) = find_patients(tmp_path)[0]
    as_it_is = read_patient(source)
    assert as_it_is.flags == ("skull_present",)
    stripped = read_patient(source, skull_strip=True)
    assert stripped.flags == ("skull_stripped",)
    for name, values in stripped.images.items():
        cut = (values == 0) & (as_it_is.images[name] > 0)
        assert cut.sum() > 0.3 * (image > 0).sum() and np.count_nonzero(cut & brain) < 0.02 * brain.sum()
    assert np.array_equal(stripped.scan.image, stripped.images["flair"])
