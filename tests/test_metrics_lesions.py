from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.metrics_lesions import MISSED_HD95_MM, lesion_scores, lesion_wise

SHAPE = (40, 30, 20)
MM = (1.0, 1.0, 1.0)
LESION = np.s_[4:9, 4:9, 4:9]  # 125 voxels
OTHER = np.s_[28:33, 20:25, 10:15]
FAR = np.s_[18:20, 18:20, 16:18]  # from both


def blank(*boxes: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for box in boxes:
        mask[box] = True
    return mask


TWO = blank(LESION, OTHER)


def lesions_of(scores: dict[str, float]) -> tuple[float, float, float]:
    return scores["n_lesions"], scores["n_missed"], scores["n_false"]


def test_all_found():
    found = lesion_scores(TWO, TWO, MM)
    assert found == {
        "dice": 1,
        "hd95_mm": 0,
        "sensitivity": 1,
        "specificity": 1,
        "lesion_dice": 1,
        "lesion_hd95_mm": 0,
        "n_lesions": 2,
        "n_missed": 0,
        "n_false": 0,
    }


def test_one_missed_and_one_false():
    found = lesion_scores(blank(LESION), TWO, MM)
    assert lesions_of(found) == (2, 1, 0)
    assert (found["lesion_dice"], found["lesion_hd95_mm"]) == (0.5, 187)
    found = lesion_scores(blank(LESION, FAR), TWO, MM)
    assert lesions_of(found) == (2, 1, 1)
    assert (found["lesion_dice"], found["lesion_hd95_mm"]) == (
        pytest.approx(1 / 3),
        pytest.approx(2 * 374 / 3),
    )
    assert MISSED_HD95_MM == 374


def test_scores_of_all_voxels_by_hand():
    """Four of five slices of one lesion are found, none of the other, and 8 voxels are false."""
    found = lesion_scores(blank(np.s_[4:8, 4:9, 4:9], FAR), TWO, MM)
    n_rest = 40 * 30 * 20 - 250
    assert found["dice"] == pytest.approx(200 / (108 + 250))
    assert found["sensitivity"] == pytest.approx(100 / 250)
    assert found["specificity"] == pytest.approx((n_rest - 8) / n_rest)


def test_a_lesion_is_scored_alone():
    """Half of one lesion, shifted by 2 voxels of 1.5 mm: Dice and HD95 of it alone, and 1 and 0 mm of the other."""
    spacing = (1.5, 1.0, 1.0)
    found = lesion_scores(blank(np.s_[6:11, 4:9, 4:9], OTHER), TWO, spacing)
    assert found["lesion_dice"] == pytest.approx((3 / 5 + 1) / 2)
    assert found["lesion_hd95_mm"] == pytest.approx(3 / 2)
    assert found["dice"] == pytest.approx((75 + 125) / 250)


@pytest.mark.parametrize(("gap", "n_lesions"), [(6, 1), (7, 2)])
def test_parts_of_the_truth_near_each_other_are_one_lesion(gap, n_lesions):
    """Each is widened by 3 voxels; with 6 between them they touch."""
    start = 9 + gap
    truth = blank(LESION, np.s_[start : start + 5, 4:9, 4:9])
    found = lesion_scores(blank(LESION), truth, MM)
    assert lesions_of(found) == (n_lesions, 0 if n_lesions == 1 else 1, 0)
    assert found["lesion_dice"] == pytest.approx(2 / 3 if n_lesions == 1 else 1 / 2)


@pytest.mark.parametrize(("gap", "is_met"), [(0, True), (2, True), (3, False)])
def test_a_prediction_near_a_lesion_belongs_to_it(gap, is_met):
    """Up to the third voxel beside a lesion; it overlaps with none of it, so that Dice is 0 either way."""
    beside = blank(np.s_[9 + gap : 12 + gap, 4:9, 4:9])
    found = lesion_scores(beside, blank(LESION), MM)
    assert lesions_of(found) == ((1, 0, 0) if is_met else (1, 1, 1))
    assert found["lesion_dice"] == 0
    assert (found["lesion_hd95_mm"] == 374) is not is_met


@pytest.mark.parametrize(("corner", "n_false"), [((9, 9, 8), 0), ((9, 9, 9), 1)])
def test_edges_widen_and_corners_do_not(corner, n_false):
    prediction = blank()
    prediction[corner] = True
    assert lesion_scores(prediction, blank(LESION), MM, dilations=1)["n_false"] == n_false
    assert lesion_scores(prediction, blank(LESION), MM, dilations=0)["n_false"] == 1


def test_a_part_that_meets_two_lesions_counts_for_both():
    truth = blank(LESION, np.s_[20:25, 4:9, 4:9])
    bridged = truth | blank(np.s_[9:20, 6, 6])
    found = lesion_scores(bridged, truth, MM)
    assert lesions_of(found) == (2, 0, 0)
    assert found["lesion_dice"] == pytest.approx(2 * 125 / (125 + 261))


def test_parts_of_a_prediction_count_together():
    """Both halves of a lesion with a slice missing between them."""
    halves = blank(np.s_[4:6, 4:9, 4:9], np.s_[7:9, 4:9, 4:9])
    found = lesion_scores(halves, blank(LESION), MM)
    assert lesions_of(found) == (1, 0, 0)
    assert found["lesion_dice"] == pytest.approx(200 / 225)


def test_small_lesions_are_not_scored():
    small = np.s_[20:25, 4:9, 4:6]  # 50 voxels
    truth = blank(LESION, small)
    for prediction in (blank(LESION), truth):  # missed or found, and then not false either
        found = lesion_scores(prediction, truth, MM)
        assert lesions_of(found) == (1, 0, 0)
        assert (found["lesion_dice"], found["lesion_hd95_mm"]) == (1, 0)
    truth[20, 4, 6] = True
    assert lesions_of(lesion_scores(blank(LESION), truth, MM)) == (2, 1, 0)
    assert lesion_scores(blank(), blank(small), (1, 1, 1.1))["n_lesions"] == 1
    assert lesion_scores(blank(), blank(small), MM, min_lesion_mm3=49)["n_lesions"] == 1


def test_false_parts_count_however_small():
    speck = blank(LESION)
    speck[20, 20, 10] = True
    found = lesion_scores(speck, blank(LESION), MM)
    assert lesions_of(found) == (1, 0, 1)
    assert found["lesion_dice"] == 0.5


def test_nothing_in_a_mask():
    found = lesion_scores(blank(), blank(), MM)
    assert (found["lesion_dice"], found["lesion_hd95_mm"]) == (1, 0)
    assert lesions_of(found) == (0, 0, 0)
    assert math.isnan(found["dice"]) and math.isnan(found["hd95_mm"]) and math.isnan(found["sensitivity"])
    assert found["specificity"] == 1
    missed = lesion_scores(blank(), TWO, MM)
    assert (missed["lesion_dice"], missed["lesion_hd95_mm"], missed["dice"]) == (0, 374, 0)
    assert lesions_of(missed) == (2, 2, 0)
    false = lesion_scores(TWO, blank(), MM)
    assert (false["lesion_dice"], false["lesion_hd95_mm"]) == (0, 374)
    assert lesions_of(false) == (0, 0, 2)
    assert math.isnan(lesion_scores(TWO, np.ones(SHAPE), MM)["specificity"])


def test_lesions_at_the_ends_of_the_volume():
    """Widening ends at the volume's ends; a lesion in its corner is one like any other."""
    truth = blank(np.s_[:5, :5, :5], np.s_[-5:, -5:, -5:])
    assert lesions_of(lesion_scores(truth, truth, MM)) == (2, 0, 0)
    assert lesion_scores(truth, truth, MM)["lesion_dice"] == 1


def test_turned_volumes_have_the_same_scores():
    spacing = (1.0, 1.5, 2.0)
    prediction = blank(np.s_[5:10, 4:9, 3:8], FAR)
    first = lesion_scores(prediction, TWO, spacing)
    turned = [mask.transpose(2, 0, 1)[::-1, :, ::-1] for mask in (prediction, TWO)]
    assert lesion_scores(*turned, (2.0, 1.0, 1.5)) == pytest.approx(first)


def test_regions_of_labels():
    """Oedema is found, the enhancing core is seen as one that does not enhance."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[2:20, 2:20, 2:18] = 2
    truth[LESION] = 4
    prediction = np.where(truth == 4, 1, truth)
    found = lesion_wise(prediction, truth, MM)
    assert list(found) == ["tumour_core", "whole_tumour", "enhancing"]
    assert [found[region]["lesion_dice"] for region in found] == [1, 1, 0]
    assert found["enhancing"]["n_missed"] == 1
    as_2023 = np.where(truth == 4, 3, truth)
    assert lesion_wise(prediction, as_2023, MM)["enhancing"] == found["enhancing"]
    regions = np.stack([(truth == 4), truth > 0, (truth == 4)]).astype(np.float32)
    assert lesion_wise(regions, truth, MM)["enhancing"]["lesion_dice"] == 1


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: lesion_wise(np.zeros((4, 4, 4)), np.zeros((4, 4, 5)), MM), "on one grid"),
        (lambda: lesion_wise(np.zeros((2, 4, 4, 4)), np.zeros((4, 4, 4)), MM), "regions \\(3, I, J, K\\)"),
        (lambda: lesion_wise(np.zeros((4, 4)), np.zeros((4, 4)), MM), "labels \\(I, J, K\\)"),
        (lambda: lesion_scores(np.zeros((4, 4)), np.zeros((4, 4)), MM), "one \\(I, J, K\\)"),
        (lambda: lesion_scores(np.zeros((4, 4, 0)), np.zeros((4, 4, 0)), MM), "one \\(I, J, K\\)"),
        (lambda: lesion_scores(blank(), blank(), (1, 1)), "three numbers above 0"),
        (lambda: lesion_scores(blank(), blank(), (1, 1, math.nan)), "three numbers above 0"),
    ],
)
def test_bad_input(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()
