"""From a volume to the network's grid, as thin MONAI adapters and the chains that bundles use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.mri import normalise_mr
from fetal_monai.transforms.volume_grid import to_volume_grid, volume_grid

__all__ = ["ToVolumeGridd", "volume_preprocessing"]

Item = dict[Hashable, Any]


class ToVolumeGridd(MapTransform):
    """Put the volume under each key on the network's grid: a float tensor (1, X, Y, Z) in 0..1.5, padded with 0.

    The volume moves to ``scan`` and the grid to ``grid``. Arguments: see :func:`volume_grid`.
    """

    def __init__(self, keys: KeysCollection = "image", voxel_mm: float = 1.0, divisor: int = 16) -> None:
        super().__init__(keys)
        self.voxel_mm, self.divisor = voxel_mm, divisor

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        for key in self.key_iterator(out):
            scan = out[key]
            grid = volume_grid(scan.image.shape, scan.affine, self.voxel_mm, self.divisor)
            image = torch.zeros((1, *grid.shape))
            x, y, z = grid.content
            image[0, :x, :y, :z] = normalise_mr(to_volume_grid(scan.image, grid))
            out[key], out["scan"], out["grid"] = image, scan, grid
        return out


def volume_preprocessing(
    read: Callable[[Any], Any] | None = None, voxel_mm: float = 1.0, divisor: int = 16
) -> list[Transform]:
    """What inference does before the network; ``image`` is a path or ``ScanSource``.

    It is read with ``read``, or as :class:`fetal_monai.transforms.load.LoadScand` says.
    """
    from fetal_monai.scan import read_volume_scan

    return [LoadScand("image", read or read_volume_scan), ToVolumeGridd("image", voxel_mm, divisor)]
