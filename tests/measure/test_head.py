from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from heads import picture_of, probability_of

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.growth import centile, ga_weeks_hadlock
from fetal_monai.measure.head import HeadMeasurement, insonated_hull, measure_head
from fetal_monai.measure.head_outline import find_outline, fit_outline
from fetal_monai.measure.interval import Calibration
from fetal_monai.scan import Region, Scan, ScanSource

SHAPE = (270, 400)
HEAD = Ellipse((135, 200), (110, 86), 0.35)
SCALE = (0.5, 0.5)


def on_grid(ellipse: Ellipse, scale: tuple[float, float]) -> Ellipse:
    """An ellipse of the picture on a grid of `scale` grid pixels per pixel."""
    scaled = ellipse.scaled(scale)
    row, column = ((c + 0.5) * s - 0.5 for c, s in zip(ellipse.center, scale, strict=True))
    return Ellipse((row, column), scaled.semi_axes, scaled.angle)


def seen_by_network(ellipse: Ellipse, scale: tuple[float, float] = SCALE) -> np.ndarray:
    shape = (round(SHAPE[0] * scale[0]), round(SHAPE[1] * scale[1]))
    return probability_of(on_grid(ellipse, scale), shape)


def measured(
    ellipse: Ellipse, spacing_mm: tuple[float, float] | None = (0.2, 0.2), **options: object
) -> HeadMeasurement:
    scale = options.pop("scale", SCALE)
    picture = options.pop("picture", picture_of(ellipse, SHAPE))
    source = "none" if spacing_mm is None else "csv"
    return measure_head(
        seen_by_network(ellipse, scale), picture, scale, lambda row, column: (spacing_mm, source), **options
    )


def test_a_blurred_ellipse_is_measured_below_a_pixel():
    found = measured(HEAD)
    assert found.measures["hc_mm"] == pytest.approx(0.2 * HEAD.perimeter, rel=2e-3)
    assert found.measures["bpd_mm"] == pytest.approx(0.2 * 2 * 86, rel=3e-3)
    assert found.measures["ofd_mm"] == pytest.approx(0.2 * 2 * 110, rel=3e-3)
    assert found.measures["cephalic_index"] == pytest.approx(100 * 86 / 110, rel=3e-3)
    assert found.measures["ga_weeks_hadlock"] == pytest.approx(ga_weeks_hadlock(found.measures["hc_mm"]))
    assert found.measures["residual_mm"] < 0.02
    assert found.flags == []
    assert (found.spacing_mm, found.spacing_source) == ((0.2, 0.2), "csv")
    assert found.ellipse is not None
    assert found.ellipse.center == pytest.approx(HEAD.center, abs=0.05)
    assert found.mask.shape == SHAPE
    assert found.mask.sum() == pytest.approx(HEAD.area, rel=5e-3)
    assert np.abs(HEAD.distance(found.outline)).max() < 0.5
    assert found.extra["difficulty"]["unseen"] == 0


@pytest.mark.parametrize("blur_px", [0.5, 1.0, 4.0])
def test_the_blur_moves_nothing(blur_px):
    probability = probability_of(on_grid(HEAD, SCALE), (135, 200), blur_px)
    fit = fit_outline(find_outline(probability), (2.0, 2.0))
    assert fit.ellipse.perimeter == pytest.approx(HEAD.perimeter, rel=2e-3)


@pytest.mark.parametrize("spacing_mm", [(0.3, 0.15), (0.1, 0.22)])
@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.6, 0.3)])
def test_uneven_spacing(spacing_mm, scale):
    found = measured(HEAD, spacing_mm, scale=scale)
    truth = HEAD.scaled(spacing_mm)
    assert found.measures["hc_mm"] == pytest.approx(truth.perimeter, rel=2e-3)
    assert found.measures["ofd_mm"] == pytest.approx(2 * truth.semi_axes[0], rel=4e-3)
    assert found.measures["head_area_mm2"] == pytest.approx(truth.area, rel=4e-3)


def test_without_spacing_only_pixels_and_ratios():
    found = measured(HEAD, None)
    assert found.measures["hc_px"] == pytest.approx(HEAD.perimeter, rel=2e-3)
    assert found.measures["bpd_px"] == pytest.approx(172, rel=3e-3)
    assert found.measures["cephalic_index"] == pytest.approx(78.2, abs=0.3)
    lengths = ("hc_mm", "hc_mm_low", "bpd_mm", "ofd_mm", "ga_weeks_hadlock", "hc_centile")
    assert all(math.isnan(found.measures[name]) for name in lengths)
    assert (found.spacing_mm, found.spacing_source) == (None, "none")
    assert found.flags == []


