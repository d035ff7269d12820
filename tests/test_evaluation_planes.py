from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fetal_monai.anomaly.plane_calibration import FeatureSpace, PlaneCalibration
from fetal_monai.evaluation import CalibratePlanes, EvaluatePlanes
from fetal_monai.measure.plane import PLANES, plane_measures, probabilities
from fetal_monai.record import Record


def run_of(*failures: Any) -> Any:
    return SimpleNamespace(resumed=0, failures=list(failures))


def item(name: str, plane: str, role: str = "test", patient: str = "") -> dict[str, Any]:
    return {"image": f"x/{name}", "plane": plane, "subject": patient or name, "role": role}


def show(
    evaluation: EvaluatePlanes,
    name: str,
    chances: dict[str, float],
    is_none: bool = False,
    features: Any = None,
) -> None:
    values = [chances.get(plane, 0.0) for plane in PLANES]
    measures, flags = plane_measures(values, is_none)
    record = Record(name, Path(name).stem, measures=measures | {"plane_distance": 1.0, "plane_p_value": 0.5})
    record.flags = flags
    logits = np.log(np.maximum(values, 1e-9))
    evaluation(
        {"record": record, "logits": logits, "features": np.zeros(2) if features is None else features}
    )


def test_figures_by_hand(tmp_path: Path, capsys):
    """Two of four are right; one is right but called none, one is the second."""
    truth = [item("a", "femur", patient="p"), item("b", "femur", patient="p")]
    truth += [item("c", "abdomen"), item("d", "other")]
    evaluation = EvaluatePlanes(truth, run_of("one"), str(tmp_path))
    show(evaluation, "a", {"femur": 0.9, "other": 0.1})
    show(evaluation, "b", {"femur": 0.7, "other": 0.3}, is_none=True)
    show(evaluation, "c", {"thorax": 0.6, "abdomen": 0.4})
    show(evaluation, "d", {"other": 1.0})
    summary = evaluation.finish()
    assert (summary["n"], summary["patients"], summary["unreadable"]) == (4, 3, 1)
    assert (summary["accuracy"], summary["likeliest"], summary["top2"]) == (0.5, 0.75, 1.0)
    low, high = summary["accuracy_interval"]
    assert 0 <= low < 0.5 < high <= 1
    assert summary["balanced_accuracy"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert summary["none_of_these"] == 1
    assert summary["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.7) + math.log(0.4)) / 4)
    assert summary["calibration_error"] == pytest.approx((0.1 + 0.3 + 0.6 + 0.0) / 4)
    assert summary["by_plane"]["femur"] == {"n": 2, "recall": 0.5, "precision": 1.0}
    assert summary["by_plane"]["thorax"]["n"] == 0 and summary["by_plane"]["thorax"]["precision"] == 0
    assert summary["confusion"]["femur"] == {"femur": 1, "none_of_these": 1}
    assert json.loads((tmp_path / "evaluation.json").read_text())["accuracy"] == 0.5
    with open(tmp_path / "evaluation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["plane_true"] for row in rows] == ["femur", "femur", "abdomen", "other"]
    assert rows[2]["probability_abdomen"] == "0.4"
    printed = capsys.readouterr().out
    assert "right: 0.500" in printed and "abdomen: n = 1, recall 0.00" in printed


def test_calibration_takes_each_part_from_its_role(tmp_path: Path):
    truth = [item(f"t{n}", ("femur", "other")[n % 2], "train") for n in range(8)]
    truth += [item(f"c{n}", "femur", "calibration") for n in range(4)]
    paths = str(tmp_path / "c.json"), str(tmp_path / "f.npz")
    evaluation = CalibratePlanes(truth, run_of(), str(tmp_path / "out"), *paths, "by hand")
    random = np.random.default_rng(0)
    for n in range(8):
        show(evaluation, f"t{n}", {"femur": 1.0}, features=random.normal(size=2) + 10 * (n % 2))
    for n in range(4):  # a margin of 9 : 1, right 3 times of 4
        chances = {"femur": 0.9, "other": 0.1} if n else {"femur": 0.1, "other": 0.9}
        show(evaluation, f"c{n}", chances, features=[0.0, float(n)])
    evaluation.finish()
    calibration, space = PlaneCalibration.load(paths[0]), FeatureSpace.load(paths[1])
    two = probabilities(np.log([0.9, 0.1]), calibration.temperature)
    assert two[0] == pytest.approx(0.75, abs=0.01) and calibration.source == "by hand"
    assert len(space.means) == 2 and len(calibration.distances) == 4
    assert calibration.distances == pytest.approx(
        sorted(space.distance([0.0, n]) for n in range(4)), abs=1e-4
    )
    with pytest.raises(ValueError, match="0 pictures of the role train and 0 of calibration"):
        CalibratePlanes([], run_of(), str(tmp_path), *paths).finish()
    with pytest.raises(ValueError, match="without resume"):
        EvaluatePlanes([], SimpleNamespace(resumed=1, failures=[]), str(tmp_path))
