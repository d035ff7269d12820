"""The field that a convex probe sees, as a grid of beams and as part of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

__all__ = ["Sector", "draw_sector"]

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Sector:
    """The field of a convex probe: all in mm and radians but `apex` (row, column), in pixels, where the beams meet.

    Depths are counted from the apex: the probe's surface is at `near`, the last echo at `far`. Depths `first` to `last`
    and the angles `shown` to the left and to the right are what the picture holds, which alone is worked out, in
    `steps` of (depth, angle).
    """

    apex: tuple[float, float]
    pixel_mm: float
    near: float
    far: float
    half_angle: float
    shown: tuple[float, float]
    first: float
    last: float
    steps: tuple[float, float]

    def polar(self, shape: tuple[int, int]) -> tuple[Image, Image]:
        """Depth in mm and angle (from straight down, to the right) of each pixel."""
        rows = (np.arange(shape[0], dtype=np.float32) - np.float32(self.apex[0]))[:, None]
        columns = (np.arange(shape[1], dtype=np.float32) - np.float32(self.apex[1]))[None]
        depth = np.hypot(rows, columns) * np.float32(self.pixel_mm)
        return depth, np.arctan2(columns, np.broadcast_to(rows, depth.shape))

    @property
    def depths(self) -> Image:
        """(D,) in mm."""
        return np.arange(self.first, self.last + self.steps[0], self.steps[0], dtype=np.float32)

    @property
    def angles(self) -> Image:
        """(B,) in radians, one a beam."""
        left, right = (math.ceil(side / self.steps[1]) + 1 for side in self.shown)
        return np.arange(-left, right + 1, dtype=np.float32) * np.float32(self.steps[1])

    def pixels(self) -> tuple[Image, Image]:
        """Rows and columns (D, B) of the beams' samples."""
        depths, angles = self.depths[:, None] / np.float32(self.pixel_mm), self.angles[None]
        return depths * np.cos(angles) + np.float32(self.apex[0]), depths * np.sin(angles) + np.float32(
            self.apex[1]
        )

    def scan_convert(self, beams: Image, shape: tuple[int, int]) -> tuple[Image, NDArray[np.bool_]]:
        """A picture (H, W) from beams (D, B), 0 outside of the sector, and the sector."""
        depth, angle = self.polar(shape)
        inside = (np.abs(angle) <= self.half_angle) & (depth >= self.near) & (depth <= self.far)
        from torch import from_numpy
        from torch.nn.functional import grid_sample

        x = (angle - self.angles[0]) * np.float32(2 / (self.steps[1] * (beams.shape[1] - 1))) - 1
        y = (depth - np.float32(self.first)) * np.float32(2 / (self.steps[0] * (beams.shape[0] - 1))) - 1
        at, source = from_numpy(np.stack([x, y], axis=-1))[None], from_numpy(beams)[None, None]
        picture = grid_sample(source, at, padding_mode="border", align_corners=True)[0, 0].numpy()
        return picture * inside, inside


def draw_sector(
    random: RandomState, shape: tuple[int, int], pixel_mm: float, head_rows: tuple[float, float],
    head_column: float, half_width: float, psf_mm: tuple[float, float],
) -> Sector:  # fmt: skip
    """A probe above a head that spans these rows (top, bottom) and `half_width` columns about its middle.

    `psf_mm` (axial, lateral) sets how finely the beams are worked out.
    """
    near = random.uniform(38, 60)
    cover_mm = random.uniform(6, 38)  # what lies between the probe and the head
    row = head_rows[0] - (cover_mm + near) / pixel_mm
    column = head_column + random.normal(0, 0.12) * half_width
    middle_mm = ((head_rows[0] + head_rows[1]) / 2 - row) * pixel_mm
    need = math.atan2(half_width * pixel_mm * random.uniform(0.85, 1.3), middle_mm)
    half_angle = min(max(need, math.radians(random.uniform(28, 46))), math.radians(52))
    far = (head_rows[1] - row) * pixel_mm + random.uniform(8, 90)
    corner = np.hypot(shape[0] - row, max(column, shape[1] - column)) * pixel_mm
    first, last = max(near, -row * pixel_mm - 15), min(far, corner)
    steps = (max(0.6 * psf_mm[0], 0.8 * pixel_mm), 0.55 * psf_mm[1] / middle_mm)
    top = max(first / pixel_mm * 0.8, 1.0)
    left, right = (min(half_angle, math.atan2(max(side, 1.0), top)) for side in (column, shape[1] - column))
    return Sector((row, column), pixel_mm, near, far, half_angle, (left, right), first, last, steps)