@pytest.mark.parametrize(
    "center", [(75, 200), (135, 70), (200, 200)], ids=["cut at the top", "at the left", "at the bottom"]
)
def test_a_head_cut_by_the_picture(center):
    cut = Ellipse(center, (110, 86), 0.0)
    found = measured(cut)
    assert "head_cut_off" in found.flags
    assert found.measures["hc_mm"] == pytest.approx(0.2 * cut.perimeter, rel=0.03)
    assert found.extra["difficulty"]["unseen"] > 0.1
    assert found.extra["outside_fraction"] > 0.1
    assert found.mask.shape == SHAPE


def test_no_head():
    for probability in (
        np.zeros((135, 200)),
        np.full((135, 200), np.nan),
        seen_by_network(Ellipse((50, 50), (5, 5), 0)),
    ):
        found = measure_head(
            probability.astype(np.float32),
            picture_of(HEAD, SHAPE),
            SCALE,
            lambda row, column: ((0.2, 0.2), "csv"),
        )
        assert found.flags == ["no_head"]
        assert all(math.isnan(value) for value in found.measures.values())
        assert found.mask.shape == SHAPE
        assert not found.mask.any()
        assert found.outline is None
        assert found.ellipse is None
        assert found.spacing_mm == (0.2, 0.2)


def test_the_larger_of_two_regions_counts():
    large, small = Ellipse((130, 120), (100, 78), 0.1), Ellipse((130, 330), (50, 40), 0.1)
    both = np.maximum(seen_by_network(large), seen_by_network(small))
    found = measure_head(both, picture_of(large, SHAPE), SCALE, lambda row, column: ((0.2, 0.2), "csv"))
    assert found.measures["hc_mm"] == pytest.approx(0.2 * large.perimeter, rel=2e-3)
    assert found.mask[130, 120]
    assert not found.mask[130, 330]
    assert found.flags == ["several_regions"]  # a quarter of the larger one's area


def test_a_speck_beside_the_head_is_no_second_one():
    both = np.maximum(seen_by_network(HEAD), seen_by_network(Ellipse((30, 30), (20, 15), 0.0)))
    found = measure_head(both, picture_of(HEAD, SHAPE), SCALE, lambda row, column: ((0.2, 0.2), "csv"))
    assert found.flags == []
    assert found.measures["hc_mm"] == pytest.approx(0.2 * HEAD.perimeter, rel=2e-3)


def test_a_hole_does_not_matter():
    probability = seen_by_network(HEAD)
    probability[60:75, 90:110] = 0.1
    outline = find_outline(probability)
    assert fit_outline(outline).ellipse.perimeter == pytest.approx(HEAD.perimeter / 2, rel=2e-3)


def test_spacing_is_that_of_the_region_with_the_head():
    regions = (Region(0, 269, 0, 199, (0.1, 0.1)), Region(0, 269, 200, 399, (0.2, 0.3)))
    for head, spacing_mm in (
        (Ellipse((135, 98), (88, 70), 1.5), (0.1, 0.1)),
        (Ellipse((135, 300), (88, 70), 1.5), (0.2, 0.3)),
    ):
        picture = picture_of(head, SHAPE)
        scan = Scan(ScanSource(Path("a.dcm"), "a.dcm", "a"), picture, None, "dicom_region", regions)
        found = measure_head(seen_by_network(head), picture, SCALE, scan.spacing_at)
        assert (found.spacing_mm, found.spacing_source) == (spacing_mm, "dicom_region")
        assert found.measures["hc_mm"] == pytest.approx(head.scaled(spacing_mm).perimeter, rel=2e-3)


def test_centile_where_the_age_is_known():
    found = measured(HEAD, (0.3, 0.3), ga_weeks=22)
    assert found.measures["ga_weeks"] == 22
    assert found.measures["hc_centile"] == pytest.approx(centile("hc_mm", found.measures["hc_mm"], 22))
    assert "ga_weeks" not in measured(HEAD).measures


