"""Two dates of a brain tumour compared, as a user does it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fetal_monai.cli import main
from fetal_monai.record import Record, write_measurements, write_run
from fetal_monai.tumour_dates import COMPARISON_COLUMNS, compare_dates

AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])
SETTINGS = {"convention": "brats2018", "min_ml": 0.5, "device": "cpu"}


def labels(side: int, enhancing: int = 4) -> np.ndarray:
    """A cube of oedema of that side in 2 mm voxels, and 10 x 10 x 10 of enhancing tumour in it."""
    found = np.zeros((40, 40, 40), np.uint8)
    found[4 : 4 + side, 4 : 4 + side, 4 : 4 + side] = 2
    found[5:15, 5:15, 5:15] = enhancing
    return found


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return path


def finished(folder: Path, patients: dict[str, np.ndarray | str], **info: Any) -> Path:
    """The output folder of a run; a text is why a patient failed."""
    records = []
    for name, found in patients.items():
        if isinstance(found, str):
            records.append(Record(name, name, status="failed", reason=found))
            continue
        save(folder / f"{name}_seg.nii.gz", found)
        records.append(
            Record(name, name, spacing_mm=(2, 2, 2), flags=["no_t1c"], outputs=[f"{name}_seg.nii.gz"])
        )
    write_measurements(folder, records, ["whole_tumour_ml"], 3)
    write_run(folder, {"bundle": "tumours", "settings": SETTINGS, "weights_sha256": "a"} | info, records)
    return folder


def test_a_row_by_hand(tmp_path, capsys):
    first = finished(tmp_path / "first", {"p1": labels(20), "p2": labels(20)})
    second = finished(tmp_path / "second", {"p1": labels(25), "p3": labels(20)})
    table = tmp_path / "change.csv"
    code = main(["compare", str(first), str(second), "--days", "60", "--out", str(table)])
    said = capsys.readouterr().out
    assert code == 0 and "p1" in said and "p2" not in said
    assert (
        "threshold passed: the volume of the whole tumour grew by 40 % or more" in said
        and "no verdict" in said
    )
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert tuple(row) == COMPARISON_COLUMNS
    before, after = 20**3 * 0.008, 25**3 * 0.008  # mL
    assert float(row["whole_tumour_first_ml"]) == before == 64
    assert float(row["whole_tumour_second_ml"]) == pytest.approx(after)
    assert float(row["whole_tumour_change_ml"]) == pytest.approx(after - before)
    assert float(row["whole_tumour_change_percent"]) == pytest.approx(100 * (after / before - 1), abs=1e-3)
    assert float(row["whole_tumour_change_ml_per_30_days"]) == pytest.approx((after - before) / 2, abs=0.01)
    assert float(row["enhancing_change_ml"]) == 0 and float(row["rano_product_change_percent"]) == 0
    assert row["thresholds"] == "whole_tumour_volume_up_40_percent"
    assert (row["flags"], row["first_flags"]) == ("", "no_t1c")


def test_two_dates_of_one_run_and_two_files(tmp_path, capsys):
    run = finished(tmp_path / "run", {"p_2024": labels(25), "p_2025": labels(20)})
    for where in (
        [str(run), str(run), "--patients", "p_2024", "p_2025"],
        [str(run / "p_2024_seg.nii.gz"), str(run / "p_2025_seg.nii.gz")],
    ):
        assert main(["compare", *where, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        (row,) = found["comparisons"]
        assert row["patient"] == "p_2024 to p_2025" and found["failed"] == {}
        assert row["whole_tumour_change_ml"] == pytest.approx((20**3 - 25**3) * 0.008)
        assert row["days"] is None and row["first_flags"] == ["no_t1c"]


def test_each_date_in_its_own_convention(tmp_path):
    first = finished(tmp_path / "first", {"p": labels(20)})
    second = finished(
        tmp_path / "second", {"p": labels(20, 3)}, settings=SETTINGS | {"convention": "brats2023"}
    )
    ((row,), _) = compare_dates(first, second)
    assert row["enhancing_change_ml"] == 0 and row["enhancing_first_ml"] == pytest.approx(8)
    assert row["flags"] == []


def test_what_was_made_in_another_way_is_flagged(tmp_path, capsys):
    first = finished(tmp_path / "first", {"p": labels(20)})
    second = finished(tmp_path / "second", {"p": labels(20)}, weights_sha256="b")
    ((row,), _) = compare_dates(first, second)
    assert row["flags"] == ["runs_differ"]
    assert main(["compare", str(first), str(second)]) == 0
    assert "runs_differ: The two dates were not measured with the same weights" in capsys.readouterr().out


def test_one_that_failed_stops_no_other(tmp_path, capsys):
    first = finished(tmp_path / "first", {"a": labels(20), "b": labels(20), "c": "c: is empty"})
    second = finished(tmp_path / "second", {"a": labels(20), "b": labels(20), "c": labels(20)})
    (second / "b_seg.nii.gz").write_bytes((first / "b_seg.nii.gz").read_bytes()[:200])
    assert main(["compare", str(first), str(second)]) == 3
    said = capsys.readouterr()
    assert "no threshold passed" in said.out
    assert "b_seg.nii.gz: is damaged" in said.err and "c: failed in" in said.err and "is empty" in said.err


def test_what_cannot_be_compared_says_why(tmp_path, capsys):
    run = finished(tmp_path / "run", {"p": labels(20)})
    other = finished(tmp_path / "other", {"q": labels(20)})
    heads = finished(tmp_path / "heads", {"p": labels(20)}, bundle="head", settings={})
    files = {name: save(tmp_path / f"{name}_seg.nii.gz", labels(20, 3)) for name in ("x", "y")}
    for first, second, more, words in (
        (run, other, [], "have no patient in common (p; q)"),
        (run, heads, [], "is a run of head, which finds no brain tumours"),
        (run, tmp_path, [], "holds no run.json"),
        (run, tmp_path / "nowhere", [], "does not exist"),
        (run, other, ["--patient", "p"], "other: has no patient p; it has q"),
        (run, run, [], "stands for both dates"),
        (files["x"], files["y"], [], "hold a 3 and no 4"),
    ):
        assert main(["compare", str(first), str(second), *more]) == 1
        assert words in capsys.readouterr().err
    assert main(["compare", str(files["x"]), str(files["y"]), "--convention", "brats2023"]) == 0
