"""A picture for a classifier of whole pictures: the chain to its grid, and the label that training adds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import SelectItemsd, Transform

from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.ultrasound import ToNetworkGridd

__all__ = ["ClassLabeld", "classification_preprocessing", "classification_training"]


class ClassLabeld(Transform):
    """Turn ``label``, the place of a class, into a tensor that collates."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, "label": torch.tensor(int(data["label"]))}


def classification_preprocessing(
    read: Callable[[Any], Any] | None = None, shape: Sequence[int] = (128, 192)
) -> list[Transform]:
    """What inference does before the network: the picture scaled to fit ``shape`` (rows, columns), black around it."""
    return [LoadScand("image", read), ToNetworkGridd("image", padded=(shape[0], shape[1]))]


def classification_training(shape: Sequence[int] = (128, 192)) -> list[Transform]:
    """The deterministic part of training: ``image`` (1, rows, columns) and ``label``, a class's place."""
    return [*classification_preprocessing(None, shape), ClassLabeld(), SelectItemsd(["image", "label"])]
