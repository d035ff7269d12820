from __future__ import annotations

import numpy as np
import pytest
import torch
from brains import stored_otherwise
from scipy import ndimage

from fetal_monai.transforms.mri import to_canonical
from fetal_monai.transforms.volume_grid import labels_on_input, to_volume_grid, volume_grid

SHAPE = (20, 33, 27)


def affine_of(spacing: tuple[float, ...] = (1, 1, 1)) -> np.ndarray:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = 11, -23, 5
    return affine


def oblique(spacing: tuple[float, ...]) -> np.ndarray:
    """Turned by 25 degrees about z, then 15 about x; left-handed."""
    a, b = np.radians([25, 15])
    about_z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    affine = affine_of(spacing)
    affine[:3, :3] = np.array(about_z) @ about_x @ np.diag([-1, 1, 1]) * spacing
    return affine


def blocks(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Labels 0 to 3 that differ along every axis."""
    labels = np.zeros(shape, np.uint8)
    i, j, k = shape
    labels[2 : i - 3, 3 : j - 2, 4 : k - 5] = 1
    labels[4 : i // 2, 5 : j // 2, 6 : k // 2] = 2
    labels[i // 2 + 2 : i - 4, 6:12, k // 2 :] = 3
    return labels


def smooth(shape: tuple[int, ...], sigma: float = 2.5, seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return (noise / noise.std()).astype(np.float32)


def logits_of(labels: torch.Tensor, grid, classes: int = 4) -> torch.Tensor:
    """Sure logits of labels that lie on the grid's content."""
    padded = torch.zeros(grid.shape, dtype=torch.long)
    x, y, z = grid.content
    padded[:x, :y, :z] = labels.long()
    return 6.0 * torch.nn.functional.one_hot(padded, classes).movedim(-1, 0).float()


ORIENTATIONS = [0, 13, 26, 45]  # of the 48


@pytest.mark.parametrize("which", ORIENTATIONS)
@pytest.mark.parametrize("affine", [affine_of(), oblique((1.0, 1.0, 1.0))], ids=["straight", "oblique"])
def test_there_and_back_is_exact_where_nothing_is_resampled(which, affine):
    labels, stored_affine = list(stored_otherwise(blocks(), affine))[which]
    before = labels.copy()
    grid = volume_grid(labels.shape, stored_affine, 1.0, 16)
    on_grid = to_volume_grid(labels, grid)
    assert on_grid.dtype == torch.float32 and tuple(on_grid.shape) == grid.content
    expected, _ = to_canonical(blocks(), affine)
    assert np.array_equal(on_grid.numpy(), expected)  # whatever way it is stored
    back = labels_on_input(logits_of(on_grid, grid), grid)
    assert back.dtype == np.uint8 and np.array_equal(back, labels)
    assert np.array_equal(labels, before)


def test_grid_by_hand():
    grid = volume_grid((100, 90, 22), affine_of((1.1, 1.1, 3.3)), 1.6, 32)
    assert grid.content == (69, 62, 45)  # 110, 99 and 72.6 mm
    assert grid.shape == (96, 64, 64)
    assert grid.spacing_mm == pytest.approx((110 / 69, 99 / 62, 72.6 / 45))
    assert grid.canonical[0] == (100, 90, 22)
    turned = volume_grid((22, 100, 90), affine_of((1.1, 1.1, 3.3))[:, [2, 0, 1, 3]], 1.6, 32)
    assert (turned.content, turned.shape) == (grid.content, grid.shape)
    assert turned.canonical[0] == (100, 90, 22)
    np.testing.assert_allclose(turned.canonical[1], grid.canonical[1])


def test_a_thin_volume_has_at_least_one_voxel():
    grid = volume_grid((40, 40, 2), affine_of((1, 1, 0.1)), 1.6, 16)
    assert grid.content == (25, 25, 1) and grid.shape == (32, 32, 16)
    assert to_volume_grid(np.ones((40, 40, 2)), grid).shape == (25, 25, 1)


@pytest.mark.parametrize(
    "affine", [affine_of((0.8, 0.9, 3.0)), oblique((1.2, 0.7, 2.2))], ids=["straight", "oblique"]
)
@pytest.mark.parametrize("which", ORIENTATIONS[:2])
def test_a_label_map_keeps_its_shape_there_and_back(affine, which):
    """Resampled twice, borders move by less than a voxel: Dice stays high, and so does the volume."""
    labels, stored_affine = list(stored_otherwise(blocks((48, 56, 24)), affine))[which]
    grid = volume_grid(labels.shape, stored_affine, 0.8, 16)
    one_hot = [to_volume_grid((labels == n).astype(np.float32), grid) for n in range(4)]
    x, y, z = grid.content
    logits = torch.zeros(4, *grid.shape)
    logits[:, :x, :y, :z] = torch.stack(one_hot)
    back = labels_on_input(logits, grid)
    for label in range(1, 4):
        both = np.count_nonzero((back == label) & (labels == label))
        sizes = [np.count_nonzero(array == label) for array in (back, labels)]
        assert 2 * both / sum(sizes) > 0.97
        assert sizes[0] == pytest.approx(sizes[1], rel=0.03)


@pytest.mark.parametrize("spacing", [(1.3, 1.1, 2.4), (1.9, 2.0, 1.6)], ids=["mixed", "finer"])
def test_interpolates_as_scipy_does(spacing):
    """Where nothing is averaged, `zoom` with pixels as areas is the same."""
    image = smooth((24, 30, 18))
    grid = volume_grid(image.shape, affine_of(spacing), 1.0, 16)
    factors = np.array(grid.content) / image.shape
    expected = ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(to_volume_grid(image, grid).numpy(), expected, atol=1e-4)


def test_averages_what_shrinks():
    """To half: four neighbours weigh 1, 3, 3, 1 along each axis that shrinks; the others stay."""
    image = np.random.default_rng(0).normal(size=(32, 32, 8)).astype(np.float32)
    grid = volume_grid(image.shape, affine_of((0.5, 0.5, 1.0)), 1.0, 16)
    weights = np.array([1, 3, 3, 1]) / 8
    block = image[9:13, 19:23]  # about the voxels 5 and 10 of the grid
    expected = np.einsum("i,j,ijk->k", weights, weights, block)
    np.testing.assert_allclose(to_volume_grid(image, grid)[5, 10].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("spacing", [(0.8, 0.6, 2.9), (2.0, 1.7, 1.3)], ids=["up", "down"])
def test_labels_as_scipy_would_bring_them_back(spacing):
    """The class that is highest after each class's logits went back through `zoom`."""
    shape = (30, 36, 14)
    grid = volume_grid(shape, affine_of(spacing), 1.2, 16)
    x, y, z = grid.content
    logits = torch.stack([torch.from_numpy(smooth(grid.shape, 2.0, seed)) for seed in range(4)])
    factors = np.array(shape) / grid.content
    zoomed = [
        ndimage.zoom(one[:x, :y, :z], factors, order=1, mode="nearest", grid_mode=True)
        for one in logits.numpy()
    ]
    expected = np.argmax(zoomed, axis=0)
    assert np.mean(labels_on_input(logits, grid) == expected) > 0.9995


def test_only_what_is_kept_comes_back():
    labels = blocks()
    grid = volume_grid(labels.shape, affine_of(), 1.0, 16)
    logits = logits_of(torch.from_numpy(labels), grid)
    keep = torch.zeros(grid.shape, dtype=torch.bool)
    keep[4:10, 5:16, 6:13] = True
    expected = np.where(keep[:20, :33, :27].numpy(), labels, 0)
    assert set(np.unique(expected)) == {0, 2}
    assert np.array_equal(labels_on_input(logits, grid, keep), expected)
    assert not labels_on_input(logits, grid, torch.zeros_like(keep)).any()


def test_nothing_found_is_nothing():
    grid = volume_grid(SHAPE, affine_of((1, 2, 3)), 1.5, 16)
    logits = torch.zeros(4, *grid.shape)
    logits[0] = 1
    back = labels_on_input(logits, grid)
    assert back.shape == SHAPE and not back.any()


def test_logits_stay_as_they_were():
    labels = blocks()
    grid = volume_grid(labels.shape, affine_of(), 1.0, 16)
    logits = logits_of(torch.from_numpy(labels), grid)
    before = logits.clone()
    labels_on_input(logits, grid, logits.argmax(0) == 1)
    assert torch.equal(logits, before)
