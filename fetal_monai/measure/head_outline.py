"""The edge of a fetal head in a network's probability map, and the ellipse through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.ellipse import EllipseFit, border_points, fit_ellipse, outline_from_probability

__all__ = ["Outline", "find_outline", "fit_outline"]

MAX_POINTS = 200  # neighbours on an outline tell the same; more of them only cost time

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """The edge of a head in a probability map.

    ``points`` (N, 2) in order, (row, column); ``on_border`` (N,) tells which run along the picture's edge; ``band`` is
    the mean distance between the contours at 0.25 and 0.75: how far the network hesitates. Both in pixels of the map.
    """

    points: Floats
    on_border: NDArray[np.bool_]
    band: float


def find_outline(probability: NDArray[np.float32], min_area_fraction: float = 0.005) -> Outline | None:
    """The largest region above 0.5 of a probability map (H, W) as a sub-pixel outline; None if it is tiny or absent."""
    points = outline_from_probability(probability)
    if points is None or len(points) < 12:
        return None
    rows, columns = points.T
    area = 0.5 * abs(float(np.dot(rows, np.roll(columns, 1)) - np.dot(columns, np.roll(rows, 1))))
    if area < min_area_fraction * probability.size:
        return None
    length = float(np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1).sum())
    band = np.count_nonzero((probability > 0.25) & (probability < 0.75)) / length
    return Outline(points, border_points(points, probability.shape), band)


def fit_outline(outline: Outline, unit: tuple[float, float] = (1.0, 1.0)) -> EllipseFit | None:
    """The ellipse through the part of the outline that is not the picture's edge; None when no ellipse fits.

    ``unit`` (row, column) is the size of a pixel, so that uneven spacing is right.
    """
    seen = outline.points[~outline.on_border]
    seen = seen[:: -(-len(seen) // MAX_POINTS)] if len(seen) else seen
    return fit_ellipse(seen * unit) if len(seen) >= 12 else None
