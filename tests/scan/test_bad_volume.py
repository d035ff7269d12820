"""Volumes whose voxels or size make no sense, and damaged files."""

from __future__ import annotations

import gzip
from contextlib import suppress

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume_files import patch, phantom, read_one, reason, save_nifti

from fetal_monai.scan import ScanError

STACK = np.diag([1.125, 1.125, 3.3, 1.0])


@pytest.fixture
def stored():
    return phantom(20, 24, 18)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_few_voxels_without_a_number(tmp_path, stored, value):
    values = stored.astype(np.float32) - 7
    values[3:5, 4, 5] = value
    scan = read_one(save_nifti(tmp_path / "a.nii", values, STACK))
    assert scan.flags == ("non_finite_voxels",)
    assert (scan.image[3:5, 4, 5] == -7).all()
    values[3:5, 4, 5] = -7
    np.testing.assert_array_equal(scan.image, values)


def test_many_voxels_without_a_number(tmp_path, stored):
    values = stored.astype(np.float32)
    values[:12] = np.nan
    text = reason(save_nifti(tmp_path / "a.nii", values, STACK))
    assert text == (
        "a.nii: has 60 % of its voxels NaN or infinite; replace them by numbers, such as 0 outside"
    )


def test_what_float32_does_not_hold_is_infinite(tmp_path, stored):
    values = stored.astype(np.float64)
    values[0, 0, 0] = 1e300
    scan = read_one(save_nifti(tmp_path / "a.nii", values, STACK))
    assert scan.flags == ("non_finite_voxels",) and scan.image[0, 0, 0] == 0


@pytest.mark.parametrize("value", [0, 7])
def test_constant(tmp_path, value):
    text = reason(save_nifti(tmp_path / "a.nii", np.full((20, 20, 20), value, np.int16), STACK))
    assert text == f"a.nii: shows nothing: all voxels have the same value ({value})"


def test_constant_but_for_nan(tmp_path):
    values = np.zeros((20, 20, 20), np.float32)
    values[0] = np.nan
    assert "all voxels have the same value (0)" in reason(save_nifti(tmp_path / "a.nii", values, STACK))


def test_colours(tmp_path, stored):
    colours = np.repeat(stored.astype(np.uint8)[..., None], 3, axis=-1)
    records = np.ascontiguousarray(colours).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    assert reason(save_nifti(tmp_path / "a.nii", records, STACK)) == (
        "a.nii: is a colour volume (RGB); a gray one is needed: save the scan itself, not a rendering"
    )
    vectors = SimpleITK.GetImageFromArray(np.repeat(stored.T[..., None], 3, axis=-1), isVector=True)
    SimpleITK.WriteImage(vectors, tmp_path / "b.nrrd")
    assert reason(tmp_path / "b.nrrd").startswith("b.nrrd: has 3 values for each voxel, as colours have")


def test_complex_numbers(tmp_path, stored):
    text = reason(save_nifti(tmp_path / "a.nii", stored.astype(np.complex64), STACK))
    assert text == "a.nii: has voxels of type complex64; integers or real numbers are needed"


# Sizes


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (1, 40, 50), (40, 1, 50)])
def test_a_picture_is_no_volume(tmp_path, shape):
    text = reason(save_nifti(tmp_path / "a.nii", phantom(40, 50).reshape(shape), STACK))
    assert text == (
        "a.nii: is a 2D picture of 40x50, not a volume; ultrasound pictures are for the bundle "
        "fetal_head_ultrasound_segmentation"
    )


def test_three_slices(tmp_path):
    path = save_nifti(tmp_path / "a.nii", phantom(20, 24, 3), STACK)
    assert reason(path, min_size=16) == ("a.nii: is 20x24x3 voxels; at least 16 along each axis are needed")
    assert read_one(path).flags == ("few_slices",)


@pytest.mark.parametrize(("shape", "flags"), [((20, 5, 24), ("few_slices",)), ((20, 24, 6), ())])
def test_few_slices_along_any_axis(tmp_path, shape, flags):
    assert read_one(save_nifti(tmp_path / "a.nii", phantom(*shape), STACK)).flags == flags


def test_a_rod_is_no_volume(tmp_path):
    text = reason(save_nifti(tmp_path / "a.nii", phantom(4, 5, 60), STACK))
    assert text == "a.nii: is 4x5x60 voxels; at least 16x16 in each slice are needed"


def test_a_header_that_claims_too_much_is_not_believed(tmp_path, stored):
    path = save_nifti(tmp_path / "a.nii", stored, STACK)
    patch(path, 42, np.array([30_000, 30_000, 30_000], "<i2"))  # dim[1:4]
    assert reason(path) == (
        "a.nii: is 30000x30000x30000 voxels, over 536 million; cut out or resample the brain"
    )


# Damage


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
def test_truncated(tmp_path, stored, name):
    path = tmp_path / name
    if "nii" in name:
        save_nifti(path, stored, STACK)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(stored), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    text = reason(path)
    assert text.startswith(f"{name}: is damaged or truncated (")
    assert text.endswith("); copy it again from its source")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
def test_text_instead_of_a_volume(tmp_path, name):
    (tmp_path / name).write_text("hello, this is no volume\n" * 40)
    assert reason(tmp_path / name).startswith(f"{name}: is damaged")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_scan_or_a_reason_and_nothing_else(tmp_path, data):
    path = save_nifti(tmp_path / "a.nii.gz", phantom(16, 16, 6), STACK, STACK)
    blob = bytearray(gzip.decompress(path.read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, 347))] = data.draw(st.integers(0, 255))
    path.write_bytes(gzip.compress(bytes(blob), 1))
    with suppress(ScanError):  # anything else fails the test
        scan = read_one(path, time_point=0)
        assert np.isfinite(scan.image).all() and np.linalg.det(scan.affine) != 0
