"""A convolutional autoencoder, whose encoder also serves other networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import ADN, Convolution, ResidualUnit, UpSample
from monai.networks.nets import UNet
from torch import nn
from torch.nn import functional as F

__all__ = ["AlterationLoss", "AlterationNet", "ConvAutoencoder", "ConvEncoder"]


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


class AlterationNet(nn.Module):
    """An autoencoder that shows the head as it would usually be, and a U-Net that compares both pictures.

    The output (N, 2, H, W) holds the reconstruction, and the logit of each pixel being altered, as in DRAEM (Zavrtanik
    2021, doi 10.1109/ICCV48922.2021.00822). The U-Net does not teach the autoencoder. It sees logarithms of gray
    values, as fluid and dark tissue differ by a factor, at half the resolution.

    Args:
        channels, code_channels, norm: see :class:`ConvAutoencoder`.
        compare_channels: of the U-Net's stages; sides must be multiples of 2 ** len(compare_channels) too.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64),
        code_channels: int = 24,
        compare_channels: Sequence[int] = (16, 32, 64, 128),
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        self.darkest = DARKEST
        self.autoencoder = ConvAutoencoder(1, channels, code_channels, norm)
        self.compare = UNet(
            2,
            in_channels=2,
            out_channels=1,
            channels=compare_channels,
            strides=[2] * (len(compare_channels) - 1),
            num_res_units=1,
            norm=norm,
        )

    def with_code(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The answer (N, 2, H, W) and the code that the reconstruction was made of."""
        code = self.autoencoder.encode(x)
        reconstruction = self.autoencoder.decode(code)
        both = torch.cat([x, reconstruction.detach().to(x.dtype)], 1).clamp(0, 1)
        logit = self.compare(torch.log(F.avg_pool2d(both, 2) + self.darkest))
        logit = F.interpolate(logit, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.cat([reconstruction, logit], 1), code

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.with_code(x)[0]


class AlterationLoss(nn.Module):
    """Squared error of the reconstruction, and focal and Dice loss of what is altered, within the head.

    Each head counts alike in the Dice loss, however much of it is altered.

    ``pred`` (N, 2, H, W) is the answer of :class:`AlterationNet`, ``label`` (N, 3, H, W) what it should have been, the
    altered part, and the inside of the head. ``reconstruction`` weighs the first term. Focal: Lin 2017, doi
    10.1109/ICCV.2017.324; Dice: Milletari 2016, doi 10.1109/3DV.2016.79.
    """

    def __init__(self, reconstruction: float = 10.0, focal: float = 10.0, dice: float = 0.5) -> None:
        super().__init__()
        self.reconstruction, self.focal, self.dice = reconstruction, focal, dice

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        target, altered, inside = label[:, 0], label[:, 1], label[:, 2]
        remade, logit = pred[:, 0].float(), pred[:, 1].float()
        size = inside.sum()
        squares = ((remade - target) ** 2 * inside).sum() / size
        entropy = F.binary_cross_entropy_with_logits(logit, altered, reduction="none")
        focal = ((1 - torch.exp(-entropy)) ** 2 * entropy * inside).sum() / size
        share = logit.sigmoid() * inside
        overlap = 2 * (share * altered).sum((1, 2)) + 1
        dice = (1 - overlap / (share.sum((1, 2)) + altered.sum((1, 2)) + 1)).mean()
        return self.reconstruction * squares + self.focal * focal + self.dice * dice
