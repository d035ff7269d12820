"""Masks on the grid that their scan came on."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scan_files import save_dicom

from fetal_monai.scan import find_scans, read_scan, write_map, write_mask


@pytest.fixture
def mask(gray):
    mask = np.zeros_like(gray)
    mask[20:60, 30:130] = 1
    return mask


def test_png_for_pictures(tmp_path, gray, mask, read):
    Image.fromarray(gray).save(tmp_path / "a.png")
    before = mask.copy()
    path = write_mask(mask, read(tmp_path / "a.png"), tmp_path / "out")
    assert path == tmp_path / "out" / "a_seg.png"
    with Image.open(path) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.array(image), mask * 255)
    np.testing.assert_array_equal(mask, before)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a_seg.png"]


def test_folders_and_frames_have_their_own_names(tmp_path, gray, mask):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    save_dicom(tmp_path / "in" / "sub" / "v1.2.dcm", np.stack([gray, gray]), frames=2)
    sources, _ = find_scans(tmp_path / "in")
    paths = [write_mask(mask, read_scan(source), tmp_path / "out") for source in sources]
    names = [path.relative_to(tmp_path / "out").as_posix() for path in paths]
    assert names == ["sub/v1.2_frame0001_seg.png", "sub/v1.2_frame0002_seg.png"]


@pytest.mark.parametrize("shape", [(160, 120), (160, 120, 1), (160, 1, 120), (1, 160, 120)])
@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_nifti_keeps_shape_affine_and_units(tmp_path, gray, mask, read, shape, image_class):
    affine = np.array([[-0.2, 0.01, 0, 5], [0.01, -0.3, 0.1, 6], [0, 0.1, 0.9, 7], [0, 0, 0, 1.0]])
    image = image_class(gray.T.reshape(shape).astype(np.int16), affine)
    image.header.set_slope_inter(0.5, 0)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "a.nii.gz")
    path = write_mask(mask, read(tmp_path / "a.nii.gz"), tmp_path)
    written = nibabel.load(path)
    assert path.name == "a_seg.nii.gz" and type(written) is image_class
    assert written.shape == shape and written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, nibabel.load(tmp_path / "a.nii.gz").affine)
    for key in ("sform_code", "qform_code", "xyzt_units"):
        assert written.header[key] == image.header[key]
    np.testing.assert_array_equal(np.asarray(written.dataobj).reshape(160, 120).T, mask)


def test_nifti_without_affine_stays_without(tmp_path, gray, mask, read):
    (tmp_path / "a.nii").write_bytes(nibabel.Nifti1Image(gray.T, None).to_bytes())
    written = nibabel.load(write_mask(mask, read(tmp_path / "a.nii"), tmp_path))
    assert written.header["sform_code"] == written.header["qform_code"] == 0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_mha_becomes_nifti_in_the_same_place(tmp_path, gray, mask, read, dimensions):
    image = SimpleITK.GetImageFromArray(gray if dimensions == 2 else gray[None])
    image.SetSpacing((0.2, 0.3, 0.5)[:dimensions])
    image.SetOrigin((4.0, 5.0, 6.0)[:dimensions])
    SimpleITK.WriteImage(image, tmp_path / "a.mha")
    path = write_mask(mask, read(tmp_path / "a.mha"), tmp_path)
    assert path.name == "a_seg.nii.gz"
    written = SimpleITK.ReadImage(path)
    assert written.GetSize() == image.GetSize()
    np.testing.assert_allclose(written.GetSpacing(), image.GetSpacing(), rtol=1e-6)
    if dimensions == 3:
        np.testing.assert_allclose(written.GetOrigin(), image.GetOrigin(), rtol=1e-6)
        np.testing.assert_allclose(written.GetDirection(), image.GetDirection(), atol=1e-6)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).reshape(mask.shape), mask)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_gets_a_mask_turned_alike(tmp_path, gray, read, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gray).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    scan = read(tmp_path / "a.jpg")
    with (
        Image.open(write_mask(scan.image > 100, scan, tmp_path)) as written,
        Image.open(tmp_path / "a.jpg") as stored,
    ):
        assert written.getexif().get(0x0112, 1) == orientation
        np.testing.assert_array_equal(np.array(written) > 0, np.array(stored) > 100)


def test_a_mask_of_another_shape(tmp_path, gray, mask, read):
    Image.fromarray(gray).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"the mask has shape \(160, 120\), the scan \(120, 160\)"):
        write_mask(mask.T, read(tmp_path / "a.png"), tmp_path)


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path, gray, mask, read):
    Image.fromarray(gray).save(tmp_path / "a.png")
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="out"):
        write_mask(mask, read(tmp_path / "a.png"), tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "out"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mask=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=32, max_side=50)),
    name=st.sampled_from(["a.png", "a.nii", "a.nrrd"]),
)
def test_what_is_written_reads_back(tmp_path, mask, name):
    picture = np.arange(mask.size, dtype=np.uint8).reshape(mask.shape)
    if name == "a.png":
        Image.fromarray(picture).save(tmp_path / name)
    elif name == "a.nii":
        nibabel.save(nibabel.Nifti1Image(picture.T, np.diag([0.2, 0.3, 1, 1])), tmp_path / name)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(picture), tmp_path / name)
    (source,) = find_scans(tmp_path / name)[0]
    path = write_mask(mask, read_scan(source), tmp_path)
    if path.suffix == ".png":
        with Image.open(path) as image:
            found = np.array(image) == 255
    else:
        found = np.asarray(nibabel.load(path).dataobj).T == 1
    np.testing.assert_array_equal(found, mask != 0)


def test_map_of_fractions_on_the_grid_of_its_scan(tmp_path, gray, read):
    """0.5 is 128 of 255 in a PNG, and 0.5 again from a NIfTI on the file's own affine."""
    values = np.zeros(gray.shape, np.float32)
    values[20:60, 30:130], values[0, 0], values[1, 1] = 0.5, 2.0, np.nan
    Image.fromarray(gray).save(tmp_path / "a.png")
    path = write_map(values, read(tmp_path / "a.png"), tmp_path / "out")
    assert path.name == "a_map.png"
    with Image.open(path) as image:
        drawn = np.asarray(image)
    assert (drawn[30, 40], drawn[0, 0], drawn[1, 1], drawn[5, 5]) == (128, 255, 0, 0)
    affine = np.diag([-0.2, -0.2, 1, 1])
    nibabel.save(nibabel.Nifti1Image(gray.T[..., None], affine), tmp_path / "b.nii.gz")
    stored = nibabel.load(write_map(values, read(tmp_path / "b.nii.gz"), tmp_path / "out"))
    assert stored.shape == (*gray.T.shape, 1)
    np.testing.assert_allclose(stored.affine, affine, atol=1e-6)
    np.testing.assert_allclose(np.asanyarray(stored.dataobj)[40, 30, 0], 0.5, atol=1e-4)
    with pytest.raises(ValueError, match="the map has shape"):
        write_map(values[1:], read(tmp_path / "a.png"), tmp_path / "out")
