"""What the planes of a fetal trunk and thigh are made of, in mm, and the sizes that they follow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fetal_monai.measure.shape import Ellipse
from fetal_monai.synthesis.ultrasound_shapes import TISSUES, Blob

__all__ = [
    "SPREAD",
    "BodyPlane",
    "Part",
    "abdominal_circumference_mm",
    "bounded",
    "femur_length_mm",
    "ribs",
    "spine",
    "trunk",
    "vessel",
    "wall",
]

Grid = NDArray[np.float32]
Part = tuple[str, Blob]

SPREAD = 0.05  # SD of a size, as a share of its mean


@dataclass(frozen=True)
class BodyPlane:
    """What is seen, in a frame with ``u`` to the right and ``v`` down before it is turned, lengths in mm.

    `semi_u` and `semi_v` are of the ellipse around it. `fills` says whether it takes up the whole picture; then `field`
    is painted everywhere, and nothing of the surroundings is seen. `measures` are its true sizes.
    """

    plane: str
    semi_u: float
    semi_v: float
    parts: tuple[Part, ...]
    measures: dict[str, float]
    angle: float = 0.0
    field: str = ""

    @property
    def fills(self) -> bool:
        return bool(self.field)

    def tissues(self, u: Grid, v: Grid) -> NDArray[np.uint8]:
        """Codes of `TISSUES` at points in mm; 0 where there is nothing of it. Later parts lie over earlier ones."""
        out = np.full(np.broadcast_shapes(u.shape, v.shape), TISSUES.get(self.field, 0), np.uint8)
        for name, blob in self.parts:
            out[blob.level(u, v) < 1] = TISSUES[name]
        return out


def abdominal_circumference_mm(ga_weeks: float) -> float:
    """Mean at an age in weeks."""
    return -81.3243 + 11.6772 * ga_weeks - 0.000561865 * ga_weeks**3


def femur_length_mm(ga_weeks: float) -> float:
    """Mean at an age in weeks."""
    return -39.9616 + 4.32298 * ga_weeks - 0.0380156 * ga_weeks**2


def bounded(random: RandomState) -> float:
    """Standard normal, from -2 to 2."""
    return float(np.clip(random.standard_normal(), -2, 2))


def trunk(random: RandomState, mean_mm: float) -> tuple[float, float, float]:
    """Half axes of a trunk, front to back and across, and its circumference."""
    around = mean_mm * (1 + SPREAD * bounded(random))
    ratio = random.uniform(0.86, 1.12)
    axes = (1.0, ratio) if ratio <= 1 else (ratio, 1.0)
    scale = around / Ellipse((0, 0), axes, 0.0).perimeter
    return scale, ratio * scale, around


def wall(a: float, b: float, thick: float, within: str) -> list[Part]:
    """Skin and a wall of that thickness around what is within."""
    return [
        ("skin", Blob(0, 0, a + 0.8, b + 0.8)),
        ("muscle", Blob(0, 0, a, b)),
        (within, Blob(0, 0, a - thick, b - thick)),
    ]


def vessel(u: float, v: float, half_u: float, half_v: float, angle: float) -> list[Part]:
    """Blood within a bright wall."""
    return [
        ("vessel_wall", Blob(u, v, half_u + 0.8, half_v + 0.8, angle, power=4)),
        ("blood", Blob(u, v, half_u, half_v, angle, power=4)),
    ]


def spine(random: RandomState, a: float, b: float) -> list[Part]:
    """The three bright echoes of a vertebra at the back, where u is negative."""
    size = random.uniform(0.045, 0.07) * a + 0.4
    places: Iterator[tuple[float, float]] = iter(
        [(-0.72 * a, 0.0), (-0.86 * a, -0.11 * b), (-0.86 * a, 0.11 * b)]
    )
    return [("skull", Blob(u, v, size * random.uniform(0.8, 1.3), 0.8 * size)) for u, v in places]


def ribs(random: RandomState, a: float, b: float, wall: float, count: int, arc: float) -> list[Part]:
    """Pieces of ribs along the wall, each up to `arc` radians long, made of short bars."""
    parts: list[Part] = []
    for _ in range(count):
        middle, long = random.uniform(-2.6, 2.6), random.uniform(0.3, 1.0) * arc
        for t in np.linspace(middle - long, middle + long, 5):
            u, v = (a - 0.6 * wall) * math.cos(t), (b - 0.6 * wall) * math.sin(t)
            tangent = math.atan2(b * math.cos(t), -a * math.sin(t))
            parts.append(("skull", Blob(u, v, 0.3 * long * a + 0.4, 0.014 * a + 0.35, tangent)))
    return parts
