"""Ultrasound pictures of standard planes made on the fly: heads, fetal trunk and thigh, the cervix, and others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

from fetal_monai.measure.shape import Ellipse
from fetal_monai.synthesis.ultrasound import GA_WEEKS, synthesise_head
from fetal_monai.synthesis.ultrasound_anatomy import PLANES as HEAD_PLANES
from fetal_monai.synthesis.ultrasound_body import BODY_PLANES, draw_body
from fetal_monai.synthesis.ultrasound_body_parts import BodyPlane
from fetal_monai.synthesis.ultrasound_image import expose
from fetal_monai.synthesis.ultrasound_sector import Sector, draw_sector
from fetal_monai.synthesis.ultrasound_shapes import TISSUES

__all__ = ["SYNTHETIC_PLANES", "SyntheticPlane", "synthesise_plane"]

SYNTHETIC_PLANES = (*HEAD_PLANES, *BODY_PLANES)
SHARE_OF_WIDTH = {"femur": (0.3, 0.62), "cervix": (0.28, 0.55)}  # half axis over half width


@dataclass(frozen=True)
class SyntheticPlane:
    """A picture (H, W), float32 in 0..1, 0 outside of the `sector` (H, W), and what is true of it.

    `ellipse` in pixels lies around what the plane shows. `measures` are in mm: those of
    :class:`fetal_monai.synthesis.ultrasound.SyntheticHead`, or ac_mm, tc_mm, fl_mm, cervix_mm.
    """

    image: NDArray[np.float32]
    plane: str
    ga_weeks: float
    pixel_mm: float
    ellipse: Ellipse
    sector: NDArray[np.bool_]
    measures: dict[str, float]


def synthesise_plane(
    random: RandomState, plane: str, ga_weeks: float | None = None, shape: tuple[int, int] = (432, 640)
) -> SyntheticPlane:
    """A picture of one of `SYNTHETIC_PLANES`, ValueError for another; the same state gives the same picture.

    `ga_weeks` is drawn from 16 to 38; `shape` is (H, W).
    """
    if ga_weeks is None:
        ga_weeks = random.uniform(*GA_WEEKS)
    if plane in HEAD_PLANES:
        head = synthesise_head(random, plane, ga_weeks, shape=shape)
        return SyntheticPlane(
            head.image, plane, float(ga_weeks), head.pixel_mm, head.ellipse, head.sector, head.measures
        )
    body = draw_body(random, plane, ga_weeks)
    low, high = SHARE_OF_WIDTH.get(plane, (0.3, 0.8))
    share = float(np.clip(random.normal((low + high) / 2, (high - low) / 4), low, high))
    pixel_mm = 2 * body.semi_u / (share * shape[1])
    pixel_mm = max(pixel_mm, 2 * body.semi_v / (random.uniform(0.8, 1.0) * shape[0]))
    psf_mm = (
        max(random.uniform(0.24, 0.42), 1.3 * pixel_mm),
        max(random.uniform(0.65, 1.15), 2.5 * pixel_mm),
    )
    centre = _centre(random, body, shape, pixel_mm)
    draw = _endocavity_sector if body.fills else _convex_sector
    sector = draw(random, body, shape, pixel_mm, centre, psf_mm)
    rows, columns = sector.pixels()
    tissues = body.tissues(*_to_body(rows, columns, centre, body.angle, pixel_mm))
    middle_mm = (centre[0] - sector.apex[0]) * pixel_mm
    sigma = psf_mm[0] / sector.steps[0], psf_mm[1] / max(middle_mm, 5.0) / sector.steps[1]
    image, seen = expose(
        tissues, _facing(tissues, sector), sector, random, shape, sigma, random.uniform(0.2, 1)
    )
    axes = body.semi_u / pixel_mm, body.semi_v / pixel_mm
    angle = body.angle if axes[0] >= axes[1] else body.angle + math.pi / 2
    angle = (angle + math.pi / 2) % math.pi - math.pi / 2
    ellipse = Ellipse((centre[0], centre[1]), (max(axes), min(axes)), angle)
    return SyntheticPlane(image, plane, float(ga_weeks), float(pixel_mm), ellipse, seen, body.measures)


def _centre(
    random: RandomState, body: BodyPlane, shape: tuple[int, int], pixel_mm: float
) -> tuple[float, float]:
    sin, cos = math.sin(body.angle), math.cos(body.angle)
    reach = (
        math.hypot(body.semi_u * sin, body.semi_v * cos),
        math.hypot(body.semi_u * cos, body.semi_v * sin),
    )
    slack = [max(n / 2 - side / pixel_mm, 0.04 * n) for n, side in zip(shape, reach, strict=True)]
    places = [
        (n - 1) / 2 + np.clip(random.normal(0, 0.5), -0.95, 0.95) * room
        for n, room in zip(shape, slack, strict=True)
    ]
    return float(places[0]), float(places[1])


def _convex_sector(
    random: RandomState, body: BodyPlane, shape: tuple[int, int], pixel_mm: float, centre: tuple[float, float],
    psf_mm: tuple[float, float],
) -> Sector:  # fmt: skip
    reach = max(body.semi_u, body.semi_v) / pixel_mm
    down = math.hypot(body.semi_u * math.sin(body.angle), body.semi_v * math.cos(body.angle)) / pixel_mm
    return draw_sector(
        random, shape, pixel_mm, (centre[0] - down, centre[0] + down), centre[1], reach, psf_mm
    )


def _endocavity_sector(
    random: RandomState, body: BodyPlane, shape: tuple[int, int], pixel_mm: float, centre: tuple[float, float],
    psf_mm: tuple[float, float],
) -> Sector:  # fmt: skip
    """A small, strongly curved probe at the upper edge, close to the cervix."""
    near = random.uniform(9, 13)
    top = random.uniform(-0.02, 0.06) * shape[0]
    row = top - near / pixel_mm
    column = shape[1] / 2 + random.normal(0, 0.06) * shape[1]
    half_angle = math.radians(random.uniform(52, 74))
    corner = np.hypot(shape[0] - row, max(column, shape[1] - column)) * pixel_mm
    far = min(corner, (shape[0] * random.uniform(0.93, 1.15) - row) * pixel_mm)
    middle_mm = max((centre[0] - row) * pixel_mm, 15.0)
    steps = (max(0.6 * psf_mm[0], 0.8 * pixel_mm), 0.55 * psf_mm[1] / middle_mm)
    shown = half_angle, half_angle
    return Sector((row, column), pixel_mm, near, far, half_angle, shown, near, far, steps)


def _to_body(
    rows: NDArray[np.float32], columns: NDArray[np.float32], centre: tuple[float, float], angle: float,
    pixel_mm: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    down = (rows - np.float32(centre[0])) * np.float32(pixel_mm)
    right = (columns - np.float32(centre[1])) * np.float32(pixel_mm)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return cos * right + sin * down, cos * down - sin * right


def _facing(tissues: NDArray[np.uint8], sector: Sector) -> NDArray[np.float32]:
    """Cosine between beam and the surface of bone, (D, B), from the slopes of its blurred mask."""
    bone = ndimage.gaussian_filter((tissues == TISSUES["skull"]).astype(np.float32), 1.5)
    down = np.gradient(bone, axis=0) / sector.steps[0]
    across_mm = np.maximum(sector.depths[: len(bone), None], 1.0) * sector.steps[1]
    across = np.gradient(bone, axis=1) / across_mm
    return (np.abs(down) / (np.hypot(down, across) + 1e-6)).astype(np.float32)
