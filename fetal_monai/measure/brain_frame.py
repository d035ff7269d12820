"""The brain's own axes, found in its labels: mirror plane, front and top, whatever way the volume lies.

A point in the brain's frame is (right, anterior, superior) in mm from the middle of the deep gray matter. Left
and right follow from front and top, so that they hold for any storage and any tilt, but not for a file whose
header mirrors the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BrainFrame", "LabelVolume", "find_brain_frame", "label_volume"]

Floats = NDArray[np.float64]

HINDBRAIN = (5, 7)
CEREBRUM = (2, 3, 4, 6)
DEEP_GRAY, CEREBELLUM, BRAINSTEM = 6, 5, 7
LANDMARKS = {
    "cerebrum": CEREBRUM,
    "hindbrain": HINDBRAIN,
    "deep": (DEEP_GRAY,),
    "cerebellum": (CEREBELLUM,),
    "stem": (BRAINSTEM,),
}
COARSE_MM = 2.0  # grid on which the mirror plane is looked for
MIN_ML = 0.05  # of a tissue that serves as a landmark
MAX_POINTS = 12_000
MIN_APART_MM = 2.0  # of the landmarks
LANDMARK_TILT = np.radians(60.0)  # of the line from hindbrain to cerebrum, above the brain's long axis
MIN_ELONGATION = 1.08  # spread along the long axis over that across it, below which the landmarks decide
MAX_TURN = np.radians(30.0)  # of the long axis from where the landmarks have it
MIN_SYMMETRY = 0.75
EDGE = 0.5  # share of a tissue at which its border lies


@dataclass(frozen=True)
class LabelVolume:
    """Labels (I, J, K) uint8, cropped to what they hold and stored as near to RAS as can be, with their affine.

    Volumes that differ only in the order and direction of their axes give the same one.
    """

    labels: NDArray[np.uint8]
    affine: Floats

    @property
    def voxel_ml(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000)

    @property
    def spacing_mm(self) -> Floats:
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def holds(self, labels: tuple[int, ...]) -> NDArray[np.bool_]:
        """Voxels (I, J, K) with one of the labels."""
        table = np.zeros(256, dtype=bool)
        table[list(labels)] = True
        return table[self.labels]

    def points_mm(self, mask: NDArray[np.bool_]) -> Floats:
        """Centres (N, 3) of the voxels of a mask, RAS mm."""
        return np.argwhere(mask) @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclass(frozen=True)
class BrainFrame:
    """Where the brain lies.

    `origin` (3,) RAS mm; `axes` (3, 3), rows: unit vectors to the right, front and top of the brain; `symmetry`
    the correlation of the brain with its mirror image, -1 to 1; `sure` False where the tissues do not tell the
    axes, which are then those of the scanner.
    """

    origin: Floats
    axes: Floats
    symmetry: float = 1.0
    sure: bool = True

    def to_brain(self, points_mm: ArrayLike) -> Floats:
        """Points (…, 3) in RAS mm, in the brain's frame."""
        return np.asarray((np.asarray(points_mm, dtype=float) - self.origin) @ self.axes.T)

    def to_ras(self, points: ArrayLike) -> Floats:
        """Points (…, 3) of the brain's frame, in RAS mm."""
        return np.asarray(np.asarray(points, dtype=float) @ self.axes + self.origin)

    def sampled(
        self,
        volume: LabelVolume,
        mask: NDArray[np.bool_],
        low: Floats,
        high: Floats,
        step_mm: float,
        blur_mm: float,
    ) -> NDArray[np.float32]:
        """Share (X, Y, Z) of a mask about the points `low` + `step_mm` * index of the frame, up to `high`.

        The mask is blurred by half a voxel, or by `blur_mm` (standard deviation) if that is more.
        """
        from scipy import ndimage

        to_index = np.linalg.inv(volume.affine)
        matrix = to_index[:3, :3] @ self.axes.T * step_mm
        start = to_index[:3, :3] @ self.to_ras(low) + to_index[:3, 3]
        shape = tuple(int(size) for size in np.maximum(np.ceil((high - low) / step_mm), 1) + 1)
        sigma = np.maximum(0.5, blur_mm / volume.spacing_mm)
        pad = int(np.ceil(3 * sigma.max()))
        field = ndimage.gaussian_filter(np.pad(mask, pad).astype(np.float32), sigma, truncate=3)
        return np.asarray(ndimage.affine_transform(field, matrix, start + pad, shape, order=1, cval=0))


