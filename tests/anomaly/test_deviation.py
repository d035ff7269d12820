from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fetal_monai.anomaly.deviation import (
    SCORE_MEASURES,
    NormativeModel,
    deviation_measures,
    leave_one_out_scores,
)
from fetal_monai.anomaly.separation import auc, separation, simulated_scores
from fetal_monai.anomaly.spread import BETWEEN_SUBJECTS, Spread
from fetal_monai.measure.volume import BRAIN_MEASURES

WEEKS = np.arange(21.0, 39.0)
SHIPPED = Path(__file__).parents[2] / "bundles" / "fetal_brain_mri_segmentation" / "models" / "normative.json"


def growth(weeks=WEEKS):
    """Every measure of the score doubles every 8.5 weeks, from 100 at 29.5, but the asymmetry, which is 0.1."""
    doubling = 100 * 2 ** ((weeks - 29.5) / 8.5)
    linear = 8 + 0.1 * (weeks - 29.5)
    found = {name: doubling.copy() for name in SCORE_MEASURES}
    found |= {name: linear.copy() for name in found if name.startswith("atrial")}
    return found | {"ventricle_asymmetry": np.full(len(weeks), 0.1)}


@pytest.fixture(scope="module")
def model():
    return NormativeModel.fit(WEEKS, growth(), "made up")


def test_the_curve_goes_through_what_has_no_scatter(model):
    mean, sd = model.expected("cerebellum_ml", [21.0, 29.5, 38.0])
    assert mean == pytest.approx([50, 100, 200])
    assert sd == pytest.approx([9, 18, 36])  # 18 % between fetuses, no scatter about the curve
    assert model.expected("atrial_width_left_mm", 24.5) == pytest.approx((7.5, 1.4))
    assert model.expected("ventricle_asymmetry", 30.0) == pytest.approx((0.1, 0.12))


def test_deviation_by_hand(model):
    measures = {"cerebellum_ml": 100 + 2 * 18.0, "atrial_width_left_mm": 8 - 1.4, "unheard_of_mm": 1.0}
    found = model.deviation(measures, 29.5)
    assert list(found) == ["cerebellum_ml", "atrial_width_left_mm"]
    assert found["cerebellum_ml"].z == pytest.approx(2)
    assert found["cerebellum_ml"].centile == pytest.approx(97.725, abs=0.001)
    assert found["atrial_width_left_mm"].centile == pytest.approx(15.866, abs=0.001)
    # the mean is known exactly, the derived spread to 25 %: 2 ± 1.645 * 0.25 * 2
    assert found["cerebellum_ml"].z_low == pytest.approx(2 - 0.8224, abs=1e-3)
    assert found["cerebellum_ml"].z_high == pytest.approx(2 + 0.8224, abs=1e-3)
    assert found["cerebellum_ml"].centile_low < 97.7 < found["cerebellum_ml"].centile_high


def test_scatter_of_the_atlas_adds_to_the_spread():
    values = 8 + np.where(np.arange(18) % 2, 0.5, -0.5)
    fitted = NormativeModel.fit(WEEKS, {"atrial_width_left_mm": values}, "", with_reference=False)
    curve = fitted.curves["atrial_width_left_mm"]
    assert curve.residual_sd == pytest.approx(math.sqrt(18 * 0.25 / 16), rel=0.01)  # a line barely helps
    assert fitted.expected("atrial_width_left_mm", 30)[1] == pytest.approx(math.hypot(1.4, curve.residual_sd))
    middle, edge = (fitted.deviation({"atrial_width_left_mm": 8.0}, weeks) for weeks in (29.5, 38.0))
    widths = [
        part["atrial_width_left_mm"].z_high - part["atrial_width_left_mm"].z_low for part in (middle, edge)
    ]
    assert 0 < widths[0] < widths[1]  # the mean is known better in the middle
    # standard error of a line's height in its middle: residual / sqrt(n)
    error = curve.residual_sd / math.sqrt(18) / math.hypot(1.4, curve.residual_sd)
    assert widths[0] == pytest.approx(2 * 1.645 * error, rel=0.02)


def test_score_by_hand(model):
    usual = {name: float(values[8]) for name, values in growth().items()}  # of 29 weeks
    assert model.score(usual, 29.0) == pytest.approx(0, abs=1e-6)
    two_off = usual | {
        "ventricle_asymmetry": 0.1 + 3 * 0.12,
        "atrial_width_left_mm": usual["atrial_width_left_mm"] - 1.4 * 4,
    }
    assert model.score(two_off, 29.0) == pytest.approx(math.sqrt((9 + 16) / len(SCORE_MEASURES)))
    far_off = usual | {"ventricles_ml": 100 * usual["ventricles_ml"]}
    assert model.score(far_off, 29.0) == pytest.approx(5 / math.sqrt(len(SCORE_MEASURES)))
    assert math.isnan(model.score(dict(list(usual.items())[:5]), 29.0))
    known = {name: math.nan if name == "ventricles_ml" else value for name, value in two_off.items()}
    assert model.score(known, 29.0) == pytest.approx(math.sqrt(25 / (len(SCORE_MEASURES) - 1)))


@pytest.mark.parametrize(
    ("weeks", "flags"),
    [(21.0, []), (38.0, []), (20.9, ["ga_out_of_range"]), (38.1, ["ga_out_of_range"]), (math.nan, ["no_ga"])],
)
def test_columns_and_flags(model, weeks, flags):
    columns, raised = deviation_measures(model, {"cerebellum_ml": 100.0, "brain_ml": 100.0}, weeks)
    parts = ("z", "z_low", "z_high", "centile", "centile_low", "centile_high")
    assert list(columns) == [*(f"cerebellum_ml_{part}" for part in parts), "deviation_score"]
    assert raised == flags
    assert math.isnan(columns["cerebellum_ml_z"]) == bool(flags)
    assert math.isnan(columns["deviation_score"])  # of one measure


