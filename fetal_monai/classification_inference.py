"""How a classifier is run: logits, what it looked at, and its features, in one pass."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer

from fetal_monai.settings import as_bool

__all__ = ["GradCamInferer"]


class GradCamInferer(Inferer):
    """Run pictures (N, 1, H, W) through a :class:`fetal_monai.networks.classifier.EncoderClassifier` with Grad-CAM.

    The answer (N, C + h * w + F) is float32: the C logits, the map of MONAI's ``GradCAM`` (Selvaraju 2017, doi
    10.1109/ICCV.2017.74) for the likeliest class, 0 and up, at the size h x w of the ``target_layer``, and the F
    features.

    Args:
        target_layer: name of the layer that is looked at.
        amp: bfloat16, see :class:`fetal_monai.inference.AutocastInferer`.
    """

    def __init__(self, target_layer: str = "encoder.stages.3", amp: bool | str = True) -> None:
        super().__init__()
        self.target_layer, self.amp = target_layer, as_bool(amp, "amp")
        self.network: Any = None

    def _attach(self, network: Any) -> None:
        from monai.visualize import GradCAM

        layers = dict(network.named_modules())
        if self.target_layer not in layers:
            raise ValueError(f"the network has no layer {self.target_layer!r}; see target_layer")
        network.requires_grad_(False)
        layers[self.target_layer].register_forward_pre_hook(_start)
        self.cam = GradCAM(network, self.target_layer)
        self.cam.nn_module.class_score = _own_score
        network.head.register_forward_pre_hook(self._keep)
        self.network = network

    def _keep(self, _: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        self.features = inputs[0].detach().float()

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.network is not network:
            self._attach(network)
        with torch.enable_grad(), torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.amp):
            heat = self.cam.compute_map(inputs).detach()
        logits = network.head(self.features)  # in single precision, so that no two are alike
        return torch.cat([logits, heat.float().flatten(1), self.features], 1)


def _start(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The gradient goes no further back than to what a layer gets."""
    return tuple(one.detach().requires_grad_(torch.is_grad_enabled()) for one in inputs)


def _own_score(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The logit of each picture's own class; MONAI 1.6 takes those of the whole batch's classes from every picture."""
    return logits.gather(1, classes[:, None])
