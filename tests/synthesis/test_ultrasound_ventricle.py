from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import ndimage

from fetal_monai.measure.shape import Ellipse
from fetal_monai.measure.structures import Structure, rectangle_points
from fetal_monai.synthesis.ultrasound import synthesise_head
from fetal_monai.synthesis.ultrasound_ventricle import insert_ventricle, stretch_ventricle

HEAD = synthesise_head(RandomState(3), "trans_thalamic", ga_weeks=28, shape=(300, 440))
MAJOR, MINOR = HEAD.ellipse.directions
FLAT = Ellipse((100.0, 140.0), (100.0, 80.0), 0.0)  # major axis along the columns


def insert(width_mm: float, seed: int, toward=MINOR):
    return insert_ventricle(
        HEAD.image, HEAD.ellipse, width_mm, HEAD.pixel_mm, RandomState(seed), MAJOR, toward
    )


@pytest.mark.parametrize("width_mm", [7.0, 12.0, 18.0])
def test_the_box_is_as_wide_as_asked_and_dark(width_mm):
    for seed in range(6):
        picture, changed, corners = insert(width_mm, seed)
        assert np.array_equal(picture[~changed], HEAD.image[~changed])
        assert 0 <= picture.min() <= picture.max() <= 1
        angle, _, short = Structure("lateral_ventricle", corners).axes()
        # pixels lie within the outline, of which the skull's side may be cut off
        assert short * HEAD.pixel_mm == pytest.approx(width_mm, rel=0.12)
        assert abs(math.sin(angle - HEAD.ellipse.angle)) < 0.5
        x, y = corners.mean(axis=0)
        before, after = (ndimage.gaussian_filter(one, 4)[int(y), int(x)] for one in (HEAD.image, picture))
        assert after < max(before, 0.5 * HEAD.image[HEAD.labels > 0].mean())


def test_it_lies_on_the_side_asked_for_and_behind_the_middle():
    for seed in range(6):
        for toward in (MINOR, -MINOR):
            corners = insert(12.0, seed, toward)[2]
            off = corners.mean(axis=0)[::-1] - 0.5 - np.asarray(HEAD.ellipse.center)
            assert off @ toward > 0
            assert off @ MAJOR < 0


def test_looks_vary_and_a_seed_gives_the_same_again():
    (first, _, corners), (again, _, same), (other, _, _) = (insert(14.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.array_equal(corners, same)
    assert not np.array_equal(first, other)


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="does not fit"):
        insert(60.0, 0)
    with pytest.raises(ValueError, match="above 0"):
        insert(0.0, 0)
    with pytest.raises(ValueError, match="next to nothing"):
        insert_ventricle(
            HEAD.image[::8, ::8], Ellipse((18, 27), (20, 15), 0.0), 2.0, 3.0, RandomState(0), MAJOR, MINOR
        )


def test_a_drawn_ventricle_is_pulled_to_the_width_and_the_rest_stays():
    picture = np.full((200, 280), 0.6, np.float32)
    corners = rectangle_points((110.5, 140.5), 0.0, 50, 20)  # x 85.5 to 135.5, y 130.5 to 150.5
    picture[130:151, 85:136] = 0.1
    after, changed, box = stretch_ventricle(picture, FLAT, corners, 40.0)
    dark = np.flatnonzero(after[:, 110] < 0.35)
    assert len(dark) == pytest.approx(42, abs=1)  # 21 pixels, twice as wide
    assert dark[0] == pytest.approx(140 - 20.5, abs=1.5)  # there is room on both sides
    assert Structure("lateral_ventricle", box).axes()[2] == pytest.approx(40)
    assert np.array_equal(after[~changed], picture[~changed])
    assert not changed[:100].any()  # beyond the midline
    assert not changed[171:].any()  # 0.92 * 80 * sqrt(1 - (30 / 92)^2) = 69.6 below the middle is the skull


def test_near_the_skull_it_is_pulled_inwards():
    picture = np.full((200, 280), 0.6, np.float32)
    corners = rectangle_points((110.5, 155.5), 0.0, 50, 10)
    box = stretch_ventricle(picture, FLAT, corners, 40.0)[2]
    assert box[:, 1].mean() < 150
    assert Structure("lateral_ventricle", box).axes()[2] == pytest.approx(40)


@pytest.mark.parametrize("width_px", [20.0, 90.0])
def test_pulling_narrower_or_beyond_the_head_is_told(width_px):
    corners = rectangle_points((110.5, 140.5), 0.0, 50, 20)
    with pytest.raises(ValueError, match="can't be pulled"):
        stretch_ventricle(np.zeros((200, 280), np.float32), FLAT, corners, width_px)
