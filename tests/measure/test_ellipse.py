from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_monai.measure.ellipse import Ellipse, fit_ellipse

ellipses = st.builds(
    lambda row, column, major, flatness, angle: Ellipse((row, column), (major, major * flatness), angle),
    st.floats(-50, 600),
    st.floats(-50, 900),
    st.floats(15, 400),
    st.floats(0.45, 0.98),
    st.floats(-1.57, 1.57),
)
quick = settings(max_examples=25, deadline=None, derandomize=True)


def angle_between(first: float, second: float) -> float:
    """Least angle between two axes, which have no front or back."""
    return abs((first - second + math.pi / 2) % math.pi - math.pi / 2)


def noisy_points(ellipse: Ellipse, sigma: float, n: int = 400, seed: int = 0) -> np.ndarray:
    return ellipse.points(n) + np.random.default_rng(seed).normal(0, sigma, (n, 2))


def test_circle_of_radius_one():
    circle = Ellipse((0, 0), (1, 1), 0)
    assert circle.perimeter == pytest.approx(2 * math.pi, abs=1e-14)
    assert circle.area == pytest.approx(math.pi)


def test_perimeter_against_the_elliptic_integral():
    # 4 a E(m) with m = 1 - b^2/a^2; for a = 2, b = 1 it is 9.688448220547675
    assert Ellipse((0, 0), (2, 1), 0.3).perimeter == pytest.approx(9.688448220547675, abs=2e-6)
    special = pytest.importorskip("scipy.special")
    for b in (35.0, 40.0, 45.0):
        exact = 4 * 50 * special.ellipe(1 - (b / 50) ** 2)
        assert Ellipse((0, 0), (50, b), 0).perimeter == pytest.approx(exact, rel=1e-9)


def test_axes_must_be_major_and_minor():
    for axes in ((1, 2), (1, 0), (math.nan, 1), (math.inf, 1)):
        with pytest.raises(ValueError, match="semi-axes"):
            Ellipse((0, 0), axes, 0)


def test_angle_is_from_the_columns_towards_the_rows():
    assert Ellipse((10, 20), (5, 2), 0).points(4) == pytest.approx(
        np.array([[10, 25], [12, 20], [10, 15], [8, 20]])
    )
    down_right = Ellipse((0, 0), (math.sqrt(2), 1), math.pi / 4).points(4)
    assert down_right[0] == pytest.approx([1, 1])


def test_uneven_spacing_by_hand():
    # 10 by 10 pixels of 0.5 mm down and 0.2 mm across: 5 mm by 2 mm, the long axis down
    scaled = Ellipse((100, 100), (10, 10), 0.7).scaled((0.5, 0.2))
    assert scaled.center == pytest.approx((50, 20))
    assert scaled.semi_axes == pytest.approx((5, 2))
    assert angle_between(scaled.angle, math.pi / 2) < 1e-12


@quick
@given(ellipses, st.floats(0.02, 2), st.floats(0.02, 2))
def test_scaled_is_the_ellipse_of_the_scaled_points(ellipse, row_mm, column_mm):
    scaled = ellipse.scaled((row_mm, column_mm))
    distance = scaled.distance(ellipse.points(50) * (row_mm, column_mm))
    assert np.abs(distance).max() < 1e-7 * scaled.semi_axes[0]
    assert -math.pi / 2 < scaled.angle <= math.pi / 2
    assert scaled.area == pytest.approx(ellipse.area * row_mm * column_mm)
    back = scaled.scaled((1 / row_mm, 1 / column_mm))
    assert back.semi_axes == pytest.approx(ellipse.semi_axes)
    assert back.center == pytest.approx(ellipse.center)


def test_distance_by_hand():
    ellipse = Ellipse((0, 0), (5, 3), 0)
    points = [[0, 7], [0, -7], [4, 0], [-1, 0], [0, 0], [0, 5], [0, 4.9], [0, 1]]
    # the last one's nearest point is at cos t = 5 / 16
    last = -math.hypot(25 / 16 - 1, 3 * math.sqrt(1 - (5 / 16) ** 2))
    assert ellipse.distance(points) == pytest.approx([2, 2, 1, -2, -3, 0, -0.1, last], abs=1e-12)
    circle = Ellipse((1, 2), (3, 3), 0)
    assert circle.distance([[1, 2], [1, 9], [2, 2]]) == pytest.approx([-3, 4, -2])
    assert circle.distance(np.empty((0, 2))).shape == (0,)


@quick
@given(ellipses, st.integers(0, 1000))
def test_distance_is_the_least_to_any_point_of_the_curve(ellipse, seed):
    a = ellipse.semi_axes[0]
    points = np.asarray(ellipse.center) + np.random.default_rng(seed).uniform(-1.5 * a, 1.5 * a, (20, 2))
    curve = ellipse.points(20000)
    least = np.array([np.hypot(*(curve - point).T).min() for point in points])
    assert np.abs(ellipse.distance(points)) == pytest.approx(least, abs=1e-3 * a)