def label_volume(labels: NDArray[Any], affine: ArrayLike) -> LabelVolume | None:
    """Labels (I, J, K) with their affine (4, 4, to RAS mm), cropped and in order; None if there is no label.

    Raises ValueError for another number of dimensions, labels other than 0 to 7, or an affine that is singular.
    """
    from scipy import ndimage
    from scipy.optimize import linear_sum_assignment

    matrix = np.asarray(affine, dtype=float)
    if labels.ndim != 3:
        raise ValueError(f"labels have shape {labels.shape}; give (I, J, K)")
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError(
            "the affine must be a finite (4, 4) matrix, not singular, that takes voxels to RAS mm"
        )
    if labels.size and (
        labels.min() < 0 or labels.max() > 7 or not np.array_equal(labels, labels.astype(np.uint8))
    ):
        raise ValueError("labels must be whole numbers from 0 to 7, in FeTA order")
    found = ndimage.find_objects((labels > 0).astype(np.uint8))
    if not found:
        return None
    box = found[0]
    corner = matrix[:3, :3] @ [part.start for part in box] + matrix[:3, 3]
    cropped = np.asarray(labels[box], dtype=np.uint8)
    direction = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    order = linear_sum_assignment(-np.abs(direction))[1]
    cropped, columns = cropped.transpose(order), matrix[:3, :3][:, order]
    for axis in range(3):
        if columns[axis, axis] < 0:
            corner = corner + columns[:, axis] * (cropped.shape[axis] - 1)
            columns[:, axis] *= -1
            cropped = np.flip(cropped, axis)
    ordered = np.eye(4)
    ordered[:3, :3], ordered[:3, 3] = columns, corner
    return LabelVolume(np.ascontiguousarray(cropped), ordered)


def find_brain_frame(volume: LabelVolume) -> BrainFrame:
    """The axes of a brain: the mirror plane of its tissues, its long axis in that plane, and where the hindbrain lies.

    Without cerebellum, brainstem or deep gray matter, or where these lie in one line, the scanner's axes are given,
    and `sure` is False; so it is where left and right are too unlike.
    """
    centers = {}
    for name, labels in LANDMARKS.items():
        mask = volume.holds(labels)
        if mask.sum() * volume.voxel_ml >= MIN_ML:
            centers[name] = volume.points_mm(mask).mean(axis=0)
    if len(centers) < len(LANDMARKS) or _in_line(centers):
        middle = centers.get(
            "deep", centers.get("cerebrum", volume.points_mm(volume.labels > 0).mean(axis=0))
        )
        return BrainFrame(middle, np.eye(3), float("nan"), sure=False)
    right, offset, symmetry = _mirror_plane(
        volume, np.array([centers[n] for n in ("cerebrum", "deep", "cerebellum", "stem")])
    )
    forward = _long_axis(volume, right, centers)
    up = _unit(np.cross(right, forward))
    if up @ (centers["cerebrum"] - centers["hindbrain"]) < 0:  # the normal points to the left
        right, offset, up = -right, -offset, -up
    origin = centers["deep"] - (centers["deep"] @ right - offset) * right
    return BrainFrame(origin, np.array([right, forward, up]), symmetry, sure=symmetry >= MIN_SYMMETRY)


def _in_line(centers: dict[str, Floats]) -> bool:
    """Whether the landmarks, near to one line, tell no front."""
    rising, front = centers["cerebrum"] - centers["hindbrain"], centers["deep"] - centers["cerebellum"]
    length = float(np.linalg.norm(rising))
    return length < MIN_APART_MM or float(np.linalg.norm(np.cross(rising / length, front))) < MIN_APART_MM


