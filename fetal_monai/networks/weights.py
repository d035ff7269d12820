"""Weights from a file into a network, or a plain word why not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from fetal_monai.files import atomic_path
from fetal_monai.settings import as_optional

__all__ = ["average_weights", "load_weights", "transfer_weights"]

logger = logging.getLogger(__name__)


def load_weights(path: str | Path, network: nn.Module) -> nn.Module:
    """Load a plain state dict strictly into the network and return it.

    Raises ``ValueError`` that names the file when it is missing, damaged, of another network or not finite.
    """
    state = _read(path)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: weights of another network than the configuration's ({str(error)[:200]})"
        ) from error
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise ValueError(f"{path}: holds weights that are not finite; fetch or train it again")
    return network


def transfer_weights(path: str | Path | None, network: nn.Module) -> nn.Module:
    """Take over from a plain state dict whatever has the name and shape of a weight of the network, and log which.

    Returns the network, unchanged for None. Raises ``ValueError`` that names the file when it can't be read, or when
    nothing in it fits.
    """
    from monai.networks.utils import copy_model_state

    if as_optional(path) is None:
        return network
    state = _read(str(path))
    _, taken, left = copy_model_state(network, state)
    if not taken:
        raise ValueError(
            f"{path}: none of its {len(state)} weights fits this network; train without pretrained"
        )
    logger.info(
        f"{path}: {len(taken)} of {len(taken) + len(left)} weights taken over: {', '.join(sorted(taken))}"
    )
    if left:
        logger.info(f"left as they are: {', '.join(sorted(left))}")
    return network


def average_weights(paths: Sequence[str | Path], path: str | Path) -> None:
    """Write the mean of some plain state dicts of one network, as of several stages of one training, to ``path``.

    Source: Wortsman 2022, model soups (arXiv 2203.05482). Raises ``ValueError`` that names a file that can't be read or
    holds other weights than the first.
    """
    states = [_read(one) for one in paths]
    if not states:
        raise ValueError("paths is empty; give the weights files to average")
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    for one, shape in zip(paths, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(f"{one}: weights of another network than {paths[0]}")
    with atomic_path(path) as temporary:
        torch.save(
            {
                name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
                for name, value in states[0].items()
            },
            temporary,
        )


def _read(path: str | Path) -> dict:
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
    return state
