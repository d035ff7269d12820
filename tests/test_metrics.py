from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_monai.metrics import (
    agreement,
    average_surface_distance,
    bootstrap_interval,
    dice,
    euler_characteristic_difference,
    hd95,
    label_scores,
    surface_distances,
    volume_similarity,
)


def blank(shape: tuple[int, ...] = (20, 20), *boxes: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


ONE = blank((20, 20), np.s_[5:6, 5:6])
SQUARE = blank((20, 20), np.s_[5:9, 5:9])


def test_overlap_by_hand():
    half = blank((20, 20), np.s_[5:9, 5:7])
    assert dice(half, SQUARE) == pytest.approx(2 * 8 / (8 + 16))
    assert volume_similarity(half, SQUARE) == pytest.approx(1 - 8 / 24)
    elsewhere = blank((20, 20), np.s_[15:19, 15:19])
    assert dice(elsewhere, SQUARE) == 0
    assert volume_similarity(elsewhere, SQUARE) == 1
    assert dice(SQUARE.astype(np.uint8) * 255, SQUARE) == 1


def test_nothing_in_a_mask():
    nothing = blank()
    assert math.isnan(dice(nothing, nothing)) and math.isnan(volume_similarity(nothing, nothing))
    assert dice(nothing, SQUARE) == 0 and volume_similarity(nothing, SQUARE) == 0
    for pair in ((nothing, nothing), (nothing, SQUARE), (SQUARE, nothing)):
        distances = surface_distances(*pair)
        assert math.isnan(hd95(distances)) and math.isnan(average_surface_distance(distances))


def test_two_pixels_two_millimetres_apart():
    other = blank((20, 20), np.s_[5:6, 9:10])
    distances = surface_distances(ONE, other, (3, 0.5))
    assert distances["pred_to_gt"].tolist() == [2] and distances["gt_to_pred"].tolist() == [2]
    assert hd95(distances) == average_surface_distance(distances) == 2
    assert hd95(surface_distances(ONE, blank((20, 20), np.s_[7:8, 9:10]), (1.5, 1))) == pytest.approx(5)


def test_a_shifted_square():
    # 4 x 4 moved by one column of 0.5 mm: of 12 surface pixels on either side ten lie 0.5 mm off or none
    distances = surface_distances(np.roll(SQUARE, 1, axis=1), SQUARE, (2, 0.5))
    assert len(distances["pred_to_gt"]) == len(distances["gt_to_pred"]) == 12
    assert hd95(distances) == 0.5
    # columns 6 and 9 of the moved one: its last lies 0.5 off (4); rows 1, 2 of its first are inside, 0.5 off (2)
    assert sorted(distances["pred_to_gt"]) == [0] * 6 + [0.5] * 6
    assert average_surface_distance(distances) == 0.25


def test_a_mask_at_the_border_has_a_surface_there():
    full = np.ones((6, 6), bool)
    distances = surface_distances(full, full)
    assert len(distances["pred_to_gt"]) == 20
    assert hd95(distances) == 0


def test_one_stray_pixel_of_many_does_not_count_at_95_percent():
    truth = blank((100, 100), np.s_[10:60, 10:60])
    stray = truth.copy()
    stray[95, 95] = True
    distances = surface_distances(stray, truth)
    assert hd95(distances) == 0
    assert distances["pred_to_gt"].max() == pytest.approx(math.hypot(36, 36))


def test_volumes_and_uneven_voxels():
    first, second = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    first[2, 4, 4] = second[5, 4, 4] = True
    assert hd95(surface_distances(first, second, (3, 1, 1))) == 9
    assert dice(first, second) == 0


def test_topology_by_hand():
    solid = blank((9, 9, 9), np.s_[2:5, 2:5, 2:5])
    tunnel, hollow = solid.copy(), solid.copy()
    tunnel[:, 3, 3] = False
    hollow[3, 3, 3] = False
    crumb = blank((9, 9, 9), np.s_[2:5, 2:5, 2:5], np.s_[7:8, 7:8, 7:8])
    corner = blank((9, 9, 9), np.s_[2:5, 2:5, 2:5], np.s_[5:6, 5:6, 5:6])  # touches by a corner, so is apart
    face = blank((9, 9, 9), np.s_[2:5, 2:5, 2:5], np.s_[5:6, 4:5, 4:5])
    expected = {"solid": 0, "tunnel": 1, "hollow": 1, "crumb": 1, "corner": 1, "face": 0}
    masks = dict(zip(expected, (solid, tunnel, hollow, crumb, corner, face), strict=True))
    assert {name: euler_characteristic_difference(mask, solid) for name, mask in masks.items()} == expected
    assert (
        euler_characteristic_difference(tunnel, hollow)
        == euler_characteristic_difference(hollow, tunnel)
        == 2
    )
    ring = blank((7, 7), np.s_[1:6, 1:6])
    ring[3, 3] = False
    assert euler_characteristic_difference(ring, blank((7, 7), np.s_[1:6, 1:6])) == 1
    nothing = np.zeros((9, 9, 9), bool)
    for pair in ((nothing, nothing), (nothing, solid), (solid, nothing)):
        assert math.isnan(euler_characteristic_difference(*pair))
    # whatever lies at the border counts as inside the image
    assert euler_characteristic_difference(tunnel[2:5, 2:5, 2:5], solid[2:5, 2:5, 2:5]) == 1


def test_scores_of_labels_by_hand():
    truth = np.zeros((12, 10, 10), np.uint8)
    truth[1:5, 1:5, 1:5] = 1  # 64 voxels
    truth[8, 8, 8] = 2
    truth[8, 1, 1] = 4
    pred = np.zeros_like(truth)
    pred[1:5, 1:5, 1:3] = 1  # its half, 2 voxels short along the last axis
    pred[8, 8, 5] = 2  # 3 voxels off
    pred[10, 1, 1] = 3
    before = pred.copy()
    scores = label_scores(pred, truth, ("one", "two", "three", "four", "five"), (3.0, 2.0, 0.5))
    assert np.array_equal(pred, before)
    assert list(scores) == ["one", "two", "three", "four", "five"]
    assert scores["one"] == pytest.approx(
        {"dice": 64 / 96, "hd95_mm": 1.0, "volume_similarity": 1 - 32 / 96, "euler_difference": 0}
    )
    assert scores["two"] == {"dice": 0, "hd95_mm": 1.5, "volume_similarity": 1, "euler_difference": 0}
    for name in ("three", "four"):  # found in one only
        assert (scores[name]["dice"], scores[name]["volume_similarity"]) == (0, 0)
        assert math.isnan(scores[name]["hd95_mm"]) and math.isnan(scores[name]["euler_difference"])
    assert all(math.isnan(value) for value in scores["five"].values())
    again = label_scores(pred.astype(float), truth.astype(np.int16), ("one", "two"), (3.0, 2.0, 0.5))
    assert again == {name: scores[name] for name in ("one", "two")}
    assert label_scores(pred > 0, truth > 0, ("any",))["any"]["dice"] == dice(pred, truth)
    with pytest.raises(ValueError, match=r"\(12, 10, 10\) and \(12, 10, 9\)"):
        label_scores(pred, truth[..., 1:], ("one",))


def test_scores_within_a_box_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    pred, truth = rng.integers(0, 4, (2, 14, 11, 9))
    pred[:4] = truth[:4] = 0
    for label, found in enumerate(label_scores(pred, truth, ("a", "b", "c"), (1, 2, 3)).values(), 1):
        masks = pred == label, truth == label
        assert found["dice"] == dice(*masks)
        assert found["hd95_mm"] == hd95(surface_distances(*masks, (1, 2, 3)))
        assert found["euler_difference"] == euler_characteristic_difference(*masks)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 200), st.floats(0.05, 5), st.floats(0.05, 5))
