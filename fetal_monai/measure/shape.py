"""An ellipse on an image, as a shape.

Points are (row, column), pixel centres lie at integers. Angles are in radians from the column axis towards
the row axis, so that they grow clockwise on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in (row, column) coordinates.

    `center` is (row, column) and `semi_axes` (major, minor), in pixels or mm, whichever the points had;
    `angle` is that of the major axis, in (-pi/2, pi/2].
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
        """`n` points (n, 2) around it, evenly spaced in its parameter angle, the first on the major axis."""
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
        return foot_points(self, np.asarray(points, dtype=float))[0]

    def mask(self, shape: tuple[int, int], supersample: int = 1) -> NDArray[np.bool_]:
        """Pixels (H, W) with their centre inside; with `supersample` k, with half of k x k samples inside."""
        if supersample < 1:
            raise ValueError(f"supersample is {supersample}; it must be 1 or more")
        offsets = (np.arange(supersample) + 0.5) / supersample - 0.5
        inside = np.zeros(shape, dtype=np.int32)
        for row_offset in offsets:
            for column_offset in offsets:
                inside += self._inside(shape, row_offset, column_offset)
        return 2 * inside >= supersample**2

    def soft_mask(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Share (H, W) of each pixel that lies inside, 0 to 1, from the signed distance of its centre."""
        radius = self._radius(shape)
        coverage = (radius < 1).astype(np.float32)
        edge = np.nonzero(np.abs(radius - 1) * self.semi_axes[1] < 0.5)
        if len(edge[0]):
            coverage[edge] = np.clip(0.5 - self.distance(np.column_stack(edge)), 0, 1)
        return coverage

    def _inside(self, shape: tuple[int, int], row_offset: float, column_offset: float) -> NDArray[np.bool_]:
        """Pixels whose centre, moved by the offsets, is inside: between two columns of each row."""
        scaled = self.directions / np.asarray(self.semi_axes)[:, None]
        (rr, rc), (_, cc) = scaled.T @ scaled  # rr r^2 + 2 rc r c + cc c^2 = 1 on the curve
        rows = np.arange(shape[0]) + row_offset - self.center[0]
        reach = (rc * rows) ** 2 - cc * (rr * rows**2 - 1)
        half = np.sqrt(np.maximum(reach, 0)) / cc
        middle = self.center[1] - column_offset - rc * rows / cc
        columns = np.arange(shape[1], dtype=np.float64)
        first = np.where(reach < 0, np.inf, middle - half)[:, None]
        return np.asarray((columns >= first) & (columns <= (middle + half)[:, None]))

    def _radius(self, shape: tuple[int, int], row_offset: float = 0, column_offset: float = 0) -> Floats:
        """Distance of each pixel from the centre in units of the ellipse: 1 on the curve."""
        rows = np.arange(shape[0])[:, None] + row_offset - self.center[0]
        columns = np.arange(shape[1])[None, :] + column_offset - self.center[1]
        major, minor = self.directions / np.asarray(self.semi_axes)[:, None]
        return np.asarray(
            np.hypot(rows * major[0] + columns * major[1], rows * minor[0] + columns * minor[1])
        )


def foot_points(ellipse: Ellipse, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Signed distance (N,), outward normal (N, 2), and (cos t, sin t) (N, 2) of the nearest points.

    The nearest point is walked to along circles of curvature: it always converges, to machine precision in a
    few steps.
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
        length = np.hypot(new_cos, new_sin)
        nowhere = length == 0  # the centre of a circle is as far from all its points
        new_cos = np.where(nowhere, cos, new_cos / np.maximum(length, tiny))
        new_sin = np.where(nowhere, sin, new_sin / np.maximum(length, tiny))
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
