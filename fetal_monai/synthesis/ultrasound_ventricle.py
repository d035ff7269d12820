"""Lateral ventricles of any width put into pictures of real heads, to learn their width from.

What :func:`fetal_monai.synthesis.ultrasound_insert.insert_abnormality` puts in to try a network on is one look of many
here: outline, walls, echoes of the fluid, plexus and sharpness vary, so that none of them tells an inserted ventricle.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fetal_monai.measure.shape import Ellipse
from fetal_monai.measure.structures import Structure, rectangle_points
from fetal_monai.synthesis.ultrasound_anatomy import draw_ventricle
from fetal_monai.synthesis.ultrasound_insert import INSIDE, HeadFrame, HeadLook, draw_walls
from fetal_monai.synthesis.ultrasound_shapes import Blob

__all__ = ["insert_ventricle", "stretch_ventricle"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_PIXELS = 20


def insert_ventricle(
    image: ArrayLike,
    head: Ellipse,
    width_mm: float,
    pixel_mm: float,
    random: RandomState,
    forehead: ArrayLike,
    toward: ArrayLike,
) -> tuple[Image, Mask, NDArray[np.float64]]:
    """The picture (H, W), 0..1, with a lateral ventricle, where it differs, and the ventricle's corners.

    The corners (4, 2), (x, y) in pixels from the upper left edge, are those of the rectangle round its lumen, without
    the walls, whose short side is the width of the atrium. `head` is the outer skull in pixels, `forehead` and
    `toward` (row, column) point to the front and to the side of the head that the ventricle is on. A width that the
    head has no room for, or that no pixel shows, is a ValueError.
    """
    picture = np.asarray(image, dtype=np.float32)
    if not (pixel_mm > 0 and width_mm > 0):
        raise ValueError(f"pixel_mm is {pixel_mm} and width_mm {width_mm}; both must be above 0")
    front = head.directions[0] * (
        1 if np.dot(head.directions[0], np.asarray(forehead, dtype=float)) >= 0 else -1
    )
    frame = HeadFrame(picture.shape, head, pixel_mm, front)
    look = HeadLook(picture, frame, random)
    side = 1 if np.dot(frame.across, np.asarray(toward, dtype=float)) >= 0 else -1
    a, b = frame.semi_u, frame.semi_v
    ventricle, plexus = draw_ventricle(random, a, b, 0.05 * b, width_mm, side)
    shift, turn = random.uniform(-0.14, 0.03) * a, random.normal(0, 0.08)
    ventricle = replace(
        ventricle,
        u=ventricle.u + shift,
        half_u=max(ventricle.half_u * random.uniform(0.75, 1.2), 1.05 * ventricle.half_v),
        angle=ventricle.angle + turn,
        power=float(random.choice([2, 4, 4, 6])),
    )
    plexus = replace(plexus, u=plexus.u + shift, angle=plexus.angle + turn)
    structure = _outline(ventricle, frame, random) & frame.inside
    if structure.sum() < LEAST_PIXELS:
        raise ValueError(f"a ventricle of {width_mm:.1f} mm covers next to nothing of this picture")
    drawn = _lumen(look, structure, (plexus.level(frame.u, frame.v) < 1) & structure, random)
    bright = look.level(97)[0] * random.uniform(0.4, 1.5) * (random.rand() < 0.85)
    walls = np.where(frame.inside, draw_walls(ventricle, frame, min(bright, 0.9), random), 0)
    edge = (random.uniform(0.5, 1.6), random.uniform(0.7, 2.5))
    after, changed = look.blend(structure, drawn, walls.astype(np.float32), edge)
    return after, changed, _corners(structure, frame, ventricle.angle)


def _outline(ventricle: Blob, frame: HeadFrame, random: RandomState) -> Mask:
    """An ellipse or bar, often narrower to one end, as wide as the ventricle at the other."""
    along, across = ventricle.local(frame.u, frame.v)
    taper = random.uniform(-0.35, 0.35) * (random.rand() < 0.6)
    far = np.clip(0.5 * (1 - np.sign(taper) * along / ventricle.half_u), 0, 1)
    half_v = ventricle.half_v * (1 - abs(taper) * far)
    power = ventricle.power
    return np.asarray(np.abs(along / ventricle.half_u) ** power + np.abs(across / half_v) ** power < 1)


def _lumen(look: HeadLook, structure: Mask, hangs: Mask, random: RandomState) -> Image:
    """Fluid, from black to hazy, and in most a plexus."""
    mean, sd = look.level(random.uniform(1, 10))
    share = random.uniform(0.35, 0.75)
    level = np.minimum(min(mean, share * look.level(50)[0]), share * look.wide)
    drawn = np.maximum(level + sd * look.donor(structure), 0)
    if random.rand() < 0.65 and hangs.any():
        mean, sd = look.level(random.uniform(70, 96))
        soft = ndimage.gaussian_filter(hangs.astype(np.float32), random.uniform(0.6, 2.0))
        drawn = soft * (mean + sd * look.donor(hangs)) + (1 - soft) * drawn
    return np.asarray(drawn, dtype=np.float32)


def _corners(structure: Mask, frame: HeadFrame, angle: float) -> NDArray[np.float64]:
    """The rectangle round a mask that lies at an angle of the head's frame."""
    along = np.cos(angle) * frame.front + np.sin(angle) * frame.across  # row, column
    x, y = float(along[1]), float(along[0])
    points = np.argwhere(structure)[:, ::-1] + 0.5
    u, v = points @ [x, y], points @ [-y, x]
    middle_u, middle_v = (u.min() + u.max()) / 2, (v.min() + v.max()) / 2
    center = middle_u * np.array([x, y]) + middle_v * np.array([-y, x])
    return rectangle_points(center, float(np.arctan2(y, x)), np.ptp(u) + 1, np.ptp(v) + 1)


