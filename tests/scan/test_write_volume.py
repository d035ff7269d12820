"""Labels and cropped volumes on the grid that their scan came on."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from volume_files import oblique, phantom, read_one, save_nifti, save_series

from fetal_monai.scan import find_volumes, read_volume_scan, write_fractions, write_image, write_labels

SPACING = (0.8, 0.9, 3.0)


@pytest.fixture
def stored():
    return phantom(20, 24, 18)


@pytest.fixture
def labels(stored):
    return (stored > 300).astype(np.int64) * 3 + (stored % 2)


@pytest.mark.parametrize("unit", ["mm", "meter", "unknown"])
@pytest.mark.parametrize("forms", ["sform", "qform", "both", "different", "none"])
def test_labels_on_a_nifti(tmp_path, stored, labels, unit, forms):
    sform, qform = oblique(SPACING), oblique(SPACING, handed=1 if forms == "different" else -1)
    for affine in (sform, qform):
        affine[:3] *= 0.001 if unit == "meter" else 1
    given = {"sform": (sform, None), "qform": (None, qform), "none": (None, None)}.get(forms, (sform, qform))
    path = save_nifti(tmp_path / "a.nii.gz", stored, *given, unit=unit)
    options = {"spacing_mm": SPACING} if forms == "none" else {}
    before = labels.copy()
    written = nibabel.load(write_labels(labels, read_one(path, **options), tmp_path / "out"))
    source = nibabel.load(path)
    assert (tmp_path / "out" / "a_seg.nii.gz").is_file() and written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
    np.testing.assert_array_equal(written.affine, source.affine)
    np.testing.assert_array_equal(written.header.get_sform(), source.header.get_sform())
    np.testing.assert_array_equal(written.header.get_qform(), source.header.get_qform())
    for key in ("sform_code", "qform_code", "xyzt_units", "pixdim", "dim"):
        np.testing.assert_array_equal(written.header[key], source.header[key])
    np.testing.assert_array_equal(labels, before)


def test_a_file_without_forms_keeps_its_grid(tmp_path, stored, labels):
    image = nibabel.Nifti2Image(stored[..., None], None)
    image.header["pixdim"][1:4] = SPACING
    nibabel.save(image, tmp_path / "a.nii")
    written = nibabel.load(write_labels(labels, read_one(tmp_path / "a.nii"), tmp_path))
    source = nibabel.load(tmp_path / "a.nii")
    assert type(written) is nibabel.Nifti2Image
    assert written.shape == source.shape == (20, 24, 18, 1)
    np.testing.assert_array_equal(written.affine, source.affine)


def test_scaling_of_the_scan_does_not_touch_labels(tmp_path, stored, labels):
    image = nibabel.Nifti1Image(stored / 7, oblique(SPACING))
    image.set_data_dtype(np.int16)  # nibabel then scales
    nibabel.save(image, tmp_path / "a.nii")
    assert nibabel.load(tmp_path / "a.nii").dataobj.slope != 1
    written = nibabel.load(write_labels(labels, read_one(tmp_path / "a.nii"), tmp_path))
    np.testing.assert_array_equal(written.get_fdata(), labels)


def test_labels_of_one_time_are_3d(tmp_path, stored, labels):
    path = save_nifti(tmp_path / "a.nii", np.stack([stored, stored], -1), oblique(SPACING))
    written = nibabel.load(write_labels(labels, read_one(path, time_point=1), tmp_path))
    assert written.shape == (20, 24, 18)
    np.testing.assert_array_equal(written.affine, nibabel.load(path).affine)


def test_labels_of_a_dicom_series(tmp_path, stored, labels):
    save_series(tmp_path / "in" / "p" / "t2", stored, oblique(SPACING))
    ((source,), _) = find_volumes(tmp_path / "in")
    scan = read_volume_scan(source)
    path = write_labels(labels, scan, tmp_path / "out")
    assert path == tmp_path / "out" / "p" / "t2_seg.nii.gz"
    written = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
    np.testing.assert_allclose(written.affine, oblique(SPACING), atol=1e-3)
    np.testing.assert_allclose(written.header.get_qform(), written.header.get_sform(), atol=1e-4)
    assert (written.header["sform_code"], written.header["qform_code"]) == (1, 1)
    assert written.header.get_xyzt_units()[0] == "mm"


def test_labels_of_an_nrrd_lie_where_itk_sees_them(tmp_path, stored, labels):
    image = SimpleITK.GetImageFromArray(stored.T)
    image.SetSpacing(SPACING)
    image.SetOrigin((5, 6, 7))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
    SimpleITK.WriteImage(image, tmp_path / "a.nrrd")
    written = SimpleITK.ReadImage(write_labels(labels, read_one(tmp_path / "a.nrrd"), tmp_path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).T, labels)
    for theirs, ours in (
        (written.GetOrigin(), image.GetOrigin()),
        (written.GetDirection(), image.GetDirection()),
        (written.GetSpacing(), image.GetSpacing()),
    ):
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_labels_can_be_read_again(tmp_path, stored, labels):
    save_nifti(tmp_path / "a.nii", stored, oblique(SPACING))
    path = write_labels(labels, read_one(tmp_path / "a.nii"), tmp_path, suffix="_tissues")
    again = read_one(path)
    np.testing.assert_array_equal(again.image, labels)
    assert again.image.dtype == np.uint8 and again.source.stem == "a_tissues"


@pytest.mark.parametrize("value", [-1, 256, 0.5])
def test_labels_that_do_not_fit(tmp_path, stored, value):
    scan = read_one(save_nifti(tmp_path / "a.nii", stored, oblique(SPACING)))
    with pytest.raises(ValueError, match="labels must be whole numbers from 0 to 255"):
        write_labels(np.full(stored.shape, value), scan, tmp_path)
    with pytest.raises(ValueError, match=r"the labels have shape \(20, 24\), the scan \(20, 24, 18\)"):
        write_labels(np.zeros((20, 24)), scan, tmp_path)


# A part of a scan


@pytest.mark.parametrize("unit", ["mm", "meter"])
@pytest.mark.parametrize("forms", ["sform", "qform", "both"])
def test_a_crop_lies_where_it_was(tmp_path, stored, unit, forms):
    affine = oblique(SPACING)
    affine[:3] *= 0.001 if unit == "meter" else 1
    given = {"sform": (affine, None), "qform": (None, affine)}.get(forms, (affine, affine))
    scan = read_one(save_nifti(tmp_path / "a.nii", stored, *given, unit=unit))
    path = write_image(scan.image[3:19, 4:24, 2:18], scan, tmp_path, start=(3, 4, 2))
    assert path == tmp_path / "a_crop.nii.gz"
    crop = read_one(path)
    assert crop.image.dtype == np.int16 and crop.flags == ()
    np.testing.assert_array_equal(crop.image, stored[3:19, 4:24, 2:18])
    np.testing.assert_allclose(crop.affine @ (1, 2, 3, 1), scan.affine @ (4, 6, 5, 1), atol=1e-3)
    np.testing.assert_allclose(crop.affine[:3, :3], scan.affine[:3, :3], atol=1e-5)
    assert crop.spacing_source == scan.spacing_source


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [(np.float64, np.float32), (np.float32, np.float32), (np.uint16, np.uint16), (np.int64, np.float32)],
)
def test_types_of_a_crop(tmp_path, stored, dtype, kept):
    scan = read_one(save_nifti(tmp_path / "a.nii", stored, oblique(SPACING)))
    written = nibabel.load(write_image(scan.image.astype(dtype), scan, tmp_path, suffix="_clean"))
    assert written.get_data_dtype() == kept
    np.testing.assert_array_equal(written.get_fdata(), stored)


def test_a_crop_of_a_series(tmp_path, stored):
    save_series(tmp_path / "t2", stored, oblique(SPACING))
    scan = read_one(tmp_path / "t2")
    crop = nibabel.load(write_image(scan.image[2:], scan, tmp_path, start=(2, 0, 0)))
    np.testing.assert_allclose(crop.affine @ (0, 0, 0, 1), scan.affine @ (2, 0, 0, 1), atol=1e-4)
    with pytest.raises(ValueError, match=r"the image has shape \(20, 24\); \(I, J, K\) is needed"):
        write_image(scan.image[..., 0], scan, tmp_path)


@pytest.mark.parametrize("channels", [0, 3])
def test_fractions_read_back_as_they_were(tmp_path, stored, channels):
    """Whole numbers with a scale: every reader gives 0 to 1, to the fourth decimal."""
    save_nifti(tmp_path / "scan.nii.gz", stored, oblique(SPACING))
    (tmp_path / "out").mkdir()
    scan = read_one(tmp_path)
    shape = (*scan.image.shape, channels) if channels else scan.image.shape
    values = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    path = write_fractions(values, scan, tmp_path / "out", "_prob")
    found = nibabel.load(path)
    assert path.name == "scan_prob.nii.gz" and found.get_data_dtype() == np.int16
    assert found.shape == shape and np.abs(found.get_fdata() - values).max() < 0.6e-4
    assert np.allclose(found.affine, scan.affine, atol=1e-5)
    if not channels:
        read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T
        assert np.abs(read - values).max() < 0.6e-4


def test_fractions_that_are_none(tmp_path, stored):
    save_nifti(tmp_path / "scan.nii.gz", stored, oblique(SPACING))
    scan = read_one(tmp_path)
    with pytest.raises(ValueError, match="must lie in 0 to 1"):
        write_fractions(np.full(scan.image.shape, 1.5), scan, tmp_path / "out", "_prob")
    with pytest.raises(ValueError, match="the values have shape"):
        write_fractions(np.zeros((2, 2, 2)), scan, tmp_path / "out", "_prob")
    assert not (tmp_path / "out").exists()
