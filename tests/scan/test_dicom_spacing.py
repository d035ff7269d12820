"""Where the spacing of an ultrasound DICOM comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scan_files import save_dicom

from fetal_monai.scan import ScanError, find_scans, read_scan

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "dicom_ultrasound"


def test_region_in_centimetres(tmp_path, gray, read, region):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[region()], PixelSpacing=[0.3, 0.2]))
    assert scan.spacing_mm == pytest.approx((0.3, 0.2)) and scan.spacing_source == "dicom_region"
    (only,) = scan.regions
    assert (only.row0, only.row1, only.column0, only.column1, only.colour_flow) == (5, 109, 10, 149, False)
    assert scan.flags == ()


def test_negative_delta_is_a_direction(tmp_path, gray, read, region):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[region(PhysicalDeltaY=-0.03)]))
    assert scan.spacing_mm == pytest.approx((0.3, 0.2))


def test_only_2d_regions_in_centimetres_count(tmp_path, gray, read, region):
    trace = region(RegionSpatialFormat=3, PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7)
    hertz = region(PhysicalUnitsXDirection=5)
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[trace, hertz, {}]))
    assert (scan.spacing_mm, scan.spacing_source, scan.regions) == (None, "none", ())


def test_regions_that_differ_answer_by_place(tmp_path, gray, read, region):
    left = region(RegionLocationMaxX1=79)
    right = region(RegionLocationMinX0=80, PhysicalDeltaX=0.04, PhysicalDeltaY=0.04)
    zoom = region(
        RegionLocationMinX0=100, RegionLocationMinY0=50, RegionLocationMaxX1=120, RegionLocationMaxY1=60,
        PhysicalDeltaX=0.01, PhysicalDeltaY=0.01,
    )  # fmt: skip
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[left, right, zoom]))
    assert scan.spacing_mm is None and scan.flags == ("regions_differ",)
    assert scan.spacing_at(50, 40)[0] == pytest.approx((0.3, 0.2))
    assert scan.spacing_at(20, 100) == (pytest.approx((0.4, 0.4)), "dicom_region")
    assert scan.spacing_at(55, 110)[0] == pytest.approx((0.1, 0.1))
    assert scan.spacing_at(0, 0) == (None, "none")


def test_regions_that_agree_hold_everywhere(tmp_path, gray, read, region):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[region(), region(RegionLocationMinX0=90)]))
    assert scan.spacing_at(0, 0) == (scan.spacing_mm, "dicom_region")


def test_pixel_spacing_is_row_and_column(tmp_path, gray, read):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, PixelSpacing=[0.11, 0.22]))
    assert (scan.spacing_mm, scan.spacing_source) == ((0.11, 0.22), "pixel_spacing")


def test_region_and_pixel_spacing_that_disagree_are_flagged(tmp_path, gray, read, region):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[region()], PixelSpacing=[0.1, 0.1]))
    assert scan.spacing_mm == pytest.approx((0.3, 0.2)) and scan.flags == ("spacing_conflict",)


def test_a_bound_behind_the_last_pixel_is_cut(tmp_path, gray, read, region):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[region(RegionLocationMaxX1=160)]))
    assert scan.regions[0].column1 == 159 and scan.flags == ()


def test_a_cropped_image_keeps_its_spacing(tmp_path, gray, read, region):
    full = region(RegionLocationMaxX1=160, RegionLocationMaxY1=300)
    scan = read(save_dicom(tmp_path / "a.dcm", gray, regions=[full]))
    assert scan.spacing_mm == pytest.approx((0.3, 0.2)) and scan.flags == ("image_cropped",)
    assert scan.regions[0].row1 == 119


@pytest.mark.parametrize(
    "bounds",
    [
        {"RegionLocationMaxX1": 299, "RegionLocationMaxY1": 219},
        {"RegionLocationMaxY1": 219},
        {"RegionLocationMaxX1": 4_000_000_000},
    ],
)
def test_a_resampled_image_has_no_spacing(tmp_path, gray, read, region, bounds):
    path = save_dicom(tmp_path / "a.dcm", gray, regions=[region(**bounds)], PixelSpacing=[0.3, 0.2])
    scan = read(path)
    assert (scan.spacing_mm, scan.spacing_source, scan.regions) == (None, "none", ())
    assert scan.flags == ("region_outside_image",)
    assert read(path, spacing_mm=0.5).spacing_mm == (0.5, 0.5)


@pytest.mark.parametrize("bounds", [(50, 50), (80, 20)])
def test_a_region_without_area_is_ignored(tmp_path, gray, read, region, bounds):
    changes = {"RegionLocationMinX0": bounds[0], "RegionLocationMaxX1": bounds[1]}
    assert read(save_dicom(tmp_path / "a.dcm", gray, regions=[region(**changes)])).regions == ()


@pytest.mark.parametrize("delta", [0.0, 3.0, 1e-9])
def test_absurd_region(tmp_path, gray, read, region, delta):
    path = save_dicom(tmp_path / "a.dcm", gray, regions=[region(PhysicalDeltaX=delta)])
    with pytest.raises(
        ScanError, match=r"^a\.dcm: its region's spacing is \S+ mm per pixel; between 0\.005 and 2"
    ):
        read(path)
    assert read(path, spacing_mm=0.1).spacing_source == "argument"


@pytest.mark.parametrize("spacing", [[0, 0], [0.2, -0.2], [25.4, 25.4]])
def test_absurd_pixel_spacing(tmp_path, gray, read, spacing):
    path = save_dicom(tmp_path / "a.dcm", gray, PixelSpacing=spacing)
    with pytest.raises(
        ScanError, match=r"^a\.dcm: its PixelSpacing is \S+ mm per pixel; between 0\.005 and 2"
    ):
        read(path)


# Real files


def test_real_calipers_measure_what_they_show(read):
    scan = read(SAMPLES / "OBXXXX1A_rle.dcm")
    crosses = np.array([(290.5, 459.5), (301.5, 498.5)])
    length_mm = np.linalg.norm(np.subtract(*crosses) * scan.spacing_mm)
    assert length_mm == pytest.approx(10.6, abs=0.1)
    assert scan.spacing_at(290.5, 459.5) == (scan.spacing_mm, "dicom_region")


def test_real_file_that_was_made_smaller_has_no_spacing(read):
    sources, _ = find_scans(SAMPLES / "examples_ybr_color.dcm")
    assert len(sources) == 30
    scan = read_scan(sources[29])
    assert scan.spacing_mm is None and "region_outside_image" in scan.flags
    assert scan.image.shape == (240, 320)


@pytest.mark.parametrize(
    ("name", "frames", "shape", "spacing_mm"),
    [
        ("OBXXXX1A_rle.dcm", 1, (600, 800), 0.262287876),
        ("OBXXXX1A_rle_2frame.dcm", 2, (600, 800), 0.262287876),
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", 1, (768, 1024), 0.254766965),
        ("examples_ybr_color.dcm", 30, (240, 320), None),
    ],
)
def test_real_files_have_the_spacing_of_their_region_or_none(name, frames, shape, spacing_mm):
    sources, _ = find_scans(SAMPLES / name)
    assert len(sources) == frames
    for source in (sources[0], sources[-1]):
        scan = read_scan(source)
        assert scan.image.shape == shape and scan.image.std() > 10
        assert scan.spacing_mm == (None if spacing_mm is None else pytest.approx((spacing_mm,) * 2, rel=1e-6))
        assert scan.spacing_source == ("none" if spacing_mm is None else "dicom_region")
