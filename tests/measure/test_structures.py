"""Boxes and axes of structures by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.midline import Midline
from fetal_monai.measure.structures import (
    Structure,
    bounding_box,
    box_points,
    ellipse_points,
    midline_points,
    rectangle_points,
)


def test_box_of_points_and_back():
    assert bounding_box([[3, 5], [1, 9], [2, 6]]).tolist() == [1, 5, 2, 4]
    assert box_points([1, 5, 2, 4]).tolist() == [[1, 5], [3, 5], [3, 9], [1, 9]]
    np.testing.assert_array_equal(bounding_box(box_points([1, 5, 2, 4])), [1, 5, 2, 4])


@pytest.mark.parametrize("angle_deg", [0, 10, 45, 80, -30, -89])
def test_sides_of_a_turned_rectangle(angle_deg):
    corners = rectangle_points((40, 30), math.radians(angle_deg), 20, 8)
    angle, long, short = Structure("lateral_ventricle", corners).axes()
    assert math.degrees(angle) == pytest.approx(angle_deg)
    assert (long, short) == (pytest.approx(20), pytest.approx(8))


@pytest.mark.parametrize("angle_deg", [0, 20, -70])
def test_axes_of_an_ellipse(angle_deg):
    points = ellipse_points(Ellipse((50.0, 60.0), (30.0, 20.0), math.radians(angle_deg)))
    angle, long, short = Structure("head", points).axes()
    assert math.degrees(angle) == pytest.approx(angle_deg)
    assert (long, short) == (pytest.approx(60), pytest.approx(40))


def test_an_ellipse_counts_from_pixel_centres():
    """Its centre is that of the pixel in row 50 and column 60, which reaches from 60 to 61 in x."""
    x, y, width, height = bounding_box(ellipse_points(Ellipse((50.0, 60.0), (30.0, 20.0), 0.0)))
    assert (x, y, width, height) == pytest.approx((30.5, 30.5, 60, 40))


def test_box_round_a_midline():
    corners = midline_points(Midline((49.5, 99.5), 0.0, 120.0, 0.1), 100.0)
    np.testing.assert_allclose(bounding_box(corners), [40, 47, 120, 6])