def stretch_ventricle(
    image: ArrayLike, head: Ellipse, corners: ArrayLike, width_px: float
) -> tuple[Image, Mask, NDArray[np.float64]]:
    """The picture (H, W) with a drawn ventricle pulled to a width, where it differs, and the ventricle's new corners.

    Its own walls, plexus and speckle are kept, and what lies between it and the skull or the midline is pressed
    together. `corners` (4, 2) of (x, y) are those of the rectangle drawn round the ventricle. ValueError where it is no
    narrower than `width_px`, or the head has no room for it.
    """
    picture, drawn = np.asarray(image, dtype=np.float32), Structure("lateral_ventricle", np.asarray(corners))
    angle, long, short = drawn.axes()
    along = np.array([np.sin(angle), np.cos(angle)])  # row, column
    if abs(along @ head.directions[0]) < np.sqrt(
        0.5
    ):  # drawn wider than long: it lies along the head all the same
        along, long, short = np.array([-along[1], along[0]]), short, long
    across = np.array([-along[1], along[0]])
    center = drawn.points.mean(axis=0)[::-1] - 0.5
    off = center - np.asarray(head.center)
    across = across * (1 if across @ off >= 0 else -1)
    inner_room, outer_room = _room(head, off, across)
    outer = min(width_px / 2, outer_room - 0.03 * head.semi_axes[1])
    inner = width_px - outer
    if width_px <= short or outer <= short / 2 or inner > 0.95 * inner_room:
        raise ValueError(f"a ventricle of {short:.0f} pixels can't be pulled to {width_px:.0f} in this head")
    rows, columns = np.indices(picture.shape, dtype=np.float32)
    down, right = rows - np.float32(center[0]), columns - np.float32(center[1])
    t = across[0] * down + across[1] * right
    s = along[0] * down + along[1] * right
    before = np.interp(
        t, [-inner_room, -inner, outer, outer_room], [-inner_room, -short / 2, short / 2, outer_room]
    )
    reach = max(0.8 * long, 0.9 * width_px)
    fade = np.cos(np.pi / 2 * np.clip((np.abs(s) / reach - 0.4) / 0.6, 0, 1)) ** 2
    move = np.where((t > -inner_room) & (t < outer_room), (before - t) * fade, 0)
    changed = np.abs(move) > 0.05
    after = ndimage.map_coordinates(
        picture, [rows + move * across[0], columns + move * across[1]], order=1, mode="nearest"
    )
    middle = (center + across * (outer - inner) / 2)[::-1] + 0.5
    pulled = rectangle_points(middle, float(np.arctan2(along[0], along[1])), 1.3 * reach, width_px)
    return np.where(changed, after, picture).astype(np.float32), changed, pulled


def _room(head: Ellipse, off: NDArray[np.float64], across: NDArray[np.float64]) -> tuple[float, float]:
    """How far it is from a place to the midline, backwards, and to the skull."""
    steps = np.arange(0, 2 * head.semi_axes[1], 0.5)
    axes = np.asarray(head.directions) / np.asarray(head.semi_axes)[:, None]
    u, v = axes @ (off[:, None] + across[:, None] * steps)
    inside = np.hypot(u, v) < INSIDE
    lean = float(across @ head.directions[1])
    return abs(float(head.directions[1] @ off) / lean), float(steps[inside].max()) if inside.any() else 0.0
