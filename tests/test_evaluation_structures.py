"""An evaluation of boxes on two pictures whose figures are worked out by hand."""

from __future__ import annotations

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from fetal_monai.evaluation import EvaluateStructures
from fetal_monai.measure.detected import Found
from fetal_monai.measure.structures import STRUCTURES, rectangle_points
from fetal_monai.record import Record

THRESHOLDS = dict.fromkeys(STRUCTURES, 0.5)


def found(label, score, box, width, shown=True):
    return Found(label, score, np.array(box, dtype=float), 0.0, np.array([0.0, width]), shown)


@pytest.fixture
def evaluation(tmp_path):
    head = {"label": "head", "bbox": [0, 0, 200, 100], "corners": None}
    ventricle = {
        "label": "lateral_ventricle",
        "bbox": [20, 50, 40, 20],
        "corners": rectangle_points((40, 60), 0, 40, 20).tolist(),
    }
    truth = [
        {"image": "in/a.png", "objects": [head, ventricle], "subject": "P1", "role": "test"},
        {"image": "in/b.png", "objects": [ventricle], "subject": "P2", "role": "test"},
    ]
    run = SimpleNamespace(resumed=0, failures=[])
    return EvaluateStructures(truth, THRESHOLDS, run, str(tmp_path))


def add(evaluation, name, boxes, spacing_mm=None):
    record = Record(f"{name}.png", name, spacing_mm=spacing_mm)
    evaluation({"record": record, "structures": SimpleNamespace(found=boxes)})


def test_figures_by_hand(evaluation, tmp_path, capsys):
    first = [
        found("head", 0.9, [0, 0, 200, 100], 100),
        found("lateral_ventricle", 0.8, [20, 53, 40, 20], 22),
        found("cavum_septi_pellucidi", 0.8, [120, 40, 40, 20], 9),
    ]
    add(evaluation, "a", first, (0.1, 0.1))
    second = [
        found("head", 0.9, [0, 0, 9, 9], 5),
        found("lateral_ventricle", 0.3, [20, 50, 40, 20], 20, False),
    ]
    add(evaluation, "b", second)
    summary = evaluation.finish()["all"]
    assert "cavum_septi_pellucidi" not in summary  # nobody drew one
    assert summary["head"]["ap50"] == 1 and summary["head"]["n_truth"] == 1  # that of b is not known
    ventricle = summary["lateral_ventricle"]
    assert ventricle["ap50"] == 1  # found in both, with whatever score
    assert (ventricle["precision"], ventricle["recall"]) == (1, 0.5)
    # 17 of 23 rows are common: an overlap of 0.739, which counts at 0.50 to 0.70 in one of two pictures
    assert ventricle["ap50_95"] == pytest.approx((5 * 1 + 5 * 51 / 101 / 2) / 10, abs=0.003)
    row = next(csv.DictReader((tmp_path / "evaluation.csv").read_text().splitlines()))
    assert float(row["center_error_percent_bpd_lateral_ventricle"]) == pytest.approx(3)
    assert float(row["center_error_lateral_ventricle_mm"]) == pytest.approx(0.3)
    assert float(row["width_truth_percent_bpd_lateral_ventricle"]) == pytest.approx(20)
    assert float(row["width_difference_percent_bpd_lateral_ventricle"]) == pytest.approx(2)
    assert float(row["width_difference_lateral_ventricle_mm"]) == pytest.approx(0.2)
    assert json.loads((tmp_path / "evaluation.json").read_text())["all"]["n"] == 2
    assert "lateral_ventricle: AP50 1.000" in capsys.readouterr().out


def test_bpd_is_unknown_without_a_head(evaluation):
    add(evaluation, "b", [found("lateral_ventricle", 0.9, [20, 50, 40, 20], 20)])
    assert math.isnan(evaluation.rows[0]["center_error_percent_bpd_lateral_ventricle"])
    assert evaluation.rows[0]["iou_lateral_ventricle"] == 1


def test_needs_every_scan(tmp_path):
    with pytest.raises(ValueError, match="without resume"):
        EvaluateStructures([], THRESHOLDS, SimpleNamespace(resumed=1, failures=[]), str(tmp_path))
