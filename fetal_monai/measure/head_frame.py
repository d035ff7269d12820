"""A head brought to a frame that is the same for all: its long axis level, its ellipse always the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.ellipse import Ellipse

__all__ = ["HeadFrame", "frame_mask"]

FILL = 0.95  # of the frame's sides, that the ellipse takes up

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadFrame:
    """The way between a picture and the frame of its head.

    ``shape`` (rows, columns) is that of the frame. ``matrix`` (2, 2) and ``centre`` (2,) take a place in the frame,
    counted in pixels from its middle, to a place (row, column) of the picture.
    """

    shape: tuple[int, int]
    matrix: Floats
    centre: Floats

    @classmethod
    def of(cls, ellipse: Ellipse, shape: tuple[int, int], mirrored: bool = False) -> HeadFrame:
        """The frame whose columns run along the major axis, and whose rows run away from the top of the picture.

        The probe is at the top, so the hemisphere below the midline is the one that is seen well. ``mirrored``
        exchanges left and right. Where the major axis is upright, its upper end comes to the left.
        """
        major, minor = ellipse.directions
        major = major if (major[1], major[0]) > (0.0, 0.0) else -major
        minor = minor if (minor[0], minor[1]) > (0.0, 0.0) else -minor
        radii = FILL * np.asarray(shape) / 2
        columns = major * ellipse.semi_axes[0] / radii[1] * (-1 if mirrored else 1)
        rows = minor * ellipse.semi_axes[1] / radii[0]
        return cls(shape, np.column_stack([rows, columns]), np.asarray(ellipse.center, dtype=float))

    @property
    def mirrored(self) -> HeadFrame:
        """The same with left and right exchanged."""
        return HeadFrame(self.shape, self.matrix * (1.0, -1.0), self.centre)

    def through(self, scale: tuple[float, float], centre: Floats) -> HeadFrame:
        """The same for a picture resized by ``scale`` (row, column), in which the centre lies at ``centre``."""
        return HeadFrame(
            self.shape, np.asarray(scale, dtype=float)[:, None] * self.matrix, np.asarray(centre, float)
        )

    def sample(self, image: NDArray[np.float32], fine: int = 2) -> NDArray[np.float32]:
        """What a picture (H, W) shows in the frame: the mean of ``fine`` x ``fine`` places in each pixel, bilinear, 0
        beyond the picture's edge."""
        from scipy.ndimage import affine_transform

        rows, columns = self.shape
        matrix = self.matrix / fine
        offset = self.centre - matrix @ ((np.asarray(self.shape) * fine - 1) / 2)
        found = affine_transform(
            image, matrix, offset, output_shape=(rows * fine, columns * fine), order=1, output=np.float32
        )
        return found.reshape(rows, fine, columns, fine).mean((1, 3))

    def paint(self, values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Values of the frame as they lie in a picture of ``shape`` (H, W): bilinear, 0 beyond the frame."""
        from PIL import Image

        inverse = np.linalg.inv(self.matrix)
        # Pillow counts (x, y) from a pixel's corner, pixel centres lie at halves
        first = inverse @ (-self.centre) + (np.asarray(self.shape) - 1) / 2
        offset = first + 0.5 - inverse @ (0.5, 0.5)
        places = (inverse[1, 1], inverse[1, 0], offset[1], inverse[0, 1], inverse[0, 0], offset[0])
        picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        painted = picture.transform(shape[::-1], Image.Transform.AFFINE, places, Image.Resampling.BILINEAR)
        return np.asarray(painted, dtype=np.float32)


def frame_mask(shape: tuple[int, int], inner: float = 1.0) -> NDArray[np.float32]:
    """Share of each pixel of a frame that lies in the ellipse, reduced to ``inner`` of its axes; 0 to 1."""
    rows, columns = FILL * np.asarray(shape) / 2 * inner
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    if rows > columns:
        raise ValueError(
            f"the frame is {shape[0]}x{shape[1]}; its columns run along the head, so give more of them"
        )
    return Ellipse(middle, (float(columns), float(rows)), 0.0).soft_mask(shape)
