from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from ignite.engine import Engine

from fetal_monai.datasets import fetal_atlas_items, read_labels, stack_items
from fetal_monai.evaluation import EvaluateLabels, describe_labels, summarise_labels
from fetal_monai.measure.tissues import TISSUES
from fetal_monai.record import Record

RUN = SimpleNamespace(failures=[], resumed=0)
AFFINE = np.array([[2.0, 0, 0, -20], [0, 1, 0, -10], [0, 0, 0.5, 5], [0, 0, 0, 1]])
SHAPE = (12, 16, 20)


def blocks() -> np.ndarray:
    """A label map in the order of FeTA: seven blocks of 2x6x4 voxels, one behind the other."""
    labels = np.zeros(SHAPE, np.uint8)
    for label in range(1, 8):
        labels[2:4, 2:8, 2 * label : 2 * label + 4] = label
    return labels


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def atlas_of(folder: Path, *cases: str, labels: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Cases whose labels, in the atlas's own key, are `labels`, of FeTA's order."""
    key = np.array([0, 4, 5, 1, 2, 3, 6, 7], np.uint8)
    for case in cases:
        save(folder / case / "t2w.nii.gz", np.zeros(SHAPE, np.int16))
        save(folder / case / "labels.nii.gz", key[blocks() if labels is None else labels])
    return fetal_atlas_items(folder)


def item_of(image: str | Path, labels: np.ndarray, **scan: Any) -> dict[str, Any]:
    """What the output transforms hand on: a scan, its label map and its record."""
    path = Path(image)
    known = {"affine": AFFINE, "spacing_mm": (2.0, 1.0, 0.5), "ga_weeks": math.nan, **scan}
    record = Record(f"{path.parent.name}/{path.name}", path.parent.name, flags=["small"])
    return {
        "scan": SimpleNamespace(source=SimpleNamespace(path=path), **known),
        "labels": labels,
        "record": record,
    }


def csv_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "evaluation.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_perfect_prediction(tmp_path, capsys):
    items = atlas_of(tmp_path / "crl", "STA21")
    evaluation = EvaluateLabels(items, RUN, str(tmp_path / "out"))
    item = item_of(items[0]["image"], blocks())
    assert evaluation(item) == item
    summary = evaluation.finish()
    (row,) = csv_rows(tmp_path / "out")
    assert (row["filename"], row["subject"], row["dataset"]) == ("STA21/t2w.nii.gz", "STA21", "crl")
    assert (row["role"], row["ga_weeks"], row["flags"]) == ("train", "21.00", "small")
    for tissue in TISSUES:
        assert (row[f"dice_{tissue}"], row[f"hd95_{tissue}_mm"]) == ("1", "0.00")
        assert (row[f"volume_similarity_{tissue}"], row[f"euler_difference_{tissue}"]) == ("1", "0")
    assert (row["dice"], row["hd95_mm"]) == ("1", "0.00")
    assert summary["all"]["mean"]["dice"]["mean"] == 1
    assert summary["all"]["labels"]["ventricles"]["hd95_mm"]["worst"] == 0
    assert list(summary["by_dataset"]) == ["crl"]
    assert list(summary["by_age"]) == ["under_25_weeks"]
    assert (tmp_path / "out" / "dice.png").stat().st_size > 1000
    told = capsys.readouterr().out
    assert "1 scans, 0 unreadable" in told
    assert "cortical gray matter" in told


def test_scores_by_hand(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:6, 2:6, 2:6] = 3
    labels[2:4, 10:12, 2:4] = 5
    items = atlas_of(tmp_path / "crl", "STA30", labels=labels)
    moved = np.zeros(SHAPE, np.uint8)
    moved[2:6, 2:6, 3:7] = 3  # one voxel of 0.5 mm on: 48 of 64 voxels stay
    moved[2, 10, 2] = 5  # an eighth of it, 1 voxel short in each direction
    moved[8, 8, 8] = 7
    evaluation = EvaluateLabels(items, RUN, str(tmp_path))
    evaluation(item_of(items[0]["image"], moved))
    (row,) = evaluation.rows
    assert row["dice_white_matter"] == 48 / 64
    assert row["hd95_white_matter_mm"] == 0.5
    assert row["volume_similarity_white_matter"] == 1
    assert row["dice_cerebellum"] == pytest.approx(2 / 9)
    # from the eight voxels to the one: 0, 0.5, 1, 1.12, 2, 2.06, 2.24, 2.29 mm; 95 % lie 0.65 of the last step up
    far = [math.sqrt(5), math.sqrt(5.25)]
    assert row["hd95_cerebellum_mm"] == pytest.approx(far[0] + 0.65 * (far[1] - far[0]))
    assert row["volume_similarity_cerebellum"] == pytest.approx(1 - 7 / 9)
    assert (row["dice_brainstem"], row["volume_similarity_brainstem"]) == (0, 0)
    assert math.isnan(row["hd95_brainstem_mm"]) and math.isnan(row["dice_ventricles"])
    assert row["dice"] == pytest.approx((0.75 + 2 / 9 + 0) / 3)
    labels = evaluation.finish()["all"]["labels"]
    assert {name: found["missing"] for name, found in labels.items() if found["missing"]} == {"brainstem": 1}
    (cells,) = csv_rows(tmp_path)
    assert (cells["hd95_brainstem_mm"], cells["dice_ventricles"]) == ("", "")


def test_groups_and_the_worst_scan(tmp_path):
    first = atlas_of(tmp_path / "crl", "STA24", "STA25", "STA30")
    second = atlas_of(tmp_path / "bifida", "GA24_operated")
    run = SimpleNamespace(failures=["one that can't be read"], resumed=0)
    evaluation = EvaluateLabels([*first, *second], run, str(tmp_path))
    worse = blocks()
    worse[worse == 4] = 0
    for item in reversed([*first, *second]):
        evaluation(item_of(item["image"], worse if item["subject"] == "STA25" else blocks()))
    summary = evaluation.finish()
    assert [row["subject"] for row in csv_rows(tmp_path)] == ["GA24_operated", "STA24", "STA25", "STA30"]
    assert summary["unreadable"] == 1
    assert {name: group["n"] for name, group in summary["by_dataset"].items()} == {"bifida": 1, "crl": 3}
    ages = {"under_25_weeks": 2, "25_to_29_weeks": 1, "from_30_weeks": 1}
    assert {name: group["n"] for name, group in summary["by_age"].items()} == ages
    assert summary["all"]["worst_scan"] == {"filename": "STA25/t2w.nii.gz", "dice": pytest.approx(6 / 7)}
    ventricles = summary["by_dataset"]["crl"]["labels"]["ventricles"]
    assert ventricles["dice"] == pytest.approx(
        {"mean": 2 / 3, "sd": 1 / math.sqrt(3), "median": 1, "worst": 0}
    )
    assert (ventricles["missing"], ventricles["hd95_mm"]["mean"]) == (1, 0)
    saved = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert saved["by_dataset"]["bifida"]["labels"]["ventricles"]["dice"]["sd"] is None


def test_brain_masks(tmp_path):
    mask = (blocks() > 0).astype(np.float32)
    image = save(tmp_path / "bids" / "sub-01_run-1_T2w.nii.gz", np.zeros(SHAPE, np.int16))
    save(tmp_path / "bids" / "sub-01_run-1_T2w_desc-brain_mask.nii.gz", mask)
    evaluation = EvaluateLabels(stack_items(tmp_path / "bids"), RUN, str(tmp_path / "out"), ("brain",))
    half = mask.astype(np.uint8)
    half[3] = 0
    evaluation(item_of(image, half, ga_weeks=31.0))
    summary = evaluation.finish()
    (row,) = csv_rows(tmp_path / "out")
    assert float(row["dice_brain"]) == pytest.approx(2 / 3, abs=1e-5)
    assert row["hd95_brain_mm"] == "2.00"
    assert row["ga_weeks"] == "31.00"
    assert "dice" not in row
    assert summary["all"]["mean"]["dice"] == summary["all"]["labels"]["brain"]["dice"]
    assert "mean" not in describe_labels(summary["all"], 0)


@pytest.mark.parametrize("order", ["LPS", "IRP", "PSL"])
def test_truth_is_turned_as_its_scan_is_stored(tmp_path, order):
    labels = blocks()
    path = save(tmp_path / "labels.nii.gz", labels)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(AFFINE), nibabel.orientations.axcodes2ornt(order)
    )
    scan = nibabel.Nifti1Image(labels, AFFINE).as_reoriented(turn)
    found = read_labels(path, "feta", scan.shape, scan.affine)
    assert scan.shape != SHAPE or order == "LPS"
    assert np.array_equal(found, np.asanyarray(scan.dataobj))


def test_truth_on_another_grid_is_told(tmp_path):
    path = save(tmp_path / "labels.nii.gz", blocks())
    with pytest.raises(
        ValueError, match=r"labels\.nii\.gz: labels of 12x16x20 voxels .* scan, 12x16x21; resample"
    ):
        read_labels(path, "feta", (12, 16, 21), AFFINE)
    shifted = AFFINE.copy()
    shifted[2, 3] += 0.04  # less than a tenth of its 0.5 mm
    assert read_labels(path, "feta", SHAPE, shifted).shape == SHAPE
    shifted[2, 3] += 0.04
    with pytest.raises(ValueError, match="not on the grid of their scan"):
        read_labels(path, "feta", SHAPE, shifted)
    with pytest.raises(ValueError, match=r"labels\.nii\.gz: labels from 0 to 7; the key 'brain' has 0 to 1"):
        read_labels(path, "brain", SHAPE, AFFINE)
    flat = save(tmp_path / "flat.nii.gz", np.zeros((12, 16, 20, 2), np.uint8))
    with pytest.raises(ValueError, match=r"flat\.nii\.gz: labels of 12x16x20x2 voxels"):
        read_labels(flat, "feta", SHAPE, AFFINE)


def test_summary_of_nothing(tmp_path):
    summary = summarise_labels([])
    assert summary["n"] == 0
    assert "worst_scan" not in summary
    assert math.isnan(summary["mean"]["dice"]["mean"])
    assert describe_labels(summary, 2).startswith("0 scans, 2 unreadable")
    evaluation = EvaluateLabels([], RUN, str(tmp_path))
    assert evaluation.finish()["by_dataset"] == {}
    assert not (tmp_path / "dice.png").exists()


def test_it_finishes_with_the_run_and_not_with_a_resumed_one(tmp_path):
    engine = Engine(lambda *_: None)
    EvaluateLabels([], RUN, str(tmp_path)).attach(engine)
    engine.run([0], max_epochs=1)
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["all"]["n"] == 0
    with pytest.raises(ValueError, match="run it without resume"):
        EvaluateLabels([], SimpleNamespace(failures=[], resumed=1), str(tmp_path))
