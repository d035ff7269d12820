"""Diameters of the brain and the cerebellum, measured across and along the brain's own axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.brain_frame import CEREBELLUM, EDGE, BrainFrame, LabelVolume

__all__ = ["brain_diameters", "largest_part", "transcerebellar_diameter"]

Floats = NDArray[np.float64]

STEP_MM = 0.5
MAX_TURN = np.radians(20.0)  # of the fronto-occipital line from the brain's long axis
SLAB_MM = 1.0
HULL_MARGIN = 8.0  # mm that the field reaches beyond the centres of the voxels


def brain_diameters(surface: Floats, thalami: tuple[float, float]) -> dict[str, Floats]:
    """Lines (2, 3), in the brain's frame, of its largest width (`bpd`) and length (`ofd`); none if there is no surface.

    `surface` (N, 3) are points of the cerebrum's outer surface in that frame. The width lies from left to right
    on an axial plane between the heights `thalami`, low and high; the length is that of the longer hemisphere,
    pole to pole, measured along the mirror plane. Both are of the brain, without the CSF about it and the skull.
    """
    lines = {}
    level = np.floor((surface[:, 2] - thalami[0]) / SLAB_MM).astype(int)
    best = 0.0
    for at in range(int(np.ceil((thalami[1] - thalami[0]) / SLAB_MM))):
        slab = surface[level == at]
        if len(slab) and np.ptp(slab[:, 0]) > best:
            best = float(np.ptp(slab[:, 0]))
            lines["bpd"] = _level_line(slab[slab[:, 0].argmin()], slab[slab[:, 0].argmax()])
    poles = [
        _longest(half) for half in (surface[surface[:, 0] < 0], surface[surface[:, 0] >= 0]) if len(half) > 3
    ]
    if poles:
        lines["ofd"] = max(poles, key=lambda line: float(np.linalg.norm(line[1] - line[0])))
    return lines


def transcerebellar_diameter(volume: LabelVolume, frame: BrainFrame) -> Floats | None:
    """Line (2, 3), in the brain's frame, of the largest width of the cerebellum on an axial plane; None without one.

    The width is measured across the mirror plane, outer edge to outer edge, of the largest connected part.
    """
    mask = largest_part(volume.holds((CEREBELLUM,)))
    if not mask.any():
        return None
    points = frame.to_brain(volume.points_mm(mask))
    low, high = points.min(axis=0) - HULL_MARGIN, points.max(axis=0) + HULL_MARGIN
    field = frame.sampled(volume, mask, low, high, STEP_MM, 0.0)
    best: tuple[float, Floats] | None = None
    for level in range(field.shape[2]):
        profile = field[:, :, level].max(axis=1)
        inside = np.flatnonzero(profile > EDGE)
        if not len(inside) or inside[0] == 0 or inside[-1] == len(profile) - 1:
            continue
        left = inside[0] - _beyond(profile[inside[0]], profile[inside[0] - 1])
        right = inside[-1] + _beyond(profile[inside[-1]], profile[inside[-1] + 1])
        if best is None or right - left > best[0]:
            rows = field[inside[[0, -1]], :, level].argmax(axis=1)
            ends = low + STEP_MM * np.array([[left, rows[0], level], [right, rows[1], level]])
            best = (right - left, _level_line(*ends))
    return None if best is None else best[1]


def largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part (faces and edges touch) of a mask (I, J, K); the mask itself if it is empty."""
    from scipy import ndimage

    parts, n_parts = ndimage.label(mask, ndimage.generate_binary_structure(3, 2))
    if n_parts < 2:
        return mask
    return np.asarray(parts == 1 + int(np.bincount(parts.ravel())[1:].argmax()))


def _level_line(left: Floats, right: Floats) -> Floats:
    """From left to right across the mirror plane, half way between the two points in depth and height."""
    middle = (left + right) / 2
    return np.array([[left[0], *middle[1:]], [right[0], *middle[1:]]])


def _longest(half: Floats) -> Floats:
    """Ends (2, 3) of the longest line of one hemisphere, seen from the side, that lies near to the long axis."""
    from scipy.spatial import ConvexHull

    corners = half[ConvexHull(half[:, 1:]).vertices]
    across = corners[None, :, 1:] - corners[:, None, 1:]
    near = np.abs(across[..., 1]) <= np.tan(MAX_TURN) * across[..., 0]
    lengths = np.where(near, np.linalg.norm(across, axis=2), 0)
    back, front = np.unravel_index(lengths.argmax(), lengths.shape)
    ends = corners[[back, front]].copy()
    ends[:, 0] = ends[:, 0].mean()
    return np.asarray(ends)


def _beyond(inner: float, outer: float) -> float:
    """How far from the last sample inside, in steps, the edge lies."""
    return float((inner - EDGE) / max(inner - outer, 1e-6))
