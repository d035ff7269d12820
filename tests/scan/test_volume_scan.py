"""Volumes in NIfTI, MHA and NRRD, and where they lie."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from volume_files import oblique, patch, phantom, read_one, reason, save_nifti

from fetal_monai.scan import find_volumes, read_spacing_csv, read_volume_scan

STACK = np.diag([1.125, 1.125, 3.3, 1.0])


@pytest.fixture
def stored():
    return phantom(20, 24, 18)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_comes_as_it_is_stored(tmp_path, stored, name):
    affine = oblique((0.8, 0.9, 3.0))
    scan = read_one(save_nifti(tmp_path / name, stored, affine))
    assert scan.image.dtype == np.int16 and scan.image.flags.writeable and scan.image.flags.c_contiguous
    np.testing.assert_array_equal(scan.image, stored)
    np.testing.assert_array_equal(scan.affine, nibabel.load(tmp_path / name).affine)
    assert scan.spacing_mm == pytest.approx((0.8, 0.9, 3.0)) and scan.spacing_source == "sform"
    assert scan.flags == () and np.isnan(scan.ga_weeks) and scan.source.stem == "a"


def test_the_qform_holds_where_there_is_no_sform(tmp_path, stored):
    affine = oblique((0.8, 0.9, 3.0))
    scan = read_one(save_nifti(tmp_path / "a.nii", stored, qform=affine))
    np.testing.assert_allclose(scan.affine, affine, atol=1e-5)
    assert (scan.spacing_source, scan.flags) == ("qform", ())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">i2", ">f4"])
def test_types(tmp_path, stored, dtype):
    values = stored // 2
    scan = read_one(save_nifti(tmp_path / "a.nii", values.astype(dtype), STACK))
    kind = np.dtype(dtype)
    assert scan.image.dtype == (np.float32 if kind.kind == "f" else kind.newbyteorder("="))
    np.testing.assert_array_equal(scan.image, values)


def test_scaled_integers_become_float32(tmp_path, stored):
    image = nibabel.Nifti1Image(stored, STACK)
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:120] = np.array([0.5, 3], "<f4").tobytes()  # scl_slope, scl_inter
    raw[352:] = np.asfortranarray(stored).astype("<i2").tobytes(order="F")
    (tmp_path / "a.nii").write_bytes(bytes(raw))
    scan = read_one(tmp_path / "a.nii")
    assert scan.image.dtype == np.float32
    np.testing.assert_array_equal(scan.image, stored * np.float32(0.5) + 3)


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd"])
def test_itk_formats_lie_where_itk_says(tmp_path, stored, name):
    image = SimpleITK.GetImageFromArray(stored.T)
    image.SetSpacing((0.8, 0.9, 3.0))
    image.SetOrigin((5, 6, 7))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
    SimpleITK.WriteImage(image, tmp_path / name)
    scan = read_one(tmp_path / name)
    np.testing.assert_array_equal(scan.image, stored)
    for index in [(0, 0, 0), (3, 5, 7)]:
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(scan.affine @ (*index, 1), (-x, -y, z, 1), atol=1e-9)
    assert scan.spacing_mm == (0.8, 0.9, 3.0) and (scan.spacing_source, scan.header) == ("affine", None)


def test_nrrd_without_directions_says_not_where_left_is(tmp_path, stored):
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 20 24 18\nspacings: 0.8 0.9 3\nencoding: raw\n"
        "endian: little\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + stored.tobytes(order="F"))
    scan = read_one(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(scan.image, stored)
    assert (scan.spacing_mm, scan.flags) == ((0.8, 0.9, 3.0), ("no_orientation",))


@pytest.mark.parametrize("shape", [(20, 24, 18, 1), (20, 24, 18, 1, 1)])
def test_further_axes_of_length_1_are_none(tmp_path, stored, shape):
    scan = read_one(save_nifti(tmp_path / "a.nii", stored.reshape(shape), STACK))
    np.testing.assert_array_equal(scan.image, stored)
    np.testing.assert_array_equal(read_one(tmp_path / "a.nii", time_point=0).image, stored)


def test_ages_come_from_the_csv(tmp_path, stored):
    for name in ("a.nii", "b.nii"):
        save_nifti(tmp_path / name, stored, STACK)
    (tmp_path / "ages.csv").write_text("filename,ga_weeks\na.nii,27.5\n", encoding="utf-8")
    table = read_spacing_csv(tmp_path)
    ages = [read_volume_scan(source, spacing_table=table).ga_weeks for source in find_volumes(tmp_path)[0]]
    assert ages == [27.5, pytest.approx(np.nan, nan_ok=True)]


def test_ages_that_contradict_are_refused(tmp_path, stored):
    save_nifti(tmp_path / "a.nii", stored, STACK)
    (tmp_path / "ages.csv").write_text("filename,ga_weeks\na.nii,27.5\na.nii,28\n", encoding="utf-8")
    text = reason(tmp_path, spacing_table=read_spacing_csv(tmp_path))
    assert text == "a.nii: the CSV has rows that differ for a.nii; keep the right one"


# Several volumes


def test_4d_asks_which(tmp_path, stored):
    series = np.stack([stored, stored + 1, stored + 2], axis=-1)
    path = save_nifti(tmp_path / "a.nii.gz", series, STACK)
    assert reason(path) == (
        "a.nii.gz: is 4D: 3 volumes of 20x24x18; take one with --time_point 0 (the first) to 2"
    )
    for time_point in range(3):
        scan = read_one(path, time_point=time_point)
        np.testing.assert_array_equal(scan.image, stored + time_point)
        assert scan.spacing_mm == pytest.approx((1.125, 1.125, 3.3))
    text = reason(path, time_point=3)
    assert text == "a.nii.gz: has no time point 3: there are 0 to 2; give another --time_point"


def test_3d_has_one_time_point(tmp_path, stored):
    path = save_nifti(tmp_path / "a.nii", stored, STACK)
    assert read_one(path, time_point=0).image.shape == stored.shape
    assert reason(path, time_point=1) == (
        "a.nii: has no time point 1: there is only 0; give another --time_point"
    )


def test_4d_nrrd(tmp_path, stored):
    volumes = [SimpleITK.GetImageFromArray(stored.T + t) for t in range(2)]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(volumes), tmp_path / "a.nrrd")
    assert "is 4D: 2 volumes of 20x24x18" in reason(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(read_one(tmp_path / "a.nrrd", time_point=1).image, stored + 1)


# Where it lies


def test_forms_that_differ_are_flagged_and_the_sform_used(tmp_path, stored):
    sform, qform = oblique((0.8, 0.9, 3.0)), oblique((0.8, 0.9, 3.0), handed=1)
    scan = read_one(save_nifti(tmp_path / "a.nii", stored, sform, qform))
    np.testing.assert_allclose(scan.affine, sform, atol=1e-5)
    assert (scan.spacing_source, scan.flags) == ("sform", ("sform_qform_differ",))


@pytest.mark.parametrize(("shift_mm", "flags"), [(0.05, ()), (0.2, ("sform_qform_differ",))])
def test_forms_may_differ_by_a_tenth_of_a_voxel(tmp_path, stored, shift_mm, flags):
    qform = STACK.copy()
    qform[0, 3] += shift_mm
    assert read_one(save_nifti(tmp_path / "a.nii", stored, STACK, qform)).flags == flags


def test_no_affine_but_sizes(tmp_path, stored):
    path = save_nifti(tmp_path / "a.nii", stored)
    patch(path, 80, np.array([0.8, 0.9, 3.0], "<f4"))  # pixdim[1:4]
    scan = read_one(path)
    assert scan.spacing_mm == pytest.approx((0.8, 0.9, 3.0))
    assert (scan.spacing_source, scan.flags) == ("pixdim", ("no_orientation",))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (0, 0, 0), (0.8, 0.8, 0)])
def test_no_affine_and_no_sizes(tmp_path, stored, sizes):
    path = save_nifti(tmp_path / "a.nii", stored)
    patch(path, 80, np.array(sizes, "<f4"))
    assert reason(path) == (
        "a.nii: has no affine and no voxel size; give --spacing_mm, or save it with the affine of the scan it came "
        "from"
    )
    scan = read_one(path, spacing_mm=(0.5, 0.5, 3))
    np.testing.assert_allclose(np.linalg.norm(scan.affine[:3, :3], axis=0), (0.5, 0.5, 3))
    assert (scan.spacing_mm, scan.spacing_source) == ((0.5, 0.5, 3.0), "argument")


def test_singular_affine(tmp_path, stored):
    affine = np.diag([0.8, 0.8, 0.8, 1.0])
    affine[:3, 0] = (0, 0.8, 0)
    assert reason(save_nifti(tmp_path / "a.nii", stored, affine)) == (
        "a.nii: its sform is singular, so where its voxels lie is not known; save it with the affine of the scan it "
        "came from"
    )


def test_affine_without_a_number(tmp_path, stored):
    affine = STACK.copy()
    affine[1, 1] = np.nan
    path = save_nifti(tmp_path / "a.nii", stored, affine)
    assert "in its header is 1.125 x nan x 3.3 mm; between" in reason(path)
    assert "its sform is singular" in reason(path, spacing_mm=1)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 1000), ("meter", 0.001), ("unknown", 1)])
def test_units_become_millimetres(tmp_path, stored, unit, factor):
    affine = oblique((0.8, 0.9, 3.0))
    affine[:3] *= factor
    scan = read_one(save_nifti(tmp_path / "a.nii", stored, affine, unit=unit))
    assert scan.spacing_mm == pytest.approx((0.8, 0.9, 3.0))
    np.testing.assert_allclose(scan.affine, oblique((0.8, 0.9, 3.0)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(0, 0.8, 0.8), (0.0008, 0.0008, 0.0008), (80, 80, 80)])
def test_absurd_sizes(tmp_path, stored, sizes):
    path = save_nifti(tmp_path / "a.nii", stored, np.diag([*sizes, 1]))
    i, j, k = (f"{size:g}" for size in sizes)
    assert reason(path) == (
        f"a.nii: the voxel size in its header is {i} x {j} x {k} mm; between 0.05 and 20 makes sense, give the right "
        "one with --spacing_mm"
    )
    if all(sizes):
        assert read_one(path, spacing_mm=0.8).spacing_mm == (0.8, 0.8, 0.8)


def test_a_qform_with_a_size_of_0(tmp_path, stored):
    path = save_nifti(tmp_path / "a.nii", stored, qform=STACK)
    patch(path, 88, np.array([0], "<f4"))
    assert "in its header is 1.125 x 1.125 x 0 mm" in reason(path)
