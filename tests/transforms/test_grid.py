from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_monai.transforms.grid import network_grid

quick = settings(max_examples=60, deadline=None)
shapes = st.tuples(st.integers(32, 2500), st.integers(32, 2500))
spacings = st.one_of(st.none(), st.tuples(st.floats(0.02, 1), st.floats(0.02, 1)))


def test_hc18_by_hand():
    # sqrt(54500 / (540 * 800)) = 0.35518: 191.8 rows and 284.1 columns, padded to the next multiples of 16
    grid = network_grid((540, 800), pixels=54500)
    assert grid.content == (191, 284)
    assert grid.shape == (192, 288)
    assert grid.offset == (0, 2)
    assert grid.scale == pytest.approx((191 / 540, 284 / 800))


def test_a_picture_of_the_right_size_stays_as_it_is():
    grid = network_grid((192, 384), pixels=73728)
    assert grid.shape == grid.content == (192, 384)
    assert grid.offset == (0, 0)
    assert grid.scale == (1, 1)
    points = np.array([[3.25, 7.5], [191.0, 0.0]])
    assert np.array_equal(grid.to_input(points), points)


def test_corners_lie_on_corners():
    grid = network_grid((300, 200), padded=(64, 96))
    assert grid.content == (64, 42)
    assert grid.offset == (0, 27)
    corners = np.array([[-0.5, -0.5], [299.5, 199.5]])
    assert grid.from_input(corners) == pytest.approx(np.array([[-0.5, 26.5], [63.5, 68.5]]))


@quick
@given(shapes, spacings, st.floats(-100, 3000), st.floats(-100, 3000))
def test_there_and_back(shape, spacing_mm, row, column):
    grid = network_grid(shape, spacing_mm)
    points = np.array([[row, column]])
    assert grid.to_input(grid.from_input(points)) == pytest.approx(points, abs=1e-6)
    assert grid.from_input(grid.to_input(points)) == pytest.approx(points, abs=1e-6)


@quick
@given(shapes, spacings, st.sampled_from([16, 32]))
def test_sides_are_multiples_and_the_size_is_as_asked(shape, spacing_mm, divisor):
    grid = network_grid(shape, spacing_mm, pixels=20000, divisor=divisor)
    for full, content, offset in zip(grid.shape, grid.content, grid.offset, strict=True):
        assert full % divisor == 0
        assert 0 <= full - content < divisor
        assert offset == (full - content) // 2
    assert np.prod(grid.content) <= 20000 * (1 + 1e-4)


@quick
@given(shapes)
def test_even_spacing_changes_nothing(shape):
    assert network_grid(shape, (0.13, 0.13)) == network_grid(shape)


@pytest.mark.parametrize("spacing_mm", [(0.2, 0.1), (0.1, 0.3)])
def test_uneven_spacing_becomes_square(spacing_mm):
    grid = network_grid((400, 500), spacing_mm)
    row_mm, column_mm = (mm / scale for mm, scale in zip(spacing_mm, grid.scale, strict=True))
    assert row_mm == pytest.approx(column_mm, rel=0.01)  # as near as whole pixels allow
    assert grid.content[0] / grid.content[1] == pytest.approx(
        400 * spacing_mm[0] / (500 * spacing_mm[1]), rel=0.01
    )


@quick
@given(shapes, spacings)
def test_a_training_picture_fits_whatever_its_shape(shape, spacing_mm):
    grid = network_grid(shape, spacing_mm, padded=(64, 96))
    assert grid.shape == (64, 96)
    assert grid.content[0] == 64 or grid.content[1] == 96
    assert all(1 <= content <= full for content, full in zip(grid.content, grid.shape, strict=True))


def test_crop_takes_the_picture_of_any_stack():
    grid = network_grid((540, 800), pixels=54500)
    stack = np.arange(2 * 192 * 288).reshape(2, 192, 288)
    assert np.array_equal(grid.crop(stack), stack[:, 0:191, 2:286])
