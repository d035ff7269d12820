from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_monai.measure.interval import Calibration, coverage, fit_calibration, interval

PLAIN = Calibration(alpha=0.1, quantile=2, intercept=1, weights={"band_mm": 0.5}, n=50, n_weights=50)


def cases(n: int, seed: int, spread: float = 0.5) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Errors whose size grows with one feature and not with the other."""
    rng = np.random.default_rng(seed)
    features = {"band_mm": rng.gamma(2, 2, n), "hc_mm": rng.uniform(60, 340, n)}
    return rng.normal(0, 0.4 + spread * features["band_mm"]), features


def test_interval_by_hand():
    # half width 2 * (1 + 0.5 * 4)
    assert interval(PLAIN, 200.0, {"band_mm": 4}) == pytest.approx((194, 206))
    assert interval(PLAIN, 3.0, {"band_mm": 4.0, "more": 1.0}) == pytest.approx((0, 9))
    assert interval(PLAIN, 200.0, {"band_mm": -4.0}) == pytest.approx((198, 202))
    low, high = interval(PLAIN, np.array([100.0, 200.0]), {"band_mm": np.array([0.0, 2.0])})
    assert low == pytest.approx([98, 196]) and high == pytest.approx([102, 204])


def test_an_unknown_value_or_feature_gives_no_interval():
    assert all(math.isnan(end) for end in interval(PLAIN, math.nan, {"band_mm": 1.0}))
    assert all(math.isnan(end) for end in interval(PLAIN, 200.0, {"band_mm": math.nan}))
    with pytest.raises(ValueError, match="'band_mm' is missing; there are hc"):
        interval(PLAIN, 200.0, {"hc": 3.0})
    unused = Calibration(0.1, 2, 1, {"band_mm": 0.0}, 50, 50)
    assert interval(unused, 200.0, {}) == pytest.approx((198, 202))


def test_quantile_is_the_value_at_its_rank():
    # without features the difficulty is the same for all; of 19 errors 1..19 and alpha 0.1 the rank is 20 * 0.9 = 18
    errors = np.concatenate([np.full(5, 3.0), np.arange(1, 20)])
    made = fit_calibration(errors, {}, for_weights=np.arange(24) < 5)
    assert made.weights == {}
    assert made.quantile * made.intercept == pytest.approx(18)
    assert (made.n, made.n_weights) == (19, 5)
    # and for 9 the rank is 9, the largest
    made = fit_calibration(errors[:14], {}, for_weights=np.arange(14) < 5)
    assert made.quantile * made.intercept == pytest.approx(9)


def test_too_few_cases_promise_nothing():
    with pytest.raises(ValueError, match="8 cases for the quantile and 5 for the weights are too few"):
        fit_calibration(np.arange(13.0), {}, for_weights=np.arange(13) < 5)
    with pytest.raises(ValueError, match="too few"):
        fit_calibration(np.arange(13.0), {}, for_weights=np.zeros(13, bool))
    with pytest.raises(ValueError, match="too few"):
        fit_calibration([], {})


def test_coverage_by_hand():
    assert coverage([0, 0, 0, 0], [1, 1, 1, 1], [0, 0.5, 1, 2]) == 0.75
    assert coverage([0, math.nan], [1, 1], [0.5, 0.5]) == 1
    assert math.isnan(coverage([], [], []))
    assert math.isnan(coverage(math.nan, 1, 1))


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_coverage_of_new_cases_is_what_was_asked_for(alpha):
    held = []
    for seed in range(40):
        errors, features = cases(200, seed)
        made = fit_calibration(errors, features, alpha, seed=seed)
        new_errors, new_features = cases(500, 1000 + seed)
        prediction = np.full(500, 200.0)
        held.append(coverage(*interval(made, prediction, new_features), prediction + new_errors))
    # on average between 1 - alpha and 1 - alpha + 1 / (n + 1), n = 100
    assert np.mean(held) == pytest.approx(1 - alpha + 0.5 / 101, abs=0.012)


def test_coverage_holds_whatever_the_features_are_worth():
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        noise = {"useless": rng.gamma(1, 1, 300)}
        errors = rng.standard_t(2, 300)  # heavy tails, and a bias
        made = fit_calibration(errors[:200] + 0.5, {"useless": noise["useless"][:200]}, seed=seed)
        low, high = interval(made, np.full(100, 50.0), {"useless": noise["useless"][200:]})
        held.append(coverage(low, high, 50.5 + errors[200:]))
    assert np.mean(held) == pytest.approx(0.9, abs=0.025)


def test_intervals_are_wider_where_it_is_hard():
    errors, features = cases(2000, 0)
    made = fit_calibration(errors, features)
    assert made.weights["band_mm"] > 20 * made.weights["hc_mm"]
    new_errors, new_features = cases(20000, 1)
    prediction = np.full(20000, 200.0)
    low, high = interval(made, prediction, new_features)
    hard = new_features["band_mm"] > np.quantile(new_features["band_mm"], 0.8)
    easy = new_features["band_mm"] < np.quantile(new_features["band_mm"], 0.2)
    assert np.mean((high - low)[hard]) > 2.5 * np.mean((high - low)[easy])
    for group in (hard, easy):
        assert coverage(low[group], high[group], (prediction + new_errors)[group]) == pytest.approx(
            0.9, abs=0.05
        )
    # one width for all is kinder to hard cases than it may be
    plain = fit_calibration(errors, {})
    low, high = interval(plain, prediction, {})
    assert coverage(low[hard], high[hard], (prediction + new_errors)[hard]) < 0.82


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(0.01, 100), st.integers(0, 50))
def test_intervals_scale_with_the_unit(scale, seed):
    errors, features = cases(120, seed)
    scaled = {name: scale * values for name, values in features.items()}
    first, second = fit_calibration(errors, features), fit_calibration(scale * errors, scaled)
    low, high = interval(first, 1000.0, {"band_mm": 3.0, "hc_mm": 200.0})
    low_scaled, high_scaled = interval(
        second, 1000.0 * scale, {"band_mm": 3.0 * scale, "hc_mm": 200.0 * scale}
    )
    assert (low_scaled, high_scaled) == pytest.approx((scale * low, scale * high), rel=1e-4)


def test_the_order_and_sign_of_cases_do_not_matter():
    errors, features = cases(200, 3)
    half = np.arange(200) % 2 == 0
    order = np.random.default_rng(0).permutation(200)
    first = fit_calibration(errors, features, for_weights=half)
    shuffled = {name: values[order] for name, values in features.items()}
    second = fit_calibration(-errors[order], shuffled, for_weights=half[order])
    assert second.quantile == pytest.approx(first.quantile)
    assert second.weights == pytest.approx(first.weights)


def test_a_few_gross_errors_do_not_blow_up_the_intervals():
    errors, features = cases(400, 5)
    clean = fit_calibration(errors, features)
    errors[::50] = 80
    spoilt = fit_calibration(errors, features)
    typical = {"band_mm": 4.0, "hc_mm": 200.0}
    width = [np.diff(interval(made, 200.0, typical))[0] for made in (clean, spoilt)]
    assert width[1] < 1.6 * width[0]


def test_no_case_is_sure():
    rng = np.random.default_rng(0)
    band = rng.uniform(1, 2, 200)
    made = fit_calibration(band, {"band_mm": band})
    assert made.intercept > 0.1
    low, high = interval(made, 200.0, {"band_mm": 0.0})
    assert low < 199.95 and high > 200.05
    exact = fit_calibration(np.zeros(50), {})
    assert interval(exact, 5.0, {}) == pytest.approx((5, 5))


def test_patients_are_taken_apart_whole():
    errors, features = cases(300, 7)
    patient = np.repeat(np.arange(100), 3)
    made = fit_calibration(errors, features, groups=patient)
    assert (made.n, made.n_weights) == (150, 150)
    assert fit_calibration(errors, features, groups=patient.astype(str), seed=1).n == 150
    with pytest.raises(ValueError, match="group 0 is on both sides"):
        fit_calibration(errors, features, groups=patient, for_weights=np.arange(300) % 2 == 0)


def test_cases_without_an_error_or_a_feature_are_left_out():
    errors, features = cases(100, 1)
    errors[0] = math.nan
    features["band_mm"][1] = math.nan
    made = fit_calibration(errors, features, for_weights=np.arange(100) < 50)
    assert (made.n, made.n_weights) == (50, 48)


def test_bad_cases_are_rejected():
    errors, features = cases(100, 1)
    with pytest.raises(ValueError, match="'band_mm' is negative"):
        fit_calibration(errors, {"band_mm": -features["band_mm"]})
    with pytest.raises(ValueError, match=r"band_mm has shape \(99,\)"):
        fit_calibration(errors, {"band_mm": features["band_mm"][1:]})


def test_a_file_gives_back_the_calibration(tmp_path):
    errors, features = cases(100, 1)
    made = fit_calibration(errors, features, source="HC18, calibration patients of seed 0, model 0.1.0")
    made.save(tmp_path / "deep" / "calibration.json")
    assert Calibration.load(tmp_path / "deep" / "calibration.json") == made
    values = json.loads((tmp_path / "deep" / "calibration.json").read_text())
    assert values["source"].startswith("HC18") and values["n"] == 50
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '"alpha"', json.dumps({**PLAIN.__dict__, "quantile": -1}), '{"alpha": "0.1"}'],
)
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"calibration\.json is no calibration"):
        Calibration.load(path)


def test_a_file_with_more_in_it_is_read(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**PLAIN.__dict__, "later": 1}))
    assert Calibration.load(path) == PLAIN


@pytest.mark.parametrize(
    "change", [{"alpha": 0}, {"alpha": 1}, {"quantile": math.inf}, {"weights": {"a": -1}}]
)
def test_senseless_numbers(change):
    with pytest.raises(ValueError, match="alpha must lie between"):
        Calibration(**{**PLAIN.__dict__, **change})