def test_mask_of_pixel_centres():
    mask = Ellipse((2, 2), (1, 1), 0).mask((5, 5))
    assert mask.dtype == bool
    assert mask.astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    with pytest.raises(ValueError, match="supersample"):
        Ellipse((2, 2), (1, 1), 0).mask((5, 5), supersample=0)


@quick
@given(st.floats(40, 60), st.floats(40, 60), st.floats(15, 38), st.floats(0.5, 1), st.floats(-1.5, 1.5))
def test_masks_have_the_area_of_the_ellipse(row, column, major, flatness, angle):
    ellipse = Ellipse((row, column), (major, major * flatness), angle)
    soft = ellipse.soft_mask((100, 100))
    assert soft.dtype == np.float32
    assert soft.min() >= 0 and soft.max() <= 1
    assert soft.sum() == pytest.approx(ellipse.area, rel=4e-3)
    assert ellipse.mask((100, 100)).sum() == pytest.approx(ellipse.area, rel=0.05)
    assert ellipse.mask((100, 100), supersample=3).sum() == pytest.approx(ellipse.area, rel=0.05)
    assert np.abs(soft - ellipse.mask((100, 100))).max() <= 0.5 + 1e-6


def test_masks_off_the_picture():
    far = Ellipse((-500, -500), (20, 10), 0)
    assert not far.mask((30, 40)).any()
    assert far.soft_mask((30, 40)).max() == 0
    assert Ellipse((15, 20), (500, 400), 0).soft_mask((30, 40)).min() == 1


@quick
@given(ellipses, st.integers(6, 900))
def test_fit_returns_the_ellipse_of_its_points(ellipse, n):
    fit = fit_ellipse(ellipse.points(n))
    assert fit is not None
    assert fit.ellipse.semi_axes == pytest.approx(ellipse.semi_axes, rel=1e-4)
    assert fit.ellipse.center == pytest.approx(ellipse.center, abs=1e-4 * ellipse.semi_axes[0])
    assert angle_between(fit.ellipse.angle, ellipse.angle) < 5e-3
    assert fit.inlier_fraction == 1
    assert fit.residual < 1e-4 * ellipse.semi_axes[0]
    assert fit.arc_coverage == pytest.approx(min(1.0, n / 72), abs=0.2)


@quick
@given(
    st.floats(0.1, 5),
    st.floats(-1000, 1000),
    st.floats(-math.pi, math.pi),
    st.booleans(),
    st.integers(0, 100),
)
def test_fit_moves_with_its_points(scale, shift, turn, mirror, seed):
    ellipse = Ellipse((200, 300), (120, 95), 0.4)
    points = noisy_points(ellipse, 1.5, seed=seed)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    if mirror:
        rotation = rotation @ np.diag([1.0, -1.0])
    moved = scale * (points @ rotation.T + shift)
    first, second = fit_ellipse(points), fit_ellipse(moved)
    assert first is not None and second is not None
    assert second.ellipse.perimeter == pytest.approx(scale * first.ellipse.perimeter, rel=1e-5)
    expected = scale * (rotation @ first.ellipse.center + shift)
    assert second.ellipse.center == pytest.approx(expected, abs=0.01 * scale)
    assert second.residual == pytest.approx(scale * first.residual, rel=0.01)


@quick
@given(ellipses, st.floats(0.05, 0.5), st.floats(0.05, 0.5))
def test_fit_in_millimetres_is_that_in_pixels_scaled(ellipse, row_mm, column_mm):
    in_mm = fit_ellipse(ellipse.points(300) * (row_mm, column_mm))
    in_pixels = fit_ellipse(ellipse.points(300))
    assert in_mm is not None and in_pixels is not None
    scaled = in_pixels.ellipse.scaled((row_mm, column_mm))
    assert in_mm.ellipse.perimeter == pytest.approx(scaled.perimeter, rel=1e-4)


@pytest.mark.parametrize("robust", [True, False])
def test_fit_under_noise(robust):
    ellipse = Ellipse((250, 400), (220, 170), -0.3)
    for seed in range(5):
        fit = fit_ellipse(noisy_points(ellipse, 2, seed=seed), robust=robust)
        assert fit is not None
        assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=3e-3)
        assert fit.residual == pytest.approx(2, rel=0.15)
        assert fit.inlier_fraction > 0.98


@pytest.mark.parametrize("start", range(0, 400, 80))
def test_fit_with_a_third_missing(start):
    ellipse = Ellipse((250, 400), (220, 170), 0.5)
    points = np.roll(noisy_points(ellipse, 1, seed=start), start, axis=0)[: 400 * 2 // 3]
    fit = fit_ellipse(points)
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=5e-3)
    assert fit.arc_coverage == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize("start", range(0, 400, 80))
