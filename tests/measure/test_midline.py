"""The falx as a bright line near the head's axis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from fetal_monai.measure.midline import WITHIN, find_midline

SHAPE, CENTER = (300, 400), (150.0, 200.0)


def head_with_line(angle_deg: float, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Speckle with a bright line through the middle that is turned and shifted across."""
    angle = math.radians(angle_deg)
    row, column = np.indices(SHAPE)
    across = (row - CENTER[0]) * math.cos(angle) - (column - CENTER[1]) * math.sin(angle) - shift
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).uniform(0, 60, SHAPE), 1)
    return noise + 150 * np.exp(-((across / 2) ** 2) / 2)


@pytest.mark.parametrize(
    ("axis_deg", "off_deg", "shift"), [(0, 4, 0), (0, -5, 6), (25, 3, -8), (-60, -4, 5), (88, 5, 0)]
)
def test_is_found_beside_the_axis(axis_deg, off_deg, shift):
    found = find_midline(head_with_line(axis_deg + off_deg, shift), CENTER, math.radians(axis_deg), 260, 200)
    assert math.degrees(found.angle) == pytest.approx(axis_deg + off_deg, abs=1)
    true = math.radians(axis_deg + off_deg)
    off_center = np.array(found.center) - CENTER
    assert off_center @ [math.cos(true), -math.sin(true)] == pytest.approx(shift, abs=2.5)
    assert found.contrast > 0.1


def test_a_round_head_has_no_axis_to_rely_on():
    found = find_midline(head_with_line(22), CENTER, 0.0, 200, 195)
    assert math.degrees(found.angle) == pytest.approx(22, abs=1.5)


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.full(SHAPE, 90.0)])
def test_is_the_axis_where_nothing_is_seen(image):
    found = find_midline(image, CENTER, 0.3, 260, 200)
    assert (found.center, found.angle, found.length) == (CENTER, 0.3, WITHIN * 260)
    assert found.contrast < 0.01


def test_ends_lie_on_the_line():
    ends = find_midline(np.zeros(SHAPE), CENTER, math.pi / 2, 100, 80).ends
    np.testing.assert_allclose(ends, [[150 - 47.5, 200], [150 + 47.5, 200]])


def test_input_stays_as_it_is():
    image = head_with_line(3)
    before = image.copy()
    find_midline(image, CENTER, 0.0, 260, 200)
    np.testing.assert_array_equal(image, before)
