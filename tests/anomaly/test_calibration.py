from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fetal_monai.anomaly.calibration import ScoreCalibration, fit_score, p_value, threshold

NINE = [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("score", "expected"), [(0.5, 1.0), (1, 1.0), (5, 0.6), (9, 0.2), (9.1, 0.1), (math.inf, 0.1)]
)
def test_p_value_counts_normal_scores_at_or_above(score, expected):
    """5 of 9 normal scores are 5 or more: (1 + 5) / 10."""
    assert p_value(score, NINE) == pytest.approx(expected)


def test_p_value_of_nan_is_nan_and_arrays_stay_arrays():
    np.testing.assert_allclose(p_value([4, math.nan, 10], NINE), [0.7, math.nan, 0.1])


@pytest.mark.parametrize(("rate", "expected"), [(0.1, 9), (0.2, 8), (0.5, 5), (0.05, math.inf)])
def test_above_the_threshold_p_values_are_small_enough(rate, expected):
    found = threshold(NINE, rate)
    assert found == expected
    if math.isfinite(found):
        assert p_value(found + 1e-9, NINE) <= rate < p_value(found, NINE)


@pytest.mark.parametrize("rate", [0, 1, -0.1])
def test_threshold_refuses_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold(NINE, rate)


def test_false_alarms_are_as_rare_as_promised():
    random = np.random.default_rng(0)
    share = np.mean([p_value(random.normal(), random.normal(size=99)) <= 0.05 for _ in range(4000)])
    assert share == pytest.approx(0.05, abs=0.012)  # 3.5 standard errors


def test_score_is_that_of_the_most_unusual_term():
    calibration = ScoreCalibration({"a": 1.0, "b": 10.0}, {"a": 0.5, "b": 5.0}, (0.0, 1.0))
    assert calibration.score({"a": 2.0, "b": 10.0, "c": 99.0}) == 2.0
    assert calibration.score({"a": 1.0, "b": 40.0}) == 6.0
    assert math.isnan(calibration.score({"a": 1.0, "b": math.nan}))
    with pytest.raises(ValueError, match="term 'b' is missing"):
        calibration.score({"a": 1.0})


def test_fit_takes_spread_and_ranks_from_different_cases():
    """1 to 5 have the median 3 and the 95th percentile 4.8."""
    spread = 1.8 / 1.6449
    terms = {"a": [1, 2, 3, 4, 5, 3 + spread, 3 - spread, math.nan]}
    found = fit_score(terms, [True] * 5 + [False] * 3, {"a": 1.0}, "hand")
    assert (found.centre, found.n_spread, found.source) == ({"a": 3.0}, 5, "hand")
    assert found.spread["a"] == pytest.approx(spread)
    assert found.normal_scores == pytest.approx((-1, 1))
    with pytest.raises(ValueError, match="5 cases for the spread and 0 for the p-value"):
        fit_score({"a": [1, 2, 3, 4, 5]}, [True] * 5, {"a": 1.0})


def test_a_term_of_half_the_weight_must_lie_twice_as_far_out():
    terms = {"a": [1, 2, 3, 4, 5, 3], "b": [1, 2, 3, 4, 5, 3]}
    found = fit_score(terms, [True] * 5 + [False], {"a": 1.0, "b": 0.5})
    assert found.score({"a": 3.0, "b": 5.0}) == pytest.approx(found.score({"a": 4.0, "b": 3.0}))
    with pytest.raises(ValueError, match="must be above 0"):
        fit_score(terms, [True] * 5 + [False], {"a": 0.0})


def test_a_term_that_does_not_vary_has_some_spread():
    found = fit_score({"a": [2.0, 2.0, 2.0]}, [True, True, False], {"a": 1.0})
    assert found.normal_scores == (0.0,) and math.isfinite(found.score({"a": 3.0}))


def test_file_and_back(tmp_path):
    calibration = ScoreCalibration({"a": 1.0}, {"a": 0.5}, (0.0, 0.25, 1.0), "here", 7)
    calibration.save(tmp_path / "c.json")
    assert ScoreCalibration.load(tmp_path / "c.json") == calibration


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such calibration"),
        ("{", "is no calibration"),
        ("{}", "is no calibration"),
        (json.dumps({"centre": {"a": 1}, "spread": {"a": 0}, "normal_scores": [1]}), "above 0"),
        (json.dumps({"centre": {"a": 1}, "spread": {"b": 1}, "normal_scores": [1]}), "same terms"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path, content, words):
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=words) as caught:
        ScoreCalibration.load(path)
    assert "c.json" in str(caught.value)
