"""An anchor-free detector: a map of centres for each class at a quarter of the picture's size, and the boxes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import nn
from torch.nn import functional as F

__all__ = ["GEOMETRY", "STRIDE", "HeatmapDetector", "HeatmapLoss", "Peaks", "find_peaks"]

STRIDE = 4  # pixels of the picture to one cell of the maps
# What is told at a centre, each for every class: its place within the cell in cells (x, y), the logarithms of width and
# height in cells, cosine and sine of twice the angle of the long side, and the logarithm of the short side in cells.
GEOMETRY = ("offset_x", "offset_y", "log_width", "log_height", "cos_2_angle", "sin_2_angle", "log_short_side")


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int, norm: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            get_norm_layer(norm, spatial_dims=2, channels=after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            get_norm_layer(norm, spatial_dims=2, channels=after),
        )
        self.shortcut = (
            nn.Identity() if stride == 1 and before == after else _mix(before, after, stride, norm)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def _mix(before: int, after: int, stride: int, norm: Any) -> nn.Sequential:
    layers: list[nn.Module] = [nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)] * (stride > 1)
    layers += [nn.Conv2d(before, after, 1, bias=False), get_norm_layer(norm, spatial_dims=2, channels=after)]
    return nn.Sequential(*layers)


class HeatmapDetector(nn.Module):
    """CenterNet (Zhou 2019, arXiv 1904.07850) on a small residual encoder with a feature pyramid.

    Maps (N, in_channels, H, W), sides multiples of 4, to (N, 8·classes, H/4, W/4): the logits of the classes' centres,
    then each quantity of :data:`GEOMETRY` for all classes. Unlike the original each class has a geometry of its own,
    since the centres of head and midline fall together.

    Args:
        in_channels: channels of the picture.
        classes: number of classes.
        channels: width of the stages at strides 2, 4, 8, 16 and so on; at least two.
        blocks: residual blocks of each stage after the first.
        pyramid: width of the decoder.
        norm: as MONAI names normalisations, such as ``BATCH``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 5,
        channels: Sequence[int] = (16, 32, 64, 128, 192),
        blocks: Sequence[int] = (1, 2, 2, 2),
        pyramid: int = 48,
        norm: Any = "BATCH",
    ) -> None:
        super().__init__()
        if len(blocks) != len(channels) - 1 or len(channels) < 2:
            raise ValueError(f"blocks must be one shorter than channels, got {blocks} and {channels}")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels[0], 5, 2, 2, bias=False),
            get_norm_layer(norm, spatial_dims=2, channels=channels[0]),
            nn.ReLU(inplace=True),
        )
        stages, laterals = [], []
        for before, after, count in zip(channels[:-1], channels[1:], blocks, strict=True):
            first = _Block(before, after, 2, norm)
            stages.append(nn.Sequential(first, *(_Block(after, after, 1, norm) for _ in range(count - 1))))
            laterals.append(nn.Conv2d(after, pyramid, 1))
        self.stages, self.laterals = nn.ModuleList(stages), nn.ModuleList(laterals[::-1])
        self.smooth = nn.ModuleList(_mix3(pyramid, norm) for _ in laterals)
        self.head = nn.Conv2d(pyramid, classes * (1 + len(GEOMETRY)), 1)
        nn.init.normal_(self.head.weight, std=0.01)
        bias = torch.zeros(classes * (1 + len(GEOMETRY)))
        bias[:classes] = -4.0  # at first nothing is anywhere, so that the loss is calm
        self.head.bias = nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        features: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        features.reverse()
        merged = features[0]
        for level, (lateral, smooth) in enumerate(zip(self.laterals, self.smooth)):  # noqa: B905  TorchScript has no strict
            side = lateral(features[level])
            if level > 0:
                side = side + F.interpolate(merged, size=side.shape[2:], mode="nearest")
            merged = smooth(side)
        return self.head(merged)


def _mix3(channels: int, norm: Any) -> nn.Sequential:
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(
        convolution, get_norm_layer(norm, spatial_dims=2, channels=channels), nn.ReLU(inplace=True)
    )


