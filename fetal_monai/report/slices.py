"""Flat cuts through a volume in true millimetres: where they lie, what they show, and whose border runs where.

A frame (3, 3) has the unit vectors to the right, the front and the top as its rows, in RAS mm; the identity stands for
the file's own axes. Cuts show the front and the patient's right as radiologists have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LETTERS",
    "VIEWS",
    "Extent",
    "Plane",
    "borders",
    "checked",
    "cut",
    "direction_letters",
    "extent",
    "fractions",
    "plane_of",
    "window",
]

Floats = NDArray[np.float64]

VIEWS: dict[str, tuple[Floats, Floats]] = {  # screen's right and down, in a frame
    "axial": (np.array([-1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])),
    "coronal": (np.array([-1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])),
    "sagittal": (np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0])),
}
LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
OBLIQUE = 0.34  # 20 degrees: from there a second letter says which way a direction leans
MARGIN_MM, MARGIN_SHARE = 10.0, 0.12  # shown around the labels, on each side
MOST_PIXELS = 512  # on a side of a cut: larger ones are sampled more coarsely
SAMPLES = 64  # along each axis, to find where labels lie


@dataclass(frozen=True)
class Plane:
    """A cut: pixel (row, column) lies at `origin + step_mm * (column * right + row * down)`, RAS mm."""

    origin: Floats
    right: Floats
    down: Floats
    step_mm: float
    shape: tuple[int, int]

    @property
    def normal(self) -> Floats:
        return np.cross(self.right, self.down)

    def points(self) -> Floats:
        """The centres (H * W, 3) of the pixels, RAS mm."""
        rows, columns = (self.step_mm * np.arange(n)[:, None] for n in self.shape)
        grid = (rows * self.down)[:, None] + (columns * self.right)[None]
        return np.asarray(self.origin + grid.reshape(-1, 3))

    def pixels(self, points_mm: ArrayLike) -> Floats:
        """Points (N, 3) in RAS mm as (row, column) of the pixels that they lie on or above (N, 2)."""
        away = np.asarray(points_mm, dtype=float) - self.origin
        return np.stack([away @ self.down, away @ self.right], axis=1) / self.step_mm


@dataclass(frozen=True)
class Extent:
    """What is to be shown: `center_mm` RAS, a voxel's centre; `low_mm` and `high_mm` (3,) in the frame."""

    center_mm: Floats
    low_mm: Floats
    high_mm: Floats


def checked(
    image: ArrayLike, affine: ArrayLike, labels: ArrayLike, count: int, axes: ArrayLike | None = None
) -> tuple[NDArray, Floats, NDArray[np.integer], Floats]:
    """Image, affine, labels and frame as arrays; ValueError where their shapes or labels 0 to `count` don't fit."""
    voxels, tissue, matrix = np.asarray(image), np.asarray(labels), np.asarray(affine, dtype=float)
    frame = np.eye(3) if axes is None else np.asarray(axes, dtype=float)
    if voxels.ndim != 3 or voxels.shape != tissue.shape or 0 in voxels.shape:
        raise ValueError(f"image is {voxels.shape} and labels {tissue.shape}; both must be (I, J, K)")
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError("affine must be a (4, 4) matrix that can be inverted")
    if frame.shape != (3, 3) or not np.allclose(frame @ frame.T, np.eye(3), atol=1e-3):
        raise ValueError("axes must be three unit vectors (3, 3) at right angles")
    if tissue.dtype.kind not in "ui":
        tissue = tissue.astype(np.uint8)
    if tissue.min() < 0 or tissue.max() > count:
        raise ValueError(f"labels go from {tissue.min()} to {tissue.max()}; {count} are known")
    return voxels, matrix, tissue, frame


