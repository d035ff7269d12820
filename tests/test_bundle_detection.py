"""The shipped detector on real trans-ventricular planes of patients that trained nothing, and on what is no head."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundle_runs import DETECTION, MONAI_WARNS_OF_CONFIGS, ROOT, Run, run_bundle
from heads import save_png
from scipy import ndimage

from fetal_monai.datasets import structure_items, turn_structures
from fetal_monai.metrics_detection import box_iou

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

SAMPLES = ROOT / "data" / "samples" / "trans_ventricular"


def best_boxes(run: Run, name: str) -> dict[str, list[float]]:
    """The best box of each label that counts."""
    content = json.loads((run.out / f"{Path(name).stem}_boxes.json").read_text(encoding="utf-8"))
    best: dict[str, list[float]] = {}
    for box in content["boxes"]:
        if box["shown"]:
            best.setdefault(box["label"], box["bbox"])
    return best


def overlaps(run: Run, items: list[dict]) -> dict[str, list[float]]:
    """The overlap of each true box with the best of its label; 0 where nothing was found."""
    found: dict[str, list[float]] = {}
    for item in items:
        best = best_boxes(run, item["image"])
        for one in item["objects"]:
            box = best.get(one["label"])
            found.setdefault(one["label"], []).append(
                0.0 if box is None else box_iou([box], [one["bbox"]])[0, 0]
            )
    return found


def check_found(found: dict[str, list[float]]) -> None:
    assert min(found["head"]) > 0.75
    for label in ("cavum_septi_pellucidi", "lateral_ventricle"):
        assert sum(overlap >= 0.5 for overlap in found[label]) >= 3, found


def test_finds_what_people_drew(tmp_path: Path):
    run = run_bundle(DETECTION, SAMPLES / "images", tmp_path, spacing_mm=0.2)
    check_found(overlaps(run, structure_items(SAMPLES)))
    for row in run.rows.values():
        assert row["n_found"] >= 4 and row["score_head"] > 0.5
        assert row["spacing_source"] == "argument"


def test_finds_it_turned_and_mirrored(tmp_path: Path):
    turn_structures(SAMPLES, tmp_path / "turned", seed=1)
    run = run_bundle(DETECTION, tmp_path / "turned" / "images", tmp_path / "out")
    check_found(overlaps(run, structure_items(tmp_path / "turned")))


def test_widths_follow_the_spacing(tmp_path: Path):
    scans = tmp_path / "in"
    scans.mkdir()
    shutil.copy(next((SAMPLES / "images").iterdir()), scans / "a.jpg")
    fine, coarse, unknown = (
        run_bundle(DETECTION, scans, tmp_path / str(spacing), spacing_mm=spacing).rows["a.jpg"]
        for spacing in (0.15, 0.3, None)
    )
    assert coarse["atrial_width_mm"] == pytest.approx(2 * fine["atrial_width_mm"])
    assert fine["atrial_width_mm"] == pytest.approx(0.15 * unknown["atrial_width_px"])
    assert unknown["atrial_width_mm"] is None and "no_spacing" in unknown["flags"]
    boxes = json.loads((tmp_path / "0.3" / "a_boxes.json").read_text(encoding="utf-8"))["boxes"]
    assert all(np.allclose(np.array(box["bbox"]) * 0.3, box["bbox_mm"], atol=0.01) for box in boxes)


def test_no_head_gives_no_number(tmp_path: Path):
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (441, 640))
    smooth = ndimage.gaussian_filter(noise, 3)
    save_png(tmp_path / "in" / "noise.png", noise.astype(np.uint8))
    save_png(tmp_path / "in" / "smooth.png", np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth)))
    save_png(tmp_path / "in" / "ramp.png", np.tile(np.linspace(0, 255, 640).astype(np.uint8), (441, 1)))
    run = run_bundle(DETECTION, tmp_path / "in", tmp_path / "out", spacing_mm=0.2)
    for name, row in run.rows.items():
        assert "no_head" in row["flags"].split(";"), name
        assert row["atrial_width_mm"] is None and row["n_found"] == 0
        assert best_boxes(run, name) == {}


def test_evaluation_of_the_samples(tmp_path: Path):
    run_bundle(DETECTION, SAMPLES, tmp_path, "evaluate")
    summary = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["all"]
    assert summary["n"] == 4 and summary["head"]["ap50"] == 1
    for label in ("cavum_septi_pellucidi", "lateral_ventricle"):
        assert summary[label]["n_truth"] == 4
        assert summary[label]["absolute_width_difference_percent_bpd"]["median"] < 5
