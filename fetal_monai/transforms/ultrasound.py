"""2D ultrasound: the chain from a picture to the network's grid, and what training adds to it.

The builders return flat lists, so that a configuration wraps them in one ``Compose`` beside MONAI's own transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from fetal_monai.transforms.grid import NetworkGrid, network_grid
from fetal_monai.transforms.load import LoadScand

__all__ = [
    "GridToTensorsd",
    "OutlineLabeld",
    "ToNetworkGridd",
    "head_preprocessing",
    "head_training",
    "normalise",
    "to_grid",
]

Item = dict[Hashable, Any]


def normalise(image: NDArray[np.float32], upper_percentile: float = 99.5) -> NDArray[np.float32]:
    """Scale gray values to 0..1 so that gain does not matter: the percentile of what is not black becomes 1."""
    visible = image[image > 0]
    top = float(np.percentile(visible, upper_percentile)) if visible.size else 0.0
    return np.clip(image / top, 0, 1, dtype=np.float32) if top > 0 else np.zeros_like(image, dtype=np.float32)


def to_grid(image: NDArray, grid: NetworkGrid) -> NDArray[np.float32]:
    """Resize a picture (H, W) to the grid's content (anti-aliased, bilinear), normalise it and pad with 0."""
    from PIL import Image

    picture = Image.fromarray(image if image.dtype == np.uint8 else image.astype(np.float32))
    size = (grid.content[1], grid.content[0])
    small = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    out = np.zeros(grid.shape, dtype=np.float32)
    grid.crop(out)[:] = normalise(small)
    return out


class ToNetworkGridd(MapTransform):
    """Put the scan under each key on the network's grid: a float tensor (1, H, W) in 0..1.

    The scan moves to ``scan`` and the grid to ``grid``. Arguments: see :func:`network_grid`.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        pixels: int = 54500,
        divisor: int = 16,
        padded: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(keys)
        self.pixels, self.divisor, self.padded = pixels, divisor, padded

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        for key in self.key_iterator(out):
            scan = out[key]
            grid = network_grid(
                scan.image.shape,
                out.get("spacing_mm", scan.spacing_mm),
                self.pixels,
                self.divisor,
                self.padded,
            )
            out[key] = torch.from_numpy(to_grid(scan.image, grid)[None])
            out["scan"], out["grid"] = scan, grid
        return out


class OutlineLabeld(MapTransform):
    """Turn the drawn outline (a PNG's path) under each key into a soft mask (1, H, W) of its ellipse on the grid.

    The mask is 0.5 on the outline, so that no pixel's size is lost; it ends where the picture ends. Raises
    ``ValueError`` when no ellipse fits.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from PIL import Image

        from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask

        out = dict(data)
        grid: NetworkGrid = out["grid"]
        for key in self.key_iterator(out):
            path = out[key]
            points = outline_from_mask(np.asarray(Image.open(path).convert("L")) > 0)
            fit = None if points is None else fit_ellipse(grid.from_input(points))
            if fit is None:
                raise ValueError(
                    f"{path}: no ellipse fits the drawn outline; expected one closed curve round the head"
                )
            label = np.zeros(grid.shape, np.float32)
            grid.crop(label)[:] = grid.crop(fit.ellipse.soft_mask(grid.shape))
            out[key] = torch.from_numpy(label[None])
        return out


class GridToTensorsd(Transform):
    """Replace ``scan`` and ``grid`` by plain tensors that collate: ``content`` (row, column, rows, columns of the
    picture in the grid) and ``grid_mm`` (row and column spacing of the grid in mm)."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        grid: NetworkGrid = out.pop("grid")
        scan = out.pop("scan")
        spacing = out.pop("spacing_mm", scan.spacing_mm) or (np.nan, np.nan)
        out["content"] = torch.tensor([*grid.offset, *grid.content])
        out["grid_mm"] = torch.tensor(
            [s / f for s, f in zip(spacing, grid.scale, strict=True)], dtype=torch.float64
        )
        return out


def head_preprocessing(
    read: Callable[[Any], Any] | None = None, pixels: int = 54500, divisor: int = 16
) -> list[Transform]:
    """What inference does before the network; ``image`` is a path or ``ScanSource``, read with ``read``."""
    return [LoadScand("image", read), ToNetworkGridd("image", pixels=pixels, divisor=divisor)]


def head_training(padded: tuple[int, int] = (192, 288)) -> list[Transform]:
    """The deterministic part of training: ``image`` and ``label`` (paths) on one grid of ``padded`` pixels."""
    return [
        LoadScand("image"),
        ToNetworkGridd("image", padded=(padded[0], padded[1])),
        OutlineLabeld("label"),
        GridToTensorsd(),
    ]
