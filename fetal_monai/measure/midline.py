"""The midline of a fetal head in ultrasound: the falx, a bright line near the long axis of the skull."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Midline", "find_midline"]

Floats = NDArray[np.float64]

REACH = 0.4  # of the long axis to either side of the centre: the skull itself is bright, and left out
MAX_SHIFT = 0.07  # of the short axis, by which the falx may lie beside the axis of the skull
MAX_TURN_DEG = 7.0  # between the falx and the axis of a skull that is clearly longer than wide
ROUND_TURN_DEG = 30.0  # the same where the skull is all but round, which has no axis
ROUND = (0.85, 0.95)  # short over long axis, between which the one goes over into the other
SAMPLES = 72  # across a short axis
WITHIN = 0.95  # of the long axis, that the falx is long
LEAST_CONTRAST = 0.01  # of the gray values' range, from which a line counts as seen


@dataclass(frozen=True)
class Midline:
    """A line through a head: `center` (row, column), `angle` in radians from columns to rows, `length` in pixels.

    `contrast` is how much brighter it is than what lies beside it, as a share of the picture's brightest gray (99th
    percentile within the head); where it is too little, the line is the head's axis.
    """

    center: tuple[float, float]
    angle: float
    length: float
    contrast: float

    @property
    def ends(self) -> Floats:
        """Both ends (2, 2), (row, column)."""
        half = self.length / 2 * np.array([math.sin(self.angle), math.cos(self.angle)])
        return np.array([self.center - half, self.center + half])


def find_midline(
    image: ArrayLike, center: tuple[float, float], angle: float, long_axis: float, short_axis: float
) -> Midline:
    """The line near the long axis of a head along which a picture (H, W) is brighter than on both sides.

    The head's ellipse has its `center` (row, column), the `angle` of its long axis in radians from columns to rows, and
    both axes' lengths in pixels. Lines up to 7 % of the short axis beside it and turned by up to 7 degrees compete (30
    in a round head); those nearer to the axis win where the picture does not tell. The line ends within the skull.
    """
    from scipy import ndimage

    picture = np.asarray(image, dtype=np.float32)
    along = np.array([math.sin(angle), math.cos(angle)])
    across = np.array([math.cos(angle), -math.sin(angle)])
    step = short_axis / SAMPLES
    most_deg = float(np.interp(short_axis / long_axis, ROUND, (MAX_TURN_DEG, ROUND_TURN_DEG)))
    u = np.arange(-REACH * long_axis, REACH * long_axis + step / 2, step)
    most = MAX_SHIFT * short_axis + REACH * long_axis * math.tan(math.radians(most_deg)) + 4 * step
    v = np.arange(-math.ceil(most / step), math.ceil(most / step) + 1) * step
    places = np.asarray(center)[:, None, None] + along[:, None, None] * u + across[:, None, None] * v[:, None]
    strip = ndimage.map_coordinates(picture, places, order=1, mode="nearest")
    top = float(np.percentile(strip, 99))
    axis = Midline((float(center[0]), float(center[1])), angle, WITHIN * long_axis, 0.0)
    if top <= 0:
        return axis
    strip = ndimage.gaussian_filter1d(np.minimum(strip / top, 1), 0.8, axis=0)
    ridge = strip - 0.5 * (np.roll(strip, 3, axis=0) + np.roll(strip, -3, axis=0))
    ridge = np.clip(ridge, -0.25, 0.25)  # a few bright spots make no line
    turns = np.radians(np.linspace(-most_deg, most_deg, 2 * round(most_deg) + 1))
    shifts = np.arange(-round(MAX_SHIFT * SAMPLES), round(MAX_SHIFT * SAMPLES) + 1)
    rows = np.round(np.tan(turns)[:, None, None] * u / step).astype(int) + shifts[:, None] + len(v) // 2
    contrast = ridge[rows, np.arange(len(u))].mean(axis=-1)
    far = (turns[:, None] / math.radians(most_deg)) ** 2 + (shifts / (MAX_SHIFT * SAMPLES)) ** 2
    best = np.unravel_index(np.argmax(contrast - 0.25 * LEAST_CONTRAST * far), contrast.shape)
    if contrast[best] < LEAST_CONTRAST:
        return axis
    row, column = np.asarray(center) + across * shifts[best[1]] * step
    return Midline(
        (float(row), float(column)), angle + float(turns[best[0]]), WITHIN * long_axis, float(contrast[best])
    )
