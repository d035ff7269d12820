"""Ultrasound pictures of a fetal head with known truth, made on the fly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fetal_monai.measure.shape import Ellipse
from fetal_monai.synthesis.ultrasound_anatomy import ABNORMALITIES, PLANES, draw_anatomy
from fetal_monai.synthesis.ultrasound_image import expose
from fetal_monai.synthesis.ultrasound_marks import draw_marks
from fetal_monai.synthesis.ultrasound_sector import Sector, draw_sector
from fetal_monai.synthesis.ultrasound_shapes import CLASSES, TISSUES, HeadAnatomy

__all__ = ["ABNORMALITIES", "BOX_LABELS", "CLASSES", "PLANES", "SyntheticHead", "synthesise_head"]

Box = tuple[int, int, int, int]

BOX_LABELS = (
    "head",
    "midline_falx",
    "cavum_septi_pellucidi",
    "choroid_plexus",
    "lateral_ventricle",
    "cerebellum",
)
GA_WEEKS = (16.0, 38.0)
HEAD_OF_WIDTH = (0.35, 0.85)
_TRUTH = np.zeros(len(TISSUES) + 1, np.uint8)
for _name, _code in TISSUES.items():
    _TRUTH[_code] = CLASSES.get(_name, 0 if _name == "scalp" else CLASSES["brain"])


@dataclass(frozen=True)
class SyntheticHead:
    """A picture and all that is true of it.

    `image` (H, W) is float32 in 0..1, `labels` (H, W) uint8 with the codes of `CLASSES`, 0 elsewhere. `boxes` holds
    for each of `BOX_LABELS` the upright (x, y, w, h) in whole pixels of every one in the picture, exactly around
    its pixels of `labels`; the ventricle's is that of its fluid, which lies behind the plexus unless it is wide.
    `measures` are in mm, NaN where there is none: hc_mm, bpd_mm, ofd_mm (outer to outer), atrial_width_mm (with the
    plexus), cavum_width_mm, tcd_mm, cisterna_magna_mm, deformation_mm. `ellipse` is the outer skull in pixels, without
    its deformation, and `forehead` (row, column) the unit vector from its middle to the front. `sector` (H, W) is
    where the scanner shows echoes; `image` is 0 outside of it but for `marks` (H, W), which a scanner drew over it.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    boxes: dict[str, list[Box]]
    measures: dict[str, float]
    pixel_mm: float
    plane: str
    ga_weeks: float
    abnormality: str | None
    sector: NDArray[np.bool_]
    ellipse: Ellipse
    forehead: tuple[float, float]
    marks: NDArray[np.bool_]


def synthesise_head(
    random: RandomState,
    plane: str = "trans_ventricular",
    ga_weeks: float | None = None,
    abnormality: str | None = None,
    severity: float | None = None,
    shape: tuple[int, int] = (432, 640),
    pixel_mm: float | None = None,
    with_marks: bool = False,
) -> SyntheticHead:
    """A head in one of `PLANES`, normal or with one of `ABNORMALITIES`; the same state gives the same picture.

    `ga_weeks` is drawn from 16 to 38; `severity` in mm is the width of the atrium, the depth of the cisterna magna or
    how far the skull departs from an ellipse; `shape` is (H, W); `pixel_mm` is drawn so that the head's length is
    35 to 85 % of the picture's width. `with_marks` draws a ruler, settings and calipers over the picture, which else is
    the same, and leaves labels and measures as they are. What can't be drawn is a ValueError.
    """
    if ga_weeks is None:
        ga_weeks = random.uniform(*GA_WEEKS)
    anatomy = draw_anatomy(random, plane, ga_weeks, abnormality, severity)
    angle = (
        random.normal(0, math.radians(8))
        if random.rand() < 0.75
        else random.uniform(-math.pi / 2, math.pi / 2)
    )
    front = float(random.choice([-1.0, 1.0]))
    a, b = anatomy.semi_u, anatomy.semi_v
    reach_rows, reach_columns = _reach(a, b, angle)
    if pixel_mm is None:
        share = float(np.clip(random.normal(0.63, 0.09), *HEAD_OF_WIDTH))
        pixel_mm = 2 * a / (share * shape[1])
        pixel_mm = max(pixel_mm, 2 * reach_rows / (random.uniform(0.9, 1.02) * shape[0]))
    rows, columns = reach_rows / pixel_mm, reach_columns / pixel_mm
    slack = [max(shape[0] / 2 - rows, 0.0), max(shape[1] / 2 - columns, 0.0)]
    centre = [
        (n - 1) / 2 + np.clip(random.normal(0, 0.5), -0.95, 0.95) * s
        for n, s in zip(shape, slack, strict=True)
    ]
    # the seen ventricle (v > 0) is on the far side of the probe, which is above
    along = front * np.array([math.sin(angle), math.cos(angle)])
    across = np.array([math.cos(angle), -math.sin(angle)])
    psf_mm = random.uniform(0.24, 0.42), random.uniform(0.65, 1.15)
    psf_mm = (max(psf_mm[0], 1.3 * pixel_mm), max(psf_mm[1], 2.5 * pixel_mm))
    top, bottom = centre[0] - rows, centre[0] + rows
    sector = draw_sector(random, shape, pixel_mm, (top, bottom), centre[1], columns, psf_mm)
    image, seen = _picture(anatomy, sector, random, shape, centre, along, across, psf_mm)
    labels, instances = _labels(anatomy, shape, centre, along, across, pixel_mm)
    axis_angle = math.atan2(along[0], along[1])
    axis_angle += math.pi if axis_angle <= -math.pi / 2 else -math.pi if axis_angle > math.pi / 2 else 0.0
    ellipse = Ellipse((centre[0], centre[1]), (a / pixel_mm, b / pixel_mm), axis_angle)
    marks = np.zeros(shape, bool)
    if with_marks:
        image, marks = draw_marks(random, image, float(pixel_mm), ellipse, anatomy.measures["bpd_mm"])
    return SyntheticHead(
        image, labels, _boxes(labels, instances), anatomy.measures, float(pixel_mm), plane, float(ga_weeks),
        abnormality, seen, ellipse, (float(along[0]), float(along[1])), marks,
    )  # fmt: skip


