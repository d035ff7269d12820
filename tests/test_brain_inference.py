"""The two looks at a volume, with a network that takes what is bright for brain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fetal_monai.brain_inference import BrainInferer, brain_box, brain_extent, main_part

SHAPE = (64, 96, 64)
BRAIN = (slice(20, 40), slice(50, 80), slice(16, 44))


class BrightIsBrain(nn.Module):
    """Logits (N, 2, X, Y, Z) that are even at ``level``; remembers what it was shown."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level, self.seen = level, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return torch.cat([self.level - x, x - self.level], dim=1)


def picture(value: float = 1.0, around: float = 0.2) -> torch.Tensor:
    image = torch.full((1, 1, *SHAPE), around)
    image[(0, 0, *BRAIN)] = value
    return image


def truth() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[BRAIN] = True
    return mask


def found(logits: torch.Tensor) -> np.ndarray:
    assert logits.shape == (1, 2, *SHAPE) and logits.dtype == torch.float32
    return logits[0].argmax(0).numpy() > 0


def sizes(network: BrightIsBrain) -> list[tuple[int, ...]]:
    return [tuple(image.shape[2:]) for image in network.seen]


def test_extent_and_box_by_hand():
    labels = torch.zeros(64, 64, 64, dtype=torch.long)
    labels[20:30, 0:5, 40:60] = 3
    labels[50, 50, 5] = 1  # a smaller part does not count
    extent = brain_extent(labels)
    assert extent == [(20, 30), (0, 5), (40, 60)]
    # with 4 voxels around them: 16 to 34, -4 to 9, 36 to 64; sides 32, 16, 32 about their middles 25, 2.5, 50
    assert brain_box(extent, (64, 64, 64), 4, 16) == (slice(9, 41), slice(0, 16), slice(32, 64))
    assert brain_extent(torch.zeros_like(labels)) is None
    assert brain_box([(0, 64)] * 3, (64, 64, 64), 4, 16) == (slice(0, 64),) * 3


@pytest.mark.parametrize("seed", range(5))
def test_a_box_holds_what_is_found_with_its_margin(seed):
    random = np.random.default_rng(seed)
    full = (16 * random.integers(1, 6, 3)).tolist()
    low = [int(random.integers(0, n - 4)) for n in full]
    extent = [(a, int(random.integers(a + 1, n + 1))) for a, n in zip(low, full, strict=True)]
    for side, (a, b), n in zip(brain_box(extent, full, 3, 16), extent, full, strict=True):
        assert 0 <= side.start <= max(0, a - 3) and min(n, b + 3) <= side.stop <= n
        assert (side.stop - side.start) % 16 == 0


def test_looks_again_at_the_box_with_gray_values_of_its_own():
    """Twice as bright beyond the brain's box, so that the brain is brighter once it is looked at alone."""
    image = picture(0.6, 0.1)
    image[0, 0, :, :16] = 1.5
    network = BrightIsBrain(0.5)

    def not_dazzled(x: torch.Tensor) -> torch.Tensor:
        return network(torch.where(x > 1.2, 0, x))

    logits = BrainInferer(amp=False, margin=4)(image, not_dazzled)
    assert np.array_equal(found(logits), truth())
    assert sizes(network) == [SHAPE, (32, 48, 48)]
    assert network.seen[1].max() == pytest.approx(1.0)  # the brain's own top, where it was 0.6 before
    assert tuple(logits[0, :, 0, 0, 0].tolist()) == (10.0, -10.0)


def test_a_brain_that_fills_the_volume_is_looked_at_once():
    network = BrightIsBrain()
    image = torch.ones(1, 1, 32, 32, 32)
    image[..., :2] = 0
    logits = BrainInferer(amp=False)(image, network)
    assert sizes(network) == [(32, 32, 32)]
    assert torch.equal(logits[:, 1] > 0, image[:, 0] > 0)


def test_coarse_look_first():
    network = BrightIsBrain()
    logits = BrainInferer(amp=False, coarse=2, margin=4)(picture(), network)
    assert np.array_equal(found(logits), truth())
    # 10 x 15 x 14 coarse voxels, twice that on the fine grid, and 4 around them: sides 32, 48, 48
    assert sizes(network) == [(32, 48, 32), (32, 48, 48)]
    coarse = network.seen[0][0, 0]
    assert coarse[12, 30, 12] == 1 and coarse[0, 0, 0] == pytest.approx(0.2)


def test_coarse_look_looks_again_also_where_the_brain_fills_the_volume():
    network = BrightIsBrain()
    image = torch.ones(1, 1, 64, 64, 64)
    image[0, 0, 0] = 0.1
    logits = BrainInferer(amp=False, coarse=2)(image, network)
    assert sizes(network) == [(32, 32, 32), (64, 64, 64)]
    assert torch.equal(
        logits[:, 1] > 0, image[:, 0] > 0.5
    )  # the thin dark layer, too, that the first look lost


def test_a_long_brain_is_looked_at_with_larger_voxels():
    """30 voxels long, shown as 20 would be: 1.5 times larger ones, padded with 0 to whole multiples."""
    network = BrightIsBrain()
    logits = BrainInferer(amp=False, margin=4, length=20)(picture(), network)
    assert sizes(network) == [SHAPE, (32, 32, 32)]  # of 32 x 48 x 48
    second = network.seen[1][0, 0]
    assert not second[21:].any() and second[20].any() and second[:21].min() > 0
    assert int((second > 0.6).sum()) == pytest.approx(20 * 30 * 28 / 1.5**3, rel=0.1)
    wrong = found(logits) != truth()
    assert wrong.mean() < 0.01 and not wrong[21:39, 51:79, 17:43].any()  # but for the border


