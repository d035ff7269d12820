from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from fetal_monai.measure.plane import plane_measures
from fetal_monai.record import Record
from fetal_monai.report.classification import draw_cam, draw_plane, plane_caption
from fetal_monai.report.flags import explain
from fetal_monai.report.labels import label, number_text, value_text
from fetal_monai.report.overlay import MIN_SIDE

SCAN = np.random.default_rng(0).integers(0, 255, (300, 500), dtype=np.uint8)


def record_of(chances: list[float], is_none: bool = False) -> Record:
    measures, flags = plane_measures(chances, is_none)
    flags.append("experimental_weights")
    return Record("a.png", "a", measures=measures, flags=flags, extra={"cam_plane": "trans_ventricular"})


def test_caption_names_the_plane_and_the_likeliest():
    lines = plane_caption(record_of([0.1, 0.02, 0.7, 0.18, 0, 0, 0, 0]))
    assert lines[0] == "Trans-ventricular, probability 0.70"
    assert lines[1] == "trans-ventricular 0.70  ·  abdomen 0.18  ·  trans-thalamic 0.10"
    assert lines[2] == "Experimental weights  ·  For research use only"
    assert plane_caption(record_of([1, 0, 0, 0, 0, 0, 0, 0], True))[0] == "None of these"


def test_overlay_keeps_the_picture():
    drawn = draw_plane(SCAN, record_of([0.1, 0.02, 0.7, 0.18, 0, 0, 0, 0]))
    size = round(MIN_SIDE * 500 / 300), MIN_SIDE  # enlarged, so that no side is below it
    assert drawn.shape[1] == size[0] and drawn.shape[0] > size[1]
    plain = np.asarray(Image.fromarray(SCAN).resize(size, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(drawn[: size[1], :, 0], plain)


def test_map_glows_where_the_heat_is():
    heat = np.zeros((8, 12), np.float32)
    heat[:, 8:] = 1
    dim = np.full((300, 500), 60, np.uint8)
    picture, thumbnail = draw_cam(dim, heat, record_of([0, 0, 1, 0, 0, 0, 0, 0]))
    assert picture.shape[1] == 320 and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[:190, :160], 60)
    assert picture[100, 300, 0] > 150 and picture[100, 300, 0] > picture[100, 300, 2]
    small = Image.open(io.BytesIO(base64.b64decode(thumbnail.partition(",")[2])))
    assert small.width == 400 and abs(np.asarray(small)[:, :150].mean() - 60) < 2


def test_words_for_people():
    assert value_text("plane", "trans_cerebellar") == "trans-cerebellar"
    assert value_text("plane", "none_of_these") == "none of these"
    assert label("probability_abdomen") == "Probability, abdomen"
    assert number_text("probability_abdomen", 0.123) == "0.12"
    assert {explain(flag).level for flag in ("experimental_weights", "none_of_these", "unsure_plane")} == {
        "check"
    }
