"""A convolutional autoencoder, whose encoder also serves other networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import ADN, Convolution, ResidualUnit, UpSample
from monai.networks.nets import UNet
from torch import nn
from torch.nn import functional as F

from fetal_monai.measure.head_frame import FILL

__all__ = ["AlterationLoss", "AlterationNet", "ConvAutoencoder", "ConvEncoder", "ScaleSpaceComparer"]


DARKEST = 0.02  # gray, that is added before the logarithm


class ConvEncoder(nn.Module):
    """Residual stages, each of which halves the sides: (N, in_channels, H, W) to a list of (N, channels[i], H / 2, …).

    H and W must be multiples of ``divisor``, 2 ** len(channels).
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32, 64, 128),
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        self.channels, self.divisor = tuple(channels), 2 ** len(channels)
        self.stages = nn.ModuleList(
            ResidualUnit(2, before, after, strides=2, subunits=2, norm=norm, act="LEAKYRELU")
            for before, after in pairwise([in_channels, *channels])
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class ConvAutoencoder(nn.Module):
    """Encoder, a narrow code and a decoder without any way around the code (Masci 2011,
    doi 10.1007/978-3-642-21735-7_7).

    Args:
        in_channels: of the input (N, C, H, W), and of the reconstruction.
        channels: of the stages; each halves the sides, which must be multiples of 2 ** len(channels).
        code_channels: of the code (N, code_channels, H / 2 ** len(channels), …), which is all that the decoder sees.
        norm: MONAI's name of the normalisation.

    Raises:
        ValueError: a side of the input is no such multiple.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32, 64, 128),
        code_channels: int = 16,
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        self.encoder = ConvEncoder(in_channels, channels, norm)
        self.divisor = self.encoder.divisor
        self.code = Convolution(2, channels[-1], code_channels, kernel_size=1, conv_only=True)
        stages: list[nn.Module] = [Convolution(2, code_channels, channels[-1], norm=norm, act="LEAKYRELU")]
        for before, after in pairwise(channels[::-1]):
            stages += [_doubled(before, after), ADN("NA", after, act="LEAKYRELU", norm=norm, norm_dim=2)]
        self.decoder = nn.Sequential(*stages, _doubled(channels[0], in_channels))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The code (N, code_channels, h, w)."""
        height, width = x.shape[-2:]
        if height % self.divisor or width % self.divisor:
            raise ValueError(
                f"the autoencoder needs sides that are multiples of {self.divisor}, got {height}x{width}"
            )
        return self.code(self.encoder(x)[-1])

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """What the code stands for, (N, in_channels, H, W)."""
        return self.decoder(code)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))


def _doubled(before: int, after: int) -> nn.Module:
    """Twice the sides by sub-pixel convolution (Shi 2016, doi 10.1109/CVPR.2016.207)."""
    return UpSample(2, before, after, scale_factor=2, mode="pixelshuffle", apply_pad_pool=False)


