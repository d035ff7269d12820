"""Diameters of a tumour: the longest on one slice with the one across it, as RANO has them, and the longest of all.

A voxel reaches to the middles of its six faces, so that one voxel is as long as its spacing and a row of ten is ten of
them. For round and oval shapes this errs less than counting from centre to centre, or from corner to corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.tumour_regions import components

__all__ = ["RanoLines", "axial_axis", "longest_line", "rano_lines"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RanoLines:
    """Two lines (2, 3) in RAS mm at a right angle on one slice, the voxels `index` along `axis`.

    `tilt_degrees` is the angle of that slice to the patient's axial plane.
    """

    diameter: Floats
    perpendicular: Floats
    axis: int
    index: int
    tilt_degrees: float

    @property
    def lengths_mm(self) -> tuple[float, float]:
        return _length(self.diameter), _length(self.perpendicular)

    @property
    def product_mm2(self) -> float:
        first, second = self.lengths_mm
        return first * second


def axial_axis(shape: Sequence[int], affine: Floats) -> int:
    """The axis of a volume along which its slices are nearest to the patient's axial ones.

    That of the only slice if there is one alone, whatever way it lies.
    """
    alone = [n for n in range(3) if shape[n] == 1]
    return alone[0] if len(alone) == 1 else int(np.argmax(np.abs(_normals(affine)[2])))


def rano_lines(region: Bools, core: Bools, affine: Floats, axis: int) -> RanoLines | None:
    """The diameter and its perpendicular of a region (I, J, K), on the slice and piece where their product is largest.

    On each slice along `axis` (`axial_axis`) a piece is what belongs to one lesion: it hangs together in the volume,
    and on the slice within the tumour's `core` (I, J, K), so that a rim broken around its necrosis is one piece, and
    two nodules are two. `diameter` is the longest line between points of the piece, `perpendicular` the longest one at
    a right angle to it in the piece's convex hull. None if the region is empty.

    Source: bidimensional measurement of the RANO criteria, Wen 2010 (doi 10.1200/JCO.2009.26.3541).
    """
    voxels = np.argwhere(region)
    if not len(voxels):
        return None
    across = [n for n in range(3) if n != axis]
    plane = _plane(affine[:3, across])
    steps = affine[:3, across].T @ plane.T  # (2, 2) mm on the slice for a step along either axis
    best: tuple[float, int, Floats, Floats] | None = None
    for most, piece in _largest_first(_pieces(region, core, voxels, axis), voxels[:, across], steps):
        if best is not None and most <= best[0]:
            break
        diameter, perpendicular = _bidimensional(_face_middles(voxels[piece][:, across]) @ steps)
        product = _length(diameter) * _length(perpendicular)
        if best is None or product > best[0]:
            best = product, int(voxels[piece[0], axis]), diameter, perpendicular
    if best is None:
        return None
    _, index, diameter, perpendicular = best
    origin = affine[:3, 3] + index * affine[:3, axis]
    upright = min(1.0, abs(float(_normals(affine)[2, axis])))
    tilt = float(np.degrees(np.arccos(upright)))
    return RanoLines(diameter @ plane + origin, perpendicular @ plane + origin, axis, index, tilt)


def longest_line(region: Bools, affine: Floats) -> Floats | None:
    """The longest line (2, 3) in RAS mm between points of one connected part of a region (I, J, K).

    None if the region is empty.
    """
    from scipy import ndimage

    parts, n_parts = components(region)
    if not n_parts:
        return None
    boxes = ndimage.find_objects(parts)
    sizes = np.array([[side.stop - side.start for side in box] for box in boxes], float)
    reach = sizes @ np.linalg.norm(affine[:3, :3], axis=0)  # no line is longer
    best: tuple[float, Floats] = (0.0, np.zeros((2, 3)))
    for number in np.argsort(-reach, kind="stable"):
        if reach[number] <= best[0]:
            break
        box = boxes[number]
        border = parts[box] == number + 1
        border[:, :, 1:-1] &= ~(
            border[:, :, :-2] & border[:, :, 2:]
        )  # only the ends of each row can be the farthest
        start = np.array([side.start for side in box])
        line = _farthest(_face_middles(np.argwhere(border) + start) @ affine[:3, :3].T)
        best = max(best, (_length(line), line), key=lambda found: found[0])
    return best[1] + affine[:3, 3]


def _normals(affine: Floats) -> Floats:
    """Unit normals (3, 3), as columns, of the slices along each axis."""
    normals = np.linalg.inv(affine[:3, :3]).T
    return np.asarray(normals / np.linalg.norm(normals, axis=0))


def _plane(steps: Floats) -> Floats:
    """Two unit vectors (2, 3) at a right angle that span the columns of `steps` (3, 2)."""
    x = steps[:, 0] / np.linalg.norm(steps[:, 0])
    y = steps[:, 1] - (steps[:, 1] @ x) * x
    return np.stack([x, y / np.linalg.norm(y)])


def _pieces(region: Bools, core: Bools, voxels: Ints, axis: int) -> list[Ints]:
    """Which voxels of the region belong to one lesion on one slice."""
    from scipy import ndimage

    flat = np.ones((3, 3, 3), bool)
    flat[tuple(slice(0, 3, 2) if n == axis else slice(None) for n in range(3))] = False
    lesions, _ = components(region)
    on_slice, n_pieces = ndimage.label(core | region, flat)
    at = tuple(voxels.T)
    numbers = lesions[at].astype(np.int64) * (n_pieces + 1) + on_slice[at]
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)


def _largest_first(pieces: list[Ints], pixels: Ints, steps: Floats) -> list[tuple[float, Ints]]:
    """Pieces with the most that their product can be, twice the area of the box that each lies in."""
    points, pixel = pixels @ steps, np.abs(steps).max(axis=0)
    most = [2 * float(np.prod(np.ptp(points[piece], axis=0) + pixel)) for piece in pieces]
    return [(most[n], pieces[n]) for n in np.argsort(-np.array(most), kind="stable")]


def _face_middles(voxels: Ints) -> Floats:
    """The middles (N * 2 * D, D) of the faces of voxels (N, D), in voxels."""
    n_axes = voxels.shape[1]
    offsets = np.concatenate([np.eye(n_axes), -np.eye(n_axes)]) / 2
    return np.asarray((voxels[:, None] + offsets).reshape(-1, n_axes))


def _farthest(points: Floats) -> Floats:
    """The two points that lie farthest apart."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist, squareform

    corners = points[ConvexHull(points).vertices]
    distances = squareform(pdist(corners))
    return np.asarray(corners[list(np.unravel_index(distances.argmax(), distances.shape))])


def _bidimensional(points: Floats) -> tuple[Floats, Floats]:
    """Longest line (2, 2) of points (N, 2), and the longest across it in their convex hull."""
    from scipy.spatial import ConvexHull

    diameter = _farthest(points)
    along = (diameter[1] - diameter[0]) / _length(diameter)
    turn = np.array([along, [-along[1], along[0]]])
    hull = (points[ConvexHull(points).vertices] - diameter[0]) @ turn.T  # the diameter lies on the first axis
    ends = np.array([[0.0, 0.0], [_length(diameter), 0.0]])
    chains = []
    for side in (hull[hull[:, 1] > 0], hull[hull[:, 1] < 0]):
        chain = np.concatenate([ends, side])
        chains.append(chain[np.argsort(chain[:, 0], kind="stable")])
    at = hull[:, 0]
    top, bottom = (np.interp(at, chain[:, 0], chain[:, 1]) for chain in chains)
    widest = int(np.argmax(top - bottom))
    line = np.array([[at[widest], bottom[widest]], [at[widest], top[widest]]])
    return diameter, line @ turn + diameter[0]


def _length(line: Floats) -> float:
    return float(np.linalg.norm(line[1] - line[0]))
