"""Which boxes count, what is measured of them, and with which flags."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.detected import (
    Found,
    choose,
    drop_repeats,
    grid_to_input,
    lie_along,
    measure_structures,
    turned_box,
)
from fetal_monai.measure.structures import STRUCTURES, bounding_box, rectangle_points

THRESHOLDS = dict.fromkeys(STRUCTURES, 0.4)
IMAGE = np.zeros((200, 300), np.uint8)
HEAD = [50, 40, 200, 120]


def found(label: str, score: float, box, angle: float = 0.0, width: float = 10.0) -> Found:
    across = width * np.array([-math.sin(angle), math.cos(angle)])
    return Found(label, score, np.asarray(box, dtype=float), angle, across)


def spacing(value):
    return lambda row, column: (value, "none" if value is None else "argument")


def names(chosen):
    return [(one.label, one.score) for one in chosen if one.shown]


def test_what_counts():
    boxes = [
        found("head", 0.9, HEAD),
        found("lateral_ventricle", 0.8, [180, 110, 40, 20]),
        found("cavum_septi_pellucidi", 0.7, [80, 90, 40, 20]),
        found("lateral_ventricle", 0.6, [180, 60, 40, 20]),
        found("cavum_septi_pellucidi", 0.55, [180, 90, 40, 20]),  # there is but one
        found("choroid_plexus", 0.5, [0, 0, 20, 20]),  # outside of the head
        found("lateral_ventricle", 0.45, [120, 60, 40, 20]),  # a third
        found("choroid_plexus", 0.39, [180, 110, 20, 20]),  # too low
    ]
    chosen = choose(boxes, THRESHOLDS)
    assert [one.shown for one in chosen] == [True, True, True, True, False, False, False, False]
    assert [one.box.tolist() for one in chosen] == [one.box.tolist() for one in boxes]


def test_nothing_counts_without_a_head():
    boxes = [found("cavum_septi_pellucidi", 0.9, [80, 90, 40, 20]), found("head", 0.3, HEAD)]
    told = measure_structures(boxes, IMAGE, THRESHOLDS, spacing((0.2, 0.2)))
    assert names(told.found) == [] and told.flags == ["no_head"]
    assert all(math.isnan(value) for name, value in told.measures.items() if name != "n_found")
    assert told.measures["n_found"] == 0


def test_widths_in_mm_across_the_structure():
    """Across structures that lie along the rows the row spacing counts."""
    boxes = [
        found("head", 0.9, HEAD, width=120),
        found("lateral_ventricle", 0.8, [180, 110, 40, 20], 0.0, 20),
        found("cavum_septi_pellucidi", 0.8, [100, 90, 40, 10], 0.0, 10),
    ]
    told = measure_structures(boxes, IMAGE, THRESHOLDS, spacing((0.4, 0.5)))
    assert told.measures["atrial_width_mm"] == pytest.approx(8)
    assert told.measures["cavum_width_mm"] == pytest.approx(4)
    assert told.measures["n_found"] == 3 and told.flags == ["atrium_wide"]
    assert told.measures["score_lateral_ventricle"] == 0.8
    assert math.isnan(told.measures["score_choroid_plexus"])
    assert "atrial_width_px" not in told.measures


def test_without_spacing_there_are_pixels():
    boxes = [found("head", 0.9, HEAD, width=120), found("lateral_ventricle", 0.8, [80, 112, 40, 20], 0.4, 12)]
    told = measure_structures(boxes, IMAGE, THRESHOLDS, spacing(None))
    assert math.isnan(told.measures["atrial_width_mm"])
    assert told.measures["atrial_width_px"] == pytest.approx(12)
    assert told.flags == ["cavum_not_found"]


@pytest.mark.parametrize(
    ("box", "score", "flags"),
    [
        (HEAD, 0.9, ["atrium_not_found", "cavum_not_found"]),
        (HEAD, 0.45, ["atrium_not_found", "cavum_not_found", "low_score"]),
    ],
)
def test_flags(box, score, flags):
    assert measure_structures([found("head", score, box)], IMAGE, THRESHOLDS, spacing(None)).flags == flags


@pytest.mark.parametrize(("width", "wide"), [(39.9, False), (40.0, True)])
def test_from_8_mm_on_the_atrium_may_be_wide(width, wide):
    boxes = [
        found("head", 0.9, HEAD, width=120),
        found("lateral_ventricle", 0.8, [80, 100, 60, 50], width=width),
    ]
    told = measure_structures(boxes, IMAGE, THRESHOLDS, spacing((0.2, 0.2)))
    assert told.measures["atrial_width_mm"] == pytest.approx(0.2 * width)
    assert ("atrium_wide" in told.flags) == wide


@pytest.mark.parametrize(
    ("score", "box", "width", "unsure"),
    [
        (0.29, [80, 100, 60, 34], 29, True),  # over it, below the threshold, 0.36 of its score
        (0.29, [80, 100, 60, 34], 27, False),  # not 1.4 times as wide as 20
        (0.27, [80, 100, 60, 34], 29, False),  # too low a score
        (0.6, [80, 50, 60, 34], 29, True),  # on the other side, and counts
        (0.3, [80, 50, 60, 34], 29, False),  # there, and does not count
    ],
)
def test_a_wider_ventricle_beside_the_best_makes_the_width_unsure(score, box, width, unsure):
    boxes = [
        found("head", 0.9, HEAD, width=120),
        found("cavum_septi_pellucidi", 0.8, [200, 90, 30, 20]),
        found("lateral_ventricle", 0.8, [80, 108, 60, 24], width=20),
        found("lateral_ventricle", score, box, width=width),
    ]
    told = measure_structures(boxes, IMAGE, THRESHOLDS, spacing(None))
    assert ("atrial_width_unsure" in told.flags) == unsure
    assert told.measures["atrial_width_px"] == pytest.approx(20)


def test_the_midline_follows_the_picture():
    """A bright line 4 degrees off the head's axis: the box of the midline is laid round it."""
    row, column = np.indices((200, 300))
    angle = math.radians(4)
    across = (row - 99.5) * math.cos(angle) - (column - 149.5) * math.sin(angle)
    image = 40 + 150 * np.exp(-((across / 1.5) ** 2) / 2)
    boxes = [found("head", 0.9, HEAD, width=120), found("midline_falx", 0.8, [60, 95, 180, 10], width=6)]
    told = measure_structures(boxes, image, THRESHOLDS, spacing(None))
    assert told.midline is not None and math.degrees(told.midline.angle) == pytest.approx(4, abs=1)
    falx = next(one for one in told.found if one.label == "midline_falx")
    assert falx.score == 0.8 and falx.box[2] == pytest.approx(0.95 * 200, rel=0.02)
    assert falx.box[3] == pytest.approx(190 * math.sin(angle) + 0.06 * 120, abs=4)


