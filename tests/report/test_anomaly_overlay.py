from __future__ import annotations

import numpy as np

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.record import Record
from fetal_monai.report.anomaly import LEAST_HEAT, anomaly_caption, draw_anomaly, heated

GRAY = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))


def test_only_what_is_hot_glows():
    heat = np.zeros((60, 80), np.float32)
    heat[10:20, 10:20], heat[30:40, 30:40] = 0.99, LEAST_HEAT - 0.01
    shown = heated(GRAY, heat)
    assert shown.shape == (60, 80, 3) and shown.dtype == np.uint8
    changed = (shown != GRAY[..., None]).any(axis=2)
    assert changed[10:20, 10:20].all() and changed.sum() == 100
    glowing = shown[15, 15].astype(int)
    assert glowing[0] > glowing[1] > glowing[2]


def test_picture_caption_and_three_frames_stand_below_each_other():
    frames = [np.full((24, 32), value, np.float32) for value in (0.2, 0.6, 1.0)]
    head = Ellipse((30.0, 40.0), (30.0, 22.0), 0.0)
    drawn = draw_anomaly(
        heated(GRAY, np.zeros((60, 80))), head, frames, caption=["Score 1"], flags=["no_head"]
    )
    assert drawn.dtype == np.uint8 and drawn.shape[1] == 533 and drawn.shape[0] > 400 + 150
    middles = [drawn[-60, column].mean() for column in (105, 320)]
    assert abs(middles[0] - 51) < 2 and abs(middles[1] - 153) < 2
    assert drawn[-60, 530].min() > 150  # a hot frame


def test_caption_names_the_score_and_no_disease():
    measures = {"anomaly_score": 3.456, "p_value": 0.0123, "mse": 0.0021, "alteration": float("nan")}
    first, second, last = anomaly_caption(Record("a.png", "a", measures=dict(measures)))
    assert first == "Anomaly score 3.46, p = 0.012"
    assert "MSE 0.00210" in second and "Altered" not in second
    assert "no disease" in last and "research use" in last
    assert anomaly_caption(Record("a.png", "a", measures={"anomaly_score": float("nan")}))[0].startswith(
        "No anomaly score"
    )
