"""Made pictures of trunk, thigh, cervix and others: their sizes, and that a seed repeats them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import RandomState

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.plane import PLANES
from fetal_monai.synthesis.ultrasound_body import BODY_PLANES, draw_body
from fetal_monai.synthesis.ultrasound_body_parts import abdominal_circumference_mm, femur_length_mm
from fetal_monai.synthesis.ultrasound_planes import SYNTHETIC_PLANES, synthesise_plane
from fetal_monai.synthesis.ultrasound_shapes import TISSUES
from fetal_monai.synthesis.ultrasound_transplant import beside, transplant

SHAPE = (108, 160)


def test_sizes_by_age():
    """INTERGROWTH-21st at 20 weeks, worked out by hand."""
    assert abdominal_circumference_mm(20) == pytest.approx(147.72, abs=0.01)
    assert femur_length_mm(20) == pytest.approx(31.29, abs=0.01)


def test_there_is_a_picture_for_every_plane():
    assert set(SYNTHETIC_PLANES) == set(PLANES)
    with pytest.raises(ValueError, match="no plane 'hand'; there are abdomen"):
        draw_body(RandomState(0), "hand", 20)


@pytest.mark.parametrize("plane", SYNTHETIC_PLANES)
def test_a_seed_repeats_it(plane: str):
    first, again, other = (synthesise_plane(RandomState(seed), plane, shape=SHAPE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == SHAPE and first.image.dtype == np.float32
    assert first.image.min() >= 0 and 0.2 < first.image.max() <= 1
    assert (first.image[~first.sector] == 0).all()
    assert first.plane == plane and 16 <= first.ga_weeks <= 38
    row, column = first.ellipse.center
    assert 0 <= row < SHAPE[0] and 0 <= column < SHAPE[1]


@pytest.mark.parametrize(("plane", "measure"), [("abdomen", "ac_mm"), ("thorax", "tc_mm")])
def test_a_trunk_is_as_large_as_it_says(plane: str, measure: str):
    for seed in range(3):
        made = synthesise_plane(RandomState(seed), plane, 28, SHAPE)
        assert made.ellipse.perimeter * made.pixel_mm == pytest.approx(made.measures[measure], rel=1e-6)
        mean = abdominal_circumference_mm(28) * (1 if plane == "abdomen" else 0.9)
        assert abs(made.measures[measure] / mean - 1) <= 0.1


def test_a_shaft_is_as_long_as_it_says():
    v, u = np.meshgrid(np.arange(-60, 60, 0.25), np.arange(-80, 80, 0.25), indexing="ij")
    for seed in range(5):
        body = draw_body(RandomState(seed), "femur", 25)
        length = body.measures["fl_mm"]
        bone = body.tissues(u.astype(np.float32), v.astype(np.float32)) == TISSUES["skull"]
        row = round(float(np.mean(np.nonzero(bone[:, np.abs(u[0]) < 2])[0])))
        across = u[0][bone[row - 4 : row + 5].any(axis=0) & (np.abs(u[0]) < 0.56 * length)]
        assert np.ptp(across) == pytest.approx(length, rel=0.12)


def test_a_cervix_fills_the_picture_and_a_trunk_does_not():
    assert draw_body(RandomState(0), "cervix", 25).fills
    assert not any(draw_body(RandomState(0), plane, 25).fills for plane in BODY_PLANES if plane != "cervix")


HEAD = Ellipse((54.0, 90.0), (40.0, 30.0), math.radians(20))


def scene(level: float = 0.5) -> np.ndarray:
    """Gray, with a white head."""
    return np.where(HEAD.mask(SHAPE), 1.0, level).astype(np.float32)


def test_beside_shows_no_head():
    shown = beside(scene(), HEAD)
    assert shown is not None and shown.shape == SHAPE
    assert shown.max() == pytest.approx(0.5, abs=0.02)
    part = beside(scene(), HEAD, RandomState(0))
    assert part is not None and part.max() == pytest.approx(0.5, abs=0.02)
    assert beside(scene(), Ellipse((54.0, 80.0), (79.0, 53.0), 0.0)) is None  # no room
    assert beside(scene(0.0), HEAD) is None  # nothing to see


@pytest.mark.parametrize("stretched", [True, False])
def test_what_is_put_in_takes_the_place_of_the_head(stretched: bool):
    made = np.full(SHAPE, 0.3, np.float32)
    made[::2] = 0.2
    real = np.float32(0.6) * scene()
    before = real.copy()
    out = transplant(made, Ellipse((50.0, 70.0), (44.0, 36.0), -0.4), real, HEAD, RandomState(0), stretched)
    np.testing.assert_array_equal(real, before)
    far = np.hypot(*(np.indices(SHAPE) - np.array(HEAD.center)[:, None, None])) > (48 if stretched else 70)
    np.testing.assert_array_equal(out[far], real[far])
    inside = Ellipse(HEAD.center, (34.0, 25.0), HEAD.angle).mask(SHAPE)
    assert 0 < out[inside].std() < 0.1  # the lines,
    assert 0.85 * 0.6 < out[inside].mean() < 1.2 * 0.6  # as bright as the head was


def test_without_a_head_it_comes_to_any_place():
    made = synthesise_plane(RandomState(0), "femur", 25, SHAPE)
    dim = np.full(SHAPE, 0.25, np.float32)
    first, other = (transplant(made.image, made.ellipse, dim, None, RandomState(seed)) for seed in (0, 1))
    assert first.max() > 0.3 and not np.array_equal(first, other)
    assert (first == np.float32(0.25)).mean() > 0.3
