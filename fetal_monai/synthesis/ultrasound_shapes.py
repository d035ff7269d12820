"""Shapes that a fetal head is drawn from, in mm, and the tissues at any point of it.

The head's frame has its origin in the middle of the skull, ``u`` along the midline towards the forehead and ``v``
across it, positive on the side that lies away from the probe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "TISSUES", "Blob", "Bump", "HeadAnatomy", "stretch"]

Grid = NDArray[np.float32]
Labels = NDArray[np.uint8]
Bump = tuple[float, float, float]  # angle and width in radians, height as a share of the radius

CLASSES = {
    "skull": 1,
    "brain": 2,
    "midline_falx": 3,
    "cavum_septi_pellucidi": 4,
    "lateral_ventricle": 5,
    "choroid_plexus": 6,
    "cerebellum": 7,
    "thalamus": 8,
    "cisterna_magna": 9,
}
# What is drawn but has no class of its own: within the skull it counts as brain, the scalp as outside.
TISSUES = {
    **CLASSES,
    "subarachnoid": 10,
    "sylvian_fissure": 11,
    "third_ventricle": 12,
    "sulcus": 13,
    "scalp": 14,
    "white_matter": 15,
    # of the other planes; their bones are `skull`, their tissue without a name is `brain`
    "skin": 16,
    "muscle": 17,
    "liver": 18,
    "lung": 19,
    "myocardium": 20,
    "blood": 21,
    "vessel_wall": 22,
    "fluid": 23,
    "stroma": 24,
    "canal": 25,
}


@dataclass(frozen=True)
class Blob:
    """An ellipse, or with `power` above 2 a rounded bar, in the head's frame; lengths in mm, `angle` in radians."""

    u: float
    v: float
    half_u: float
    half_v: float
    angle: float = 0.0
    power: float = 2.0

    def level(self, u: Grid, v: Grid) -> Grid:
        """Below 1 inside."""
        along, across = self.local(u, v)
        if self.power == 2:
            return (along / self.half_u) ** 2 + (across / self.half_v) ** 2
        half = int(self.power) // 2  # even powers only: far quicker than any other
        return ((along / self.half_u) ** 2) ** half + ((across / self.half_v) ** 2) ** half

    def local(self, u: Grid, v: Grid) -> tuple[Grid, Grid]:
        """Coordinates along and across it."""
        if self.angle == 0:
            return u - np.float32(self.u), v - np.float32(self.v)
        cos, sin = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        du, dv = u - np.float32(self.u), v - np.float32(self.v)
        return cos * du + sin * dv, cos * dv - sin * du


@dataclass(frozen=True)
class HeadAnatomy:
    """One head: outer skull, what is inside it, and its true measures in mm (NaN where there is none)."""

    plane: str
    ga_weeks: float
    abnormality: str | None
    semi_u: float
    semi_v: float
    thickness: float
    measures: dict[str, float]
    bumps: tuple[Bump, ...] = ()
    ventricles: tuple[Blob, ...] = ()
    plexuses: tuple[Blob, ...] = ()
    parts: tuple[tuple[str, Blob], ...] = ()  # later ones over earlier ones

    def radius(self, u: Grid, v: Grid, inset: float = 0.0) -> Grid:
        """Distance from the middle as a share of the outline's, 1 on the skull `inset` mm below its surface."""
        x, y = u / np.float32(self.semi_u - inset), v / np.float32(self.semi_v - inset)
        radius = np.hypot(x, y)
        return radius / stretch(np.arctan2(y, x), self.bumps) if self.bumps else radius

    def tissues(self, u: Grid, v: Grid) -> Labels:
        """Codes of `TISSUES` at points in mm, 0 outside of the head."""
        out = np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=np.uint8)
        inner = self.radius(u, v, self.thickness)
        outer = self.radius(u, v)
        out[self.radius(u, v, -0.8 * self.thickness) < 1] = TISSUES["scalp"]
        out[outer < 1] = TISSUES["skull"]
        inside = inner < 1
        out[inside] = TISSUES["subarachnoid"]
        within, wu, wv = np.nonzero(inside), u[inside], v[inside]
        local = np.full(wu.shape, TISSUES["subarachnoid"], np.uint8)
        local[inner[inside] < 0.96] = TISSUES["brain"]
        for name, blob in self.parts:
            local[blob.level(wu, wv) < 1] = TISSUES[name]
        for ventricle, plexus in zip(self.ventricles, self.plexuses, strict=True):
            hit = ventricle.level(wu, wv) < 1
            local[hit] = TISSUES["lateral_ventricle"]
            filled = plexus.level(wu, wv) < 1
            local[hit & filled] = TISSUES["choroid_plexus"]
        out[within] = local
        return out

    def outline(self, n: int = 720) -> NDArray[np.float64]:
        """Points (n, 2) of the outer skull as (u, v)."""
        t = np.linspace(0, 2 * np.pi, n, endpoint=False)
        factor = stretch(t, self.bumps)
        return np.column_stack([self.semi_u * np.cos(t) * factor, self.semi_v * np.sin(t) * factor])


def stretch(angle: NDArray[np.floating], bumps: tuple[Bump, ...]) -> Grid:
    """Factor of an outline's radius at these angles (radians)."""
    factor = np.ones(angle.shape, dtype=np.float32)
    for at, width, height in bumps:
        factor += np.float32(height) * np.exp((np.cos(angle - at) - 1) / width**2, dtype=np.float32)
    return factor
