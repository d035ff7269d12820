"""The head network of another bundle, for those that look at the head alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fetal_monai.bundles import UsageError, bundle_dir
from fetal_monai.inference import AutocastInferer
from fetal_monai.networks.weights import load_weights

__all__ = ["HeadFinder"]


class HeadFinder:
    """Finds the head with the network, weights and grid of a head bundle's own ``inference.yaml``.

    A copy of its weights in every bundle that needs a head would differ from it one day; this one is always the same.

    Args:
        bundle: name of an installed bundle, or a path to one.
        device: where the network runs.
        amp: bfloat16, see :class:`fetal_monai.inference.AutocastInferer`.

    Raises:
        ValueError: there is no such bundle, or no weights in it.
    """

    def __init__(self, bundle: str, device: str | torch.device = "cpu", amp: bool | str = False) -> None:
        from monai.bundle import ConfigParser

        try:
            folder = bundle_dir(str(bundle))
        except UsageError as error:
            raise UsageError(f"the head is found by another bundle, and {error}; see head_bundle") from None
        parser = ConfigParser()
        parser.read_config(str(folder / "configs" / "inference.yaml"))
        parser["bundle_root"] = str(folder)
        self.model_path = Path(parser.get_parsed_content("model_path"))
        self.pixels, self.divisor = int(parser["pixels"]), int(parser["divisor"])
        network: Any = load_weights(self.model_path, parser.get_parsed_content("network_def"))
        self.device, self.inferer = torch.device(device), AutocastInferer(amp)
        self.network = network.to(self.device, memory_format=torch.channels_last).eval()

    @property
    def sha256(self) -> str:
        """Of the weights."""
        from fetal_monai.run import file_sha256

        return file_sha256(self.model_path)

    def __call__(self, image: torch.Tensor) -> NDArray[np.float32]:
        """Probability (H, W) of the head for a picture (1, H, W) on the network's grid."""
        with torch.inference_mode():
            logits: Any = self.inferer(image[None].to(self.device), self.network)
            return logits[0, 0].sigmoid().cpu().numpy()
