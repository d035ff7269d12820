from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from numpy.random import RandomState

from fetal_monai.synthesis import mri

SHAPE = (24, 30, 20)
DISTANCE = torch.linspace(-20, 40, SHAPE[0])[:, None, None].expand(SHAPE).contiguous()
LABELS = torch.arange(8, dtype=torch.float32).repeat_interleave(3)[:, None, None].expand(SHAPE).contiguous()


def noise(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(RandomState(seed).uniform(0, 1, SHAPE).astype(np.float32))


RANDOM = {  # each with a random state left to give
    "smooth_noise": lambda r: mri.smooth_noise(SHAPE, [3, 4, 5], r, 2),
    "label_contrast": lambda r: mri.label_contrast(LABELS, noise(), r),
    "surroundings": lambda r: mri.surroundings(DISTANCE, 1.0, r),
    "maternal": lambda r: mri.maternal(DISTANCE, 1.5, r),
    "slice_motion": lambda r: mri.slice_motion(SHAPE, 3, 1, 1.0, r),
    "bias_field": lambda r: mri.bias_field(SHAPE, 0.3, r),
    "rician_noise": lambda r: mri.rician_noise(noise(), 0.1, r),
}


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_repeat(name):
    first, again, other = (RANDOM[name](RandomState(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float32 and first.isfinite().all()
    assert tuple(first.shape[-3:]) == SHAPE


def test_all_that_is_random_is_tried():
    takes = [name for name in mri.__all__ if callable(getattr(mri, name))]
    assert {name for name in takes if "random" in inspect.signature(getattr(mri, name)).parameters} == set(
        RANDOM
    )


def test_noise_is_linear_between_its_nodes():
    values = RandomState(3).standard_normal((1, 1, 2, 1, 1)).ravel()
    line = mri.smooth_noise((5, 2, 2), (2, 1, 1), RandomState(3))
    assert tuple(line.shape) == (1, 5, 2, 2)
    for place, share in enumerate((0, 0.25, 0.5, 0.75, 1)):
        assert line[0, place] == pytest.approx((1 - share) * values[0] + share * values[1], abs=1e-6)
    assert mri.smooth_noise((6, 6, 6), 6, RandomState(0), 3).std() == pytest.approx(1, abs=0.1)


def test_matrix_by_hand():
    half = math.pi / 2
    still, none = (1, 1, 1), (0, 0, 0)
    np.testing.assert_array_equal(mri.affine_matrix(none, still, none), np.eye(3))
    np.testing.assert_allclose(
        mri.affine_matrix((0, 0, half), still, none) @ (1, 0, 0), (0, 1, 0), atol=1e-12
    )
    np.testing.assert_allclose(
        mri.affine_matrix((half, 0, 0), still, none) @ (0, 1, 0), (0, 0, 1), atol=1e-12
    )
    np.testing.assert_allclose(mri.affine_matrix(none, (2, 3, 4), none) @ (1, 1, 1), (2, 3, 4))
    np.testing.assert_allclose(mri.affine_matrix(none, still, (0.1, 0.2, 0.3)) @ (0, 1, 1), (0.3, 1.3, 1))
    mirrored = mri.affine_matrix((0.3, -0.2, 1.0), (2, 3, 0.5), (0.1, 0, 0.2), (True, False, False))
    assert np.linalg.det(mirrored) == pytest.approx(-3)


def test_grid_by_hand():
    points = mri.sampling_grid((5, 3, 3), np.diag([2.0, 1, 1]), (10, 20, 30))
    assert tuple(points.shape) == (5, 3, 3, 3)
    assert points[2, 1, 1].tolist() == [10, 20, 30]
    assert points[4, 0, 2].tolist() == [14, 19, 31]
    moved = mri.sampling_grid((5, 3, 3), np.diag([2.0, 1, 1]), (10, 20, 30), torch.ones(3, 5, 3, 3))
    assert torch.equal(moved, points + 1)
    turned = mri.sampling_grid((3, 3, 3), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), (0, 0, 0))
    assert turned[2, 1, 1].tolist() == [0, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_contrast_keeps_to_its_priors(seed):
    image = mri.label_contrast(LABELS, noise(), RandomState(seed), mri.T2_PRIORS, strength=(0.02, 0.1))
    assert (image[LABELS == 0] == 0).all()
    for label, (low, high) in mri.T2_PRIORS.items():
        values = image[label == LABELS]
        assert low <= float(values.mean()) <= high
        assert 0.0199 <= float(values.std()) <= 0.101


def test_texture_is_that_of_the_scan():
    texture = noise()
    image = mri.label_contrast(LABELS, texture, RandomState(0), mri.T2_PRIORS, strength=(0.1, 0.1))
    for label in range(1, 8):
        inside = label == LABELS
        both = np.corrcoef(image[inside].numpy(), texture[inside].numpy())[0, 1]
        assert abs(both) == pytest.approx(1, abs=1e-4)
    flat = mri.label_contrast(LABELS, torch.ones(SHAPE), RandomState(0), mri.T2_PRIORS)
    assert all(float(flat[label == LABELS].std()) < 1e-4 for label in range(8))


@pytest.mark.parametrize("seed", range(5))
def test_mother_and_skull(seed):
    image = mri.maternal(DISTANCE, 1.5, RandomState(seed))
    inside = image[DISTANCE < -5]  # all that lies within is painted as skull
    assert 0.02 <= float(inside.min()) == float(inside.max()) <= 0.35
    assert image[DISTANCE > 30].unique().numel() > 100
    assert float(image.min()) > -0.5 and float(image.max()) < 2.5


def test_face_and_neck_lie_where_the_body_is():
    """All that they change is on one side of the head, and beyond it; in some pictures they change nothing."""
    changed = 0
    for seed in range(10):
        alone = mri.maternal(DISTANCE, 1.5, RandomState(seed))
        image = mri.maternal(DISTANCE, 1.5, RandomState(seed), (0.0, 0.0, -3.0))
        other = image != alone
        assert not other[DISTANCE < 0].any()
        if other.any():
            changed += 1
            place = other.nonzero().float() - (DISTANCE < 0).nonzero().float().mean(0)
            assert float((place[:, 2] < 0).float().mean()) > 0.98
    assert 5 <= changed <= 10
    nowhere = torch.full(SHAPE, 60.0)
    assert torch.equal(
        mri.maternal(nowhere, 1.5, RandomState(0), (1, 0, 0)), mri.maternal(nowhere, 1.5, RandomState(0))
    )


def test_surroundings_often_have_a_skull():
    dark = 0
    for seed in range(20):
        image = mri.surroundings(DISTANCE, 1.0, RandomState(seed))
        inside = image[DISTANCE < -5]
        dark += bool(inside.min() == inside.max()) and 0.02 <= float(inside[0]) <= 0.25
        assert float(image.min()) > -0.5 and float(image.max()) < 1.5
    assert 10 <= dark <= 19  # 16 of 20 are expected


def test_blur_by_hand():
    point = torch.zeros(41, 41, 41)
    point[20, 20, 20] = 1
    image = mri.blur(point, (2.0, 0.0, 1.0))
    line = image.sum(dim=(1, 2))
    place = torch.arange(41) - 20.0
    assert float(line.sum()) == pytest.approx(1, abs=1e-5)
    assert float((line * place**2).sum()) == pytest.approx(4, rel=0.15)  # cut off at 2.5 SD
    assert torch.allclose(line, line.flip(0))
    assert float(image.sum(dim=(0, 2))[20]) == pytest.approx(1, abs=1e-5)  # not along the second axis
    assert torch.allclose(mri.blur(torch.full(SHAPE, 0.7), 3.0), torch.tensor(0.7))
    assert torch.equal(mri.blur(noise(), 0.0), noise())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices(axis):
    shape = [20, 20, 20]
    shape[axis] = 48
    point = torch.zeros(shape)
    place = [10, 10, 10]
    place[axis] = 25  # the middle of a slice of 6, from 21 to 26, would lie at 20.5 and 26.5
    point[tuple(place)] = 1
    image = mri.thick_slices(point, 6, axis)
    assert image.shape == point.shape
    others = [n for n in range(3) if n != axis]
    assert {tuple(p) for p in image.nonzero()[:, others].tolist()} == {(10, 10)}
    line = image.select(others[1], 10).select(others[0], 10)
    seen = (line > line.max() / 2).sum()
    assert 5 <= int(seen) <= 12  # between the profile's 6 and what linear interpolation adds
    ramp = torch.arange(48.0).view([-1 if n == axis else 1 for n in range(3)]).expand(shape)
    middle = [slice(None)] * 3
    middle[axis] = slice(12, 36)
    assert torch.allclose(mri.thick_slices(ramp, 4, axis)[tuple(middle)], ramp[tuple(middle)], atol=1e-3)
    assert mri.thick_slices(point, 1.0, axis) is point


def test_slices_move_as_a_whole():
    moved = mri.slice_motion(SHAPE, 5, 1, 2.0, RandomState(0))
    assert tuple(moved.shape) == (3, *SHAPE)
    assert torch.equal(moved, moved[:, :1, :, :1].expand_as(moved))  # one shift for all of a slice
    line = moved[:, 0, :, 0]
    slices = line.reshape(3, 6, 5)
    assert torch.equal(slices, slices[..., :1].expand_as(slices))  # 6 slices of 5 voxels
    assert slices[..., 0].unique(dim=1).shape[1] > 1
    assert not mri.slice_motion(SHAPE, 5, 1, 0.0, RandomState(0)).any()
    assert mri.slice_motion((9, 9, 9), 0.5, 2, 1.0, RandomState(0)).shape == (3, 9, 9, 9)


def test_bias_is_smooth_and_about_one():
    fields = [mri.bias_field((32, 32, 32), 0.3, RandomState(seed)).log() for seed in range(30)]
    assert float(torch.stack(fields).mean()) == pytest.approx(0, abs=0.05)
    assert float(torch.stack([field[0, 0, 0] for field in fields]).std()) == pytest.approx(0.3, rel=0.4)
    assert max(float(field.diff(dim=0).abs().max()) for field in fields) < 0.3 * 8 * 3 / 31
    assert torch.equal(mri.bias_field(SHAPE, 0.0, RandomState(0)), torch.ones(SHAPE))


def test_gamma_by_hand():
    image = torch.tensor([1.0, 1.5, 2.0, 3.0])
    assert mri.gamma(image, 2).tolist() == pytest.approx([1, 1 + 2 / 16, 1 + 2 / 4, 3])
    assert mri.gamma(image, 1).tolist() == pytest.approx(image.tolist())
    assert torch.equal(mri.gamma(torch.full((3,), 0.4), 2), torch.full((3,), 0.4))


def test_rician_noise_by_hand():
    nothing = mri.rician_noise(torch.zeros(50, 50, 50), 0.1, RandomState(0))
    assert float(nothing.mean()) == pytest.approx(0.1 * math.sqrt(math.pi / 2), rel=0.01)  # Rayleigh
    bright = mri.rician_noise(torch.ones(50, 50, 50), 0.1, RandomState(0))
    assert float(bright.mean()) == pytest.approx(1 + 0.1**2 / 2, abs=1e-3)
    assert float(bright.std()) == pytest.approx(0.1, rel=0.02)
    torch.testing.assert_close(mri.rician_noise(noise(), 0.0, RandomState(0)), noise())
