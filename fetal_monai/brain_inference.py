"""A volume through a network: at once where it fits, else in windows; then again the brain's own box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SlidingWindowInferer
from torch.nn import functional as F

from fetal_monai.inference import AutocastInferer
from fetal_monai.transforms.mri import normalise_mr

__all__ = ["BrainInferer", "brain_box", "largest_part"]


class BrainInferer(Inferer):
    """Find the brain in the whole volume, cut out its box, and look again at that with gray values of its own.

    The input (N, 1, X, Y, Z) is normalised, its sides are multiples of ``divisor``; logits (N, C, X, Y, Z) come back as
    float32, with class 0 sure beyond the box.

    With ``coarse`` the first look is at the volume reduced by that factor, and finding nothing there is the answer; the
    sides must then be multiples of ``coarse * divisor``.

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
    ) -> None:
        super().__init__()
        self.inferer = AutocastInferer(amp, flips)
        self.margin, self.divisor, self.max_voxels = margin, divisor, max_voxels
        self.windows = SlidingWindowInferer(roi_size, overlap=overlap, mode="gaussian")
        self.whole_enough, self.coarse = whole_enough, coarse

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.cat([self._one(image[None], network) for image in inputs])

    def _one(self, image: torch.Tensor, network: Any) -> torch.Tensor:
        small = F.avg_pool3d(image, self.coarse) if self.coarse > 1 else image
        first = self._run(small, network)
        box = brain_box(first[0].argmax(0), self.margin, self.divisor)
        if self.coarse == 1 and (box is None or _volume(box) >= self.whole_enough * image[0, 0].numel()):
            return first
        logits = image.new_full((1, first.shape[1], *image.shape[2:]), -10.0, dtype=torch.float32)
        logits[:, 0] = 10.0
        if box is not None:
            x, y, z = (slice(s.start * self.coarse, s.stop * self.coarse) for s in box)
            cut = image[0, 0, x, y, z]
            logits[:, :, x, y, z] = self._run(normalise_mr(cut)[None, None].to(cut.dtype), network)
        return logits

    def _run(self, image: torch.Tensor, network: Any) -> torch.Tensor:
        if image[0, 0].numel() <= self.max_voxels:
            return self.inferer(image, network)
        return self.windows(image, lambda window: self.inferer(window, network))


def _volume(box: Sequence[slice]) -> int:
    return int(np.prod([s.stop - s.start for s in box]))


def largest_part(mask: torch.Tensor) -> torch.Tensor:
    """The largest connected part of a mask (X, Y, Z), a tensor of bool on its device; all False if there is none."""
    from scipy import ndimage

    parts, count = ndimage.label(mask.cpu().numpy())
    if count < 2:
        return mask.bool()
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return torch.from_numpy(parts == sizes.argmax()).to(mask.device)


def brain_box(labels: torch.Tensor, margin: int, divisor: int) -> tuple[slice, slice, slice] | None:
    """The box of the largest part of what is not 0 in (X, Y, Z), with a margin; its sides are multiples of ``divisor``.

    None where nothing is found. The sides of ``labels`` must be such multiples too.
    """
    found = largest_part(labels > 0).nonzero(as_tuple=True)
    if not len(found[0]):
        return None
    box = []
    for index, full in zip(found, labels.shape, strict=True):
        first, last = int(index.min()) - margin, int(index.max()) + 1 + margin
        size = min(-(-(last - first) // divisor) * divisor, full)
        start = min(max((first + last - size) // 2, 0), full - size)
        box.append(slice(start, start + size))
    return box[0], box[1], box[2]
