"""Pictures in NIfTI, MHA and NRRD."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetal_monai.scan import ScanError, find_scans, read_scan


def save_nifti(path: Path, stored: np.ndarray, affine=(0.2, 0.3), unit: str = "mm") -> Path:
    header = nibabel.Nifti1Header()
    header.set_sform(np.diag([-affine[0], -affine[1], 1.0, 1.0]), code=1)
    header.set_xyzt_units(unit)
    header.set_data_dtype(stored.dtype)
    nibabel.save(nibabel.Nifti1Image(stored, None, header), path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("trailing", [(), (1,), (1, 1)])
def test_nifti_is_column_by_row(tmp_path, gray, read, name, trailing):
    scan = read(save_nifti(tmp_path / name, gray.T.reshape(160, 120, *trailing)))
    assert scan.image.dtype == np.uint8 and scan.image.flags.writeable and scan.image.flags.c_contiguous
    np.testing.assert_array_equal(scan.image, gray)
    assert scan.spacing_mm == pytest.approx((0.3, 0.2)) and scan.spacing_source == "affine"
    assert scan.source.stem == "a" and scan.flags == ()


def test_a_turned_affine_gives_the_same_spacing(tmp_path, gray, read):
    cosine, sine = np.cos(0.3), np.sin(0.3)
    affine = np.array(
        [[0.2 * cosine, -0.3 * sine, 0, 5], [0.2 * sine, 0.3 * cosine, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]
    )
    nibabel.save(nibabel.Nifti1Image(gray.T, affine), tmp_path / "a.nii")
    assert read(tmp_path / "a.nii").spacing_mm == pytest.approx((0.3, 0.2))


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 1000), ("meter", 0.001), ("unknown", 1)])
def test_units(tmp_path, gray, read, unit, factor):
    path = save_nifti(tmp_path / "a.nii", gray.T, (0.2 * factor, 0.3 * factor), unit)
    assert read(path).spacing_mm == pytest.approx((0.3, 0.2))


@pytest.mark.parametrize("zooms", [(1, 1), (0, 0), (0.2, 0)])
def test_no_affine_is_no_spacing(tmp_path, gray, read, zooms):
    image = nibabel.Nifti1Image(gray.T, None)
    image.header["pixdim"][1:3] = zooms
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    scan = read(tmp_path / "a.nii")
    assert (scan.spacing_mm, scan.spacing_source, scan.flags) == (None, "none", ("no_affine",))


@pytest.mark.parametrize(("zooms", "works"), [((0.2, 0.3), True), ((0.2, 0.0), False)])
def test_qform_takes_its_sizes_from_pixdim(tmp_path, gray, read, zooms, works):
    image = nibabel.Nifti1Image(gray.T, None)
    image.header["qform_code"] = 1
    image.header["pixdim"][1:3] = zooms
    (tmp_path / "a.nii").write_bytes(image.header.binaryblock + bytes(4) + gray.tobytes())
    if works:
        assert read(tmp_path / "a.nii").spacing_mm == pytest.approx((0.3, 0.2))
    else:
        assert reason(tmp_path / "a.nii").startswith("a.nii: the spacing in its header is 0 mm per pixel")


def test_pixdim_without_affine_counts(tmp_path, gray, read):
    image = nibabel.Nifti1Image(gray.T, None)
    image.header.set_zooms((0.2, 0.3))
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert read(tmp_path / "a.nii").spacing_mm == pytest.approx((0.3, 0.2))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.float64, np.int32])
def test_other_types_of_the_same_values(tmp_path, gray, read, dtype):
    scan = read(save_nifti(tmp_path / "a.nii", gray.T.astype(dtype)))
    assert scan.image.dtype == np.float32 and scan.flags == ()
    np.testing.assert_array_equal(scan.image, gray)


def test_negative_values_are_stretched(tmp_path, gray, read):
    scan = read(save_nifti(tmp_path / "a.nii", gray.T.astype(np.float32) * 10 - 300))
    assert (scan.image.min(), scan.image.max()) == (0, pytest.approx(255))
    np.testing.assert_allclose(scan.image, gray * (255 / gray.max()), atol=0.01)


def test_rgb_nifti_becomes_gray(tmp_path, gray, read):
    colours = np.repeat(gray.T[..., None], 3, axis=-1)
    colours[50:60, 20, 1] = 255
    records = np.ascontiguousarray(colours).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    scan = read(save_nifti(tmp_path / "a.nii", records))
    assert scan.image.shape == gray.shape and scan.flags == ("colour_marks",)
    np.testing.assert_array_equal(scan.image[30:], gray[30:])


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_itk_formats(tmp_path, gray, read, name, dimensions):
    image = SimpleITK.GetImageFromArray(gray if dimensions == 2 else gray[None])
    image.SetSpacing((0.2, 0.3, 1.0)[:dimensions])
    SimpleITK.WriteImage(image, tmp_path / name)
    scan = read(tmp_path / name)
    np.testing.assert_array_equal(scan.image, gray)
    assert scan.spacing_mm == pytest.approx((0.3, 0.2)) and scan.spacing_source == "affine"


def test_colour_mha_becomes_gray(tmp_path, gray, read):
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.dstack([gray] * 3), isVector=True), tmp_path / "a.mha"
    )
    np.testing.assert_array_equal(read(tmp_path / "a.mha").image, gray)


def test_mha_that_names_no_spacing(tmp_path, gray, read):
    header = (
        "ObjectType = Image\nNDims = 2\nDimSize = 160 120\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(header.encode() + gray.tobytes())
    scan = read(tmp_path / "a.mha")
    np.testing.assert_array_equal(scan.image, gray)
    assert (scan.spacing_mm, scan.flags) == (None, ("no_affine",))


# Bad input


def reason(path: Path) -> str:
    (source,) = find_scans(path)[0]
    with pytest.raises(ScanError) as caught:
        read_scan(source)
    return str(caught.value)


VOLUME = (
    "is a 3D volume of shape 40x50x60, not a 2D image; volumes are for the bundles fetal_brain_stack_segmentation and "
    "fetal_brain_mri_segmentation"
)


def test_3d_nifti(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", np.zeros((40, 50, 60), np.uint8))
    assert reason(path) == f"a.nii.gz: {VOLUME}"


def test_3d_mha(tmp_path):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((60, 50, 40), np.uint8)), tmp_path / "a.mha")
    assert reason(tmp_path / "a.mha") == f"a.mha: {VOLUME}"


def test_a_series_of_pictures_is_no_picture(tmp_path, gray):
    path = save_nifti(tmp_path / "a.nii", np.stack([gray.T] * 4, axis=-1)[:, :, None])
    assert reason(path).startswith("a.nii: is a 3D volume of shape 160x120x1x4")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(tmp_path, gray, value):
    stored = gray.T.astype(np.float32)
    stored[3, 3] = value
    text = reason(save_nifti(tmp_path / "a.nii", stored))
    assert text == "a.nii: has pixels that are NaN or infinite; replace them by numbers"


def test_constant(tmp_path, gray):
    text = reason(save_nifti(tmp_path / "a.nii", np.full((64, 64), 3, np.int16)))
    assert text == "a.nii: shows nothing: all pixels have the same value (3)"


def test_complex_numbers(tmp_path, gray):
    text = reason(save_nifti(tmp_path / "a.nii", gray.T.astype(np.complex64)))
    assert text == "a.nii: has pixels of type complex64; integers or real numbers are needed"


@pytest.mark.parametrize("shape", [(1, 1), (20, 100), (100,)])
def test_too_small(tmp_path, shape):
    assert "at least 32x32 are needed" in reason(save_nifti(tmp_path / "a.nii", np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
def test_truncated(tmp_path, gray, name):
    path = tmp_path / name
    if "nii" in name:
        save_nifti(path, gray.T)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(gray), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    text = reason(path)
    assert text.startswith(f"{name}: is damaged or truncated (")
    assert text.endswith("); copy it again from its source")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
def test_text_instead_of_a_volume(tmp_path, name):
    (tmp_path / name).write_text("hello, this is no volume\n" * 40)
    assert reason(tmp_path / name).startswith(f"{name}: is damaged or truncated (")


@pytest.mark.parametrize("size", [0.0, 5.0, 1e-4])
def test_absurd_spacing(tmp_path, gray, read, size):
    path = save_nifti(tmp_path / "a.nii", gray.T, (size, size))
    assert reason(path) == (
        f"a.nii: the spacing in its header is {size:g} mm per pixel; between 0.005 and 2.0 makes sense, "
        "give the right one with --spacing_mm"
    )
    assert read(path, spacing_mm=0.2).spacing_mm == (0.2, 0.2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_scan_or_a_reason_and_nothing_else(tmp_path, gray, data):
    path = save_nifti(tmp_path / "a.nii.gz", gray[:40, :40].T)
    blob = bytearray(gzip.decompress(path.read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, 347))] = data.draw(st.integers(0, 255))
    path.write_bytes(gzip.compress(bytes(blob), 1))
    (source,) = find_scans(path)[0]
    with suppress(ScanError):  # anything else fails the test
        read_scan(source)