def _reach(a: float, b: float, angle: float) -> tuple[float, float]:
    """Half height and half width of a turned ellipse."""
    sin, cos = math.sin(angle), math.cos(angle)
    return math.hypot(a * sin, b * cos), math.hypot(a * cos, b * sin)


def _picture(
    anatomy: HeadAnatomy, sector: Sector, random: RandomState, shape: tuple[int, int], centre: list[float],
    along: NDArray[np.float64], across: NDArray[np.float64], psf_mm: tuple[float, float],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:  # fmt: skip
    rows, columns = sector.pixels()
    u, v = _to_head(rows, columns, centre, along, across, sector.pixel_mm)
    tissues = anatomy.tissues(u, v)
    normal_u, normal_v = u / np.float32(anatomy.semi_u**2), v / np.float32(anatomy.semi_v**2)
    length = np.hypot(normal_u, normal_v) + np.float32(1e-9)
    beam = np.stack([np.cos(sector.angles), np.sin(sector.angles)])
    facing = np.abs(normal_u * (along @ beam) + normal_v * (across @ beam)).astype(np.float32) / length
    middle_mm = (centre[0] - sector.apex[0]) * sector.pixel_mm
    sigma = psf_mm[0] / sector.steps[0], psf_mm[1] / middle_mm / sector.steps[1]
    return expose(tissues, facing, sector, random, shape, sigma, fineness=anatomy.ga_weeks / 24)


def _to_head(
    rows: NDArray[np.float32], columns: NDArray[np.float32], centre: list[float], along: NDArray[np.float64],
    across: NDArray[np.float64], pixel_mm: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    dr, dc = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    (ur, uc), (vr, vc) = (along * pixel_mm).astype(np.float32), (across * pixel_mm).astype(np.float32)
    return ur * dr + uc * dc, vr * dr + vc * dc


def _labels(
    anatomy: HeadAnatomy, shape: tuple[int, int], centre: list[float], along: NDArray[np.float64],
    across: NDArray[np.float64], pixel_mm: float,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:  # fmt: skip
    """Classes (H, W), and which pixels are on the far side of the midline."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    columns = np.arange(shape[1], dtype=np.float32)[None]
    u, v = _to_head(rows, columns, centre, along, across, pixel_mm)
    return _TRUTH[anatomy.tissues(u, v)], v > 0


def _boxes(labels: NDArray[np.uint8], far: NDArray[np.bool_]) -> dict[str, list[Box]]:
    boxes: dict[str, list[Box]] = {name: [] for name in BOX_LABELS}
    masks = [("head", labels > 0)]
    for name in BOX_LABELS[1:]:
        mask = labels == CLASSES[name]
        paired = name in ("choroid_plexus", "lateral_ventricle")
        masks += [(name, mask & far), (name, mask & ~far)] if paired else [(name, mask)]
    for name, mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            x, y = int(columns[0]), int(rows[0])
            boxes[name].append((x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1))
    return boxes
