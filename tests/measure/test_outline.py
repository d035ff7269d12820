from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fetal_monai.measure.ellipse import (
    Ellipse,
    border_points,
    fit_ellipse,
    outline_from_mask,
    outline_from_probability,
)

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "hc18"
quick = settings(max_examples=20, deadline=None, derandomize=True)
heads = st.builds(
    lambda row, column, major, flatness, angle: Ellipse((row, column), (major, major * flatness), angle),
    st.floats(60, 68),
    st.floats(70, 80),
    st.floats(25, 55),
    st.floats(0.6, 0.98),
    st.floats(-1.5, 1.5),
)


def drawn(ellipse: Ellipse, shape: tuple[int, int], width: float) -> np.ndarray:
    pixels = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
    return (np.abs(ellipse.distance(pixels)) <= width / 2).reshape(shape)


def enclosed_area(outline: np.ndarray) -> float:
    row, column = outline.T
    return abs(float(np.dot(row, np.roll(column, 1)) - np.dot(column, np.roll(row, 1)))) / 2


def test_contour_between_two_pixels():
    probability = np.zeros((5, 5))
    probability[2, 2] = 1
    assert sorted(map(tuple, outline_from_probability(probability))) == [
        (1.5, 2),
        (2, 1.5),
        (2, 2.5),
        (2.5, 2),
    ]
    # at 0.25 it lies three quarters of the way out
    assert sorted(map(tuple, outline_from_probability(probability, level=0.25))) == [
        (1.25, 2),
        (2, 1.25),
        (2, 2.75),
        (2.75, 2),
    ]


def test_nothing_above_the_level():
    assert outline_from_probability(np.zeros((20, 20))) is None
    assert outline_from_probability(np.full((20, 20), 0.5)) is None
    assert outline_from_probability(np.full((20, 20), np.nan)) is None
    assert outline_from_mask(np.zeros((20, 20), bool)) is None
    assert outline_from_mask(np.zeros((20, 20), np.uint8)) is None
    assert outline_from_mask(np.full((20, 20), -3)) is None
    assert outline_from_mask(np.full((20, 20), np.nan)) is None
    for function in (outline_from_probability, outline_from_mask):
        with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
            function(np.zeros((2, 3, 4)))


@quick
@given(heads)
def test_a_soft_mask_gives_back_its_ellipse(ellipse):
    probability = ellipse.soft_mask((130, 150))
    before = probability.copy()
    fit = fit_ellipse(outline_from_probability(probability))
    assert (probability == before).all()
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=1e-3)
    assert fit.ellipse.center == pytest.approx(ellipse.center, abs=0.02)


@quick
@given(heads, st.sampled_from([bool, np.uint8, np.float32]), st.sampled_from([1, 255]))
def test_a_filled_mask_gives_back_its_ellipse(ellipse, dtype, value):
    mask = (ellipse.mask((130, 150)) * value).astype(dtype)
    fit = fit_ellipse(outline_from_mask(mask))
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, abs=1.5)
    assert fit.ellipse.center == pytest.approx(ellipse.center, abs=0.3)


@quick
@given(heads, st.sampled_from([1.2, 2, 3, 5]))
def test_a_drawn_line_gives_its_centre(ellipse, width):
    outline = outline_from_mask(drawn(ellipse, (130, 150), width))
    assert np.abs(ellipse.distance(outline)).max() < 1.2
    fit = fit_ellipse(outline)
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, abs=0.8)


@pytest.mark.parametrize("width", [1.2, 3, 6])
def test_a_drawn_line_with_gaps(width):
    ellipse = Ellipse((64, 75), (50, 38), 0.4)
    line = drawn(ellipse, (130, 150), width)
    angle = np.arctan2(*(np.indices(line.shape) - np.reshape(ellipse.center, (2, 1, 1))))
    line &= ~((np.abs(angle) < 0.3) | (np.abs(angle - 2) < 0.2))
    fit = fit_ellipse(outline_from_mask(line))
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=3e-3)
    assert fit.arc_coverage < 0.95


@pytest.mark.parametrize("row", [15, 8])
def test_a_drawn_line_that_leaves_the_picture(row):
    ellipse = Ellipse((row, 75), (50, 38), 0.2)
    fit = fit_ellipse(outline_from_mask(drawn(ellipse, (130, 150), 2)))
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=5e-3)


def test_a_thick_ring_in_a_large_picture_is_a_line():
    ellipse = Ellipse((200, 250), (180, 150), 0.4)
    outline = outline_from_mask(drawn(ellipse, (400, 500), 16))
    assert np.abs(ellipse.distance(outline)).max() < 2


def test_values_that_are_no_numbers_count_as_outside():
    probability = Ellipse((64, 75), (50, 38), 0.4).soft_mask((130, 150))
    outline = outline_from_probability(probability)
    probability[probability == 0] = np.nan
    assert outline_from_probability(probability) == pytest.approx(outline)
    probability[60:70, 70:80] = np.nan
    assert outline_from_probability(probability) == pytest.approx(outline)
    assert len(outline_from_mask(probability)) == pytest.approx(len(outline), rel=0.05)


