"""The insonified part of an ultrasound picture: a fan with its apex, a straight-sided field, or what is lit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sector", "find_sector"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

WORK_SIDE = 320  # pixels of the longer side that the sector is looked for on
LEAST_SHARE = 0.05  # of the picture, below which nothing is taken for a sector
SAME_ANGLE = math.radians(3)  # edges of the hull that differ by less are one side
SIDE_SHARE = 0.18  # of the height, that a side must be long
UPRIGHT = math.radians(6)  # a side that leans less is straight
NARROWEST = math.radians(8)  # angle between a fan's sides
ASKEW = math.radians(10)  # that a fan's sides may differ by; else one is the border of a shadow
BORDER_PX = 2


@dataclass(frozen=True)
class Sector:
    """`mask` (H, W) is what the beam reached, shadows included; `kind` is fan, linear, hull or whole.

    `apex_px` (row, column) and `radii_px` (near, far) are those of a fan, None of the other kinds.
    """

    mask: Mask
    kind: str
    apex_px: tuple[float, float] | None = None
    radii_px: tuple[float, float] | None = None

    @property
    def is_certain(self) -> bool:
        """Whether its borders were seen, so that what is lit outside of it is no echo."""
        return self.kind in ("fan", "linear")

    @property
    def depth_px(self) -> Floats:
        """Distance (H, W) along the beam from where the sector begins, in pixels."""
        height, width = self.mask.shape
        rows, columns = np.mgrid[:height, :width].astype(float)
        if self.apex_px is not None and self.radii_px is not None:
            return np.hypot(rows - self.apex_px[0], columns - self.apex_px[1]) - self.radii_px[0]
        lit = np.nonzero(self.mask.any(axis=1))[0]
        return rows - (lit[0] if len(lit) else 0)

    @property
    def outline(self) -> list[Floats]:
        """The border of the mask as closed lines (N, 2) of (row, column)."""
        from skimage.measure import find_contours

        return [line - 1 for line in find_contours(np.pad(self.mask, 1).astype(float), 0.5)]


def find_sector(image: NDArray) -> Sector:
    """Find the scan sector of a picture (H, W), gray values 0 to 255.

    A fan's mask is bounded by its two sides and arcs, so that shadows and black corners inside of it count; where no
    two sides are seen it is the convex hull of what is lit, and the whole picture where hardly anything is. Raises
    ValueError unless the picture has two axes.
    """
    from skimage.morphology import convex_hull_image

    pixels = np.asarray(image)
    if pixels.ndim != 2:
        raise ValueError(f"image is {pixels.shape}; a gray picture (H, W) is needed")
    step = max(1, math.ceil(max(pixels.shape) / WORK_SIDE))
    lit = _lit(pixels[::step, ::step].astype(np.float32))
    if lit.mean() < LEAST_SHARE:
        return Sector(np.ones(pixels.shape, bool), "whole")
    hull = convex_hull_image(lit)
    full = np.kron(hull, np.ones((step, step), bool))[: pixels.shape[0], : pixels.shape[1]]
    sides = _sides(hull)
    if sides is None:
        return Sector(full, "whole" if hull.mean() > 0.995 else "hull")
    left, right = sides
    if abs(left[1]) < UPRIGHT and abs(right[1]) < UPRIGHT:
        return Sector(full, "linear")
    return _fan(lit, left, right, step, pixels.shape) or Sector(full, "hull")


def _lit(small: NDArray[np.float32]) -> Mask:
    """The largest region that is not black, without text, rulers and gray bars."""
    from scipy import ndimage

    bright = ndimage.gaussian_filter(small, 1.0) > max(3.0, 0.03 * float(np.percentile(small, 99)))
    size = max(5, 2 * (max(small.shape) // 60) + 1)  # text, rulers and bars are thinner
    solid = ndimage.binary_opening(np.pad(bright, size), np.ones((size, size)))
    solid = solid[size:-size, size:-size]
    labels, count = ndimage.label(solid)
    if not count:
        return solid
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    # parts that shadows cut off belong to it
    return np.asarray(np.isin(labels, np.flatnonzero(sizes > 0.04 * sizes.max())))


Side = tuple[Floats, float]  # a point (row, column), and the angle from straight down, positive to the right


def _sides(hull: Mask) -> tuple[Side, Side] | None:
    """The left and the right side of a convex mask, None if they are not both seen inside the picture."""
    from scipy.spatial import ConvexHull

    rows = np.nonzero(hull.any(axis=1))[0]
    first, last = hull.argmax(axis=1)[rows], hull.shape[1] - 1 - hull[:, ::-1].argmax(axis=1)[rows]
    points = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])]).astype(float)
    edges = ConvexHull(points).vertices
    corners = points[edges]
    found: list[Side] = []
    for sign in (-1, 1):
        side = _longest_side(corners, hull.shape, sign)
        if side is None:
            return None
        found.append(side)
    return found[0], found[1]


def _longest_side(corners: Floats, shape: tuple[int, ...], sign: int) -> Side | None:
    following = np.roll(corners, -1, axis=0)
    along = following - corners
    length = np.hypot(*along.T)
    middle = (corners + following) / 2
    inward = middle[:, 1] - corners[:, 1].mean()
    at_border = np.minimum(middle[:, 1], shape[1] - 1 - middle[:, 1]) <= BORDER_PX
    flipped = np.where(along[:, :1] < 0, -along, along)  # pointing down
    lean = np.arctan2(flipped[:, 1], flipped[:, 0])
    # a fan's left side leans to the left, its right one to the right
    usable = (
        (np.sign(inward) == sign) & ~at_border & (sign * lean > -UPRIGHT) & (abs(lean) < math.radians(60))
    )
    if not usable.any():
        return None
    totals = [length[usable & (abs(lean - angle) < SAME_ANGLE)].sum() for angle in lean]
    best = int(np.argmax(np.where(usable, totals, 0)))
    same = usable & (abs(lean - lean[best]) < SAME_ANGLE)
    if length[same].sum() < SIDE_SHARE * shape[0]:
        return None
    weight = length[same] / length[same].sum()
    return (weight @ middle[same]), float(weight @ lean[same])


def _fan(lit: Mask, left: Side, right: Side, step: int, shape: tuple[int, ...]) -> Sector | None:
    """The fan between two sides, None if their crossing is no apex above what is lit."""
    ahead = np.array([[math.cos(angle), math.sin(angle)] for _, angle in (left, right)])
    matrix = np.column_stack([ahead[0], -ahead[1]])
    if right[1] - left[1] < NARROWEST or abs(right[1] + left[1]) > ASKEW:
        return None
    apex = left[0] + ahead[0] * np.linalg.solve(matrix, right[0] - left[0])[0]
    rows, columns = np.nonzero(lit)
    radius = np.hypot(rows - apex[0], columns - apex[1])
    if apex[0] > np.percentile(rows, 5) or not np.isfinite(apex).all():
        return None
    near, far = float(np.percentile(radius, 0.1)), float(radius.max())
    apex_px, radii = (apex + 0.5) * step - 0.5, (near * step, (far + 1) * step)
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle, distance = np.arctan2(x - apex_px[1], y - apex_px[0]), np.hypot(y - apex_px[0], x - apex_px[1])
    mask = (angle >= left[1]) & (angle <= right[1]) & (distance >= radii[0]) & (distance <= radii[1])
    if lit[mask[::step, ::step]].sum() < 0.98 * lit.sum():
        return None
    return Sector(mask, "fan", (float(apex_px[0]), float(apex_px[1])), radii)