class ScaleSpaceComparer(nn.Module):
    """Tells for each pixel how likely it was altered, from what a head and its reconstruction show about it.

    What it looks at is fixed and needs no learning: logarithms of gray values, scaled within the head, their means,
    spreads, differences, slopes and extremes at several scales, their difference to the other hemisphere and to the
    reconstruction, and the place in the frame. A small network weighs these for each pixel alone, and a U-Net of them
    adds what the shape and the surroundings tell. Input (N, 1, H, W) each, sides multiples of 2 ** len(context);
    output the logit (N, 1, H, W), made at half the resolution.

    Args:
        hidden: widths of the pixel's network.
        context: channels of the U-Net's stages.
    """

    RADII = (1, 2, 4, 7)  # pixels at half the resolution
    FEATURES = 34

    def __init__(self, hidden: Sequence[int] = (64, 32), context: Sequence[int] = (32, 48, 64)) -> None:
        super().__init__()
        self.fill, self.darkest, self.radii = FILL, DARKEST, list(self.RADII)
        self.scale = nn.BatchNorm2d(self.FEATURES, affine=False)
        layers: list[nn.Module] = []
        for before, after in pairwise([self.FEATURES, *hidden]):
            layers += [nn.Conv2d(before, after, 1), nn.ReLU(inplace=True)]
        self.weigh = nn.Sequential(*layers, nn.Conv2d(hidden[-1], 1, 1))
        strides = [2] * (len(context) - 1)
        self.context = UNet(2, self.FEATURES, 1, context, strides, num_res_units=1, norm="BATCH")

    def _box(self, x: torch.Tensor, radius: int) -> torch.Tensor:
        """Two boxes of 2 * radius + 1 pixels, along rows and columns apart; 0 beyond the edge."""
        size = 2 * radius + 1
        for _ in range(2):
            x = F.avg_pool2d(x, [size, 1], [1, 1], [radius, 0])
            x = F.avg_pool2d(x, [1, size], [1, 1], [0, radius])
        return x

    def _blur(self, x: torch.Tensor, inside: torch.Tensor, radius: int) -> torch.Tensor:
        """Mean within the head about each pixel."""
        return self._box(x * inside, radius) / self._box(inside, radius).clamp_min(0.05)

    def _most(self, x: torch.Tensor, radius: int) -> torch.Tensor:
        """Largest value in a box about each pixel."""
        size = 2 * radius + 1
        x = F.max_pool2d(x, [size, 1], [1, 1], [radius, 0])
        return F.max_pool2d(x, [1, size], [1, 1], [0, radius])

    def features(self, image: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
        """(N, FEATURES, H / 2, W / 2), without a gradient."""
        with torch.no_grad():
            gray, remade = (
                torch.log(F.avg_pool2d(picture.float().clamp(0, 1), 2) + self.darkest)
                for picture in (image, reconstruction)
            )
            height, width = gray.shape[-2:]
            y = (2 * torch.arange(height, device=gray.device) + 1).float()[:, None] / height - 1
            x = (2 * torch.arange(width, device=gray.device) + 1).float()[None] / width - 1
            radius = torch.sqrt(x**2 + y**2)
            inside = (radius < self.fill).float()[None, None]
            size = inside.sum()
            middle = (gray * inside).sum((2, 3), keepdim=True) / size
            spread = torch.sqrt(((gray - middle) ** 2 * inside).sum((2, 3), keepdim=True) / size + 1e-6)
            gray, remade = (gray - middle) / spread, (remade - middle) / spread
            means = [gray] + [self._blur(gray, inside, r) for r in self.radii]
            spreads = [
                torch.sqrt((self._blur(gray**2, inside, r) - means[n + 1] ** 2).clamp_min(0))
                for n, r in enumerate(self.radii[:3])
            ]
            bands = [means[1] - means[2], means[2] - means[3], means[3] - means[4], means[1] - means[4]]
            down = [F.pad(m[:, :, 2:] - m[:, :, :-2], [0, 0, 1, 1]) for m in means[1:3]]
            right = [F.pad(m[:, :, :, 2:] - m[:, :, :, :-2], [1, 1]) for m in means[1:3]]
            slopes = [torch.sqrt(d**2 + r**2) for d, r in zip(down, right)]  # noqa: B905  TorchScript has no strict
            slopes += [self._blur(slope, inside, 3) for slope in slopes]
            least = [-self._most(-means[1], r) for r in (2, 5)]
            most = [self._most(means[1], r) for r in (2, 4)]
            most += [self._most(means[2], r) for r in (3, 5, 8)]
            sides = [m - m.flip(2) for m in means[2:4]]
            change = gray - remade
            changes = [change, self._blur(change, inside, 1), self._blur(change, inside, 3)]
            place = torch.stack(
                [x.abs().expand(height, width), y.expand(height, width), radius, x.expand(height, width)]
            )
            found = means + spreads + bands + slopes + down + least + most + sides + changes
            found.append(place[None].expand(len(gray), -1, -1, -1))
            return torch.cat(found, 1)

    def forward(self, image: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
        features = self.scale(self.features(image, reconstruction))
        logit = self.weigh(features) + self.context(features)
        return F.interpolate(logit, scale_factor=2.0, mode="bilinear", align_corners=False)


class AlterationNet(nn.Module):
    """An autoencoder that shows the head as it would usually be, and a comparison of both pictures.

    The output (N, 2, H, W) holds the reconstruction, and the logit of each pixel being altered: the two parts of DRAEM
    (Zavrtanik 2021, doi 10.1109/ICCV48922.2021.00822), with fixed features before its U-Net. The comparison does not
    teach the autoencoder.

    Args:
        channels, code_channels, norm: see :class:`ConvAutoencoder`.
        hidden, context: see :class:`ScaleSpaceComparer`.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64),
        code_channels: int = 24,
        hidden: Sequence[int] = (64, 32),
        context: Sequence[int] = (32, 48, 64),
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        self.autoencoder = ConvAutoencoder(1, channels, code_channels, norm)
        self.compare = ScaleSpaceComparer(hidden, context)

    def with_code(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The answer (N, 2, H, W) and the code that the reconstruction was made of."""
        code = self.autoencoder.encode(x)
        reconstruction = self.autoencoder.decode(code)
        logit = self.compare(x, reconstruction)
        return torch.cat([reconstruction.float(), logit.float()], 1), code

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.with_code(x)[0]


class AlterationLoss(nn.Module):
    """Squared error of the reconstruction, and cross-entropy of what is altered, within the head.

    ``pred`` (N, 2, H, W) is the answer of :class:`AlterationNet`, ``label`` (N, 3, H, W) what it should have been, the
    altered part, and the inside of the head. ``reconstruction`` weighs the first term.
    """

    def __init__(self, reconstruction: float = 10.0) -> None:
        super().__init__()
        self.reconstruction = reconstruction

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        target, altered, inside = label[:, 0], label[:, 1], label[:, 2]
        remade, logit = pred[:, 0].float(), pred[:, 1].float()
        squares = ((remade - target) ** 2 * inside).sum() / inside.sum()
        entropy = F.binary_cross_entropy_with_logits(logit, altered, reduction="none")
        return self.reconstruction * squares + (entropy * inside).sum() / inside.sum()
