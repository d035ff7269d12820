"""Pictures with boxes: where they are drawn, in which colour, and what stands below."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.detected import Found, StructureMeasurement
from fetal_monai.measure.midline import Midline
from fetal_monai.record import Record
from fetal_monai.report.boxes import (
    STRUCTURE_COLOURS,
    draw_structures,
    structure_caption,
    structure_thumbnail,
)
from fetal_monai.report.flags import explain

IMAGE = np.zeros((500, 700), np.uint8)


def found(label, box, angle=0.0, width=20.0, shown=True):
    across = width * np.array([-math.sin(angle), math.cos(angle)])
    return Found(label, 0.9, np.array(box, dtype=float), angle, across, shown)


def drawn(*boxes, midline=None, **measures):
    measured = StructureMeasurement(list(boxes), {}, [], midline)
    record = Record("a.png", "a", measures={"n_found": float(len(boxes)), **measures})
    return draw_structures(IMAGE, measured, record)[: len(IMAGE)]


def pixels_of(picture, label):
    """Where the colour is, as (rows, columns)."""
    colour = np.array(STRUCTURE_COLOURS[label])
    share = picture.astype(float) @ colour / (colour @ colour)
    return np.nonzero((np.abs(picture - share[..., None] * colour).max(axis=-1) < 6) & (share > 0.4))


@pytest.mark.parametrize(
    ("label", "box"), [("head", [100, 50, 400, 300]), ("choroid_plexus", [300, 200, 80, 40])]
)
def test_box_is_where_it_was_found(label, box):
    rows, columns = pixels_of(drawn(found(label, box)), label)
    x, y, width, height = box
    assert (columns.min(), columns.max()) == pytest.approx((x, x + width), abs=2)
    assert (rows.min(), rows.max()) == pytest.approx((y, y + height), abs=2)


def test_ventricle_lies_as_it_does_with_its_width():
    """Turned by 30 degrees, nothing is drawn in the corner of the upright box, and a line crosses the middle."""
    angle = math.radians(30)
    box = [
        300,
        200,
        100 * math.cos(angle) + 40 * math.sin(angle),
        100 * math.sin(angle) + 40 * math.cos(angle),
    ]
    rows, columns = pixels_of(drawn(found("lateral_ventricle", box, angle, 40)), "lateral_ventricle")
    assert np.hypot(rows - 200, columns - 300).min() > 10
    middle = (200 + box[3] / 2, 300 + box[2] / 2)
    assert np.hypot(rows - middle[0], columns - middle[1]).min() < 2


def test_what_does_not_count_is_not_drawn():
    assert drawn(found("head", [100, 50, 400, 300], shown=False)).max() == 0


def test_midline_is_a_line_and_no_box():
    midline = Midline((250.0, 350.0), 0.0, 300.0, 0.1)
    rows, columns = pixels_of(
        drawn(found("midline_falx", [200, 240, 300, 20]), midline=midline), "midline_falx"
    )
    assert np.ptp(rows) <= 3 and np.ptp(columns) == pytest.approx(300, abs=4)


def test_caption_has_millimetres_only_where_they_are_known():
    known = Record(
        "a.png", "a", measures={"atrial_width_mm": 7.25, "cavum_width_mm": math.nan, "n_found": 3.0}
    )
    known.spacing_mm, known.spacing_source = (0.2, 0.2), "argument"
    assert structure_caption(known)[:2] == ["Atrium 7.2 mm", "3 structures found"]
    unknown = Record(
        "a.png", "a", measures={"atrial_width_mm": math.nan, "atrial_width_px": 36.0, "n_found": 1.0}
    )
    assert structure_caption(unknown)[:2] == ["Atrium 36.0 px", "1 structure found"]
    nothing = Record("a.png", "a", measures={"atrial_width_mm": math.nan, "n_found": 0.0})
    assert structure_caption(nothing)[0] == "0 structures found"
    assert all("research use" in structure_caption(record)[-1] for record in (known, unknown, nothing))


def test_thumbnail_is_a_small_picture():
    measured = StructureMeasurement([found("head", [100, 50, 400, 300])], {}, [])
    assert structure_thumbnail(IMAGE, measured, Record("a.png", "a")).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("flag", ["cavum_not_found", "atrium_not_found", "low_score"])
def test_flags_are_explained(flag):
    assert "Flagged as" not in explain(flag).meaning and explain(flag).level == "check"
