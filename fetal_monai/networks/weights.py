"""Weights from a file into a network, or a plain word why not."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

__all__ = ["load_weights"]


def load_weights(path: str | Path, network: nn.Module) -> nn.Module:
    """Load a plain state dict strictly into the network and return it.

    Raises ``ValueError`` that names the file when it is missing, damaged, of another network or not finite.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such weights file; train first, or copy the bundle with its models folder"
        ) from None
    except Exception as error:
        raise ValueError(
            f"{path}: not a weights file, or a damaged one; fetch or train it again ({error})"
        ) from error
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: weights of another network than the configuration's ({str(error)[:200]})"
        ) from error
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise ValueError(f"{path}: holds weights that are not finite; fetch or train it again")
    return network