def test_from_a_grid_to_the_picture():
    """A grid twice as fine along x and as fine along y, moved by 3 rows and 8 columns."""
    box, angle, across = grid_to_input([28, 13, 40, 20], math.pi / 4, 6, (3, 8), (1.0, 2.0))
    assert box.tolist() == [10, 10, 20, 20]
    assert math.tan(angle) == pytest.approx(2)
    np.testing.assert_allclose(across, [-6 * math.sqrt(0.5) / 2, 6 * math.sqrt(0.5)])


@pytest.mark.parametrize("angle_deg", [0, 20, 70, -35])
def test_turned_box_fills_its_upright_one(angle_deg):
    angle = math.radians(angle_deg)
    corners = rectangle_points((50, 40), angle, 30, 12)
    turned = turned_box(found("lateral_ventricle", 0.9, bounding_box(corners), angle, 12))
    np.testing.assert_allclose(bounding_box(turned), bounding_box(corners), atol=1e-9)


def test_repeats_are_dropped():
    """Two boxes of 40 x 20 that are 10 apart have 30 of 50 columns in common."""
    boxes = [
        found("lateral_ventricle", 0.9, [60, 60, 40, 20]),
        found("lateral_ventricle", 0.8, [70, 60, 40, 20]),
    ]
    assert drop_repeats(boxes) == boxes[:1]
    assert len(drop_repeats(boxes, most_overlap=0.61)) == 2
    assert len(drop_repeats([boxes[0], found("choroid_plexus", 0.8, [60, 60, 40, 20])])) == 2


def test_a_nearly_square_structure_lies_along_the_head():
    """18 wide and 20 high, said to stand upright: in a head that lies along x its width is that along y, 20."""
    upright = found("lateral_ventricle", 0.9, [91, 112, 18, 20], math.pi / 2, 18)
    turned = lie_along(upright, 0.1)
    assert np.hypot(*turned.across) == pytest.approx(20) and abs(turned.angle) == pytest.approx(0)
    np.testing.assert_allclose(bounding_box(turned_box(turned)), upright.box, atol=1e-9)
    assert lie_along(upright, 1.5) is upright
    head = found("head", 0.9, HEAD, width=120)
    told = measure_structures([head, upright], IMAGE, THRESHOLDS, spacing((0.1, 0.1)))
    assert told.measures["atrial_width_mm"] == pytest.approx(2)
