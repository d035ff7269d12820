"""DICOM series: geometry as dcm2niix gives it, and what is wrong with some."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from volume_files import oblique, phantom, read_one, reason, save_enhanced, save_series

from fetal_monai.scan import ScanError, find_volumes, read_volume_scan

SPACING = (0.8, 0.9, 3.0)
MR_SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "dicom_mr"


@pytest.fixture
def stored():
    return phantom(20, 24, 8)


def change(path, **attributes):
    dataset = dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def test_grid_of_dcm2niix(tmp_path, stored):
    affine = oblique(SPACING)
    save_series(tmp_path / "scan", stored, affine)
    scan = read_one(tmp_path / "scan")
    assert scan.image.dtype == np.int16
    np.testing.assert_array_equal(scan.image, stored)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-3)
    assert scan.spacing_mm == pytest.approx(SPACING, abs=1e-4)
    assert (scan.spacing_source, scan.flags, scan.header) == ("dicom", (), None)
    assert (scan.source.stem, len(scan.source.files)) == ("scan", 8)


def test_every_voxel_lies_where_itk_puts_it(tmp_path, stored):
    save_series(tmp_path, stored, oblique(SPACING))
    scan = read_one(tmp_path)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    for index in [(0, 0, 0), (3, 5, 7), (19, 23, 0)]:
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        ours = np.linalg.solve(scan.affine, (-x, -y, z, 1))[:3]
        np.testing.assert_allclose(ours, np.rint(ours), atol=1e-3)
        assert scan.image[tuple(np.rint(ours).astype(int))] == image[index]


def test_neither_names_nor_instance_numbers_matter(tmp_path, stored):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    for number, path in enumerate(paths):
        change(path, InstanceNumber=100 - number)
        path.rename(tmp_path / f"{(number * 5) % 8}")
    scan = read_one(tmp_path)
    np.testing.assert_array_equal(scan.image, stored)
    np.testing.assert_allclose(scan.affine, oblique(SPACING), atol=1e-3)


def test_slices_ascend_along_the_normal(tmp_path, stored):
    """A right-handed grid is turned into dcm2niix's left-handed one, with the same voxels at the same places."""
    affine = oblique(SPACING)
    flipped = affine.copy()
    flipped[:3, 3] += 7 * flipped[:3, 2]
    flipped[:3, 2] *= -1
    save_series(tmp_path, stored[..., ::-1], flipped)
    scan = read_one(tmp_path)
    np.testing.assert_array_equal(scan.image, stored)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-3)


def test_rescaled_values(tmp_path, stored):
    save_series(tmp_path, stored, oblique(SPACING), RescaleSlope=0.5, RescaleIntercept=-3)
    scan = read_one(tmp_path)
    assert scan.image.dtype == np.float32
    np.testing.assert_array_equal(scan.image, stored * 0.5 - 3)


def test_enhanced_file(tmp_path, stored):
    scan = read_one(save_enhanced(tmp_path / "a.dcm", stored, oblique(SPACING)))
    np.testing.assert_array_equal(scan.image, stored * 0.5 + 2)
    np.testing.assert_allclose(scan.affine, oblique(SPACING), atol=1e-3)
    assert scan.source.stem == "a"


def test_enhanced_file_of_two_times(tmp_path, stored):
    path = save_enhanced(tmp_path / "a.dcm", stored, oblique(SPACING), times=2)
    assert "a.dcm: holds 2 images at each of its 8 positions" in reason(path)
    for time_point in (0, 1):
        np.testing.assert_array_equal(
            read_one(path, time_point=time_point).image, (stored + time_point) * 0.5 + 2
        )


# Several volumes