def test_metrics_do_not_care_for_order_turns_or_what_is_around(seed, row_mm, column_mm):
    rng = np.random.default_rng(seed)
    pred, truth = rng.random((2, 12, 15)) < 0.3
    spacing = (row_mm, column_mm)
    first = surface_distances(pred, truth, spacing)
    others = [
        surface_distances(truth, pred, spacing),
        surface_distances(pred.T, truth.T, spacing[::-1]),
        surface_distances(pred[::-1], truth[::-1], spacing),
        surface_distances(np.pad(pred, 3), np.pad(truth, 3), spacing),
    ]
    for other in others:
        assert hd95(other) == pytest.approx(hd95(first))
        assert average_surface_distance(other) == pytest.approx(average_surface_distance(first))
    doubled = surface_distances(pred, truth, (2 * row_mm, 2 * column_mm))
    assert hd95(doubled) == pytest.approx(2 * hd95(first))
    assert dice(pred, truth) == dice(truth, pred) == dice(np.pad(pred, 3), np.pad(truth, 3))
    assert dice(pred, pred) == 1 and hd95(surface_distances(pred, pred, spacing)) == 0


def test_bad_masks():
    for function in (dice, volume_similarity, surface_distances):
        with pytest.raises(ValueError, match=r"\(20, 20\) and \(20, 19\)"):
            function(ONE, ONE[:, 1:])
    for spacing in (0, -1, (1, math.nan)):
        with pytest.raises(ValueError, match="spacing_mm"):
            surface_distances(ONE, ONE, spacing)


def test_agreement_by_hand():
    found = agreement([101, 99, 104, 100], [100, 100, 100, 100])
    assert found["n"] == 4 and found["n_missing"] == 0
    assert found["mean"] == 1 and found["median"] == 0.5
    assert found["mae"] == 1.5 and found["rmse"] == pytest.approx(math.sqrt(18 / 4))
    sd = math.sqrt((0 + 4 + 9 + 1) / 3)
    assert found["sd"] == pytest.approx(sd)
    assert found["mae_sd"] == pytest.approx(math.sqrt((0.25 + 0.25 + 6.25 + 2.25) / 3))
    assert (found["loa_low"], found["loa_high"]) == pytest.approx((1 - 1.96 * sd, 1 + 1.96 * sd), abs=1e-3)


def test_agreement_of_few():
    found = agreement([1, math.nan], [1, 2])
    assert found["n"] == 1 and found["n_missing"] == 1 and found["mae"] == 0
    assert math.isnan(found["sd"]) and math.isnan(found["loa_low"])
    none = agreement([], [])
    assert none["n"] == 0 and math.isnan(none["mean"]) and none.keys() == found.keys()
    with pytest.raises(ValueError, match="2 predictions and 1 truths"):
        agreement([1, 2], [1])


def test_bootstrap_interval_of_a_mean():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap_interval(values)
    error = values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.03
    )
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)
    assert bootstrap_interval(values, level=0.5)[0] > low


def test_bootstrap_interval_by_patient():
    patient = np.repeat(np.arange(40), 10)
    values = np.random.default_rng(0).normal(0, 1, 40)[patient]
    alone, together = bootstrap_interval(values), bootstrap_interval(values, groups=patient)
    assert np.diff(together) > 2.5 * np.diff(alone)
    assert bootstrap_interval([3, math.nan, 3]) == (3, 3)
    assert bootstrap_interval([1, 2, 9], np.median)[1] == 9
    assert all(math.isnan(end) for end in bootstrap_interval([math.nan]))
    with pytest.raises(ValueError, match="groups"):
        bootstrap_interval([1, 2], groups=[1])
