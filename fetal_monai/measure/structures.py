"""Structures of the fetal brain as points in a picture: their upright box, and the long axis they lie along.

Points are (N, 2), x and y in pixels from the picture's upper left edge, so that the first pixel reaches from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.measure.midline import Midline
from fetal_monai.measure.shape import Ellipse

__all__ = [
    "STRUCTURES",
    "Found",
    "Structure",
    "bounding_box",
    "box_points",
    "ellipse_points",
    "midline_points",
    "rectangle_points",
]

Floats = NDArray[np.float64]

STRUCTURES = ("head", "midline_falx", "cavum_septi_pellucidi", "choroid_plexus", "lateral_ventricle")
MIDLINE_WIDTH = 0.06  # of the head's short axis: how thick the box round the falx is drawn


@dataclass(frozen=True)
class Structure:
    """One structure: `label` (of `STRUCTURES`), and points of its outline: 4 corners, or many around it.

    `has_axis` says whether the points lie as the structure does; where they are only an upright box, they do not.
    """

    label: str
    points: Floats
    has_axis: bool = True

    def axes(self) -> tuple[float, float, float]:
        """Angle of the long side in radians from x to y, within a half turn, and the lengths of both sides.

        Of corners the sides of their rectangle, of an outline the axes of its ellipse.
        """
        values, vectors = np.linalg.eigh(np.cov(self.points.T, bias=True))
        factor = 2.0 if len(self.points) == 4 else 2 * math.sqrt(2)
        short, long = factor * np.sqrt(values.clip(0))
        x, y = vectors[:, 1]
        return (
            math.atan2(y, x) if x > 0 or (x == 0 and y > 0) else math.atan2(-y, -x),
            float(long),
            float(short),
        )


@dataclass(frozen=True)
class Found:
    """One box: `label` (of `STRUCTURES`), `score` 0 to 1, `box` (x, y, width, height) in pixels, from the edge.

    `angle` is that of the long side in radians from x to y, `across` (x, y) the vector from one long side to the other.
    `shown` says whether it counts: not those with a low score, outside of the head, or beside a better one.
    """

    label: str
    score: float
    box: Floats
    angle: float
    across: Floats
    shown: bool = False

    @property
    def center(self) -> Floats:
        """(x, y)."""
        return self.box[:2] + self.box[2:] / 2

    @property
    def width_ends(self) -> Floats:
        """Both ends (2, 2), (x, y), of the line across the middle."""
        return np.array([self.center - self.across / 2, self.center + self.across / 2])


def bounding_box(points: ArrayLike) -> Floats:
    """The upright box of points as COCO writes it: x, y, width, height."""
    array = np.asarray(points, dtype=float)
    low, high = array.min(axis=0), array.max(axis=0)
    return np.concatenate([low, high - low])


def box_points(box: ArrayLike) -> Floats:
    """The corners (4, 2) of an upright box x, y, width, height."""
    x, y, width, height = np.asarray(box, dtype=float)
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])


def rectangle_points(center: ArrayLike, angle: float, long: float, short: float) -> Floats:
    """The corners (4, 2) of a rectangle round `center` (x, y) whose long side has the angle in radians from x to y."""
    along = np.array([math.cos(angle), math.sin(angle)]) * long / 2
    across = np.array([-math.sin(angle), math.cos(angle)]) * short / 2
    middle = np.asarray(center, dtype=float)
    return np.array(
        [middle - along - across, middle + along - across, middle + along + across, middle - along + across]
    )


def ellipse_points(ellipse: Ellipse, count: int = 72) -> Floats:
    """Points (count, 2) round an ellipse, which itself counts (row, column) from pixel centres."""
    return np.asarray(ellipse.points(count)[:, ::-1] + 0.5)


def midline_points(midline: Midline, short_axis: float) -> Floats:
    """The corners (4, 2) of the narrow rectangle round a midline, in a head with that short axis in pixels."""
    row, column = midline.center
    center = (column + 0.5, row + 0.5)
    return rectangle_points(center, midline.angle, midline.length, MIDLINE_WIDTH * short_axis)