@pytest.mark.parametrize("temporal", [False, True])
def test_times(tmp_path, stored, temporal):
    for time in range(3):
        attributes = {"TemporalPositionIdentifier": 3 - time} if temporal else {}
        save_series(tmp_path, stored + time, oblique(SPACING), first=1 + 8 * time, **attributes)
    text = reason(tmp_path)
    assert text == (
        f"{tmp_path.name}: holds 3 images at each of its 8 positions (time points, or echoes); take one with "
        "--time_point 0 (the first) to 2"
    )
    for time in range(3):
        image = read_one(tmp_path, time_point=time).image
        np.testing.assert_array_equal(image, stored + (2 - time if temporal else time))
    assert "has no time point 3: there are 0 to 2" in reason(tmp_path, time_point=3)


def test_series_of_one_folder_are_volumes_of_their_own(tmp_path, stored):
    save_series(tmp_path / "p" / "dicom", stored, oblique(SPACING), uid="1.2.3", prefix="A")
    save_series(
        tmp_path / "p" / "dicom", stored + 1, oblique(SPACING), uid="1.2.4", prefix="B", SeriesNumber=7
    )
    save_series(
        tmp_path / "p" / "dicom", stored + 2, oblique(SPACING), uid="1.2.5", prefix="C", SeriesNumber=7
    )
    sources, skipped = find_volumes(tmp_path)
    assert [source.stem for source in sources] == [
        "p/dicom/series_4", "p/dicom/series_7_2", "p/dicom/series_7_3",
    ]  # fmt: skip
    assert skipped == []
    for added, source in enumerate(sources):
        np.testing.assert_array_equal(read_volume_scan(source).image, stored + added)


# What is wrong


def test_missing_slices(tmp_path, stored):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    paths[3].unlink()
    assert reason(tmp_path) == (
        f"{tmp_path.name}: has missing slices: 6 mm between IM0003.dcm and IM0005.dcm, 3 mm elsewhere; export the "
        "whole series"
    )


def test_missing_slices_of_one_time(tmp_path, stored):
    for time in range(3):
        paths = save_series(tmp_path, stored, oblique(SPACING), first=1 + 8 * time)
    paths[2].unlink()
    assert reason(tmp_path, time_point=0) == (
        f"{tmp_path.name}: has missing slices: 2 at one position (IM0003.dcm and IM0011.dcm), where others have 3; "
        "export the whole series"
    )


def test_doubled_slices(tmp_path, stored):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    dataset = dcmread(paths[3])
    dataset.SOPInstanceUID, dataset.InstanceNumber = "1.2.3.99", 99
    dataset.save_as(tmp_path / "again.dcm")
    assert reason(tmp_path) == (
        f"{tmp_path.name}: has doubled slices: 2 at one position (IM0004.dcm and again.dcm), where others have 1; "
        "remove what does not belong to it"
    )


def test_copies(tmp_path, stored):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    (tmp_path / "IM0004 copy.dcm").write_bytes(paths[3].read_bytes())
    assert reason(tmp_path) == (
        f"{tmp_path.name}: holds one image twice (IM0004 copy.dcm and IM0004.dcm); remove the copies"
    )


def test_two_orientations(tmp_path, stored):
    save_series(tmp_path, stored, oblique(SPACING))
    sagittal = np.array([[0, 0, 3.0, 0], [0.8, 0, 0, 0], [0, 0.9, 0, 0], [0, 0, 0, 1]])
    save_series(tmp_path, stored[..., :5], sagittal, first=9)
    assert reason(tmp_path) == (
        f"{tmp_path.name}: mixes slices of 2 orientations (8 and 5 slices), as a localizer does; give a folder with "
        "the slices of one stack"
    )


def test_two_matrices_and_two_pixel_sizes(tmp_path, stored):
    save_series(tmp_path / "a", stored, oblique(SPACING))
    save_series(tmp_path / "a", stored[:, :20], oblique(SPACING), first=9)
    assert "a: mixes slices of 2 matrix sizes (8 and 8 slices)" in reason(tmp_path / "a")
    paths = save_series(tmp_path / "b", stored, oblique(SPACING))
    change(paths[0], PixelSpacing=[0.9, 0.7])
    assert "b: mixes slices of 2 pixel sizes (1 and 7 slices)" in reason(tmp_path / "b")


