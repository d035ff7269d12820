from __future__ import annotations

import math

import numpy as np
import pytest
from brains import stored_otherwise

from fetal_monai.measure.stack import STACK_MEASURES, measure_stack, slice_axis

AFFINE = np.diag([1.5, 1.0, 4.0, 1.0])
SHAPE = (40, 50, 12)


def box(*sides: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(*side) for side in sides)] = 1
    return mask


BOX = box((10, 30), (15, 35), (3, 9))  # 20 x 1.5 by 20 x 1 by 6 x 4 mm


def test_a_box_by_hand():
    found = measure_stack(BOX, AFFINE)
    assert found.measures == pytest.approx(
        {
            "brain_mask_ml": 30 * 20 * 24 / 1000,
            "brain_slices": 6,
            "slice_spacing_mm": 4,
            "brain_in_plane_mm": math.hypot(30, 20),
            "brain_through_plane_mm": 24,
        }
    )
    assert tuple(found.measures) == STACK_MEASURES
    assert found.flags == []
    assert found.box == (slice(10, 30), slice(15, 35), slice(3, 9))


def test_storage_changes_nothing():
    expected = measure_stack(BOX, AFFINE).measures
    for mask, affine in stored_otherwise(BOX, AFFINE):
        found = measure_stack(mask, affine)
        assert found.measures == pytest.approx(expected)
        assert found.flags == []
        assert mask[found.box].all() and mask[found.box].size == BOX.sum()


def test_slices_that_lie_askew():
    """Each slice 2 mm to the right of the last: 4 mm apart all the same, and a box that is seen longer across them."""
    affine = AFFINE.copy()
    affine[0, 2] = 2.0
    found = measure_stack(BOX, affine)
    assert found.measures["slice_spacing_mm"] == pytest.approx(4)
    assert found.measures["brain_mask_ml"] == pytest.approx(14.4)
    assert found.measures["brain_in_plane_mm"] == pytest.approx(math.hypot(30, 20))


def test_diameter_of_a_turned_bar():
    """A bar of one voxel's width along the diagonal of a grid of 1 mm, from corner to corner."""
    mask = np.zeros((60, 60, 8), bool)
    mask[np.arange(10, 50), np.arange(10, 50)] = True
    found = measure_stack(mask, np.diag([1.0, 1.0, 5.0, 1.0]))
    assert found.measures["brain_in_plane_mm"] == pytest.approx(40 * math.sqrt(2))


def test_a_hole_between_slices_is_no_slice():
    mask = BOX.copy()
    mask[..., 5] = 0
    found = measure_stack(mask, AFFINE).measures
    assert (found["brain_slices"], found["brain_through_plane_mm"]) == (5, 24)


@pytest.mark.parametrize("mask", [np.zeros(SHAPE), box((10, 13), (15, 20), (3, 9))], ids=["empty", "0.54 mL"])
def test_without_a_brain_there_are_no_numbers(mask):
    found = measure_stack(mask, AFFINE)
    assert found.flags == ["no_brain"]
    assert found.box is None
    assert found.measures.pop("slice_spacing_mm") == 4
    assert all(math.isnan(value) for value in found.measures.values())


@pytest.mark.parametrize(
    ("sides", "is_cut"),
    [
        (((10, 30), (15, 35), (0, 6)), True),
        (((10, 30), (15, 35), (6, 12)), True),
        (((10, 30), (0, 20), (3, 9)), True),
        (((20, 40), (15, 35), (3, 9)), True),
        (((19, 39), (1, 21), (1, 11)), False),
    ],
    ids=["first slice", "last slice", "front", "side", "one voxel from every edge"],
)
def test_cut_off_by_the_volume(sides, is_cut):
    assert measure_stack(box(*sides), AFFINE).flags == ["brain_cut_off"] * is_cut


def test_a_touch_of_the_edge_is_no_cut():
    """13 voxels of 1.5 mm² on the last slice are 19.5 mm², 14 are 21."""
    mask = BOX.copy()
    mask[10, 15:28, 9:] = 1
    assert measure_stack(mask, AFFINE).flags == []
    mask[10, 28, 9:] = 1
    assert measure_stack(mask, AFFINE).flags == ["brain_cut_off"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cut_off_by_an_empty_part_of_the_volume(axis):
    """Black from where the box begins or ends: the field of view is smaller than the volume."""
    image = np.random.default_rng(0).integers(1, 99, SHAPE)
    assert measure_stack(BOX, AFFINE, image).flags == []
    for side in (slice(0, (10, 15, 3)[axis]), slice((30, 35, 9)[axis], None)):
        cut = image.copy()
        cut[tuple(side if n == axis else slice(None) for n in range(3))] = 0
        assert measure_stack(BOX, AFFINE, cut).flags == ["brain_cut_off"]


def test_a_brain_without_its_mother_is_not_cut_off():
    """A ball alone on black: it ends where its image does, but by itself."""
    points = np.moveaxis(np.indices((60, 60, 20)), 0, -1) * (1, 1, 3.0) - (30, 30, 30)
    ball = np.linalg.norm(points, axis=-1) < 25
    found = measure_stack(ball, np.diag([1.0, 1.0, 3.0, 1.0]), np.where(ball, 100, 0))
    assert found.flags == []
    assert found.measures["brain_mask_ml"] == pytest.approx(4 / 3 * math.pi * 25**3 / 1000, rel=0.02)
    assert 50 <= found.measures["brain_in_plane_mm"] <= 50 + math.sqrt(2)  # whole voxels


@pytest.mark.parametrize(
    ("scale", "flags"), [(0.8, ["implausible_volume"]), (1, []), (3.7, ["implausible_volume"])]
)
def test_no_fetus_has_such_a_brain(scale, flags):
    """7.4, 14.4 and 729 mL."""
    assert measure_stack(BOX, np.diag([*(np.diag(AFFINE)[:3] * scale), 1])).flags == flags


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"mask has shape \(40, 50\)"):
        measure_stack(BOX[..., 0], AFFINE)
    with pytest.raises(ValueError, match="both must be one"):
        measure_stack(BOX, AFFINE, np.zeros((40, 50, 11)))
    with pytest.raises(ValueError, match="singular"):
        measure_stack(BOX, np.diag([1.0, 1.0, 0.0, 1.0]))


def test_slices_run_along_the_largest_spacing():
    assert [slice_axis(affine) for affine in (AFFINE, np.diag([3.3, 1, 1, 1]), np.diag([1, 5.0, 4, 1]))] == [
        2,
        0,
        1,
    ]
