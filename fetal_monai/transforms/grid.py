"""Where the pixels of the network's grid lie in the input picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NetworkGrid", "network_grid"]


@dataclass(frozen=True)
class NetworkGrid:
    """A resized and padded copy of an input picture: its shape, and the way between the two.

    ``content`` (rows, columns) is the resized picture, ``offset`` where its first pixel lies in the padded ``shape``,
    ``scale`` the size of an input pixel in grid pixels along rows and columns.
    """

    shape: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int]
    scale: tuple[float, float]

    def to_input(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Grid points (N, 2) in (row, column) as points of the input picture; pixel centres are integers in both."""
        return (np.asarray(points) - self.offset + 0.5) / self.scale - 0.5

    def from_input(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Input points (N, 2) in (row, column) as points of the grid."""
        return (np.asarray(points) + 0.5) * self.scale - 0.5 + self.offset

    def crop(self, image: NDArray) -> NDArray:
        """The part of a grid array (..., rows, columns) that the picture covers."""
        (row, column), (rows, columns) = self.offset, self.content
        return image[..., row : row + rows, column : column + columns]


def network_grid(
    shape: tuple[int, int],
    spacing_mm: tuple[float, float] | None = None,
    pixels: int = 54500,
    divisor: int = 16,
    padded: tuple[int, int] | None = None,
) -> NetworkGrid:
    """Grid on which the network sees a picture of ``shape`` (rows, columns): square pixels, about ``pixels`` in all.

    Each side is padded to a multiple of ``divisor``, or both to ``padded`` (for training in batches; then the picture
    is scaled to fit). Anisotropic ``spacing_mm`` (row, column) is made square; without it pixels are taken as square.
    """
    rows, columns = shape
    aspect = (
        np.ones(2) if spacing_mm is None else np.asarray(spacing_mm, float) / np.sqrt(np.prod(spacing_mm))
    )
    extent = aspect * (rows, columns)
    factor = float(np.sqrt(pixels / extent.prod())) if padded is None else float(np.min(padded / extent))
    content = np.maximum(np.floor(extent * factor + 1e-6), 1).astype(int)
    full = -(-content // divisor) * divisor if padded is None else np.asarray(padded)
    offset = (full - content) // 2
    scale = content / (rows, columns)
    return NetworkGrid(
        (int(full[0]), int(full[1])),
        (int(content[0]), int(content[1])),
        (int(offset[0]), int(offset[1])),
        (float(scale[0]), float(scale[1])),
    )