@pytest.mark.parametrize(("shift_mm", "is_even"), [(0.1, True), (0.5, False)])
def test_uneven_slices(tmp_path, stored, shift_mm, is_even):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    x, y, z = dcmread(paths[4]).ImagePositionPatient
    change(paths[4], ImagePositionPatient=[x, y, z + shift_mm])
    if is_even:
        assert read_one(tmp_path).spacing_mm == pytest.approx(SPACING, abs=1e-4)
    else:
        assert "has slices that are not evenly spaced: IM0005.dcm is 0.5 mm off its place" in reason(tmp_path)


def test_one_slice(tmp_path, stored):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    assert reason(paths[2]) == (
        "IM0003.dcm: is one slice of 20x24, not a volume; give the folder with all slices of its series"
    )


def test_three_slices(tmp_path, stored):
    save_series(tmp_path, stored[..., :3], oblique(SPACING))
    assert "is 20x24x3 voxels; at least 16 along each axis are needed" in reason(tmp_path, min_size=16)
    assert read_one(tmp_path).flags == ("few_slices",)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"Modality": "CT"}, "is a DICOM of modality CT; magnetic resonance (MR) is needed"),
        ({"Modality": "US"}, "is a DICOM of modality US; magnetic resonance (MR) is needed"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "is a mosaic, all slices in one picture; convert"),
        ({"ImagePositionPatient": None}, "IM0001.dcm says not where its slice lies (ImagePositionPatient"),
        ({"PixelSpacing": None}, "IM0001.dcm says not where its slice lies"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "IM0001.dcm has an orientation that is none"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "is stored with black for high values (MONOCHROME1)"),
        ({"SamplesPerPixel": 3}, "is a colour DICOM; a gray one is needed"),
    ],
)  # fmt: skip
def test_no_mr_stack(tmp_path, stored, attributes, words):
    save_series(tmp_path, stored[..., :3], oblique(SPACING), **attributes)
    assert reason(tmp_path).startswith(f"{tmp_path.name}: {words}")


def test_a_slice_that_is_cut_off(tmp_path, stored):
    paths = save_series(tmp_path, stored, oblique(SPACING))
    paths[3].write_bytes(paths[3].read_bytes()[:-400])
    text = reason(tmp_path)
    assert text.startswith(f"{tmp_path.name}: its pixels cannot be decoded (")
    assert text.endswith("the file may be truncated: copy it again from its source")


def test_constant(tmp_path, stored):
    save_series(tmp_path, stored * 0, oblique(SPACING))
    assert reason(tmp_path) == f"{tmp_path.name}: shows nothing: all voxels have the same value (0)"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_scan_or_a_reason_and_nothing_else(tmp_path, data):
    path = save_series(tmp_path, phantom(16, 16, 3), oblique(SPACING))[1]
    blob = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(128, len(blob) - 512))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(blob))
    for source in find_volumes(tmp_path)[0]:
        with suppress(ScanError):  # anything else fails the test
            read_volume_scan(source)


# A real series


def test_real_series_is_what_dcm2niix_makes_of_it():
    sources, _ = find_volumes(MR_SAMPLES / "mr_0004")
    (source,) = sources
    assert len(source.files) == 8
    reference = nibabel.load(MR_SAMPLES / "reference_mr_0004.nii.gz")
    for time_point in (0, 1):
        scan = read_volume_scan(source, time_point=time_point)
        np.testing.assert_allclose(scan.affine, reference.affine, atol=1e-3)
        np.testing.assert_array_equal(scan.image, np.asanyarray(reference.dataobj)[..., time_point])
    assert "holds 2 images at each of its 4 positions" in reason(MR_SAMPLES / "mr_0004")
