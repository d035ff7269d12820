"""From a volume to the network's grid, as thin MONAI adapters and the chains that bundles use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from fetal_monai.transforms.mri import normalise_mr
from fetal_monai.transforms.volume_grid import to_volume_grid, volume_grid

__all__ = ["LoadVolumed", "ToVolumeGridd", "volume_preprocessing"]

Item = dict[Hashable, Any]


class LoadVolumed(MapTransform):
    """Replace the ``ScanSource`` or path under each key by its ``VolumeScan``.

    ``read`` is :func:`fetal_monai.scan.read_volume_scan` unless given. Raises ``ScanError`` for what can't be read.
    """

    def __init__(self, keys: KeysCollection = "image", read: Callable[[Any], Any] | None = None) -> None:
        super().__init__(keys)
        self.read = read

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.scan import ScanSource, read_volume_scan

        out = dict(data)
        for key in self.key_iterator(out):
            source = out[key]
            if not isinstance(source, ScanSource):
                path = Path(source)
                source = ScanSource(path, path.name, path.name.partition(".")[0])
            out[key] = (self.read or read_volume_scan)(source)
        return out


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
    """What inference does before the network; ``image`` is a path or ``ScanSource``, read with ``read``."""
    return [LoadVolumed("image", read), ToVolumeGridd("image", voxel_mm, divisor)]
