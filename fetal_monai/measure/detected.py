"""Structures that a detector found in a picture: which of them count, and the widths taken from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.midline import Midline, find_midline
from fetal_monai.measure.places import weigh_places
from fetal_monai.measure.structures import (
    STRUCTURES,
    Found,
    bounding_box,
    midline_points,
    rectangle_points,
)
from fetal_monai.metrics_detection import box_iou

__all__ = [
    "MOST",
    "Found",
    "StructureMeasurement",
    "choose",
    "drop_repeats",
    "find_head_midline",
    "grid_to_input",
    "lie_along",
    "measure_structures",
    "turned_box",
]

Floats = NDArray[np.float64]
Spacing = tuple[float, float]

MOST = {"head": 1, "midline_falx": 1, "cavum_septi_pellucidi": 1, "choroid_plexus": 2, "lateral_ventricle": 2}
LOW_SCORE = 1.2  # times the threshold; a structure that counts with less is flagged
SURROUND = 0.1  # of the head's box, by which the middle of a structure may lie outside of it
WIDTHS = {"lateral_ventricle": "atrial_width", "cavum_septi_pellucidi": "cavum_width"}
WIDE_MM = (
    8.0  # measured; atria are wide from 10 mm on, and simulated wide ones are measured too narrow by about 2
)
UNSURE = (1.4, 0.35)  # another ventricle so many times as wide, with such a share of the score: which is it?
NOT_FOUND = {"lateral_ventricle": "atrium_not_found", "cavum_septi_pellucidi": "cavum_not_found"}


@dataclass(frozen=True)
class StructureMeasurement:
    """What is known of one picture: every box, measures (lengths in mm are NaN without spacing), flags."""

    found: list[Found]
    measures: dict[str, float]
    flags: list[str]
    midline: Midline | None = None
    spacing_mm: Spacing | None = None
    spacing_source: str = "none"
    extra: dict[str, Any] = field(default_factory=dict)


def find_head_midline(head: Found, image: NDArray) -> Midline:
    """The line near the long axis of a head that its box, angle and width across tell."""
    short = float(np.hypot(*head.across))
    long = max(_extent(head.box, head.angle), short)
    column, row = head.center - 0.5
    return find_midline(image, (float(row), float(column)), head.angle, long, short)


def _extent(box: Floats, angle: float) -> float:
    """The long axis of an ellipse from its upright box and the angle of that axis."""
    cos2, sin2 = math.cos(angle) ** 2, math.sin(angle) ** 2
    width, height = (box[2:] / 2) ** 2
    if abs(cos2 - sin2) < 0.2:  # both sides of the box are alike, and tell the sum of the squares only
        return 2 * math.sqrt((width + height) / 2)
    return 2 * math.sqrt(max((width * cos2 - height * sin2) / (cos2 - sin2), 0.0))


def drop_repeats(found: Sequence[Found], most_overlap: float = 0.4) -> list[Found]:
    """The boxes, best first, without those that overlap a better one of their label by more (as IoU)."""
    kept: list[Found] = []
    for one in found:
        better = [other.box for other in kept if other.label == one.label]
        if not better or box_iou([one.box], better).max() <= most_overlap:
            kept.append(one)
    return kept


def lie_along(one: Found, angle: float) -> Found:
    """The structure with its long side within 45 degrees of `angle`: one that is nearly square lies either way."""
    if abs(math.sin(one.angle - angle)) <= math.sqrt(0.5):
        return one
    corners = turned_box(one)
    turned = one.angle - math.copysign(math.pi / 2, one.angle)
    return replace(one, angle=turned, across=corners[1] - corners[0])


def choose(found: Sequence[Found], thresholds: Mapping[str, float]) -> list[Found]:
    """The boxes, best first, with `shown` set for those that count."""
    head = next((one for one in found if one.label == "head" and one.score >= thresholds["head"]), None)
    counts = dict.fromkeys(STRUCTURES, 0)
    chosen = []
    for one in found:
        counted = one.score >= thresholds[one.label] and counts[one.label] < MOST[one.label]
        counted &= one is head or (head is not None and one.label != "head" and _is_inside(one, head))
        counts[one.label] += counted
        chosen.append(replace(one, shown=bool(counted)))
    return chosen


def _is_inside(one: Found, head: Found) -> bool:
    return bool((np.abs(one.center - head.center) <= (0.5 + SURROUND) * head.box[2:]).all())


def measure_structures(
    found: Sequence[Found],
    image: NDArray,
    thresholds: Mapping[str, float],
    spacing_at: Callable[[float, float], tuple[Spacing | None, str]],
) -> StructureMeasurement:
    """Measure what a detector found in a picture.

    Args:
        found: its boxes, best first.
        image: (H, W), the picture in gray values.
        thresholds: score by label, from which a box counts.
        spacing_at: gives spacing (row, column) in mm per pixel, and its source, for a (row, column) of the picture.
    """
    midline = None
    chosen = choose(found, thresholds)
    heads = [one for one in chosen if one.shown and one.label == "head"]
    if heads:
        short = float(np.hypot(*heads[0].across))
        midline = find_head_midline(heads[0], image)
        box = bounding_box(midline_points(midline, short))
        chosen = choose(weigh_places(found, midline, short), thresholds)
        for place, one in enumerate(chosen):
            if one.label in WIDTHS:  # they lie along the head, their widths across it
                chosen[place] = lie_along(one, midline.angle)
            if one.label == "midline_falx" and one.shown:
                chosen[place] = replace(one, box=box, angle=midline.angle)
        if not any(one.shown and one.label == "midline_falx" for one in chosen):
            midline = None
    best: dict[str, Found] = {}
    for one in chosen:
        if one.shown:
            best.setdefault(one.label, one)
    head = best.get("head")
    middle = np.array(image.shape[::-1]) / 2 if head is None else head.center
    spacing_mm, source = spacing_at(float(middle[1]), float(middle[0]))
    measures = {f"{name}_mm": math.nan for name in WIDTHS.values()}
    for label, name in WIDTHS.items():
        if label in best:
            across = best[label].across
            if spacing_mm is None:
                measures[f"{name}_px"] = float(np.hypot(*across))
            else:
                measures[f"{name}_mm"] = float(np.hypot(across[0] * spacing_mm[1], across[1] * spacing_mm[0]))
    measures["n_found"] = float(sum(one.shown for one in chosen))
    measures |= {f"score_{label}": best[label].score if label in best else math.nan for label in STRUCTURES}
    flags = _flags(best, thresholds, image.shape)
    if measures["atrial_width_mm"] >= WIDE_MM:
        flags.append("atrium_wide")
    if "lateral_ventricle" in best and _might_be_wider(best["lateral_ventricle"], chosen):
        flags.append("atrial_width_unsure")
    return StructureMeasurement(chosen, measures, flags, midline, spacing_mm, source)


def _might_be_wider(best: Found, found: Sequence[Found]) -> bool:
    """Whether a much wider ventricle has a score near the best one's: in its place, or on the other side."""
    factor, share = UNSURE
    width = float(np.hypot(*best.across))
    return any(
        one.label == best.label
        and one.score >= share * best.score
        and float(np.hypot(*one.across)) >= factor * width
        and (one.shown or bool((np.abs(one.center - best.center) <= one.box[2:] / 2).all()))
        for one in found
    )


