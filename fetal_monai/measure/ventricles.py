"""Width of the atrium of each lateral ventricle, and how unlike the two ventricles are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.brain_frame import CEREBRUM, DEEP_GRAY, EDGE, BrainFrame, LabelVolume

__all__ = ["AtrialWidth", "atrial_widths", "ventricle_asymmetry"]

Floats = NDArray[np.float64]

VENTRICLES = 4
SIDES = {"left": -1, "right": 1}
MIDLINE = 0.08  # of the brain's half width, to either side: third and fourth ventricle, cavum septi pellucidi
STEP_MM = 0.5
BEFORE, BEHIND = 0.04, 0.16  # of the brain's length, about the hind end of the deep gray matter
LEVELS = (0.0, 0.5)  # of the deep gray matter's height, from its lower end
MAX_TURN_DEGREES = 50.0  # of the width from the brain's left to right
AXIS_DEGREES = 10.0  # by which the axis may be off; the shortest width in that range counts
DIRECTION_STEP_DEGREES = 2.0
REACH_MM = 40.0
RAY_STEP_MM = 0.2
MIN_RADIUS = 2.0  # of a circle, in steps of the grid
THIN = 0.4  # of the widest circle's radius; thinner parts do not tell the axis
ROUND = 1.15  # spread along the axis over that across it
CENTRED = 0.3  # of the width that its two halves may differ by, seen from the widest circle
CANDIDATES = 2  # widest circles that are tried on each level


@dataclass(frozen=True)
class AtrialWidth:
    """`width_mm` of an atrium and where it was taken: `line` (2, 3), RAS mm, medial end first."""

    width_mm: float
    line: Floats


def atrial_widths(volume: LabelVolume, frame: BrainFrame) -> dict[str, AtrialWidth]:
    """Widths of the atria, keys `left` and `right`; a side without an atrium is missing.

    As on the axial plane of a report: on levels of the brain's own axial plane through the lower half of the
    thalami, behind them, the widest place of the lateral ventricle, across its axis, wall to wall. The widest
    place is the centre of the largest circle inside of the ventricle; the width is the shortest line through it.
    What lies at the midline (third and fourth ventricle, cavum septi pellucidi) is no part of it, and neither
    is a place where the ventricle opens into that without a wall between.
    """
    from scipy import ndimage

    deep = frame.to_brain(volume.points_mm(volume.holds((DEEP_GRAY,))))
    cerebrum = frame.to_brain(volume.points_mm(volume.holds(CEREBRUM)))
    mask = volume.holds((VENTRICLES,))
    if not (len(deep) and len(cerebrum) and mask.any()):
        return {}
    hind, bottom, top = *np.percentile(deep[:, 1], [1]), *np.percentile(deep[:, 2], [2, 98])
    length = float(np.ptp(np.percentile(cerebrum[:, 1], [0.1, 99.9])))
    front, back = hind + BEFORE * length, hind - BEHIND * length
    wide = float(np.abs(cerebrum[:, 0]).max())
    midline = MIDLINE * wide
    low = np.array([-wide, back - 0.1 * length, bottom + LEVELS[0] * (top - bottom)])
    high = np.array([wide, front + 0.1 * length, bottom + LEVELS[1] * (top - bottom)])
    field = frame.sampled(volume, mask, low, high, STEP_MM, 0.0)
    found: dict[str, AtrialWidth] = {}
    x, y = (low[axis] + np.arange(field.shape[axis]) * STEP_MM for axis in (0, 1))
    for level in range(field.shape[2]):
        plane = field[:, :, level]
        inside = plane > EDGE
        if not inside.any():
            continue
        radius = ndimage.distance_transform_edt(inside)
        for side, sign in SIDES.items():
            allowed = (x[:, None] * sign - radius * STEP_MM > midline) & (y > back) & (y < front)
            for center in _widest_circles(inside, radius, allowed):
                if side in found and 3 * radius[tuple(center)] * STEP_MM < found[side].width_mm:
                    continue
                ends = _width_through(plane, radius, center)
                if ends is None:
                    continue
                line = low[:2] + ends * STEP_MM
                line = line[np.argsort(np.abs(line[:, 0]))]
                width = float(np.linalg.norm(line[1] - line[0]))
                if line[0, 0] * sign < midline or (side in found and width <= found[side].width_mm):
                    continue
                height = np.full((2, 1), low[2] + level * STEP_MM)
                found[side] = AtrialWidth(width, frame.to_ras(np.hstack([line, height])))
    return found


def ventricle_asymmetry(volume: LabelVolume, frame: BrainFrame) -> float:
    """(left - right) / (left + right) of the lateral ventricles' volumes, -1 to 1; NaN if there are none.

    What lies near the midline (8 % of the brain's half width) counts for neither.
    """
    side = frame.to_brain(volume.points_mm(volume.holds((VENTRICLES,))))[:, 0]
    cerebrum = frame.to_brain(volume.points_mm(volume.holds(CEREBRUM)))[:, 0]
    midline = MIDLINE * float(np.abs(cerebrum).max(initial=0))
    left, right = int((side < -midline).sum()), int((side > midline).sum())
    return (left - right) / (left + right) if left + right else float("nan")


def _width_through(plane: NDArray[np.float32], radius: Floats, center: NDArray[np.int_]) -> Floats | None:
    """Ends (2, 2) of the ventricle's width through a circle's centre, in steps; None if there is no wall."""
    turn = _across(radius, center)
    if turn is None:
        return None
    return _line(plane, center, np.arange(turn[0], turn[1] + 1e-6, DIRECTION_STEP_DEGREES))


def _widest_circles(
    inside: NDArray[np.bool_], radius: Floats, allowed: NDArray[np.bool_]
) -> NDArray[np.int_]:
    """Centres (N, 2) of the largest circles inside of the ventricles on a plane, the largest first, grid indices."""
    from scipy import ndimage

    peaks = np.argwhere(
        inside & allowed & (radius == ndimage.maximum_filter(radius, 5)) & (radius > MIN_RADIUS)
    )
    return np.asarray(peaks[np.argsort(-radius[tuple(peaks.T)], kind="stable")[:CANDIDATES]])


def _across(radius: Floats, center: NDArray[np.int_]) -> Floats | None:
    """Angle range (2,) in degrees from the grid's first axis in which the width about a circle lies.

    It lies across the long axis of what is left about the circle once thin parts are taken off; where that is
    round, the shortest width counts.
    """
    from scipy import ndimage

    own = radius[tuple(center)]
    low = np.maximum(center - int(3 * own), 0)
    part = radius[tuple(slice(a, b) for a, b in zip(low, center + int(3 * own) + 1, strict=True))]
    core = ndimage.label(part >= THIN * own)[0]
    core = core == core[tuple(center - low)]
    points = np.argwhere(ndimage.distance_transform_edt(~core) < THIN * own)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    if values[1] < ROUND**2 * values[0]:
        return np.array([-MAX_TURN_DEGREES, MAX_TURN_DEGREES])
    x, y = vectors[:, 0] * np.sign(vectors[0, 0] or 1)
    angle = float(np.degrees(np.arctan2(y, x)))
    return None if abs(angle) > MAX_TURN_DEGREES else np.array([angle - AXIS_DEGREES, angle + AXIS_DEGREES])


def _line(plane: NDArray[np.float32], center: NDArray[np.int_], degrees: Floats) -> Floats | None:
    """Ends (2, 2) of the shortest line through a point at one of the angles, in steps of the grid."""
    from scipy import ndimage

    direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    reach = np.arange(0, REACH_MM, RAY_STEP_MM) / STEP_MM
    ends, lengths = [], []
    for way in (-1, 1):
        points = center[:, None, None] + way * direction[:, :, None] * reach
        share = ndimage.map_coordinates(plane, points, order=1, cval=0)
        share[:, -1] = 0
        out = np.argmax(share < EDGE, axis=1)
        row = np.arange(len(out))
        before, after = share[row, out - 1], share[row, out]
        length = reach[out - 1] + (before - EDGE) / (before - after) * (reach[1] - reach[0])
        ends.append(center + way * direction.T * length[:, None])
        lengths.append(length)
    total = lengths[0] + lengths[1]
    best = int(total.argmin())
    if abs(lengths[0][best] - lengths[1][best]) > CENTRED * total[best]:
        return None
    return np.array([ends[0][best], ends[1][best]])
