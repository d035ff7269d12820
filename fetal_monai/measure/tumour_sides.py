"""Left or right of the brain's midplane, found in an image of any MR sequence, or else the volume's middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Midplane", "find_midplane", "side_of"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COARSE_MM = 4.0  # grid on which the plane is looked for
MAX_POINTS = 8_000
MIN_POINTS = 200
MAX_TILT = 30.0  # degrees, of a head in the scanner
MIN_SYMMETRY = 0.6  # correlation of a head with its mirror image
MIN_SIDE = 0.25  # of the head on either side of its midplane
MIN_SHARE = 0.75  # of a lesion on one side; else it lies across the midline
ON_PLANE_MM = 1e-3  # rounding errors of an affine


@dataclass(frozen=True)
class Midplane:
    """A plane between left and right: a point `origin` (3,) in RAS mm, the unit vector `right` (3,), and its `source`.

    `source` is "image", or "volume" where the image told none: the plane through the volume's middle.
    """

    origin: Floats
    right: Floats
    source: str


def find_midplane(
    affine: Floats, shape: tuple[int, ...], image: NDArray[Any] | None, tumour: Bools
) -> Midplane | None:
    """The plane about which a head, or a brain without its skull, is most like its mirror image.

    `image` (I, J, K) in any unit, `tumour` (I, J, K), which is left out. The plane lies within 30 degrees of the
    patient's sagittal one, as the `affine` has it. None for a single sagittal slice, which shows no other side.
    """
    if shape[int(np.argmax(np.abs(affine[0, :3]) / np.linalg.norm(affine[:3, :3], axis=0)))] == 1:
        return None
    center = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    found = None if image is None else _mirror_plane(image, tumour, affine)
    if found is None:
        return Midplane(center, np.array([1.0, 0.0, 0.0]), "volume")
    right, offset = found
    return Midplane(center - (center @ right - offset) * right, right, "image")


def side_of(points_mm: Floats, plane: Midplane | None) -> str:
    """ "left" or "right" if three quarters of the points (N, 3), RAS mm, lie there, else "midline".

    "unknown" without a plane.
    """
    if plane is None:
        return "unknown"
    beyond = (points_mm - plane.origin) @ plane.right
    for side, lies_there in (("right", beyond > ON_PLANE_MM), ("left", beyond < -ON_PLANE_MM)):
        if np.mean(lies_there) >= MIN_SHARE:
            return side
    return "midline"


def _mirror_plane(image: NDArray[Any], tumour: Bools, affine: Floats) -> tuple[Floats, float] | None:
    """Unit normal to the right and offset along it; None where the image tells neither."""
    from scipy import ndimage
    from scipy.optimize import minimize
    from skimage.measure import block_reduce

    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    steps = np.maximum(np.round(COARSE_MM / spacing).astype(int), 1)
    gray = np.asarray(image, np.float32)
    gray = np.where(np.isfinite(gray), gray, np.float32(0))
    field = ndimage.gaussian_filter(block_reduce(gray, tuple(steps), np.mean), 0.7)
    low, high = np.percentile(field, [1, 99])
    if not high > low:
        return None
    field = np.clip((field - low) / (high - low), 0, 1)
    healthy = 1 - block_reduce(tumour, tuple(steps), np.max).astype(np.float32)
    matrix = affine[:3, :3] * steps
    start = affine[:3, 3] + affine[:3, :3] @ ((steps - 1) / 2)
    to_index = np.linalg.inv(matrix)
    voxels = np.argwhere((field > 0.1) & (healthy > 0))
    voxels = voxels[:: len(voxels) // MAX_POINTS + 1]
    if len(voxels) < MIN_POINTS:
        return None
    value = field[tuple(voxels.T)]
    points = voxels @ matrix.T + start
    middle = points.mean(axis=0)

    def normal(parameters: Floats) -> Floats:
        right = np.array([1.0, *parameters[:2]])
        return np.asarray(right / np.linalg.norm(right))

    def unlike(parameters: Floats) -> float:
        right = normal(parameters)
        beyond = (points - middle) @ right - 10 * parameters[2]
        mirrored = (points - 2 * beyond[:, None] * right - start) @ to_index.T
        other = ndimage.map_coordinates(field, mirrored.T, order=1, mode="grid-constant")
        known = ndimage.map_coordinates(healthy, mirrored.T, order=0, mode="nearest") > 0
        if known.sum() < MIN_POINTS or not (np.ptp(value[known]) > 0 and np.ptp(other[known]) > 0):
            return 1.0
        return 1 - float(np.corrcoef(value[known], other[known])[0, 1])

    simplex = np.vstack([np.zeros(3), 0.2 * np.eye(3)])
    options = {"xatol": 1e-3, "fatol": 1e-6, "maxfev": 150, "initial_simplex": simplex}
    found = minimize(unlike, np.zeros(3), method="Nelder-Mead", options=options)
    right, offset = normal(found.x), 10 * float(found.x[2])
    share = float(np.mean((points - middle) @ right > offset))
    if not (1 - found.fun >= MIN_SYMMETRY and MIN_SIDE <= share <= 1 - MIN_SIDE):
        return None
    return None if np.degrees(np.arccos(right[0])) > MAX_TILT else (right, float(middle @ right) + offset)