def _flags(best: Mapping[str, Found], thresholds: Mapping[str, float], shape: tuple[int, ...]) -> list[str]:
    if "head" not in best:
        return ["no_head"]
    flags = [flag for label, flag in NOT_FOUND.items() if label not in best]
    if any(one.score < LOW_SCORE * thresholds[label] for label, one in best.items()):
        flags.append("low_score")
    x, y, width, height = best["head"].box
    overhang = max(-x, -y, x + width - shape[1], y + height - shape[0])
    if overhang > 0.02 * max(width, height):
        flags.append("head_cut_off")
    return flags


def grid_to_input(
    box: Floats, angle: float, short_side: float, offset: Spacing, scale: Spacing
) -> tuple[Floats, float, Floats]:
    """Box, angle and the vector across, in input pixels, of what was found on a network's grid.

    `offset` and `scale` are those of a :class:`fetal_monai.transforms.grid.NetworkGrid`, (row, column).
    """
    factor = np.asarray(scale[::-1], dtype=float)
    corner = (np.asarray(box[:2]) - offset[::-1]) / factor
    along = np.array([math.cos(angle), math.sin(angle)]) / factor
    across = np.array([-math.sin(angle), math.cos(angle)]) * short_side / factor
    return np.concatenate([corner, np.asarray(box[2:]) / factor]), math.atan2(along[1], along[0]), across


def turned_box(one: Found) -> Floats:
    """The corners (4, 2), (x, y), of the turned rectangle round a structure, as long as its box allows."""
    short = float(np.hypot(*one.across))
    cos, sin = abs(math.cos(one.angle)), abs(math.sin(one.angle))
    long = (one.box[2] - short * sin) / cos if cos > sin else (one.box[3] - short * cos) / sin
    return rectangle_points(one.center, one.angle, max(float(long), 0.5 * short), short)
