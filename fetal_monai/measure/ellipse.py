"""Ellipses on an image: the shape itself, and a robust fit of one to the points of an outline.

Points are (row, column), pixel centres lie at integers. Angles are in radians from the column axis towards the row
axis, so that they grow clockwise on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.measure.conic import conic_matrix, starting_conic
from fetal_monai.measure.outline import border_points, outline_from_mask, outline_from_probability

__all__ = [
    "Ellipse",
    "EllipseFit",
    "border_points",
    "fit_ellipse",
    "outline_from_mask",
    "outline_from_probability",
]

Floats = NDArray[np.float64]

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
STEP_TOLERANCE = 1e-6  # of the points' spread: 0.0002 pixels for a head of 200


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in (row, column) coordinates.

    `center` is (row, column) and `semi_axes` (major, minor), in pixels or mm, whichever the points had; `angle` is that
    of the major axis, in (-pi/2, pi/2].
    """

    center: tuple[float, float]
    semi_axes: tuple[float, float]
    angle: float

    def __post_init__(self) -> None:
        a, b = self.semi_axes
        if not (math.isfinite(a) and a >= b > 0):
            raise ValueError(f"semi-axes are {self.semi_axes}; give (major, minor), both above 0")

    @classmethod
    def from_matrix(cls, center: ArrayLike, matrix: ArrayLike) -> Ellipse:
        """The image of the unit circle under `matrix` (2, 2; row, column), moved to `center`."""
        axes_directions, semi_axes, _ = np.linalg.svd(np.asarray(matrix, dtype=float))
        row, column = axes_directions[:, 0]
        angle = math.atan2(row, column)
        if angle <= -math.pi / 2:
            angle += math.pi
        elif angle > math.pi / 2:
            angle -= math.pi
        center_row, center_column = np.asarray(center, dtype=float)
        return cls(
            (float(center_row), float(center_column)), (float(semi_axes[0]), float(semi_axes[1])), angle
        )

    @property
    def perimeter(self) -> float:
        """Ramanujan's second approximation, off by less than 1e-8 of itself for any head."""
        a, b = self.semi_axes
        h = ((a - b) / (a + b)) ** 2
        return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))

    @property
    def area(self) -> float:
        """Area, in the square of the axes' unit."""
        return math.pi * self.semi_axes[0] * self.semi_axes[1]

    @property
    def directions(self) -> Floats:
        """Unit vectors (2, 2): row 0 along the major axis, row 1 along the minor one, each (row, column)."""
        sin, cos = math.sin(self.angle), math.cos(self.angle)
        return np.array([[sin, cos], [cos, -sin]])

    def points(self, n: int = 180) -> Floats:
        """`n` points (n, 2) around the ellipse, evenly spaced in its parameter angle, the first on the major axis."""
        t = np.linspace(0, 2 * np.pi, n, endpoint=False)
        local = np.column_stack([np.cos(t), np.sin(t)]) * self.semi_axes
        return np.asarray(self.center) + local @ self.directions

    def scaled(self, factors: float | tuple[float, float]) -> Ellipse:
        """The ellipse after rows and columns are multiplied by `factors`, exact for uneven ones too.

        With mm per pixel it takes pixels to mm; with the reciprocals it takes mm to pixels.
        """
        rows_columns = np.broadcast_to(np.asarray(factors, dtype=float), (2,))
        matrix = (self.directions * np.asarray(self.semi_axes)[:, None]).T
        return Ellipse.from_matrix(np.asarray(self.center) * rows_columns, rows_columns[:, None] * matrix)

    def distance(self, points: ArrayLike) -> Floats:
        """Signed distance (N,) of points (N, 2) to the nearest point of the curve, positive outside."""
        return _foot_points(self, np.asarray(points, dtype=float))[0]

    def mask(self, shape: tuple[int, int], supersample: int = 1) -> NDArray[np.bool_]:
        """Pixels (H, W) whose centre lies inside; with `supersample` k, those with half of their k x k samples inside."""
        if supersample < 1:
            raise ValueError(f"supersample is {supersample}; it must be 1 or more")
        offsets = (np.arange(supersample) + 0.5) / supersample - 0.5
        inside = np.zeros(shape, dtype=np.int32)
        for row_offset in offsets:
            for column_offset in offsets:
                inside += self._radius(shape, row_offset, column_offset) <= 1
        return 2 * inside >= supersample**2

    def soft_mask(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Share (H, W) of each pixel that lies inside, 0 to 1, from the signed distance of its centre."""
        radius = self._radius(shape)
        coverage = (radius < 1).astype(np.float32)
        edge = np.nonzero(np.abs(radius - 1) * self.semi_axes[1] < 0.5)
        if len(edge[0]):
            coverage[edge] = np.clip(0.5 - self.distance(np.column_stack(edge)), 0, 1)
        return coverage

    def _radius(self, shape: tuple[int, int], row_offset: float = 0, column_offset: float = 0) -> Floats:
        """Distance of each pixel from the centre in units of the ellipse: 1 on the curve."""
        rows = np.arange(shape[0])[:, None] + row_offset - self.center[0]
        columns = np.arange(shape[1])[None, :] + column_offset - self.center[1]
        major, minor = self.directions / np.asarray(self.semi_axes)[:, None]
        return np.hypot(rows * major[0] + columns * major[1], rows * minor[0] + columns * minor[1])


@dataclass(frozen=True)
class EllipseFit:
    """An ellipse and how well the points show it.

    `residual` is the RMS distance of the inliers, in the points' unit; `inlier_fraction` the share of the points near the
    curve (3 robust standard deviations); `arc_coverage` the share of 360 degrees, in bins of 5, that holds inliers.
    """

    ellipse: Ellipse
    residual: float
    inlier_fraction: float
    arc_coverage: float


def fit_ellipse(points: ArrayLike, *, robust: bool = True) -> EllipseFit | None:
    """Fit an ellipse to points (N, 2), least in the squares of their distances to the curve.

    The start is the direct fit of Halir and Flusser (1998). With `robust`, starts that leave out a sector or use few
    points compete with it, and the distances are weighted by Tukey's biweight, so that a third of the outline may be
    missing and a fifth may be wrong. None if fewer than 6 finite points are given or they show no ellipse (on a line, or
    too short an arc).
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
    distance, _, unit = _foot_points(found, normal)
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
    return points[np.linspace(0, len(points) - 1, most).round().astype(int)]


def _noise(distance: Floats, ellipse: Ellipse) -> float:
    """Robust standard deviation of the distances, not below what is sensible for the size."""
    floor = NOISE_FLOOR * math.sqrt(ellipse.semi_axes[0] * ellipse.semi_axes[1])
    return max(float(np.quantile(np.abs(distance), NOISE_QUANTILE)) / NOISE_SIGMAS, floor)


def _foot_points(ellipse: Ellipse, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Signed distance (N,), outward normal (N, 2; row, column), and (cos t, sin t) (N, 2) of each nearest point.

    The nearest point is walked to along circles of curvature: it always converges, to machine precision in a few steps.
    """
    a, b = ellipse.semi_axes
    local = (points - ellipse.center) @ ellipse.directions.T
    x, y = np.abs(local[:, 0]), np.abs(local[:, 1])
    tiny = np.finfo(float).tiny
    cos = sin = np.full(len(local), math.sqrt(0.5))
    for _ in range(12):
        evolute_x, evolute_y = (a * a - b * b) / a * cos**3, (b * b - a * a) / b * sin**3
        from_x, from_y = x - evolute_x, y - evolute_y
        stretch = np.hypot(a * cos - evolute_x, b * sin - evolute_y) / np.maximum(
            np.hypot(from_x, from_y), tiny
        )
        new_cos = np.clip((from_x * stretch + evolute_x) / a, 0, 1)
        new_sin = np.clip((from_y * stretch + evolute_y) / b, 0, 1)
        length = np.maximum(np.hypot(new_cos, new_sin), tiny)
        new_cos, new_sin = new_cos / length, new_sin / length
        moved = max(np.abs(new_cos - cos).max(initial=0), np.abs(new_sin - sin).max(initial=0))
        cos, sin = new_cos, new_sin
        if moved < 1e-7:  # the distance is then off by the square of that
            break
    sign_x, sign_y = np.where(local[:, 0] < 0, -1.0, 1.0), np.where(local[:, 1] < 0, -1.0, 1.0)
    normal = np.column_stack([b * cos * sign_x, a * sin * sign_y])
    normal /= np.hypot(normal[:, 0], normal[:, 1])[:, None]
    outside = np.where((x / a) ** 2 + (y / b) ** 2 < 1, -1.0, 1.0)
    distance = np.hypot(x - a * cos, y - b * sin) * outside
    return distance, normal @ ellipse.directions, np.column_stack([cos * sign_x, sin * sign_y])


def _refine(start: Ellipse, points: Floats, robust: bool, steps: int = 40) -> Ellipse:
    """Levenberg-Marquardt on the distances of the points, weighted by Tukey's biweight if `robust`.

    The ellipse is the image of the unit circle under a symmetric matrix, which is smooth at circles, where an angle is
    not.
    """
    ellipse, damping = start, 1e-6
    distance, normal, unit = _foot_points(ellipse, points)
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
            move = np.linalg.solve(hessian + damping * len(points) * np.eye(5), -gradient)
            tried = _moved(ellipse, move)
            if tried is not None:
                new = _foot_points(tried, points)
                if _cost(new[0], limit if robust else None) <= cost:
                    break
            damping = max(damping * 10, 1e-6)
        else:
            return ellipse
        ellipse, (distance, normal, unit), damping = tried, new, damping / 10
        if np.abs(move).max() < STEP_TOLERANCE:
            break
    return ellipse


def _moved(ellipse: Ellipse, move: Floats) -> Ellipse | None:
    """The ellipse after a step in (row, column, and the three entries of its symmetric matrix); None if it collapses."""
    directions = ellipse.directions
    matrix = (directions.T * ellipse.semi_axes) @ directions + np.array(
        [[move[2], move[3]], [move[3], move[4]]]
    )
    if not np.isfinite(matrix).all() or np.linalg.eigvalsh(matrix)[0] <= 0:
        return None
    return Ellipse.from_matrix(np.asarray(ellipse.center) + move[:2], matrix)


def _cost(distance: Floats, limit: float | None) -> float:
    """Sum of squares, or of Tukey's biweight loss with its cut at `limit`."""
    if limit is None:
        return float(np.sum(distance**2))
    return float(np.sum(1 - np.clip(1 - (distance / limit) ** 2, 0, None) ** 3)) * limit**2 / 6
