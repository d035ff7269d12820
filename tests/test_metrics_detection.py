"""Average precision against cases worked out by hand, and what must hold of any boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_monai.metrics_detection import (
    COCO_IOUS,
    Detections,
    average_precision,
    box_iou,
    detection_rates,
    match_boxes,
)

A, B, FAR = [0, 0, 10, 10], [20, 0, 10, 10], [50, 50, 10, 10]
boxes = arrays(float, (4, 4), elements=st.floats(1, 50)).filter(
    lambda found: len(np.unique(found, axis=0)) == 4
)


def one(found, scores, truth):
    return Detections(found, scores, truth)


def test_iou_by_hand():
    overlap = box_iou([A, [5, 0, 10, 10]], [A, FAR, [0, 0, 5, 10]])
    np.testing.assert_allclose(overlap, [[1, 0, 0.5], [1 / 3, 0, 0]])
    assert box_iou([[0, 0, 0, 0]], [[0, 0, 0, 0]]).tolist() == [[0.0]]
    assert box_iou([], [A]).shape == (0, 1)


@given(boxes, boxes)
@settings(max_examples=25, deadline=None)
def test_iou_is_symmetric_and_a_share(first, second):
    overlap = box_iou(first, second)
    np.testing.assert_allclose(overlap, box_iou(second, first).T)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-12)).all()
    np.testing.assert_allclose(np.diag(box_iou(first, first)), 1)


def test_each_truth_is_taken_once_by_the_best():
    assert match_boxes([[1, 0, 10, 10], A, FAR, B], [B, A]).tolist() == [1, -1, -1, 0]
    assert match_boxes([A], []).tolist() == [-1]
    assert match_boxes([[0, 0, 5, 10]], [A], 0.5).tolist() == [0]  # exactly half


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([one([A, B], [0.9, 0.8], [A, B])], 1.0),
        ([one([FAR], [0.9], [A])], 0.0),
        ([one([], [], [A])], 0.0),
        # a false one first: precision 1/2 at every recall
        ([one([A], [0.5], [A]), one([FAR], [0.9], [])], 0.5),
        # right, wrong, right of two: precision 1 up to a recall of 1/2 (51 of 101 points), then 2/3 (50 points)
        ([one([A, FAR, B], [0.9, 0.8, 0.7], [A, B])], (51 + 50 * 2 / 3) / 101),
        # one of two found: recalls beyond 1/2 count nothing
        ([one([A], [0.9], [A]), one([], [], [B])], 51 / 101),
        # found twice: the second is wrong, but comes after all is found
        ([one([A, A], [0.9, 0.8], [A])], 1.0),
        # in two pictures, ranked together: right 0.9, wrong 0.8, right 0.7
        ([one([A], [0.9], [A]), one([FAR, B], [0.8, 0.7], [B])], (51 + 50 * 2 / 3) / 101),
    ],
)
def test_average_precision_by_hand(pictures, expected):
    assert average_precision(pictures) == pytest.approx(expected)


def test_over_thresholds():
    """An overlap of 0.6 counts at 0.50, 0.55 and 0.60 of the ten."""
    assert average_precision([one([[0, 0, 6, 10]], [0.9], [A])], COCO_IOUS) == pytest.approx(0.3)
    assert average_precision([one([A], [0.9], [A])], COCO_IOUS) == pytest.approx(1)
    assert len(COCO_IOUS) == 10 and COCO_IOUS[-1] == 0.95


def test_undefined_without_truth():
    assert math.isnan(average_precision([one([A], [0.9], [])]))
    assert math.isnan(average_precision([]))


def test_scores_rank_in_whatever_order_they_come():
    first = one([A, FAR, B], [0.9, 0.8, 0.7], [A, B])
    second = one([B, A, FAR], [0.7, 0.9, 0.8], [B, A])
    assert average_precision([first]) == average_precision([second])


def test_rates_at_a_threshold():
    pictures = [one([A, FAR, B], [0.9, 0.8, 0.2], [A, B]), one([], [], [A])]
    rates = detection_rates(pictures, 0.5)
    assert (rates["n_truth"], rates["n_found"], rates["n_hit"]) == (3, 2, 1)
    assert (
        rates["precision"] == 0.5
        and rates["recall"] == pytest.approx(1 / 3)
        and rates["f1"] == pytest.approx(0.4)
    )
    assert math.isnan(detection_rates(pictures, 0.95)["precision"])


def test_scores_must_belong_to_the_boxes():
    with pytest.raises(ValueError, match="1 boxes have 2 scores"):
        average_precision([one([A], [0.9, 0.8], [A])])
