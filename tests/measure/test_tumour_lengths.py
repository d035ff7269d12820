from __future__ import annotations

import math

import numpy as np
import pytest
from brains import stored_otherwise
from scipy.spatial.transform import Rotation

from fetal_monai.measure.tumour_lengths import axial_axis, longest_line, rano_lines

SHAPE = (40, 36, 14)
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def blank(*boxes: tuple[slice | int, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for box in boxes:
        mask[box] = True
    return mask


def length(line: np.ndarray) -> float:
    return float(np.linalg.norm(line[1] - line[0]))


def ends(line: np.ndarray) -> list[list[float]]:
    return sorted(line.round(6).tolist())


CROSS = blank(np.s_[5:26, 15, 6], np.s_[15, 10:21, 6])  # 21 voxels of 2 mm by 11 of 3 mm


def test_a_cross_by_hand():
    found = rano_lines(CROSS, CROSS, AFFINE, 2)
    assert found.lengths_mm == pytest.approx((42, 33))
    assert found.product_mm2 == pytest.approx(42 * 33)
    assert ends(found.diameter) == [[9, 45, 24], [51, 45, 24]]
    assert ends(found.perpendicular) == [[30, 28.5, 24], [30, 61.5, 24]]
    assert (found.axis, found.index, found.tilt_degrees) == (2, 6, 0)


def test_one_voxel_and_a_row():
    one = blank(np.s_[7, 7, 7])
    assert rano_lines(one, one, AFFINE, 2).lengths_mm == pytest.approx((3, 2))
    assert length(longest_line(one, AFFINE)) == pytest.approx(4)
    row = blank(np.s_[7:17, 7, 7])
    assert rano_lines(row, row, AFFINE, 2).lengths_mm == pytest.approx((20, 3))
    assert length(longest_line(row, AFFINE)) == pytest.approx(20)
    assert ends(longest_line(row, AFFINE)) == [[13, 21, 28], [33, 21, 28]]


def test_nothing_has_no_line():
    nothing = blank()
    assert rano_lines(nothing, CROSS, AFFINE, 2) is None
    assert longest_line(nothing, AFFINE) is None


def test_the_slice_with_the_largest_product_counts():
    """A long thin bar has the longer diameter, the cross the larger product."""
    both = CROSS | blank(np.s_[3:33, 15, 5])
    found = rano_lines(both, both, AFFINE, 2)
    assert found.index == 6
    assert found.lengths_mm == pytest.approx((42, 33))
    assert rano_lines(both & ~CROSS, both, AFFINE, 2).lengths_mm == pytest.approx((60, 3))


@pytest.mark.parametrize("apart", [False, True])
def test_nodules_on_a_slice_are_measured_alone(apart):
    """Two bars of 4 x 3 voxels on one slice, of one tumour or of two, are not one long lesion."""
    bars = blank(np.s_[2:6, 10:13, 6], np.s_[30:34, 10:13, 6])
    if not apart:
        bars |= blank(np.s_[5:31, 11, 5], np.s_[5, 11, 5:7], np.s_[30, 11, 5:7])  # a bridge on another slice
    found = rano_lines(bars, bars, np.eye(4), 2)
    assert found.lengths_mm[0] < 27
    if apart:
        assert found.lengths_mm == pytest.approx((math.hypot(4, 2), found.lengths_mm[1]))


@pytest.mark.parametrize("has_core", [True, False], ids=["one rim", "two plates"])
def test_a_rim_broken_around_its_necrosis_is_one(has_core):
    """Plates at either side of a slice that hang together one slice below, with or without core between them."""
    rim = blank(np.s_[5, 10:15, 6], np.s_[25, 10:15, 6], np.s_[5:26, 12, 5])
    core = rim | blank(np.s_[5:26, 10:15, 6]) if has_core else rim
    found = rano_lines(rim, core, np.eye(4), 2)
    assert found.index == (6 if has_core else 5)
    if (
        has_core
    ):  # from the end of one plate to the other end of the other, 5 high and 4 from middle to middle
        diagonal = math.hypot(21, 4)
        assert found.lengths_mm == pytest.approx((diagonal, 5 * diagonal / 21))
    else:
        assert found.lengths_mm == pytest.approx((21, 1))


def test_lines_of_an_ellipse_at_uneven_spacing():
    """Half axes of 24 and 10 mm, turned by 30 degrees on its slice."""
    affine = np.diag([0.7, 1.3, 5.0, 1.0])
    x, y = np.meshgrid(np.arange(90) * 0.7 - 31, np.arange(50) * 1.3 - 31, indexing="ij")
    turn = np.radians(30)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    mask = ((along / 24) ** 2 + (across / 10) ** 2 <= 1)[..., None] & np.array([False, True, False])
    found = rano_lines(mask, mask, affine, 2)
    assert found.lengths_mm == pytest.approx((48, 20), abs=0.7)
    direction, side = np.diff(found.diameter, axis=0)[0], np.diff(found.perpendicular, axis=0)[0]
    assert abs(direction @ [np.cos(turn), np.sin(turn), 0]) == pytest.approx(48, abs=0.7)
    assert direction @ side == pytest.approx(0, abs=1e-6)
    assert found.diameter.mean(axis=0) == pytest.approx([31, 31, 5], abs=0.7)


def test_the_longest_line_of_an_ellipsoid():
    """Half axes of 20, 9 and 7 mm, turned in space; the line runs along the longest."""
    rotation = Rotation.from_euler("xyz", (20, 35, 50), degrees=True).as_matrix()
    affine = np.diag([1.0, 0.8, 1.5, 1.0])
    affine[:3, 3] = -22, -22, -22
    points = np.argwhere(np.ones((45, 56, 30))) * [1.0, 0.8, 1.5] - 22
    mask = (((points @ rotation / [20, 9, 7]) ** 2).sum(axis=1) <= 1).reshape(45, 56, 30)
    found = longest_line(mask, affine)
    assert length(found) == pytest.approx(40, abs=0.8)
    assert abs((found[1] - found[0]) @ rotation[:, 0]) == pytest.approx(40, abs=0.8)
    assert found.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.8)


def test_the_longest_line_lies_within_one_part():
    two = blank(np.s_[2, 2, 2:8], np.s_[2, 30, 2:11], np.s_[36, 2, 2:6])  # 24, 36 and 16 mm
    assert length(longest_line(two, AFFINE)) == pytest.approx(36)
    assert ends(longest_line(two, AFFINE)) == [[4, 90, 6], [4, 90, 42]]


def test_a_line_leaps_over_a_gap_of_its_part():
    """A ring is as long as it is wide, and every row of it has two runs."""
    x, y = np.meshgrid(np.arange(40) - 20, np.arange(36) - 18, indexing="ij")
    ring = np.zeros(SHAPE, bool)
    ring[..., 4] = (np.hypot(x, y) <= 12) & (np.hypot(x, y) > 10)
    assert length(longest_line(ring, np.eye(4))) == pytest.approx(25)  # 25 voxels through the middle
    assert rano_lines(ring, ring, np.eye(4), 2).lengths_mm == pytest.approx((25, 25))


def test_storage_changes_no_line():
    """The slice stays the patient's axial one wherever its axis is stored."""
    mask = CROSS | blank(
        np.s_[24:26, 15, 1:7]
    )  # a tail, from the top of one end of the cross to its own foot
    expected = [[10, 45, 26], [50, 45, 2]]
    for turned, affine in stored_otherwise(mask, AFFINE):
        axis = axial_axis(turned.shape, affine)
        assert turned.shape[axis] == SHAPE[2]
        found = rano_lines(turned, turned, affine, axis)
        assert ends(found.diameter) == [[9, 45, 24], [51, 45, 24]]
        assert ends(found.perpendicular) == [[30, 28.5, 24], [30, 61.5, 24]]
        assert ends(longest_line(turned, affine)) == expected


def test_tilted_slices():
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    affine = rotation @ AFFINE
    assert axial_axis(SHAPE, affine) == 2
    found = rano_lines(CROSS, CROSS, affine, 2)
    assert found.lengths_mm == pytest.approx((42, 33))
    assert found.tilt_degrees == pytest.approx(20)
    assert ends(found.diameter @ rotation[:3, :3]) == [[9, 45, 24], [51, 45, 24]]


def test_slices_that_lie_askew():
    """A gantry that was tilted shifts the slices, which stay axial, and turns no line on them."""
    affine = AFFINE.copy()
    affine[1, 2] = 1.5
    found = rano_lines(CROSS, CROSS, affine, 2)
    assert found.lengths_mm == pytest.approx((42, 33))
    assert found.tilt_degrees == pytest.approx(0)
    column = blank(np.s_[7, 7, 2:8])  # six steps of (0, 1.5, 4)
    assert length(longest_line(column, affine)) == pytest.approx(6 * math.hypot(1.5, 4))


def test_a_single_slice_is_measured_whatever_way_it_lies():
    assert axial_axis((30, 1, 20), np.eye(4)) == 1
    assert axial_axis((1, 30, 20), np.eye(4)) == 0
    assert axial_axis((30, 20, 10), np.eye(4)[[1, 2, 0, 3]]) == 0  # the first axis runs upwards
    sagittal = CROSS.transpose(2, 0, 1)[6:7]
    found = rano_lines(sagittal, sagittal, np.diag([4.0, 2.0, 3.0, 1.0]), 0)
    assert found.lengths_mm == pytest.approx((42, 33))
    assert found.tilt_degrees == pytest.approx(90)
