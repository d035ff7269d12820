from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from fetal_monai.networks.segnet import SegNet


def small(**changes: object) -> SegNet:
    torch.manual_seed(0)
    return SegNet(**{"channels": (4, 6), "convolutions": (1, 2), **changes}).eval()


def unpool_by_hand(x: torch.Tensor) -> tuple[torch.Tensor, list[tuple[int, int, int, int, int, int]]]:
    """2x2 maxima of (N, C, H, W), and where they came from: (n, c, row, column) and their (row, column) in x."""
    batch, channels, height, width = x.shape
    pooled = torch.zeros(batch, channels, height // 2, width // 2)
    places = []
    for n, c, i, j in itertools.product(range(batch), range(channels), range(height // 2), range(width // 2)):
        block = [(x[n, c, 2 * i + di, 2 * j + dj], -di, -dj) for di in (0, 1) for dj in (0, 1)]
        value, di, dj = max(block)
        pooled[n, c, i, j] = value
        places.append((n, c, i, j, 2 * i - di, 2 * j - dj))
    return pooled, places


def test_one_stage_against_unpooling_by_hand():
    network = small(channels=(3,), convolutions=(1,), out_channels=2)
    image = torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(1))
    encoder, decoder = network.encoder[0], network.decoder[0]
    with torch.no_grad():
        # fresh normalisation in evaluation divides by sqrt(1 + 1e-5)
        before = F.relu(F.conv2d(image, encoder[0].weight, padding=1) / (1 + 1e-5) ** 0.5)
        pooled, places = unpool_by_hand(before)
        unpooled = torch.zeros_like(before)
        for n, c, i, j, row, column in places:
            unpooled[n, c, row, column] = pooled[n, c, i, j]
        after = F.relu(F.conv2d(unpooled, decoder[0].weight, padding=1) / (1 + 1e-5) ** 0.5)
        expected = F.conv2d(after, network.head.weight, network.head.bias)
        assert torch.allclose(network(image), expected, atol=1e-6)
    assert (unpooled > 0).sum() <= unpooled.numel() / 4


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 160)])
def test_shape_of_five_stages(height, width):
    network = SegNet(in_channels=1, out_channels=3, channels=(2, 3, 4, 5, 5)).eval()
    assert network.divisor == 32
    with torch.no_grad():
        assert network(torch.rand(2, 1, height, width)).shape == (2, 3, height, width)


def test_the_published_network():
    network = SegNet(in_channels=3, out_channels=12)
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 13 + 13 + 1  # VGG16's, their mirror, and the classifier
    widths = [stage[0].out_channels for stage in network.encoder]
    assert widths == [64, 128, 256, 512, 512]
    assert [stage[-3].out_channels for stage in network.decoder] == [512, 256, 128, 64, 64]
    encoder = sum(weights.numel() for weights in network.encoder.parameters() if weights.ndim == 4)
    assert encoder == 14_710_464  # the 3x3 weights of VGG16


def test_sides_must_divide():
    with pytest.raises(ValueError, match="multiples of 4, got 32x30"):
        small()(torch.zeros(1, 1, 32, 30))
    with pytest.raises(ValueError, match="equally long"):
        SegNet(channels=(4, 8), convolutions=(1,))


def test_instance_norm_does_not_look_at_the_others():
    network = small(norm="instance").train()
    first, second = torch.rand(1, 1, 16, 24), 5 * torch.rand(1, 1, 16, 24)
    with torch.no_grad():
        alone, together = network(first), network(torch.cat([first, second]))
    assert torch.allclose(alone[0], together[0], atol=1e-5)
    with pytest.raises(ValueError, match="norm is 'layer'; give one of batch, instance"):
        small(norm="layer")


def test_gradient_reaches_every_weight():
    network = small().train()
    network(torch.rand(2, 1, 16, 24)).square().mean().backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.isfinite().all(), name
        assert weights.grad.abs().sum() > 0, name


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_trace_holds_for_other_pictures():
    network = small()
    with torch.no_grad():
        traced = torch.jit.trace(network, torch.rand(1, 1, 16, 24))
        other = torch.rand(2, 1, 16, 24)
        assert torch.allclose(traced(other), network(other), atol=1e-6)
