from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.anomaly.reconstruction import (
    Gaussian,
    mean_squared_error,
    shrunk_covariance,
    structural_error,
    upper_mean,
)


def test_squared_error_counts_by_weight():
    """(1 x 0.04 + 0.5 x 0.16) / 1.5; what lies outside does not count."""
    image, made = np.array([[0.2, 0.4, 1.0]]), np.zeros((1, 3))
    assert mean_squared_error(image, made, [[1, 0.5, 0]]) == pytest.approx(0.08)
    assert math.isnan(mean_squared_error(image, made, np.zeros((1, 3))))
    with pytest.raises(ValueError, match="inside has shape"):
        mean_squared_error(image, made, np.ones((2, 2)))


def test_structural_error_is_zero_for_the_same_and_looks_inside_only():
    random = np.random.default_rng(0)
    image, inside = random.random((20, 20)), np.zeros((20, 20))
    inside[:8] = 1
    other = image.copy()
    other[15:] = 0
    assert structural_error(image, image, inside) == pytest.approx(0, abs=1e-6)
    assert structural_error(image, other, inside) == pytest.approx(0, abs=1e-6)
    assert structural_error(image, random.random((20, 20)), inside) > 0.5
    assert math.isnan(structural_error(image, image, np.zeros((20, 20))))


def test_upper_mean():
    values = np.array([[1.0, 5.0, 3.0, 100.0]])
    inside = [[1, 1, 0.5, 0]]
    assert upper_mean(values, inside, 0.67) == 4.0
    assert upper_mean(values, inside, 0.01) == 5.0
    assert math.isnan(upper_mean(values, np.zeros((1, 4)), 0.5))


def test_covariance_shrinks_less_the_more_is_known():
    random = np.random.default_rng(0)
    scale = np.array([1.0, 3.0, 0.5, 2.0])
    few, many = (shrunk_covariance(random.normal(size=(n, 4)) * scale) for n in (6, 5000))
    assert 0 < many[1] < 0.01 < few[1] <= 1
    np.testing.assert_allclose(many[0], np.diag(scale**2), atol=0.4)
    assert np.linalg.eigvalsh(shrunk_covariance(random.normal(size=(5, 40)))[0]).min() > 0


def test_covariance_by_hand():
    """Rows (1, 0), (-1, 0), (0, 2), (0, -2): S = diag(0.5, 2), mean variance 1.25, distance² 1.125; noise
    ((1 + 1 + 16 + 16) / 4 - 4.25) / 4 = 1.0625, so the share is 17/18."""
    covariance, share = shrunk_covariance([[1, 0], [-1, 0], [0, 2], [0, -2]])
    assert share == pytest.approx(17 / 18)
    np.testing.assert_allclose(covariance, np.diag([(0.5 + 17 * 1.25) / 18, (2 + 17 * 1.25) / 18]))


@pytest.mark.parametrize("rows", [[[1.0, 2.0]], [1.0, 2.0]])
def test_covariance_needs_rows(rows):
    with pytest.raises(ValueError, match=r"give \(n, d\)"):
        shrunk_covariance(rows)


def test_distance_of_mahalanobis_over_the_root_of_the_dimension():
    gaussian = Gaussian(np.zeros(2), np.diag([1.0, 0.25]))
    assert gaussian.distance([3, 4]) == pytest.approx(math.sqrt((9 + 4) / 2))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        gaussian.distance([1, 2, 3])


def test_usual_vectors_are_about_one_away():
    random = np.random.default_rng(0)
    gaussian = Gaussian.fit(random.normal(size=(3000, 5)) * [1, 2, 3, 4, 5])
    distances = [gaussian.distance(random.normal(size=5) * [1, 2, 3, 4, 5]) for _ in range(500)]
    assert np.sqrt(np.mean(np.square(distances))) == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="do not vary"):
        Gaussian.fit(np.ones((4, 2)))


def test_gaussian_file_and_back(tmp_path):
    gaussian = Gaussian(np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]]))
    gaussian.save(tmp_path / "g.npz")
    loaded = Gaussian.load(tmp_path / "g.npz")
    np.testing.assert_array_equal(loaded.mean, gaussian.mean)
    np.testing.assert_array_equal(loaded.precision, gaussian.precision)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    for name, words in (("bad.npz", "holds no usual codes"), ("none.npz", "no such file")):
        with pytest.raises(ValueError, match=words) as caught:
            Gaussian.load(tmp_path / name)
        assert name in str(caught.value)
