from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from heads import HC18_CSV, draw_outline, probability_of, save_png
from monai.bundle import ConfigWorkflow
from torch import nn

from fetal_monai.datasets import hc18_items, mask_items
from fetal_monai.evaluation import CalibrateHead, EvaluateHead, describe, summarise
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.head import measure_head
from fetal_monai.measure.interval import Calibration
from fetal_monai.record import Record

CONFIGS = Path(__file__).resolve().parents[1] / "bundles" / "fetal_head_ultrasound_segmentation" / "configs"
SHAPE = (140, 200)
HEAD = Ellipse((70, 100), (60, 47), 0.3)  # a perimeter of 337.5 pixels
RUN = SimpleNamespace(failures=[], resumed=0)


class BrightIsHead(nn.Module):
    """A network that takes what is bright for the head; the bundle's configuration finds it by its name."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 12 * (image - 0.5)


def hc18_of(folder: Path, pixels_mm: dict[str, float]) -> list[dict[str, Any]]:
    """HC18 with one head at several scales: a picture that is bright in the head, and its outline."""
    lines = ["filename,pixel size(mm),head circumference (mm)"]
    for name, pixel_mm in pixels_mm.items():
        save_png(folder / name, np.uint8(20 + 235 * HEAD.soft_mask(SHAPE)))
        save_png(folder / f"{Path(name).stem}_Annotation.png", draw_outline(HEAD, SHAPE))
        lines.append(f"{name},{pixel_mm},{HEAD.perimeter * pixel_mm:.4f}")
    (folder / HC18_CSV).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return hc18_items(folder, fractions=(0, 0))


def measured(
    name: str,
    spacing_mm: tuple[float, float] | None,
    head: Ellipse | None = HEAD,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """What the output transforms hand on when the network sees `head`."""
    probability = np.zeros(SHAPE, np.float32) if head is None else probability_of(head, SHAPE, blur_px=1.0)
    picture = np.uint8(20 + 200 * HEAD.soft_mask(SHAPE))
    found = measure_head(
        probability, picture, (1.0, 1.0), lambda row, column: (spacing_mm, "csv"), calibration=calibration
    )
    record = Record(name, Path(name).stem, measures={**found.measures}, flags=[*found.flags])
    record.spacing_mm = found.spacing_mm
    return {"record": record, "head": found}


def csv_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "evaluation.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_perfect_prediction_against_a_drawn_outline(tmp_path, capsys):
    truth = hc18_of(tmp_path / "in", {"001_HC.png": 0.5})
    evaluation = EvaluateHead(truth, RUN, str(tmp_path / "out"))
    item = measured("001_HC.png", (0.5, 0.5))
    assert evaluation(item) == item
    summary = evaluation.finish()
    row = csv_rows(tmp_path / "out")[0]
    assert (row["filename"], row["patient"], row["role"]) == ("001_HC.png", "001", "train")
    assert float(row["hc_truth_mm"]) == pytest.approx(0.5 * HEAD.perimeter, abs=0.005)
    assert float(row["hc_difference_mm"]) == pytest.approx(0, abs=0.3)
    assert float(row["dice"]) > 0.995
    assert float(row["hd95_mm"]) <= 0.5  # a pixel
    assert float(row["average_surface_distance_mm"]) < 0.1
    assert summary["all"]["n"] == 1
    assert summary["all"]["failures"] == 0
    assert summary["all"]["hc_mm"]["mae"] == pytest.approx(0, abs=0.3)
    assert (tmp_path / "out" / "bland_altman.png").stat().st_size > 1000
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["unreadable"] == 0
    assert "1 scans, 0 failures, 0 unreadable" in capsys.readouterr().out


@pytest.mark.parametrize("on", [255, 1])
@pytest.mark.parametrize("spacing_mm", [(0.5, 0.5), (0.6, 0.3)])
def test_a_perfect_prediction_against_a_filled_mask(tmp_path, on, spacing_mm):
    item = measured("7_a.png", spacing_mm)
    save_png(tmp_path / "masks" / "7_a_mask.png", item["head"].mask.astype(np.uint8) * np.uint8(on))
    save_png(tmp_path / "images" / "7_a.png", np.zeros(SHAPE, np.uint8))
    evaluation = EvaluateHead(mask_items(tmp_path / "images", tmp_path / "masks"), RUN, str(tmp_path))
    evaluation(item)
    (row,) = evaluation.rows
    assert (row["dice"], row["hd95_mm"], row["average_surface_distance_mm"]) == (1, 0, 0)
    assert row["hc_truth_mm"] == pytest.approx(HEAD.scaled(spacing_mm).perimeter, rel=3e-3)
    assert row["hc_difference_mm"] == pytest.approx(0, abs=0.5)
    assert (row["patient"], row["role"]) == ("7", "")


def test_without_spacing_only_the_overlap_is_known(tmp_path):
    item = measured("7_a.png", None)
    save_png(tmp_path / "masks" / "7_a.png", item["head"].mask.astype(np.uint8) * np.uint8(255))
    save_png(tmp_path / "images" / "7_a.png", np.zeros(SHAPE, np.uint8))
    evaluation = EvaluateHead(mask_items(tmp_path / "images", tmp_path / "masks"), RUN, str(tmp_path))
    evaluation(item)
    summary = evaluation.finish()
    (row,) = csv_rows(tmp_path)
    assert float(row["dice"]) == 1
    assert {row[name] for name in ("hc_truth_mm", "hc_mm", "hd95_mm", "average_surface_distance_mm")} == {""}
    assert summary["all"]["failures"] == 0
    assert summary["by_trimester"] == {}
    assert not (tmp_path / "bland_altman.png").exists()


def test_failures_are_counted(tmp_path):
    names = {"001_HC.png": 0.5, "002_HC.png": 0.5, "003_HC.png": 0.5}
    run = SimpleNamespace(failures=["one that can't be read"], resumed=0)
    evaluation = EvaluateHead(hc18_of(tmp_path / "in", names), run, str(tmp_path))
    near = Ellipse(HEAD.center, (56, 44), 0.3)  # 10 mm less
    far = Ellipse(HEAD.center, (53, 42), 0.3)  # 19 mm less
    for name, head in zip(names, (near, far, None), strict=True):
        evaluation(measured(name, (0.5, 0.5), head))
    summary = evaluation.finish()["all"]
    differences = [row["hc_difference_mm"] for row in evaluation.rows]
    assert differences[:2] == pytest.approx(
        [0.5 * (h.perimeter - HEAD.perimeter) for h in (near, far)], abs=0.3
    )
    assert math.isnan(differences[2])
    assert evaluation.rows[2]["dice"] == 0
    assert (summary["n"], summary["failures"]) == (3, 2)
    assert (summary["hc_mm"]["n"], summary["hc_mm"]["n_missing"]) == (2, 1)
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["unreadable"] == 1
    assert csv_rows(tmp_path)[2]["flags"] == "no_head"


def test_by_trimester(tmp_path):
    # 84, 203 and 304 mm: 13.7, 22.4 and 33.8 weeks by Hadlock
    names = {"001_HC.png": 0.25, "002_HC.png": 0.6, "003_HC.png": 0.9, "003_2HC.png": 0.9}
    evaluation = EvaluateHead(hc18_of(tmp_path / "in", names), RUN, str(tmp_path))
    for name, pixel_mm in reversed(names.items()):
        evaluation(measured(name, (pixel_mm, pixel_mm)))
    summary = evaluation.finish()
    assert {name: group["n"] for name, group in summary["by_trimester"].items()} == {
        "first": 1,
        "second": 1,
        "third": 2,
    }
    assert summary["all"]["n"] == 4
    rows = csv_rows(tmp_path)
    assert [row["filename"] for row in rows] == ["001_HC.png", "002_HC.png", "003_2HC.png", "003_HC.png"]
    assert [row["trimester"] for row in rows] == ["first", "second", "third", "third"]


def test_names_with_commas_stay_one_cell(tmp_path):
    truth = [{**item, "image": "a, b.png"} for item in hc18_of(tmp_path / "in", {"001_HC.png": 0.5})]
    evaluation = EvaluateHead(truth, RUN, str(tmp_path))
    evaluation(measured("sub/a, b.png", (0.5, 0.5)))
    evaluation.finish()
    assert csv_rows(tmp_path)[0]["filename"] == "sub/a, b.png"


def test_truth_on_another_grid_is_told(tmp_path):
    truth = hc18_of(tmp_path / "in", {"001_HC.png": 0.5})
    save_png(tmp_path / "in" / "001_HC_Annotation.png", draw_outline(HEAD, (150, 200)))
    evaluation = EvaluateHead(truth, RUN, str(tmp_path))
    with pytest.raises(
        ValueError, match=r"001_HC_Annotation\.png: no outline of a head on the grid .* 140x200"
    ):
        evaluation(measured("001_HC.png", (0.5, 0.5)))


def test_a_resumed_run_is_not_evaluated(tmp_path):
    with pytest.raises(ValueError, match="run it without resume"):
        EvaluateHead([], SimpleNamespace(failures=[], resumed=2), str(tmp_path))


def row_of(**changes: Any) -> dict[str, Any]:
    return {
        "filename": "a.png",
        "patient": "1",
        "role": "validation",
        "trimester": "second",
        "hc_truth_mm": 200.0,
        "hc_mm": 201.0,
        "hc_difference_mm": 1.0,
        "hc_mm_low": 198.0,
        "hc_mm_high": 204.0,
        "dice": 0.97,
        "hd95_mm": 2.0,
        "average_surface_distance_mm": 0.5,
        "flags": "",
        "difficulty": {"hc_mm": 201.0},
        **changes,
    }


def test_summary_by_hand():
    rows = [
        row_of(),
        row_of(hc_mm=197.0, hc_difference_mm=-3.0, hc_mm_low=190.0, hc_mm_high=199.0, dice=0.95, hd95_mm=4.0),
        row_of(
            hc_mm=math.nan,
            hc_difference_mm=math.nan,
            hc_mm_low=math.nan,
            dice=0.0,
            hd95_mm=math.nan,
            flags="x;no_head",
        ),
    ]
    summary = summarise(rows)
    assert (summary["n"], summary["failures"]) == (3, 1)
    assert summary["hc_mm"]["mean"] == pytest.approx(-1)
    assert summary["hc_mm"]["mae"] == pytest.approx(2)
    assert summary["hc_mm"]["rmse"] == pytest.approx(math.sqrt(5))
    assert summary["hc_mm"]["loa_high"] == pytest.approx(-1 + 1.959964 * math.sqrt(8))
    assert summary["interval_coverage"] == 0.5
    assert summary["interval_width_mm"] == {"median": 7.5, "mean": 7.5}
    assert summary["dice"]["mean"] == pytest.approx(0.64)
    assert summary["dice"]["worst"] == 0
    assert summary["hd95_mm"] == pytest.approx({"mean": 3, "sd": math.sqrt(2), "median": 3, "worst": 4})
    text = describe(summary, 1)
    assert "3 scans, 1 failures, 1 unreadable" in text
    assert "absolute difference 2.00 ± 1.41 mm" in text
    assert "interval holds 50.0 % of the truth, median width 7.5 mm" in text


def test_summary_of_nothing():
    summary = summarise([])
    assert (summary["n"], summary["failures"]) == (0, 0)
    assert math.isnan(summary["dice"]["mean"])
    assert describe(summary, 2).startswith("0 scans, 0 failures, 2 unreadable")


def test_calibration_is_written_and_loads(tmp_path):
    path = tmp_path / "models" / "calibration.json"
    evaluation = CalibrateHead([], RUN, str(tmp_path), str(path), ["hc_mm"], alpha=0.1, source="some heads")
    evaluation.rows = [
        row_of(filename=f"{i}.png", patient=str(i), role=role, hc_difference_mm=error)
        for i, (role, error) in enumerate(
            [("validation", 1.0)] * 5 + [("calibration", -float(n)) for n in range(1, 20)]
        )
    ]
    evaluation.rows.append(
        row_of(filename="x.png", role="calibration", hc_difference_mm=math.nan, difficulty={})
    )
    evaluation.finish()
    calibration = Calibration.load(path)
    assert (calibration.alpha, calibration.source) == (0.1, "some heads")
    assert (calibration.n, calibration.n_weights) == (19, 5)
    # of 19 errors the one at rank 0.9 * 20 = 18
    half = calibration.quantile * calibration.difficulty({"hc_mm": 201.0})
    assert half == pytest.approx(18)
    measures = measured("a.png", (0.5, 0.5), calibration=calibration)["record"].measures
    assert measures["hc_mm_low"] < measures["hc_mm"] < measures["hc_mm_high"]


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
def test_the_bundles_own_evaluation(tmp_path):
    hc18_of(tmp_path / "in", {"001_HC.png": 0.4, "002_HC.png": 0.6, "003_HC.png": 0.8})
    (tmp_path / "patients.csv").write_text("patient,role\n001,test\n002,train\n003,test\n", encoding="utf-8")
    torch.save({}, tmp_path / "model.pt")
    workflow = ConfigWorkflow(
        workflow_type="infer",
        config_file=[str(CONFIGS / "inference.yaml"), str(CONFIGS / "evaluate.yaml")],
        logging_file=False,
        bundle_root=str(CONFIGS.parent),
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "out"),
        patients=str(tmp_path / "patients.csv"),
        network_def={"_target_": f"{__name__}.BrightIsHead"},
        model_path=str(tmp_path / "model.pt"),
        calibration_path=None,
        device="$torch.device('cpu')",
        progress="false",
    )
    workflow.initialize()
    workflow.run()
    rows = csv_rows(tmp_path / "out")
    assert [row["filename"] for row in rows] == ["001_HC.png", "003_HC.png"]
    assert [float(row["hc_difference_mm"]) for row in rows] == pytest.approx([0, 0], abs=0.6)
    assert min(float(row["dice"]) for row in rows) > 0.99
    summary = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert (summary["all"]["n"], summary["all"]["failures"], summary["unreadable"]) == (2, 0, 0)
    assert set(summary["by_trimester"]) == {"second", "third"}
