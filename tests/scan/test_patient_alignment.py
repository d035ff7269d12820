"""How two heads lie, and whether two grids are one, worked out by hand."""

from __future__ import annotations

import numpy as np
from volume_files import oblique

from fetal_monai.scan.patient_alignment import (
    Grid,
    Head,
    agreement,
    find_head,
    has_same_affine,
    is_same_grid,
    resample,
)

AFFINE = np.diag([3.0, 2.0, 4.0, 1.0])


def box(start, size, known=slice(None)):
    mask, seen = np.zeros((30, 30, 30), bool), np.zeros((30, 30, 30), bool)
    mask[tuple(slice(first, first + n) for first, n in zip(start, size, strict=True))] = True
    seen[known] = True
    return Head(mask, seen, AFFINE)


def test_two_boxes():
    ten = box((5, 5, 5), (10, 10, 10))
    np.testing.assert_allclose(agreement(ten, ten), (0, 1, 1, 1))
    # 2 voxels of 3 mm apart: 8 of 10 layers are shared
    np.testing.assert_allclose(agreement(ten, box((7, 5, 5), (10, 10, 10))), (6, 0.8, 1, 1))
    # half as long, at one end: its middle is 2.5 voxels of 4 mm off
    np.testing.assert_allclose(agreement(ten, box((5, 5, 5), (10, 10, 5))), (10, 1, 2, 1))
    # the second has voxels from the tenth layer on, which half of the first does not reach
    np.testing.assert_allclose(agreement(ten, box((10, 5, 5), (5, 10, 10), slice(10, None))), (0, 1, 1, 0.5))


def test_boxes_that_cannot_be_compared():
    ten = box((5, 5, 5), (10, 10, 10))
    assert np.isnan(agreement(ten, Head(None, ten.known, AFFINE))).all()
    assert agreement(ten, box((20, 20, 20), (5, 5, 5), slice(18, None))) == (np.inf, 0, np.inf, 0)


def test_a_head_in_what_it_stands_out_from():
    image = np.full((60, 60, 40), 50, np.float32)
    image[20:40, 16:44, 12:28] = 250
    image[26:32, 26:32, 18:22] = 50  # a hole within
    image[4:8, 4:8, 4:8] = 250  # a part of its own
    i, j, k = np.indices((30, 30, 20))
    faces = np.isin(i, (10, 19)) * 1 + np.isin(j, (8, 21)) + np.isin(k, (6, 13))
    within = (i >= 10) & (i < 20) & (j >= 8) & (j < 22) & (k >= 6) & (k < 14)
    expected = within & (faces < 2)  # without the box's edges
    for shown in (image, 300 - image, (image - 200) / 100):
        head = find_head(shown, np.diag([2.0, 2.0, 2.0, 1.0]))
        assert np.array_equal(head.mask, expected)
    np.testing.assert_allclose(head.affine, [[4, 0, 0, 1], [0, 4, 0, 1], [0, 0, 4, 1], [0, 0, 0, 1]])


def test_brightness_around_the_background():
    signs = np.where(np.indices((40, 40, 40)).sum(0) % 2, 100, -100).astype(np.float32)
    image = np.zeros((40, 40, 40), np.float32)
    image[12:28, 12:28, 12:28] = signs[12:28, 12:28, 12:28]  # blocks have the mean 0
    head = find_head(image, np.diag([2.0, 2.0, 2.0, 1.0]))
    assert head.mask is not None
    assert (
        np.array_equal(np.argwhere(head.mask).min(0), [6, 6, 6]) and head.mask.sum() == 8**3 - 80
    )  # without the edges


def test_a_head_that_fills_the_volume_is_not_told():
    assert find_head(np.ones((40, 40, 40), np.float32), AFFINE).mask is None
    full = np.random.default_rng(0).integers(100, 900, (40, 40, 40)).astype(np.float32)
    assert find_head(full, AFFINE).mask is None


def test_grids():
    affine = oblique((1, 1, 3))
    moved = affine.copy()
    moved[:3, 3] += 0.05
    assert is_same_grid(Grid((20, 20, 20), affine), Grid((20, 20, 20), moved))
    assert not is_same_grid(Grid((20, 20, 20), affine), Grid((20, 20, 19), affine))
    assert has_same_affine(Grid((20, 20, 20), affine), Grid((20, 20, 19), affine))
    moved[:3, 3] += 0.05
    assert not is_same_grid(Grid((20, 20, 20), affine), Grid((20, 20, 20), moved))
    wider = affine @ np.diag([1.01, 1, 1, 1])  # 0.19 mm at the last voxel
    assert not has_same_affine(Grid((20, 20, 20), affine), Grid((20, 20, 20), wider))


def test_resampling_with_shear():
    image = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    affine = np.array([[2, 0.3, 0, 5], [0, 1, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1.0]])
    shifted = affine.copy()
    shifted[:3, 3] += affine[:3, 1]
    out = resample(image, affine, Grid((8, 8, 10), shifted))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, image[:, 1:], atol=1e-4)