class HeatmapLoss(nn.Module):
    """Penalty-reduced focal loss of the centres, and L1 of the geometry where it is known.

    ``pred`` is what :class:`HeatmapDetector` gives; ``label`` (N, 10·classes, h, w) has, each for all classes, the true
    heat (1 at a centre, falling around it; below 0 where it is not known whether there is such a thing, which costs
    nothing), the geometry, and two weights: of place and size, and of angle and short side. Both are 0 where unknown.
    Lengths count by their ratio to the truth, so that small boxes weigh as much as large ones.

    Source: Zhou 2019, equation 1; geometry learned around the centre, too, as in Liu 2020 (arXiv 1909.00700).
    """

    def __init__(self, box_weight: float = 2.0, axis_weight: float = 0.5) -> None:
        super().__init__()
        self.box_weight, self.axis_weight = box_weight, axis_weight

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        classes = label.shape[1] // (3 + len(GEOMETRY))
        pred = pred.float().unflatten(1, (-1, classes))
        label = label.float().unflatten(1, (-1, classes))
        truth, box, axis = label[:, 0], label[:, -2], label[:, -1]
        geometry, found = label[:, 1:-2], pred[:, 1:]
        size = geometry[:, 2:4].exp()
        place = ((found[:, :2] - geometry[:, :2]).abs() / size).sum(1)
        place = place + (found[:, 2:4] - geometry[:, 2:4]).abs().sum(1)
        turn = (found[:, 4:] - geometry[:, 4:]).abs().sum(1)
        return (
            focal_loss(pred[:, 0], truth)
            + self.box_weight * (place * box).sum() / box.sum().clamp(min=1e-3)
            + self.axis_weight * (turn * axis).sum() / axis.sum().clamp(min=1e-3)
        )


def focal_loss(logits: torch.Tensor, heat: torch.Tensor, alpha: int = 2, beta: int = 4) -> torch.Tensor:
    """Focal loss over cells whose ``heat`` is not below 0, for each centre; cells near a centre cost less."""
    log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
    p = logits.sigmoid()
    centre = heat == 1
    hit = -((1 - p) ** alpha) * log_p
    miss = -((1 - heat) ** beta) * p**alpha * log_not_p
    cost = torch.where(centre, hit, torch.where(heat >= 0, miss, torch.zeros_like(miss)))
    return cost.sum() / centre.sum().clamp(min=1)


@dataclass(frozen=True)
class Peaks:
    """What is found in one picture, best first: arrays of N, lengths and places in pixels of the network's grid.

    ``box`` (N, 4) is x, y of the upper left corner, width and height, from the picture's edge; ``angle`` is that of the
    long side in radians, from x to y, within a half turn; ``short_side`` its thickness across.
    """

    label: torch.Tensor
    score: torch.Tensor
    box: torch.Tensor
    angle: torch.Tensor
    short_side: torch.Tensor

    def __len__(self) -> int:
        return len(self.label)


def find_peaks(pred: torch.Tensor, most: int = 4, threshold: float = 0.05) -> Peaks:
    """Peaks of the maps ``pred`` (8·classes, h, w) of one picture that stand above their 8 neighbours.

    At most ``most`` of each class, and none with a score below ``threshold``.
    """
    parts = pred.float().unflatten(0, (1 + len(GEOMETRY), -1))
    heat = parts[0].sigmoid()
    heat = heat * (heat == F.max_pool2d(heat[None], 3, 1, 1)[0])
    scores, places = heat.flatten(1).topk(min(most, heat[0].numel()))
    label, rank = (scores >= threshold).nonzero(as_tuple=True)
    order = scores[label, rank].argsort(descending=True, stable=True)
    label, rank = label[order], rank[order]
    place = places[label, rank]
    width = pred.shape[-1]
    x, y, *_ = told = parts[1:].flatten(2)[:, label, place]
    size = told[2:4].clamp(-3, 8).exp()
    centre = torch.stack([place % width + 0.5 + x, place // width + 0.5 + y])
    box = torch.cat([centre - size / 2, size]).T * STRIDE
    return Peaks(
        label,
        scores[label, rank],
        box,
        torch.atan2(told[5], told[4]) / 2,
        told[6].clamp(-3, 8).exp() * STRIDE,
    )