def _mirror_plane(volume: LabelVolume, landmarks: Floats) -> tuple[Floats, float, float]:
    """Unit normal, offset along it and symmetry of the plane that best maps the tissues onto themselves."""
    from scipy import ndimage
    from scipy.optimize import minimize

    weight = np.array([0, 0, 1, 1, 2, 2, 2, 2], dtype=np.float32)  # what lies deep tells the plane best
    steps = np.maximum(np.round(COARSE_MM / volume.spacing_mm).astype(int), 1)
    field, affine = _block_means(weight[volume.labels], volume.affine, steps)
    field = ndimage.gaussian_filter(np.pad(field, 2), 0.7)
    affine = affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [2, 2, 2]
    to_index = np.linalg.inv(affine)
    voxels = np.argwhere(field > 0.1)
    voxels = voxels[:: len(voxels) // MAX_POINTS + 1]
    value = field[tuple(voxels.T)]
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    middle = landmarks.mean(axis=0)

    def unlike(parameters: Floats, normal: Floats, sides: Floats) -> float:
        turned = _unit(normal + parameters[:2] @ sides)
        beyond = (points - middle) @ turned - 10 * parameters[2]
        mirrored = points - 2 * beyond[:, None] * turned
        other = ndimage.map_coordinates(field, to_index[:3, :3] @ mirrored.T + to_index[:3, 3:], order=1)
        return 1 - float(np.corrcoef(value, other)[0, 1])

    best: tuple[float, Floats, float] = (np.inf, np.array([1.0, 0, 0]), 0.0)
    spread = np.linalg.svd(landmarks - middle)[2]
    for normal in (spread[2], np.array([1.0, 0.0, 0.0])):
        sides = np.linalg.svd(normal[None])[2][1:]
        start = np.zeros(3)
        simplex = np.vstack([start, 0.2 * np.eye(3)])
        options = {"xatol": 5e-4, "fatol": 1e-7, "maxfev": 150, "initial_simplex": simplex}
        found = minimize(unlike, start, (normal, sides), method="Nelder-Mead", options=options)
        if found.fun < best[0]:
            turned = _unit(normal + found.x[:2] @ sides)
            best = (float(found.fun), turned, float(middle @ turned + 10 * found.x[2]))
    return best[1], best[2], 1 - best[0]


def _long_axis(volume: LabelVolume, normal: Floats, centers: dict[str, Floats]) -> Floats:
    """Unit vector to the front, within the mirror plane: the cerebrum's long axis where there is one."""
    rising = _unit(_within(centers["cerebrum"] - centers["hindbrain"], normal))
    front = _within(centers["deep"] - centers["cerebellum"], normal)
    across = _unit(_within(front, rising))
    expected = np.cos(LANDMARK_TILT) * rising + np.sin(LANDMARK_TILT) * across
    sides = np.array([expected, np.cross(normal, expected)])
    flat = volume.points_mm(volume.holds(CEREBRUM)) @ sides.T
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    long = vectors[:, 1] * np.sign(vectors[0, 1] or 1)
    if values[1] < MIN_ELONGATION**2 * values[0] or long[0] < np.cos(MAX_TURN):
        return expected
    return _unit(long @ sides)


def _block_means(
    field: NDArray[np.float32], affine: Floats, steps: NDArray[np.int_]
) -> tuple[NDArray[np.float32], Floats]:
    """Means over blocks of voxels, the last of them filled up with 0, and the affine of the blocks."""
    padded = np.pad(field, [(0, -size % step) for size, step in zip(field.shape, steps, strict=True)])
    shape = [part for size, step in zip(padded.shape, steps, strict=True) for part in (size // step, step)]
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * steps
    coarse[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((steps - 1) / 2)
    return padded.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32), coarse


def _within(vector: Floats, normal: Floats) -> Floats:
    """The part of a vector across a unit vector."""
    return np.asarray(vector - (vector @ normal) * normal)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))
