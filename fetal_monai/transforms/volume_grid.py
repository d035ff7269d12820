"""Where the voxels of the network's isotropic grid lie in the input volume, and the way there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fetal_monai.transforms.mri import to_canonical

__all__ = ["VolumeGrid", "labels_on_input", "resize", "to_input", "to_volume_grid", "volume_grid"]

SLAB = 8  # slices that are brought back at once


@dataclass(frozen=True)
class VolumeGrid:
    """A reoriented, resampled and padded copy of an input volume: its shape, and how it came about.

    ``shape`` is that of the grid, whose first ``content`` voxels along each axis are the volume, reoriented to the axes
    nearest to right, anterior, superior; ``input_shape`` and ``affine`` (RAS, mm) are the input's, ``spacing_mm`` is
    the grid's.
    """

    shape: tuple[int, int, int]
    content: tuple[int, int, int]
    input_shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]

    @property
    def canonical(self) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
        """Shape and affine of the input once reoriented."""
        view, affine = to_canonical(np.broadcast_to(np.False_, self.input_shape), self.affine)
        return view.shape, affine


def volume_grid(
    shape: Sequence[int], affine: NDArray[np.float64], voxel_mm: float = 1.0, divisor: int = 16
) -> VolumeGrid:
    """The grid of about ``voxel_mm`` for a volume of ``shape`` (I, J, K), padded to multiples of ``divisor``."""
    view, canonical = to_canonical(np.broadcast_to(np.False_, tuple(shape)), affine)
    size = np.array(view.shape)
    spacing = np.linalg.norm(canonical[:3, :3], axis=0)
    content = np.maximum(np.rint(size * spacing / voxel_mm), 1).astype(int)
    full = -(-content // divisor) * divisor
    return VolumeGrid(
        tuple(int(n) for n in full),  # type: ignore[arg-type]
        tuple(int(n) for n in content),  # type: ignore[arg-type]
        tuple(int(n) for n in shape),  # type: ignore[arg-type]
        np.asarray(affine, float),
        tuple(float(mm) for mm in size * spacing / content),  # type: ignore[arg-type]
    )


def to_volume_grid(image: NDArray, grid: VolumeGrid) -> torch.Tensor:
    """Bring a volume (I, J, K) to the content of the grid, float32, not yet normalised or padded.

    Resampled as :func:`resize` does.
    """
    view, _ = to_canonical(image, grid.affine)
    return resize(torch.from_numpy(np.ascontiguousarray(view, dtype=np.float32)), grid.content)


def resize(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A volume (X, Y, Z) on a grid of another ``shape`` over the same space.

    Interpolated linearly; where an axis shrinks, with a triangle as wide as two of the new voxels, so that what was
    sampled finely comes out as what was sampled coarsely.
    """
    sizes = volume.shape
    for axis, size in sorted(enumerate(shape), key=lambda pair: pair[1] / sizes[pair[0]]):
        if size != sizes[axis]:
            weights = _triangles(sizes[axis], size).to(volume.device)
            volume = torch.tensordot(weights, volume, dims=([1], [axis])).movedim(0, axis)
    return volume.contiguous()


def _triangles(size: int, wanted: int) -> torch.Tensor:
    """Weights (wanted, size) that resample one axis."""
    width = max(size / wanted, 1.0)
    centers = (torch.arange(wanted, dtype=torch.float64) + 0.5) * (size / wanted) - 0.5
    distance = (centers.clamp(0, size - 1)[:, None] - torch.arange(size, dtype=torch.float64)).abs()
    weights = (1 - distance / width).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()


def labels_on_input(
    logits: torch.Tensor, grid: VolumeGrid, keep: torch.Tensor | None = None
) -> NDArray[np.uint8]:
    """The most likely class (I, J, K) at each voxel of the input, from logits (C, X, Y, Z) on the grid.

    Logits are interpolated linearly, a few slices at a time, so that no volume of the input's size is held for each
    class. ``keep`` (X, Y, Z) says where anything but class 0 may be; the rest is not looked at.
    """
    size, _ = grid.canonical
    out = np.zeros(size, np.uint8)
    x, y, z = grid.content
    content = logits[:, :x, :y, :z]
    found = (content.argmax(0) > 0) if keep is None else keep[:x, :y, :z].bool()
    if not found.any():
        return to_input(out, grid)
    low, high = zip(*((int(i.min()), int(i.max())) for i in found.nonzero(as_tuple=True)), strict=True)
    box, ranges = [], []
    for axis in range(3):
        first, last = max(low[axis] - 2, 0), min(high[axis] + 3, grid.content[axis])
        box.append(slice(first, last))
        scale = grid.content[axis] / size[axis]
        ranges.append((max(0, int(np.ceil((first - 0.5) / scale))), min(size[axis], int(last / scale) + 1)))
    i, j, k = box
    part = content[:, i, j, k].clone()
    if keep is not None:
        outside = ~found[i, j, k]
        part[0][outside] = part[:, outside].max(0).values + 4.0
    places = [
        ((torch.arange(*r) + 0.5) * (grid.content[a] / size[a]) - 0.5 - box[a].start).clamp(
            0, part.shape[a + 1] - 1
        )
        for a, r in enumerate(ranges)
    ]
    part = _along(part, places[1], 2)
    part = _along(part, places[2], 3)
    (x0, x1), (y0, y1), (z0, z1) = ranges
    for start in range(0, x1 - x0, SLAB):
        slab = _along(part, places[0][start : start + SLAB], 1)
        out[x0 + start : x0 + start + slab.shape[1], y0:y1, z0:z1] = _argmax(slab).numpy()
    return to_input(out, grid)


def _along(volume: torch.Tensor, places: torch.Tensor, axis: int) -> torch.Tensor:
    """Linear interpolation at fractional ``places`` of one axis."""
    below = places.floor().long().clamp(max=max(volume.shape[axis] - 2, 0))
    above = (below + 1).clamp(max=volume.shape[axis] - 1)
    view = [1] * volume.ndim
    view[axis] = -1
    share = (places - below).to(volume.dtype).reshape(view)
    return torch.lerp(volume.index_select(axis, below), volume.index_select(axis, above), share)


def _argmax(logits: torch.Tensor) -> torch.Tensor:
    """The first of the largest along axis 0, as uint8; torch's own is slow along a long stride."""
    best, labels = logits[0], torch.zeros(logits.shape[1:], dtype=torch.uint8)
    for label in range(1, len(logits)):
        higher = logits[label] > best
        best = torch.where(higher, logits[label], best)
        labels.masked_fill_(higher, label)
    return labels


def to_input(volume: NDArray[Any], grid: VolumeGrid) -> NDArray[Any]:
    """A volume (X, Y, Z) of the reoriented input's shape, with the axes of the input (I, J, K)."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    back = ornt_transform(axcodes2ornt("RAS"), io_orientation(grid.affine))
    return np.ascontiguousarray(apply_orientation(volume, back))