def test_no_age_where_the_size_is_no_head_s():
    usual, huge = measured(HEAD, (0.3, 0.3)), measured(HEAD, (0.9, 0.9))
    assert usual.measures["ga_weeks_hadlock"] == ga_weeks_hadlock(usual.measures["hc_mm"])
    assert "hc_out_of_range" in huge.flags
    assert huge.measures["hc_mm"] == pytest.approx(3 * usual.measures["hc_mm"])
    assert math.isnan(huge.measures["ga_weeks_hadlock"])
    assert math.isnan(huge.measures["ga_weeks_intergrowth"])


def test_interval_by_hand():
    # half width 2 * (0.5 + 0.01 hc)
    calibration = Calibration(0.1, 2.0, 0.5, {"hc_mm": 0.01, "band_mm": 0.0}, 100, 50)
    measures = measured(HEAD, calibration=calibration).measures
    half = 2 * (0.5 + 0.01 * measures["hc_mm"])
    assert measures["hc_mm_high"] - measures["hc_mm"] == pytest.approx(half)
    assert measures["hc_mm"] - measures["hc_mm_low"] == pytest.approx(half)


def test_a_network_that_hesitates_is_harder():
    # the logistic falls from 0.75 to 0.25 over 2 ln 3 of its scale
    for blur_px in (1.0, 3.0):
        probability = probability_of(on_grid(HEAD, SCALE), (135, 200), blur_px)
        assert find_outline(probability).band == pytest.approx(2 * math.log(3) * blur_px, rel=0.08)
    # 2 grid pixels of blur are 4 of the picture, of 0.2 mm
    assert measured(HEAD).extra["difficulty"]["band_mm"] == pytest.approx(2 * math.log(3) * 4 * 0.2, rel=0.05)


def test_low_contrast():
    assert measured(HEAD, picture=picture_of(HEAD, SHAPE) // 8).flags == ["low_contrast"]


def sector(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A fan of 70 degrees from a probe above the middle, as wide as the picture."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / (shape[0] / SHAPE[0])
    distance, angle = np.hypot(rows + 30, columns - 200), np.arctan2(columns - 200, rows + 30)
    return (np.abs(angle) < np.deg2rad(35)) & (distance > 60) & (distance < 290)


def outside_hull(image: np.ndarray, points: list[tuple[float, float]]) -> list[bool]:
    hull = insonated_hull(image)
    return ((np.asarray(points) @ hull[:, :2].T + hull[:, 2]) > 2).any(axis=1).tolist()


def test_hull_of_a_sector():
    image = np.where(sector(), 90, 0).astype(np.uint8)
    inside = [(135, 200), (35, 200), (250, 200), (200, 330)]
    beyond = [(60, 60), (10, 350), (268, 20), (268, 380)]
    assert outside_hull(image, inside) == [False] * 4
    assert outside_hull(image, beyond) == [True] * 4
    marked = image.copy()
    marked[::20, 2:5] = 255  # a ruler
    marked[12:14, 300:390] = 255  # a line of text
    assert outside_hull(marked, inside + beyond) == [False] * 4 + [True] * 4


def test_hull_of_a_full_or_black_picture_is_all_of_it():
    corners = [(0, 0), (0, 399), (269, 0), (269, 399)]
    for image in (picture_of(HEAD, SHAPE), np.zeros(SHAPE, np.uint8)):
        assert outside_hull(image, corners) == [False] * 4
    assert outside_hull(np.zeros(SHAPE, np.uint8), [(-4, 100), (100, 404)]) == [True] * 2


@pytest.mark.parametrize("size", [1, 4], ids=["270 rows", "1080 rows"])
@pytest.mark.parametrize(
    ("head", "is_cut"),
    [(Ellipse((150, 200), (95, 74), 0.0), False), (Ellipse((140, 290), (95, 74), 0.3), True)],
    ids=["inside", "across its edge"],
)
def test_a_head_cut_by_the_sector_in_pictures_of_any_size(head, is_cut, size):
    shape = (SHAPE[0] * size, SHAPE[1] * size)
    large = on_grid(head, (size, size))
    picture = np.where(sector(shape), picture_of(large, shape), 0).astype(np.uint8)
    scale = (0.5 / size, 0.5 / size)
    found = measure_head(
        seen_by_network(head), picture, scale, lambda row, column: ((0.2 / size,) * 2, "csv")
    )
    assert ("head_cut_off" in found.flags) == is_cut
    assert found.measures["hc_mm"] == pytest.approx(0.2 * head.perimeter, rel=2e-3)
