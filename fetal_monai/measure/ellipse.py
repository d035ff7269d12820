"""A robust fit of an ellipse to the points of an outline; shape and outlines are exported with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fetal_monai.measure.conic import conic_matrix, starting_conic
from fetal_monai.measure.outline import border_points, outline_from_mask, outline_from_probability
from fetal_monai.measure.shape import Ellipse, Floats, foot_points

__all__ = [
    "Ellipse",
    "EllipseFit",
    "border_points",
    "fit_ellipse",
    "outline_from_mask",
    "outline_from_probability",
]

ARC_BINS = 72  # of 5 degrees each
MAX_SEARCH_POINTS = 200
MAX_POLISH_POINTS = 2000
MIN_POINTS = 6
MIN_FLATNESS = 0.02  # of a point cloud or an ellipse (short over long axis); flatter is a line
MAX_REACH = 4.0  # semi-major axis over the extent of the points; more says that they show too short an arc
NOISE_FLOOR = 0.008  # least noise that is assumed, as a share of the mean radius; heads are no exact ellipses
NOISE_QUANTILE = 0.65  # of the distances tells the noise, so that up to a third may be wrong
NOISE_SIGMAS = 0.9346  # standard deviations that hold that share of Gaussian noise
TUKEY = 4.685  # 95 % efficient on Gaussian noise
INLIER_SIGMAS = 3.0
MIN_DAMPING = 1e-9  # of Levenberg and Marquardt, for each point
MAX_SIZE = 1e3  # semi-major axis over the points' spread, at which a fit stops growing
STEP_TOLERANCE = 1e-6  # of the points' spread: 0.0002 pixels for a head of 200


@dataclass(frozen=True)
class EllipseFit:
    """An ellipse and how well the points show it.

    `residual` is the RMS distance of the inliers, in the points' unit; `inlier_fraction` the share of the
    points near the curve (3 robust standard deviations); `arc_coverage` the share of 360 degrees, in bins of
    5, that holds inliers.
    """

    ellipse: Ellipse
    residual: float
    inlier_fraction: float
    arc_coverage: float


def fit_ellipse(points: ArrayLike, *, robust: bool = True) -> EllipseFit | None:
    """Fit an ellipse to points (N, 2), least in the squares of their distances to the curve.

    The start is the direct fit of Halir and Flusser (1998). With `robust`, starts that leave out a sector or
    use few points compete with it, and the distances are weighted by Tukey's biweight, so that a third of the
    outline may be missing and a fifth may be wrong. None if fewer than 6 finite points are given or they show
    no ellipse (on a line, or too short an arc).
    """
    array = np.asarray(points, dtype=float)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"points have shape {array.shape}; give (N, 2), row and column")
    array = array[np.isfinite(array).all(axis=1)]
    if len(array) < MIN_POINTS:
        return None
    origin = array.mean(axis=0)
    spread = np.sqrt(np.linalg.eigvalsh(np.cov((array - origin).T)).clip(0))
    if spread[1] == 0 or spread[0] < MIN_FLATNESS * spread[1]:
        return None
    scale = float(spread[1])
    normal = (array - origin) / scale
    few = _thin(normal, MAX_SEARCH_POINTS)
    conic = starting_conic(few, robust)
    shape = None if conic is None else conic_matrix(conic)
    if shape is None:
        return None
    found = _refine(Ellipse.from_matrix(*shape), few, robust)
    if len(normal) > len(few):
        found = _refine(found, _thin(normal, MAX_POLISH_POINTS), robust)
    a, b = found.semi_axes
    if not np.isfinite(a) or b < MIN_FLATNESS * a or a > MAX_REACH * np.ptp(normal, axis=0).max():
        return None
    distance, _, unit = foot_points(found, normal)
    inlier = np.abs(distance) <= INLIER_SIGMAS * _noise(distance, found)
    angle = np.arctan2(unit[inlier, 1], unit[inlier, 0])
    bins = np.unique(np.floor((angle + np.pi) / (2 * np.pi) * ARC_BINS).astype(int) % ARC_BINS)
    row, column = np.asarray(found.center) * scale + origin
    return EllipseFit(
        Ellipse((float(row), float(column)), (a * scale, b * scale), found.angle),
        residual=float(np.sqrt(np.mean(distance[inlier] ** 2))) * scale,
        inlier_fraction=float(np.mean(inlier)),
        arc_coverage=len(bins) / ARC_BINS,
    )


def _thin(points: Floats, most: int) -> Floats:
    """At most `most` of the points, evenly in their order."""
    if len(points) <= most:
        return points
    return np.asarray(points[np.linspace(0, len(points) - 1, most).round().astype(int)])


def _noise(distance: Floats, ellipse: Ellipse) -> float:
    """Robust standard deviation of the distances, not below what is sensible for the size."""
    floor = NOISE_FLOOR * math.sqrt(ellipse.semi_axes[0] * ellipse.semi_axes[1])
    return max(float(np.quantile(np.abs(distance), NOISE_QUANTILE)) / NOISE_SIGMAS, floor)


def _refine(start: Ellipse, points: Floats, robust: bool, steps: int = 40) -> Ellipse:
    """Levenberg-Marquardt on the distances of the points, weighted by Tukey's biweight if `robust`.

    The ellipse is the image of the unit circle under a symmetric matrix, which is smooth at circles, where an
    angle is not.
    """
    ellipse, damping = start, 1e-6
    distance, normal, unit = foot_points(ellipse, points)
    for step in range(steps):
        if robust and step < 10:
            limit = TUKEY * _noise(distance, ellipse)
        weight = np.clip(1 - (distance / limit) ** 2, 0, None) ** 2 if robust else np.ones_like(distance)
        unit = unit @ ellipse.directions
        slopes = -np.column_stack(
            [
                normal,
                normal[:, 0] * unit[:, 0],
                normal[:, 0] * unit[:, 1] + normal[:, 1] * unit[:, 0],
                normal[:, 1] * unit[:, 1],
            ]
        )
        weighted = slopes * weight[:, None]
        hessian, gradient = weighted.T @ slopes, weighted.T @ distance
        cost = _cost(distance, limit if robust else None)
        while damping < 1e6:
            move = np.asarray(np.linalg.solve(hessian + damping * len(points) * np.eye(5), -gradient), float)
            tried = _moved(ellipse, move)
            if tried is not None:
                new = foot_points(tried, points)
                if _cost(new[0], limit if robust else None) <= cost:
                    break
            damping = max(damping * 10, 1e-6)
        else:
            return ellipse
        ellipse, (distance, normal, unit), damping = tried, new, max(damping / 10, MIN_DAMPING)
        if np.abs(move).max() < STEP_TOLERANCE:
            break
    return ellipse


def _moved(ellipse: Ellipse, move: Floats) -> Ellipse | None:
    """The ellipse after a step (5,) in its centre and symmetric matrix; None if it collapses or grows without end."""
    directions = ellipse.directions
    matrix = (directions.T * ellipse.semi_axes) @ directions + np.array(
        [[move[2], move[3]], [move[3], move[4]]]
    )
    if not np.isfinite(matrix).all():
        return None
    least, most = np.linalg.eigvalsh(matrix)
    if least < MIN_FLATNESS / 10 * most or most > MAX_SIZE:
        return None
    return Ellipse.from_matrix(np.asarray(ellipse.center) + move[:2], matrix)


def _cost(distance: Floats, limit: float | None) -> float:
    """Sum of squares, or of Tukey's biweight loss with its cut at `limit`."""
    if limit is None:
        return float(np.sum(distance**2))
    return float(np.sum(1 - np.clip(1 - (distance / limit) ** 2, 0, None) ** 3)) * limit**2 / 6