def test_a_short_brain_keeps_its_voxels():
    network = BrightIsBrain()
    logits = BrainInferer(amp=False, margin=4, length=31)(picture(), network)
    assert sizes(network) == [SHAPE, (32, 48, 48)] and np.array_equal(found(logits), truth())


@pytest.mark.parametrize("looks", [1, 2, 5, 6, 9])
def test_looks_on_until_the_box_stays(looks):
    """Half of the brain is too dark at first; each look brightens the box and finds the 2 voxels of its margin."""
    image = picture(0.6, 0.1)
    image[0, 0, 30:40, 50:80, 16:44] = 0.45
    network = BrightIsBrain(0.5)
    logits = BrainInferer(amp=False, margin=2, divisor=2, looks=looks)(image, network)
    shown = np.argwhere(found(logits))[:, 0]
    assert (shown.min(), shown.max()) == (20, min(29 + 2 * looks, 39))
    assert len(network.seen) == 1 + min(looks, 6)


@pytest.mark.parametrize("coarse", [1, 2])
def test_where_nothing_is_found_nothing_is(coarse):
    network = BrightIsBrain()
    logits = BrainInferer(amp=False, coarse=coarse)(picture(0.3), network)
    assert not found(logits).any()
    assert len(network.seen) == 1


def test_through_windows_as_at_once():
    network = BrightIsBrain()
    at_once = BrainInferer(amp=False, margin=4)(picture(), network)
    windowed = BrightIsBrain()
    inferer = BrainInferer(amp=False, margin=4, max_voxels=32 * 32 * 32, roi_size=(32, 32, 32))
    logits = inferer(picture(), windowed)
    assert np.array_equal(found(logits), truth())
    torch.testing.assert_close(logits, at_once, atol=1e-4, rtol=1e-4)
    assert set(sizes(windowed)) == {(32, 32, 32)}
    assert len(windowed.seen) > 8


def test_only_what_is_too_large_goes_through_in_windows():
    network = BrightIsBrain()
    inferer = BrainInferer(amp=False, coarse=2, margin=8, max_voxels=32 * 48 * 32, roi_size=(32, 32, 32))
    assert np.array_equal(found(inferer(picture(), network)), truth())
    assert sizes(network)[0] == (32, 48, 32)
    assert set(sizes(network)[1:]) == {(32, 32, 32)}


def test_flips_are_averaged():
    """A network that shifts what it sees by one voxel: averaged with its mirror it errs to both sides alike."""

    def shifting(x: torch.Tensor) -> torch.Tensor:
        x = x.roll(1, 2)
        return torch.cat([0.5 - x, x - 0.5], dim=1)

    image = picture()
    once = BrainInferer(amp=False, whole_enough=0)(image, shifting)
    both = BrainInferer(amp=False, whole_enough=0, flips=[0])(image, shifting)
    row = (0, 1, slice(19, 41), 60, 30)
    assert once[row].tolist()[:3] == pytest.approx([-0.3, -0.3, 0.5])
    assert both[row].tolist()[:3] == pytest.approx([0.1, 0.1, 0.5])
    assert both[row].tolist() == pytest.approx(both[row].flip(0).tolist())


def test_each_picture_of_a_batch_by_itself():
    batch = torch.cat([picture(), picture(0.3)])
    logits = BrainInferer(amp=False)(batch, BrightIsBrain())
    assert np.array_equal(found(logits[:1]), truth())
    assert not found(logits[1:]).any()


def test_bfloat16_gives_float32():
    logits = BrainInferer(amp=True)(picture(), nn.Sequential(nn.Conv3d(1, 2, 1)))
    assert logits.dtype == torch.float32


def test_what_hangs_on_a_thin_bridge_is_not_the_main_part():
    mask = torch.zeros(40, 24, 24, dtype=torch.bool)
    mask[2:16, 4:18, 4:18] = True
    mask[2:16, 20:21, 4:18] = mask[4, 18:20, 9] = True  # a thin layer of fluid that touches it in one place
    mask[16:24, 9:12, 9:12] = True  # a bridge 3 voxels thick
    brain = mask.clone()
    mask[24:34, 5:15, 5:15] = True
    mask[36:39, 2:5, 2:5] = True  # apart
    found = main_part(mask, 2)
    assert found.dtype == torch.bool
    assert torch.equal(found, brain)
    mask[16:24, 6:14, 6:14] = True
    assert main_part(mask, 2)[24:34, 5:15, 5:15].all()


def test_what_is_thin_throughout_is_taken_whole():
    mask = torch.zeros(20, 20, 20, dtype=torch.bool)
    mask[2:18, 10:12, 10:12] = True
    mask[2:4, 2:4, 2:4] = True
    found = main_part(mask, 2)
    assert torch.equal(found, mask & (torch.arange(20) >= 10)[None, :, None])
    assert not main_part(torch.zeros(8, 8, 8, dtype=torch.bool)).any()


def test_extent_leaves_out_what_hangs_on_a_thin_bridge():
    labels = torch.zeros(40, 12, 12)
    labels[2:12, 1:11, 1:11] = 3
    labels[12:20, 5:7, 5:7] = 1
    labels[20:26, 2:8, 2:8] = 1
    assert brain_extent(labels) == [(2, 20), (1, 11), (1, 11)]  # the bridge, not what is beyond
