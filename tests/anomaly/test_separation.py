from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.anomaly.separation import auc, auc_interval


def test_auc_counts_pairs():
    """Of 6 pairs 4 are in order and one is a tie."""
    assert auc([2, 4], [1, 2, 3]) == pytest.approx(4.5 / 6)
    assert auc([2, math.nan, 4], [1, 2, 3, math.nan]) == pytest.approx(4.5 / 6)
    assert math.isnan(auc([], [1]))


def test_interval_holds_the_estimate_and_narrows():
    random = np.random.default_rng(0)
    widths = []
    for n in (20, 500):
        abnormal, usual = random.normal(1, 1, n), random.normal(0, 1, n)
        low, high = auc_interval(abnormal, usual, n_samples=300)
        assert low < auc(abnormal, usual) < high
        widths.append(high - low)
    assert widths[1] < 0.4 * widths[0]
    assert auc_interval([3, 4], [1, 2], n_samples=50) == (1.0, 1.0)
    assert all(map(math.isnan, auc_interval([math.nan], [1.0])))


def test_interval_draws_whole_subjects():
    """Ten scores of each of two subjects tell no more than one of each."""
    abnormal, usual = [1.0] * 10 + [0.0] * 10, [0.5]
    subjects = ["a"] * 10 + ["b"] * 10
    assert auc_interval(abnormal, usual, subjects, ["c"], n_samples=200) == (0.0, 1.0)
    low, high = auc_interval(abnormal, usual, n_samples=200)
    assert 0 < low < high < 1
