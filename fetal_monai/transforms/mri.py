"""MR volumes: orientation, gray values, and what training keeps of a scan and its labels."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from torch.nn import functional as F

__all__ = ["BrainPictured", "BrainSourced", "normalise_mr", "sample", "to_canonical"]

Item = dict[Hashable, Any]


def to_canonical(array: NDArray, affine: NDArray) -> tuple[NDArray, NDArray[np.float64]]:
    """A view of a volume (I, J, K) whose axes point as nearly as they can to right, anterior, superior; its affine."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(affine)
    return apply_orientation(array, orientation), affine @ inv_ornt_aff(orientation, array.shape)


def normalise_mr(image: torch.Tensor, upper_percentile: float = 99.0) -> torch.Tensor:
    """Gray values (X, Y, Z) from 0 to about 1: the percentile of what is not background becomes 1, clipped at 1.5.

    Background is 0 where no value is negative, else the 0.5th percentile.
    """
    steps = [max(1, round(n / 64)) for n in image.shape]
    some = image[:: steps[0], :: steps[1], :: steps[2]].reshape(-1).float()
    low = torch.zeros(()) if some.min() >= 0 else torch.quantile(some, 0.005)
    above = some[some > low]
    if not len(above):
        return torch.zeros_like(image, dtype=torch.float32)
    top = torch.quantile(above, upper_percentile / 100)
    return ((image.float() - low) / (top - low).clamp(min=1e-12)).clamp(0, 1.5)


def sample(volume: torch.Tensor, points: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Values of ``volume`` (C, X, Y, Z) at ``points`` (X', Y', Z', 3) in voxels: (C, X', Y', Z'), 0 outside."""
    size = torch.tensor(volume.shape[1:], dtype=points.dtype)
    grid = (2 * points / (size - 1).clamp(min=1) - 1).flip(-1)
    return F.grid_sample(volume[None].float(), grid[None], mode=mode, align_corners=True)[0]


class BrainSourced(Transform):
    """Keep of a scan and its labels what random brains are made from, on an isotropic grid cut to the head.

    Reads ``image`` and ``label`` (paths; ``label_key`` atlas or feta) and leaves ``source``: ``image`` (X, Y, Z) as
    float16, ``label`` as uint8 in FeTA order, ``distance`` from the intracranial space in mm as float16, negative
    within, ``push`` (3, X, Y, Z), the direction out of the ventricles, within and beyond them, fading over ``fade_mm``
    from their wall, ``length_mm`` of the intracranial space from back to front, and ``voxel_mm``.
    """

    def __init__(self, voxel_mm: float = 0.8, margin_mm: float = 12.0, fade_mm: float = 8.0) -> None:
        self.voxel_mm, self.margin_mm, self.fade_mm = voxel_mm, margin_mm, fade_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from scipy import ndimage

        from fetal_monai.datasets import read_labels
        from fetal_monai.scan import read_volume_scan, source_of

        out = dict(data)
        scan = read_volume_scan(source_of(out["image"]))
        labels = read_labels(out["label"], out["label_key"], scan.image.shape, scan.affine)
        image, affine = to_canonical(scan.image, scan.affine)
        labels, _ = to_canonical(labels, scan.affine)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        box = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
        length_mm = float((box[1].stop - box[1].start) * spacing[1])
        margin = np.ceil(self.margin_mm / spacing).astype(int)
        box = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(box, margin, strict=True))
        image, labels = (
            np.ascontiguousarray(image[box], np.float32),
            np.ascontiguousarray(labels[box], np.uint8),
        )
        size = [max(2, round(n * s / self.voxel_mm)) for n, s in zip(labels.shape, spacing, strict=True)]
        tensor = normalise_mr(
            F.interpolate(torch.from_numpy(image)[None, None], size, mode="trilinear")[0, 0]
        )
        label = F.interpolate(torch.from_numpy(labels)[None, None].float(), size, mode="nearest-exact")[0, 0]
        inside = label.numpy() > 0
        distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
        ventricles = label.numpy() == 4
        push = np.zeros((3, *size), np.float32)
        if ventricles.any():
            away = ndimage.distance_transform_edt(~ventricles) - ndimage.distance_transform_edt(ventricles)
            away = ndimage.gaussian_filter(away, 1.0) * self.voxel_mm
            slope = np.stack(np.gradient(away, self.voxel_mm))
            push = slope * np.exp(-np.abs(away) / self.fade_mm)
        out["source"] = {
            "image": tensor.half(),
            "label": label.to(torch.uint8),
            "distance": torch.from_numpy((distance * self.voxel_mm).clip(-60, 60)).half(),
            "push": torch.from_numpy(push).half(),
            "length_mm": length_mm,
            "voxel_mm": self.voxel_mm,
        }
        return out


class BrainPictured(Transform):
    """Show ``source`` of :class:`BrainSourced` as it is: ``image`` and ``label`` (1, X, Y, Z).

    The grid has ``voxel_mm``, or larger voxels where the head is longer than ``length_voxels`` of these; sides are
    padded to multiples of ``divisor``. For validation.
    """

    def __init__(self, voxel_mm: float = 1.0, divisor: int = 16, length_voxels: float = math.inf) -> None:
        self.voxel_mm, self.divisor, self.length_voxels = voxel_mm, divisor, length_voxels

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.synthesis.mri import sampling_grid

        out = dict(data)
        source = out.pop("source")
        step = max(self.voxel_mm, source["length_mm"] / self.length_voxels) / source["voxel_mm"]
        size = np.array(source["label"].shape)
        shape = (np.ceil(size / step / self.divisor) * self.divisor).astype(int).tolist()
        points = sampling_grid(shape, np.eye(3) * step, (size - 1) / 2)
        out["image"] = normalise_mr(sample(source["image"][None], points)[0])[None]
        out["label"] = sample(source["label"][None], points, "nearest")
        return out
