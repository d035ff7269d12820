"""SegNet: an encoder-decoder that unpools with the indices its encoder pooled at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["SegNet"]

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
}


def _convolutions(channels: Sequence[int], norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers += [convolution, NORMS[norm](after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _unpool(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Values (N, C, H, W) where 2x2 pooling took them from in (N, C, 2H, 2W), 0 elsewhere.

    As torch's ``max_unpool2d``, which can be neither traced nor exported to ONNX.
    """
    batch, channels, height, width = x.shape
    plane = x.new_zeros(batch, channels, 4 * height * width)
    return plane.scatter(2, indices.flatten(2), x.flatten(2)).view(batch, channels, 2 * height, 2 * width)


class SegNet(nn.Module):
    """SegNet with max-unpooling by pooled indices (Badrinarayanan 2017, doi 10.1109/TPAMI.2016.2644615).

    Args:
        in_channels: channels of the input (N, C, H, W); H and W must be multiples of 2 ** len(channels).
        out_channels: channels of the output logits (N, out_channels, H, W).
        channels: width of each stage; the published network has (64, 128, 256, 512, 512).
        convolutions: 3x3 convolutions of each stage; the published network has (2, 2, 3, 3, 3).
        norm: ``batch`` as published, or ``instance``, which does not depend on what else is in the batch.

    Raises:
        ValueError: the stages do not match, the norm is unknown, or an input's side is no multiple of
            2 ** len(channels).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = (64, 128, 256, 512, 512),
        convolutions: Sequence[int] = (2, 2, 3, 3, 3),
        norm: str = "batch",
    ) -> None:
        super().__init__()
        if len(channels) != len(convolutions):
            raise ValueError(
                f"channels and convolutions must be equally long, got {channels} and {convolutions}"
            )
        if norm not in NORMS:
            raise ValueError(f"norm is {norm!r}; give one of {', '.join(NORMS)}")
        self.divisor = 2 ** len(channels)
        before = [in_channels, *channels[:-1]]
        stages = list(zip(before, channels, convolutions, strict=True))
        self.encoder = nn.ModuleList(_convolutions([b, *[c] * n], norm) for b, c, n in stages)
        after = [channels[0], *channels[:-1]]
        decoder = list(zip(after, channels, convolutions, strict=True))[::-1]
        self.decoder = nn.ModuleList(_convolutions([*[c] * n, a], norm) for a, c, n in decoder)
        self.head = nn.Conv2d(channels[0], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        if height % self.divisor or width % self.divisor:
            raise ValueError(f"SegNet needs sides that are multiples of {self.divisor}, got {height}x{width}")
        pooled: list[torch.Tensor] = []
        for stage in self.encoder:
            x, indices = F.max_pool2d(stage(x), 2, return_indices=True)
            pooled.append(indices)
        for stage in self.decoder:
            x = stage(_unpool(x, pooled.pop()))
        return self.head(x)
