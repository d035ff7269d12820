"""A volume through a network: at once where it fits, else in windows; then again the brain's own box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from monai.transforms.utils import get_largest_connected_component_mask
from torch.nn import functional as F

from fetal_monai.inference import WholeInferer
from fetal_monai.transforms.mri import normalise_mr
from fetal_monai.transforms.volume_grid import resize

__all__ = ["BrainInferer", "brain_box", "brain_extent", "main_part"]

Extent = Sequence[tuple[int, int]]


class BrainInferer(Inferer):
    """Find the brain in the whole volume, cut out its box, and look again at that with gray values of its own.

    The input (N, 1, X, Y, Z) is normalised, its sides are multiples of ``divisor``; logits (N, C, X, Y, Z) come back as
    float32, with class 0 sure beyond the box.

    With ``coarse`` the first look is at the volume reduced by that factor, and finding nothing there is the answer; the
    sides must then be multiples of ``coarse * divisor``.

    With ``length`` the second look has larger voxels where the brain is longer than that many, so that all brains look
    about as long as those that the network learned from.

    Args:
        amp: bfloat16, see :class:`fetal_monai.inference.WholeInferer`.
        flips: axes of the volume (0 is right to left) to average over.
        margin: about the brain, in voxels of the input.
        divisor: of the box's sides.
        max_voxels: above that the volume goes through in windows of ``roi_size`` with ``overlap``, Gaussian blended.
        whole_enough: a box of this part of the volume, or more, is not looked at again.
        looks: most looks at a box; each but the first is at the box of what the one before found, until that stays.
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
        looks: int = 1,
    ) -> None:
        super().__init__()
        self.inferer = WholeInferer(amp, flips, max_voxels, roi_size, overlap)
        self.margin, self.divisor = margin, divisor
        self.whole_enough, self.coarse, self.length, self.looks = whole_enough, coarse, length, looks

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.cat([self._one(image[None], network) for image in inputs])

    def _one(self, image: torch.Tensor, network: Any) -> torch.Tensor:
        small = F.avg_pool3d(image, self.coarse) if self.coarse > 1 else image
        first = self.inferer(small, network)
        extent, shape = brain_extent(first[0].argmax(0)), image.shape[2:]
        if extent is not None:
            extent = [(self.coarse * start, self.coarse * stop) for start, stop in extent]
        if self.coarse == 1 and (extent is None or self._is_enough(extent, shape)):
            return first
        box, look = None, None
        for _ in range(self.looks):
            if extent is None or (around := brain_box(extent, shape, self.margin, self.divisor)) == box:
                break
            box = around
            x, y, z = box
            look = self._look(image[0, 0, x, y, z], max(1.0, _longest(extent) / self.length), network)
            extent = brain_extent(look[0].argmax(0))
            if extent is not None:
                extent = [
                    (b.start + start, b.start + stop) for b, (start, stop) in zip(box, extent, strict=True)
                ]
        logits = image.new_full((1, first.shape[1], *shape), -10.0, dtype=torch.float32)
        logits[:, 0] = 10.0
        if box is not None and look is not None:
            x, y, z = box
            logits[:, :, x, y, z] = look
        return logits

    def _is_enough(self, extent: Extent, shape: Sequence[int]) -> bool:
        """Whether the first look shows the brain as large as a second one would."""
        box = brain_box(extent, shape, self.margin, self.divisor)
        size = math.prod(side.stop - side.start for side in box)
        return size >= self.whole_enough * math.prod(shape) and _longest(extent) <= self.length

    def _look(self, cut: torch.Tensor, larger: float, network: Any) -> torch.Tensor:
        """Logits (1, C, X, Y, Z) of a box, seen with voxels that many times larger."""
        size = [max(1, round(n / larger)) for n in cut.shape]
        content = normalise_mr(resize(cut.float(), size))
        pad = [side for n in reversed(size) for side in (0, -n % self.divisor)]
        x, y, z = size
        logits = self.inferer(F.pad(content, pad)[None, None].to(cut.dtype), network)[:, :, :x, :y, :z]
        return logits if larger == 1 else F.interpolate(logits, cut.shape, mode="trilinear")


def _longest(extent: Extent) -> int:
    return max(stop - start for start, stop in extent)


def main_part(mask: torch.Tensor, bridge: int = 2) -> torch.Tensor:
    """The largest part of a mask (X, Y, Z), without other bodies that hang on it by bridges up to ``2 * bridge`` voxels
    thick.

    What is that thin itself, such as a layer of fluid, stays if it touches.
    """
    size = 2 * bridge + 1
    core = -F.max_pool3d(-F.pad(mask[None].float(), [bridge] * 6), size, 1)[0] > 0
    if core.any():
        main = get_largest_connected_component_mask(core)
        body, others = (F.max_pool3d(x[None].float(), size, 1, bridge)[0] > 0 for x in (main, core & ~main))
        mask = mask & (body | ~others)
    return get_largest_connected_component_mask(mask)


def brain_extent(labels: torch.Tensor) -> list[tuple[int, int]] | None:
    """First voxel of the largest part of what is not 0 in (X, Y, Z), and the one after its last, along each axis.

    None where nothing is found.
    """
    found = main_part(labels > 0, 1).nonzero(as_tuple=True)
    return [(int(i.min()), int(i.max()) + 1) for i in found] if len(found[0]) else None


def brain_box(extent: Extent, shape: Sequence[int], margin: int, divisor: int) -> tuple[slice, slice, slice]:
    """The box around an extent with a margin, within ``shape``; sides of both are multiples of ``divisor``."""
    box = []
    for (first, stop), full in zip(extent, shape, strict=True):
        size = min(-(-(stop - first + 2 * margin) // divisor) * divisor, full)
        start = min(max((first + stop - size) // 2, 0), full - size)
        box.append(slice(start, start + size))
    return box[0], box[1], box[2]