def extent(labels: NDArray[np.integer], affine: Floats, frame: Floats) -> Extent:
    """The box around the labels with a margin, not beyond the volume; the whole volume if there are none."""
    ends = np.array([[-0.5, n - 0.5] for n in labels.shape])
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    outer = _moved(corners, affine) @ frame.T
    stride = [max(1, n // SAMPLES) for n in labels.shape]
    indices = np.argwhere(labels[:: stride[0], :: stride[1], :: stride[2]]) * stride
    if len(indices) < 100:
        indices = np.argwhere(labels)
    if not len(indices):
        indices = corners
    center = _moved(np.round(indices.mean(axis=0)), affine)
    points = _moved(indices, affine)
    low, high = (points @ frame.T).min(axis=0), (points @ frame.T).max(axis=0)
    margin = np.maximum(MARGIN_MM, MARGIN_SHARE * (high - low))
    return Extent(
        center, np.maximum(low - margin, outer.min(axis=0)), np.minimum(high + margin, outer.max(axis=0))
    )


def plane_of(
    view: str,
    shown: Extent,
    frame: Floats,
    step_mm: float,
    through_mm: Floats | None = None,
    tilt: Floats | None = None,
) -> Plane:
    """The cut of a view through a point (3,), by default the centre, as large as the extent.

    `tilt` is a direction (3,) that the cut must hold: it leans from the view's own plane no more than that needs.
    Pixels lie on the voxels of a volume that is stored along the frame and has `step_mm`.
    """
    right, down = VIEWS[view]
    point = shown.center_mm if through_mm is None else through_mm
    sides = [np.array([shown.low_mm, shown.high_mm]) @ way for way in (down, right)]
    step = max(step_mm, *((side.max() - side.min()) / MOST_PIXELS for side in sides))
    seen_right, seen_down = right @ frame, down @ frame
    if tilt is not None:
        normal = np.cross(seen_right, seen_down)
        normal = normal - (normal @ tilt) * tilt / (tilt @ tilt)
        seen_down = np.cross(normal, seen_right)
        seen_down /= np.linalg.norm(seen_down)
        seen_right = np.cross(seen_down, normal / np.linalg.norm(normal))
    middle = frame @ shown.center_mm
    first, count = [], []
    for side, way in zip(sides, (down, right), strict=True):
        before = int(np.floor((middle @ way - side.min()) / step + 1e-6))
        after = int(np.floor((side.max() - middle @ way) / step + 1e-6))
        first.append(-before * step)
        count.append(before + after + 1)
    # the point may lie anywhere in the picture: the centre's place within the plane is kept
    offset = point - shown.center_mm
    normal = np.cross(seen_right, seen_down)
    start = shown.center_mm + (offset @ normal) * normal
    origin = start + first[0] * seen_down + first[1] * seen_right
    return Plane(origin, seen_right, seen_down, step, (count[0], count[1]))


def cut(volume: NDArray, affine: Floats, plane: Plane) -> NDArray[np.float32]:
    """The volume on the plane's pixels (H, W), between voxels linear, NaN outside of it."""
    from scipy.ndimage import map_coordinates

    at, outside = _places(volume.shape, affine, plane)
    values = map_coordinates(volume, at, np.float32, order=1, mode="nearest", prefilter=False)
    values[outside] = np.nan
    return values.reshape(plane.shape)


def fractions(labels: NDArray[np.integer], affine: Floats, plane: Plane, count: int) -> NDArray[np.float32]:
    """How much of each label 0 to `count` there is at each pixel (count + 1, H, W); they add up to 1."""
    at, outside = _places(labels.shape, affine, plane)
    low = np.floor(at).astype(int)
    part = at - low
    last = np.array(labels.shape)[:, None] - 1
    pixels = at.shape[1]
    total = np.zeros((count + 1) * pixels)
    for corner in np.ndindex(2, 2, 2):
        way = np.array(corner)[:, None]
        weight = np.where(way == 1, part, 1 - part).prod(axis=0)
        if weight.max() < 1e-6:
            continue
        found = labels[tuple(np.clip(low + way, 0, last))].astype(int)
        found[outside] = 0
        total += np.bincount(found * pixels + np.arange(pixels), weight, len(total))
    return total.astype(np.float32).reshape(count + 1, *plane.shape)


def borders(shares: NDArray[np.float32], blur_px: float = 0.7) -> list[list[Floats]]:
    """Smooth borders of labels 1, 2, … from their `fractions`: for each a list of lines (N, 2), (row, column).

    Two labels that touch have the same border there, which both lists hold.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.measure import find_contours

    smooth = np.stack([gaussian_filter(share, blur_px) for share in shares])
    found: list[list[Floats]] = []
    for label in range(1, len(smooth)):
        if shares[label].max() < 0.5:
            found.append([])
            continue
        others = np.delete(smooth, label, axis=0).max(axis=0)
        lines = find_contours(np.pad(smooth[label] - others, 1, constant_values=-1.0), 0.0)
        found.append([line - 1 for line in lines if len(line) > 4])
    return found


def window(image: NDArray, labels: NDArray[np.integer]) -> tuple[float, float]:
    """Intensities that are shown black and white: the 0.5th and 99.5th centile where labels are, else everywhere."""
    stride = tuple(slice(None, None, max(1, n // SAMPLES)) for n in image.shape)
    values, where = np.asarray(image[stride], dtype=float), labels[stride] > 0
    values = values[where] if where.sum() > 500 else values.ravel()
    low, high = np.percentile(values, [0.5, 99.5])
    return float(low), float(high if high > low else low + 1)


def direction_letters(direction: Sequence[float] | Floats, frame: Floats) -> str:
    """R, L, A, P, S or I for where a direction (3,) in RAS points in a frame; a second letter where it leans."""
    parts = frame @ np.asarray(direction, dtype=float)
    parts = parts / np.linalg.norm(parts)
    order = np.argsort(-np.abs(parts), kind="stable")
    return "".join(
        LETTERS[axis][0 if parts[axis] > 0 else 1]
        for n, axis in enumerate(order[:2])
        if n == 0 or abs(parts[axis]) > OBLIQUE
    )


def _moved(points: NDArray, affine: Floats) -> Floats:
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def _places(shape: Sequence[int], affine: Floats, plane: Plane) -> tuple[Floats, NDArray[np.bool_]]:
    """The pixels' places in the volume (3, N), in voxels, and which of them lie outside of it."""
    at = _moved(plane.points(), np.asarray(np.linalg.inv(affine), dtype=float)).T
    at = np.round(at, 6)
    size = np.array(shape)[:, None]
    return at, np.asarray(((at < -0.5) | (at > size - 0.5)).any(axis=0))