def test_holes_are_filled_and_other_blobs_left_out():
    ellipse = Ellipse((64, 90), (50, 38), 0.4)
    head = ellipse.soft_mask((130, 150))
    clean = outline_from_probability(head)
    head[60:70, 85:95] = 0.1
    head[2:30, 2:20] = 0.9
    head[125, 40] = 1
    assert outline_from_probability(head) == pytest.approx(clean)


def test_a_blob_that_touches_at_a_corner_does_not_bend_the_contour():
    probability = np.zeros((12, 12))
    probability[2:8, 2:8] = 1
    probability[8:10, 8:10] = 1
    outline = outline_from_probability(probability)
    assert outline.max() == 7.5
    assert enclosed_area(outline) == pytest.approx(36 - 4 / 8)


def test_a_head_cut_by_the_border_has_a_closed_outline():
    ellipse = Ellipse((20, 75), (50, 38), 0)
    probability = ellipse.soft_mask((130, 150))
    outline = outline_from_probability(probability)
    assert outline[:, 0].min() == -0.5
    assert enclosed_area(outline) == pytest.approx(probability.sum(), rel=0.01)
    at_border = border_points(outline, (130, 150))
    assert 0.1 < at_border.mean() < 0.4
    fit = fit_ellipse(outline[~at_border])
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=2e-3)
    assert fit.arc_coverage < 0.85


def test_a_mask_that_fills_the_picture():
    outline = outline_from_mask(np.ones((40, 60), bool))
    assert outline.min(axis=0).tolist() == [-0.5, -0.5]
    assert outline.max(axis=0).tolist() == [39.5, 59.5]
    assert border_points(outline, (40, 60)).all()


def test_border_points_by_hand():
    points = [[-0.5, 5], [0.4, 5], [0.6, 5], [5, 8.6], [5, 8.4], [19.5, 5], [5, 5]]
    assert border_points(points, (20, 10)).tolist() == [True, True, False, True, False, True, False]
    assert border_points(points, (20, 10), margin=2).tolist() == [True, True, True, True, True, True, False]
    assert border_points(np.empty((0, 2)), (20, 10)).shape == (0,)


def test_a_flipped_or_turned_map_gives_the_flipped_or_turned_head():
    ellipse = Ellipse((64, 90), (50, 38), 0.4)
    probability = ellipse.soft_mask((130, 150))
    rng = np.random.default_rng(0)
    probability = np.clip(probability + rng.normal(0, 0.05, probability.shape), 0, 1)
    first = fit_ellipse(outline_from_probability(probability))
    for other in (probability[::-1], probability[:, ::-1], probability.T, np.rot90(probability)):
        second = fit_ellipse(outline_from_probability(other))
        assert first is not None and second is not None
        assert second.ellipse.perimeter == pytest.approx(first.ellipse.perimeter, rel=2e-4)


def test_a_tiny_region():
    mask = np.zeros((50, 50), bool)
    mask[20:23, 30:34] = True
    fit = fit_ellipse(outline_from_mask(mask))
    assert fit is not None
    assert fit.ellipse.center == pytest.approx((21, 31.5), abs=0.05)
    mask[:] = False
    mask[20, 30] = True
    assert len(outline_from_mask(mask)) == 4
    assert fit_ellipse(outline_from_mask(mask)) is None


def test_a_quarter_turn_of_a_drawn_line():
    line = drawn(Ellipse((64, 75), (50, 38), 0.4), (130, 150), 2)
    first, second = fit_ellipse(outline_from_mask(line)), fit_ellipse(outline_from_mask(np.rot90(line)))
    assert first is not None and second is not None
    assert second.ellipse.perimeter == pytest.approx(first.ellipse.perimeter, rel=2e-4)
    turned = abs(first.ellipse.angle - second.ellipse.angle)
    assert turned == pytest.approx(math.pi / 2, abs=2e-3)


@pytest.mark.parametrize("annotation", sorted(SAMPLES.glob("*_Annotation.png")), ids=lambda path: path.stem)
def test_outlines_drawn_by_hand_give_the_published_circumference(annotation):
    image = np.asarray(Image.open(annotation))
    with open(SAMPLES / "pixel_size_and_HC.csv", newline="", encoding="utf-8") as table:
        rows = {row["filename"]: row for row in csv.DictReader(table)}
    row = rows[annotation.name.replace("_Annotation", "")]
    fit = fit_ellipse(outline_from_mask(image) * float(row["pixel size(mm)"]))
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(float(row["head circumference (mm)"]), abs=0.1)


def test_there_are_samples():
    assert len(list(SAMPLES.glob("*_Annotation.png"))) >= 3