def test_fit_with_a_third_cut_by_a_straight_edge(start):
    ellipse = Ellipse((250, 400), (220, 170), 0.5)
    arc = np.roll(noisy_points(ellipse, 1, seed=start), start, axis=0)[: 400 * 2 // 3]
    share = np.linspace(0, 1, 100)[1:-1, None]
    fit = fit_ellipse(np.concatenate([arc, arc[-1] * (1 - share) + arc[0] * share]))
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=5e-3)
    assert fit.inlier_fraction == pytest.approx(267 / 365, abs=0.06)


@pytest.mark.parametrize("start", range(0, 400, 80))
@pytest.mark.parametrize(("share", "height"), [(0.1, 20), (0.2, 60)])
def test_fit_beside_a_leak_into_tissue(start, share, height):
    ellipse = Ellipse((250, 400), (220, 170), 0.5)
    points = noisy_points(ellipse, 1, seed=start)
    leak = np.zeros(400)
    n = int(400 * share)
    leak[:n] = height * np.sin(np.pi * (np.arange(n) + 0.5) / n)
    outward = (points - ellipse.center) / np.hypot(*(points - ellipse.center).T)[:, None]
    fit = fit_ellipse(points + outward * np.roll(leak, start)[:, None])
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=5e-3)
    assert 1 - share - 0.05 < fit.inlier_fraction < 1


def test_fit_among_scattered_outliers():
    rng = np.random.default_rng(3)
    ellipse = Ellipse((250, 400), (220, 170), 0.5)
    points = noisy_points(ellipse, 1)
    wrong = rng.permutation(400)[:80]
    points[wrong] = rng.uniform(0, 800, (80, 2))
    fit = fit_ellipse(points)
    assert fit is not None
    assert fit.ellipse.perimeter == pytest.approx(ellipse.perimeter, rel=3e-3)
    assert fit.inlier_fraction == pytest.approx(0.8, abs=0.03)
    assert fit.residual < 1.3


def test_robust_fit_stays_near_the_plain_one_for_a_head_that_is_no_ellipse():
    ellipse = Ellipse((250, 400), (220, 170), 0.5)
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    center = np.asarray(ellipse.center)
    for harmonic in (3, 4, 5):
        wavy = center + (ellipse.points(400) - center) * (1 + 0.015 * np.cos(harmonic * t + 0.4))[:, None]
        robust, plain = fit_ellipse(wavy), fit_ellipse(wavy, robust=False)
        assert robust is not None and plain is not None
        assert robust.ellipse.perimeter == pytest.approx(plain.ellipse.perimeter, rel=4e-3)
        assert robust.residual == pytest.approx(0.015 * 195 / math.sqrt(2), rel=0.2)


def test_fit_of_a_tiny_region():
    fit = fit_ellipse(Ellipse((3, 3), (2, 1.5), 0).points(8))
    assert fit is not None
    assert fit.ellipse.semi_axes == pytest.approx((2, 1.5), rel=1e-4)


@pytest.mark.parametrize(
    "points",
    [
        np.empty((0, 2)),
        Ellipse((9, 9), (4, 3), 0).points(5),
        np.ones((50, 2)),
        np.column_stack([np.arange(50.0), 2 * np.arange(50.0)]),
        np.column_stack([np.arange(50.0), 1e-3 * np.sin(np.arange(50.0))]),
        np.full((50, 2), np.nan),
    ],
    ids=["none", "five", "one place", "line", "nearly a line", "nan"],
)
def test_points_that_show_no_ellipse(points):
    assert fit_ellipse(points) is None


def test_a_short_arc_gives_nothing_or_something_of_its_size():
    rng = np.random.default_rng(0)
    for _ in range(20):
        arc = Ellipse((0, 0), (200, 150), 0).points(720)[:60] + rng.normal(0, 1, (60, 2))
        fit = fit_ellipse(arc)
        assert fit is None or fit.ellipse.semi_axes[0] < 5 * np.ptp(arc, axis=0).max()


def test_points_are_neither_changed_nor_misread():
    points = Ellipse((20, 30), (15, 10), 0.2).points(100)
    before = points.copy()
    points_and_nan = np.concatenate([points, [[np.nan, 1]]])
    first, second = fit_ellipse(points), fit_ellipse(points_and_nan)
    assert (points == before).all()
    assert first is not None and second is not None
    assert first.ellipse.semi_axes == pytest.approx(second.ellipse.semi_axes)
    with pytest.raises(ValueError, match=r"\(2, 100\)"):
        fit_ellipse(points.T)


def test_fit_is_quick():
    points = noisy_points(Ellipse((250, 400), (220, 170), 0.5), 1)
    fit_ellipse(points)
    seconds = []
    for _ in range(10):
        began = time.process_time()
        fit_ellipse(points)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.02
