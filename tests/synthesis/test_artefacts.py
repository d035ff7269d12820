from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from fetal_monai.synthesis.artefacts import acoustic_shadow, burned_in_marks, depth_gain, speckle

SHAPE = (120, 180)
GRAY = np.full(SHAPE, 0.5, np.float32)
ALL = [speckle, acoustic_shadow, depth_gain, burned_in_marks]


@pytest.mark.parametrize("artefact", ALL)
def test_seeds_repeat_and_the_image_is_left_alone(artefact):
    image = RandomState(0).uniform(0, 1, SHAPE).astype(np.float32)
    before = image.copy()
    first, again, other = (artefact(image, RandomState(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("artefact", ALL)
def test_any_seed_keeps_shape_type_and_range(artefact):
    image = RandomState(1).uniform(0, 1, (50, 70)).astype(np.float32)
    for seed in range(25):
        out = artefact(image, RandomState(seed))
        assert out.shape == image.shape
        assert out.dtype == np.float32
        assert 0 <= out.min() <= out.max() <= 1


@pytest.mark.parametrize("size_px", [0.0, 1.5])
def test_speckle_has_the_strength_and_grain_asked_for(size_px):
    factor = speckle(GRAY, RandomState(0), strength=0.1, size_px=size_px) / 0.5
    assert factor.mean() == pytest.approx(1, abs=0.01)
    assert factor.std() == pytest.approx(0.1, rel=0.05)
    neighbours = np.corrcoef(factor[:, :-1].ravel(), factor[:, 1:].ravel())[0, 1]
    # a Gaussian of sigma s correlates neighbours by exp(-1 / 4 s^2)
    assert neighbours == pytest.approx(np.exp(-1 / (4 * size_px**2)) if size_px else 0, abs=0.03)


def test_speckle_leaves_black_black():
    assert speckle(np.zeros(SHAPE, np.float32), RandomState(0), strength=1.0).max() == 0


def test_shadow_starts_at_its_depth_and_darkens_along_a_wedge():
    out = acoustic_shadow(GRAY, RandomState(6), width_deg=10, depth=0.5, darkness=0.9)
    assert np.array_equal(out[:60], GRAY[:60])
    low = out[-1]
    assert low.min() == pytest.approx(0.05, abs=0.003)  # a tenth is left on the axis
    assert low.max() == pytest.approx(0.5, abs=0.01)
    assert (out[-1] < 0.27).sum() > (out[80] < 0.27).sum() > 5  # it opens away from the probe


def test_shadow_of_no_darkness_is_none():
    assert np.array_equal(acoustic_shadow(GRAY, RandomState(0), darkness=0.0), GRAY)


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.8])
def test_gain_keeps_within_its_strength_and_is_smooth(strength):
    gains = [depth_gain(GRAY, RandomState(seed), strength) / 0.5 for seed in range(10)]
    assert min(gain.min() for gain in gains) >= 1 / (1 + strength) - 1e-6
    assert max(gain.max() for gain in gains) <= 1 + strength + 1e-6
    assert max(np.abs(np.diff(gain, axis=0)).max() for gain in gains) <= 0.08 * strength
    if strength:
        assert min(np.ptp(gain) for gain in gains) > 0.05


def test_marks_by_number():
    # what is not marked stays, but for the 256 gray values
    assert burned_in_marks(GRAY, RandomState(0), count=0) == pytest.approx(GRAY, abs=1 / 255)
    changed = [
        np.mean(np.abs(burned_in_marks(GRAY, RandomState(seed), count) - GRAY) > 0.01)
        for count in (1, 8)
        for seed in range(20)
    ]
    assert 0 < np.mean(changed[:20]) < np.mean(changed[20:]) < 0.3


def test_marks_are_bright_or_black():
    out = np.concatenate([burned_in_marks(GRAY, RandomState(seed), count=6).ravel() for seed in range(30)])
    assert (out > 0.9).any()
    assert (out == 0).any()
