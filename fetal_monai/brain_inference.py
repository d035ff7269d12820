"""A volume through a network: at once where it fits, else in windows; then again the brain's own box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SlidingWindowInferer
from monai.transforms.utils import get_largest_connected_component_mask
from torch.nn import functional as F

from fetal_monai.inference import AutocastInferer
from fetal_monai.transforms.mri import normalise_mr
from fetal_monai.transforms.volume_grid import resize

__all__ = ["BrainInferer", "brain_box", "brain_extent"]


class BrainInferer(Inferer):
    """Find the brain in the whole volume, cut out its box, and look again at that with gray values of its own.

    The input (N, 1, X, Y, Z) is normalised, its sides are multiples of ``divisor``; logits (N, C, X, Y, Z) come back as
    float32, with class 0 sure beyond the box.

    With ``coarse`` the first look is at the volume reduced by that factor, and finding nothing there is the answer; the
    sides must then be multiples of ``coarse * divisor``.

    With ``length`` the second look has larger voxels where the brain is longer than that many, so that all brains look
    about as long as those that the network learned from.

    Args:
        amp: bfloat16, see :class:`fetal_monai.inference.AutocastInferer`.
        flips: axes of the volume (0 is right to left) to average over.
        margin: about the brain, in voxels.
        divisor: of the box's sides.
        max_voxels: above that the volume goes through in windows of ``roi_size`` with ``overlap``, Gaussian blended.
        whole_enough: a box of this part of the volume, or more, is not looked at again.
    """

    def __init__(
        self,
        amp: bool | str = True,
        flips: Sequence[int] = (),
        margin: int = 8,
        divisor: int = 16,
        max_voxels: float = 6e6,
        roi_size: Sequence[int] = (128, 128, 128),
        overlap: float = 0.25,
        whole_enough: float = 0.8,
        coarse: int = 1,
        length: float = math.inf,
    ) -> None:
        super().__init__()
        self.inferer = AutocastInferer(amp, flips)
        self.margin, self.divisor, self.max_voxels = margin, divisor, max_voxels
        self.windows = SlidingWindowInferer(roi_size, overlap=overlap, mode="gaussian")
        self.whole_enough, self.coarse, self.length = whole_enough, coarse, length

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.cat([self._one(image[None], network) for image in inputs])

    def _one(self, image: torch.Tensor, network: Any) -> torch.Tensor:
        small = F.avg_pool3d(image, self.coarse) if self.coarse > 1 else image
        first = self._run(small, network)
        extent = brain_extent(first[0].argmax(0))
        box = None if extent is None else brain_box(extent, small.shape[2:], self.margin, self.divisor)
        length = 0 if extent is None else self.coarse * max(stop - start for start, stop in extent)
        whole = box is None or _volume(box) >= self.whole_enough * image[0, 0].numel()
        if self.coarse == 1 and whole and length <= self.length:
            return first
        logits = image.new_full((1, first.shape[1], *image.shape[2:]), -10.0, dtype=torch.float32)
        logits[:, 0] = 10.0
        if box is not None:
            x, y, z = (slice(s.start * self.coarse, s.stop * self.coarse) for s in box)
            logits[:, :, x, y, z] = self._look(image[0, 0, x, y, z], max(1.0, length / self.length), network)
        return logits

    def _look(self, cut: torch.Tensor, larger: float, network: Any) -> torch.Tensor:
        """Logits (1, C, X, Y, Z) of a box, seen with voxels that many times larger."""
        size = [max(1, round(n / larger)) for n in cut.shape]
        content = normalise_mr(resize(cut.float(), size))
        pad = [side for n in reversed(size) for side in (0, -n % self.divisor)]
        x, y, z = size
        logits = self._run(F.pad(content, pad)[None, None].to(cut.dtype), network)[:, :, :x, :y, :z]
        return logits if larger == 1 else F.interpolate(logits, cut.shape, mode="trilinear")

    def _run(self, image: torch.Tensor, network: Any) -> torch.Tensor:
        if image[0, 0].numel() <= self.max_voxels:
            return self.inferer(image, network)
        return self.windows(image, lambda window: self.inferer(window, network))


def _volume(box: Sequence[slice]) -> int:
    return int(np.prod([s.stop - s.start for s in box]))


def brain_extent(labels: torch.Tensor) -> list[tuple[int, int]] | None:
    """First voxel of the largest part of what is not 0 in (X, Y, Z), and the one after its last, along each axis.

    None where nothing is found.
    """
    found = get_largest_connected_component_mask(labels > 0).nonzero(as_tuple=True)
    return [(int(i.min()), int(i.max()) + 1) for i in found] if len(found[0]) else None


def brain_box(
    extent: Sequence[tuple[int, int]], shape: Sequence[int], margin: int, divisor: int
) -> tuple[slice, slice, slice]:
    """The box around an extent with a margin, within ``shape``; sides of both are multiples of ``divisor``."""
    box = []
    for (first, stop), full in zip(extent, shape, strict=True):
        size = min(-(-(stop - first + 2 * margin) // divisor) * divisor, full)
        start = min(max((first + stop - size) // 2, 0), full - size)
        box.append(slice(start, start + size))
    return box[0], box[1], box[2]
