from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_monai.measure.tumour_regions import (
    components,
    drop_small,
    drop_unsure,
    labels_to_regions,
    make_nested,
    regions_to_labels,
)

SPACING = (2.0, 1.0, 5.0)  # a voxel is 0.01 mL


def volume(*boxes: tuple[int, tuple[slice, ...]]) -> np.ndarray:
    labels = np.zeros((12, 12, 8), np.uint8)
    for label, box in boxes:
        labels[box] = label
    return labels


@pytest.mark.parametrize(
    ("labels", "convention", "core", "enhancing"),
    [
        ([0, 1, 2, 4], None, [0, 1, 0, 1], [0, 0, 0, 1]),  # 2018
        ([0, 1, 2, 3], None, [0, 1, 0, 1], [0, 0, 0, 1]),  # 2023
        ([0, 1, 2, 3, 4], None, [0, 1, 0, 1, 1], [0, 0, 0, 0, 1]),  # 2013
        ([0, 1, 2, 3], "brats2013", [0, 1, 0, 1], [0, 0, 0, 0]),
        ([0, 1, 2, 3], "brats2018", [0, 1, 0, 1], [0, 0, 0, 0]),
        ([0, 1, 2], "brats2023", [0, 1, 0], [0, 0, 0]),
    ],
)
def test_regions_of_each_convention(labels, convention, core, enhancing):
    for dtype in (np.uint8, np.int16, np.float32):
        found = labels_to_regions(np.array(labels, dtype), convention)
        assert found.dtype == bool
        assert found.astype(int).tolist() == [core, [0] + [1] * (len(labels) - 1), enhancing]


def test_labels_of_each_convention():
    regions = labels_to_regions([0, 1, 2, 4])
    assert regions_to_labels(regions).tolist() == [0, 1, 2, 4]
    assert regions_to_labels(regions, "brats2023").tolist() == [0, 1, 2, 3]
    assert regions_to_labels(regions).dtype == np.uint8


def test_nested_by_hand():
    core = [1, 1, 0, 1, 0]
    whole = [1, 0, 1, 1, 0]
    enhancing = [1, 1, 1, 0, 1]
    found = make_nested([core, whole, enhancing])
    assert found.astype(int).tolist() == [[1, 0, 0, 1, 0], whole, [1, 0, 0, 0, 0]]
    assert regions_to_labels([core, whole, enhancing]).tolist() == [4, 0, 2, 1, 0]


@given(arrays(np.uint8, (3, 4, 3, 2), elements=st.integers(0, 1)))
def test_nested_regions_come_back_from_their_labels(regions):
    nested = make_nested(regions)
    assert (nested[2] <= nested[0]).all() and (nested[0] <= nested[1]).all()
    for convention in ("brats2018", "brats2023"):
        assert np.array_equal(labels_to_regions(regions_to_labels(regions, convention), convention), nested)


def test_parts_touch_at_corners():
    mask = np.zeros((6, 6, 6), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = mask[4, 4, 2] = True
    parts, n_parts = components(mask)
    assert n_parts == 2
    assert parts[1, 1, 1] == parts[2, 2, 2] != parts[4, 4, 2]


def test_small_parts_go():
    """Ten voxels of 10 mm³ are 0.1 mL: not under 0.1, but under 0.11."""
    labels = volume((2, np.s_[1:6, 1:3, 1]), (2, np.s_[8:12, 6:12, 4:6]))  # 10 and 48 voxels
    assert np.array_equal(drop_small(labels, 0.1, SPACING), labels)
    large = volume((2, np.s_[8:12, 6:12, 4:6]))
    assert np.array_equal(drop_small(labels, 0.11, SPACING), large)
    assert np.array_equal(drop_small(labels, 0.1, (2.0, 1.0, 2.5)), large)
    assert not drop_small(labels, 1.0, SPACING).any()
    assert labels.sum() == 2 * 58  # as it came


def test_what_is_small_belongs_to_the_next_larger_region():
    labels = volume((2, np.s_[1:11, 1:11, 1:7]), (1, np.s_[2:5, 2:5, 2:5]), (4, np.s_[3, 3, 3]))
    labels[8:10, 8, 2] = 4  # a core of two voxels
    found = drop_small(labels, (0.03, 0.0, 0.0), SPACING)  # the core alone
    expected = labels.copy()
    expected[8:10, 8, 2] = 2
    assert np.array_equal(found, expected)
    found = drop_small(labels, (0.0, 0.0, 0.02), SPACING)  # the enhancing tumour alone
    expected = labels.copy()
    expected[3, 3, 3] = 1
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("labels", "kept"), [([1, 2, 3], 3), ([1, 2, 4], 4)])
def test_small_parts_go_in_either_convention(labels, kept):
    array = volume((2, np.s_[1:6, 1:6, 1:6]), (labels[2], np.s_[2:5, 2:5, 2:5]))
    array[11, 11, 7] = labels[2]
    found = drop_small(array, 0.02, SPACING)
    assert found.max() == kept and found[11, 11, 7] == 0 and (found == kept).sum() == 27
    regions = drop_small(labels_to_regions(array), 0.02, SPACING)
    assert regions.dtype == bool
    assert np.array_equal(regions, labels_to_regions(found))


def test_label_3_of_2013_becomes_1():
    array = volume((3, np.s_[1:6, 1:6, 1:6]), (4, np.s_[2:5, 2:5, 2:5]))
    assert np.unique(drop_small(array, 0.0, SPACING)).tolist() == [0, 1, 4]


def test_nothing_stays_nothing():
    assert not drop_small(volume(), 0.1, SPACING).any()
    assert not labels_to_regions(volume()).any()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: labels_to_regions([0, 5]), "from 0 to 5"),
        (lambda: labels_to_regions([-1, 0]), "0 to 4"),
        (lambda: labels_to_regions([0.5, 1]), "whole numbers"),
        (lambda: labels_to_regions([np.nan, 1]), "whole numbers"),
        (lambda: labels_to_regions([True, False]), "a mask"),
        (lambda: labels_to_regions([1, 4], "brats2023"), "hold a 4"),
        (lambda: labels_to_regions([1, 4], "brats2020"), "choose one of brats2013, brats2018"),
        (lambda: regions_to_labels(np.ones((3, 2)), "brats2013"), "brats2018 or brats2023"),
        (lambda: make_nested(np.ones((2, 4))), "tumour_core, whole_tumour, enhancing"),
        (lambda: drop_small(volume(), 0.1, (1, 1)), "three numbers above 0"),
        (lambda: drop_small(volume(), 0.1, (1, 1, 0)), "three numbers above 0"),
        (lambda: drop_small(volume()[0], 0.1, SPACING), "labels \\(I, J, K\\)"),
    ],
)
def test_bad_input(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()


def test_parts_that_are_less_sure_than_the_surest_are_removed():
    """Two parts with peaks 0.9 and 0.7, and one that never reaches the threshold; each region by itself."""
    probability = np.zeros((3, 8, 4, 4), np.float32)
    probability[1, 0:2], probability[1, 0, 0, 0] = 0.6, 0.9
    probability[1, 4:6], probability[1, 5, 1, 1] = 0.55, 0.7
    probability[1, 7] = 0.4
    probability[0, 4:6] = 0.6  # the surest of its region
    found = drop_unsure(probability, 0.8)  # 0.72 or more
    assert found[1, 0:2].all() and not found[1, 2:].any()
    assert found[0, 4:6].all() and found[0].sum() == 32 and not found[2].any()
    for share in (0.0, 0.77):
        assert np.array_equal(drop_unsure(probability, share)[1], probability[1] > 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        drop_unsure(probability, 1.2)
