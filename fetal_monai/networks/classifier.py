"""A classifier of whole pictures: the autoencoder's encoder under a small head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fetal_monai.networks.autoencoder import ConvEncoder

__all__ = ["EncoderClassifier"]


class EncoderClassifier(nn.Module):
    """Logits (N, classes) of pictures (N, in_channels, H, W) of any size, by the mean of the encoder's last features.

    Weights of an autoencoder with the same ``in_channels``, ``channels`` and ``norm`` fit its ``encoder`` (see
    :func:`fetal_monai.networks.weights.transfer_weights`).

    Args:
        in_channels: of the pictures.
        classes: number of logits.
        channels: of the encoder's stages, each of which halves the sides.
        dropout: share of the features that training leaves out.
        norm: MONAI's name of the normalisation.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 8,
        channels: Sequence[int] = (24, 48, 96, 160, 224),
        dropout: float = 0.3,
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        self.encoder = ConvEncoder(in_channels, channels, norm)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], classes))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees, (N, channels[-1])."""
        return self.encoder(x)[-1].float().mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