def test_a_measure_that_is_missing(model):
    columns, raised = deviation_measures(model, {"cerebellum_ml": math.nan}, 30.0)
    assert all(math.isnan(value) for value in columns.values())
    assert raised == []


def test_leaving_out_leaves_out():
    measures = growth()
    measures["atrial_width_right_mm"][4] += 5 * 1.4
    scores = leave_one_out_scores(WEEKS, measures)
    assert int(np.argmax(scores)) == 4
    # the others lie on their line, so that the outlier is 5 spreads off, or cut there
    assert scores[4] == pytest.approx(5 / math.sqrt(len(SCORE_MEASURES)), rel=1e-6)
    fitted = NormativeModel.fit(WEEKS, measures, "")
    assert fitted.reference_scores == pytest.approx(scores)
    assert fitted.score({name: float(values[4]) for name, values in measures.items()}, WEEKS[4]) < scores[4]


def test_a_file_returns_what_was_saved(model, tmp_path):
    path = tmp_path / "normative.json"
    model.save(path)
    assert NormativeModel.load(path) == model
    content = json.loads(path.read_text())
    assert content["source"] == "made up"
    assert "assumed" in content["curves"]["ventricles_ml"]["between_source"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no such normative model"),
        ("{", "no normative model"),
        ("[]", "no normative model"),
        ('{"curves": {}}', "no normative model"),
        (
            '{"curves": {"brain_ml": {"n": 3}}, "source": "", "ga_range": [21, 38]}',
            "relative",
        ),
    ],
)
def test_a_file_that_is_none(tmp_path, text, reason):
    path = tmp_path / "normative.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=reason) as raised:
        NormativeModel.load(path)
    assert str(path) in str(raised.value)


def test_numbers_that_cannot_be(model, tmp_path):
    path = tmp_path / "normative.json"
    model.save(path)
    content = json.loads(path.read_text())
    content["curves"]["cerebellum_ml"]["between_sd"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="above 0"):
        NormativeModel.load(path)


def test_bad_input(model):
    with pytest.raises(ValueError, match="no curve of 'hc_mm'"):
        model.expected("hc_mm", 30)
    with pytest.raises(ValueError, match="shape"):
        NormativeModel.fit(WEEKS, {"brain_ml": [1.0, 2.0]}, "")
    with pytest.raises(ValueError, match="needs 5"):
        NormativeModel.fit(WEEKS[:4], {"brain_ml": [1.0, 2.0, 3.0, 4.0]}, "")
    with pytest.raises(ValueError, match="too few ages"):
        NormativeModel.fit([30.0] * 8, {"brain_ml": np.arange(1.0, 9.0)}, "")


def test_auc_by_hand():
    assert auc([2, 3], [1, 2]) == pytest.approx(3.5 / 4)  # 2 > 1, 2 = 2, 3 > 1, 3 > 2
    assert auc([1, 2, math.nan], [3]) == 0
    assert math.isnan(auc([], [1]))


def test_separation_of_large_ventricles():
    random = np.random.default_rng(1)
    usual = {name: values * (1 + 0.01 * random.standard_normal(18)) for name, values in growth().items()}
    weeks = WEEKS[:10]
    abnormal = growth(weeks) | {"ventricles_ml": 4 * growth(weeks)["ventricles_ml"]}
    found = separation(WEEKS, usual, weeks, abnormal)
    assert (found.auc_leave_one_out, found.auc_split) == (1, 1)
    # 7.5 spreads, cut at 5, over the root of 12 measures
    assert found.abnormal_scores == pytest.approx(np.full(10, 5 / math.sqrt(len(SCORE_MEASURES))), abs=0.02)
    assert found.usual_scores.shape == (18,)
    again = {name: values * (1 + 0.01 * random.standard_normal(18)) for name, values in growth().items()}
    assert separation(WEEKS, usual, WEEKS, again).auc_leave_one_out == pytest.approx(0.5, abs=0.25)


def test_simulated_fetuses_score_about_one():
    scores = simulated_scores(4000)
    assert np.sqrt(np.mean(scores**2)) == pytest.approx(1, abs=0.03)
    assert np.array_equal(scores, simulated_scores(4000))


def test_spreads_say_where_they_come_from():
    assert set(BRAIN_MEASURES) == set(BETWEEN_SUBJECTS)
    assert all(
        isinstance(spread, Spread) and spread.value > 0 and spread.source
        for spread in BETWEEN_SUBJECTS.values()
    )
    assert set(SCORE_MEASURES) <= set(BETWEEN_SUBJECTS)


def test_the_shipped_model():
    shipped = NormativeModel.load(SHIPPED)
    assert set(shipped.curves) == set(BRAIN_MEASURES)
    assert shipped.ga_range == (21, 38)
    assert "Gholipour" in shipped.source
    assert len(shipped.reference_scores) == 18
    assert max(shipped.reference_scores) < 1
    brain = shipped.expected("brain_ml", np.arange(21, 39))[0]
    assert (np.diff(brain) > 0).all()
    assert brain[[0, 9, 17]] == pytest.approx([52, 188, 325], rel=0.08)
    cerebellum = shipped.expected("transcerebellar_diameter_mm", 30)[0]
    assert cerebellum == pytest.approx(36.67, rel=0.08)  # INTERGROWTH-21st, ultrasound
    assert (shipped.expected("atrial_width_left_mm", np.arange(21, 39))[0] < 10).all()
