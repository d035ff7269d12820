from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heads import save_png

from fetal_monai.record import Record
from fetal_monai.run import ScanRun, file_sha256
from fetal_monai.scan import ScanError

HC18_HEADER = "filename,pixel size(mm)"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder below."""
    folder = tmp_path / "in"
    for seed, name in enumerate(("a.png", "b.png", "sub/c.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (40, 50))
        save_png(folder / name, pixels.astype(np.uint8))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle's metadata and weights."""
    folder = tmp_path / "a_bundle"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text('{"version": "1.2.3"}', encoding="utf-8")
    (folder / "model.pt").write_bytes(b"weights")
    return folder


@pytest.fixture
def start(scans: Path, bundle: Path, tmp_path: Path) -> Any:
    """Start a run over the scans."""

    def start_run(**changes: Any) -> ScanRun:
        values = {
            "dataset_dir": str(scans),
            "output_dir": str(tmp_path / "out"),
            "bundle_root": str(bundle),
            "weights": str(bundle / "model.pt"),
            "columns": ["hc_mm", "bpd_mm"],
            "title": "Heads",
            **changes,
        }
        return ScanRun(**values)

    return start_run


def finish(run: ScanRun, hc_mm: float = 100.0) -> None:
    """Each scan that is to do becomes a record with one output."""
    for item in run.items:
        source = item["image"]
        output = run.output_dir / f"{source.stem}_seg.png"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(b"mask")
        record = Record(
            source.filename, source.stem, measures={"hc_mm": hc_mm}, outputs=[f"{source.stem}_seg.png"]
        )
        record.seconds = {"read": 1.0, "network": 2.0}
        run.done(source, record)
    run.finish()


def run_json(run: ScanRun) -> dict[str, Any]:
    return json.loads((run.output_dir / "run.json").read_text(encoding="utf-8"))


def todo(run: ScanRun) -> list[str]:
    return [item["image"].filename for item in run.items]


def test_what_a_run_leaves_behind(start, bundle):
    run = start(settings={"flips": [1]})
    assert todo(run) == ["a.png", "b.png", "sub/c.png"]
    finish(run)
    info = run_json(run)
    assert info["bundle"] == "a_bundle"
    assert info["bundle_version"] == "1.2.3"
    assert info["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert info["settings"] == {"spacing_mm": None, "ga_weeks": None, "flips": [1]}
    assert info["counts"] == {"ok": 3, "failed": 0, "skipped": 0}
    assert (info["resumed"], file_sha256(None), file_sha256("null")) == (0, "", "")
    assert (info["seconds"]["read"], info["seconds"]["network"]) == (3.0, 6.0)
    assert info["seconds"]["total"] > 0
    assert {"fetal_monai", "python", "torch", "monai", "numpy"} <= set(info["versions"])
    assert [entry["outputs"] for entry in info["inputs"]] == [["a_seg.png"], ["b_seg.png"], ["sub/c_seg.png"]]
    table = (run.output_dir / "measurements.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:3] for row in table[:2]] == [
        ["filename", "hc_mm", "bpd_mm"],
        ["a.png", "100.00", ""],
    ]
    assert "Heads" in (run.output_dir / "report.html").read_text(encoding="utf-8")


def test_resume_takes_up_what_is_done_under_the_same_key(start):
    run = start()
    source = run.items[1]["image"]
    (run.output_dir / "b_seg.png").write_bytes(b"mask")
    run.done(source, Record("b.png", "b", measures={"hc_mm": 7.0}, outputs=["b_seg.png"]))
    again = start(resume=True)  # the first one was killed here
    assert todo(again) == ["a.png", "sub/c.png"]
    assert again.resumed == 1
    finish(again)
    rows = json.loads((again.output_dir / "measurements.json").read_text(encoding="utf-8"))
    assert [row["hc_mm"] for row in rows] == [100.0, 7.0, 100.0]
    assert run_json(again)["resumed"] == 1
    assert todo(start(resume=True)) == []
    assert todo(start()) == ["a.png", "b.png", "sub/c.png"]


@pytest.mark.parametrize(
    "changes",
    [{"spacing_mm": 0.1}, {"ga_weeks": 20}, {"settings": {"flips": [1]}}],
    ids=lambda c: next(iter(c)),
)
def test_other_settings_begin_anew(start, changes):
    finish(start())
    assert len(todo(start(resume=True, **changes))) == 3
    finish(start(**changes))
    assert todo(start(resume=True, **changes)) == []


def test_other_weights_or_another_version_begin_anew(start, bundle):
    finish(start())
    (bundle / "model.pt").write_bytes(b"other")
    assert len(todo(start(resume=True))) == 3
    finish(start())
    (bundle / "configs" / "metadata.json").write_text('{"version": "1.2.4"}', encoding="utf-8")
    assert len(todo(start(resume=True))) == 3


def test_what_changed_is_done_again(start, scans, tmp_path):
    finish(start())
    os.utime(scans / "a.png", (1, 1))
    (tmp_path / "out" / "sub" / "c_seg.png").unlink()
    assert todo(start(resume=True)) == ["a.png", "sub/c.png"]


def test_what_a_csv_says_anew_is_done_again(start, scans):
    finish(start())
    (scans / "spacing.csv").write_text(f"{HC18_HEADER}\na.png,0.1\nb.png,0.2\n", encoding="utf-8")
    run = start(resume=True)
    assert todo(run) == ["a.png", "b.png"]
    finish(run)
    (scans / "spacing.csv").write_text(f"{HC18_HEADER}\na.png,0.1\nb.png,0.3\n", encoding="utf-8")
    assert todo(start(resume=True)) == ["b.png"]


@pytest.mark.parametrize(
    ("value", "resumes"),
    [("true", True), ("True", True), (1, True), ("false", False), ("False", False), (0, False)],
)
def test_booleans_as_a_command_line_gives_them(start, value, resumes):
    finish(start(progress="false"))
    assert start(resume=value).resumed == (3 if resumes else 0)


def test_a_boolean_that_is_none(start):
    with pytest.raises(ValueError, match="resume is 'maybe'; give true or false"):
        start(resume="maybe")


def test_no_progress_bar_unless_asked_for(start, capsys):
    finish(start(progress="false"))
    assert capsys.readouterr().err == ""
    finish(start(progress="true"))
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "spacing_mm"),
    [
        (0.1, (0.1, 0.1)),
        ("0.1", (0.1, 0.1)),
        ("0.1,0.2", (0.1, 0.2)),
        ((0.1, 0.2), (0.1, 0.2)),
        (["0.1", 0.2], (0.1, 0.2)),
        (1, (1.0, 1.0)),
        (None, None),
        ("null", None),
    ],
)
def test_spacing_in_any_form(start, value, spacing_mm):
    run = start(spacing_mm=value)
    assert run.spacing_mm == spacing_mm
    scan = run.read(run.items[0]["image"])
    assert scan.spacing_mm == spacing_mm
    assert scan.spacing_source == ("none" if spacing_mm is None else "argument")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("fine", "spacing_mm is 'fine'; give a number, such as 0.12"),
        (0, "spacing_mm is 0 mm per pixel"),
        ("-0.1", "spacing_mm is -0.1 mm per pixel"),
        ((0, 12), "spacing_mm is 0 mm per pixel"),
        (float("nan"), "spacing_mm is nan mm per pixel"),
        ("0.1,0.1,0.1", "spacing_mm needs one value or \\(row, column\\), got 3"),
    ],
)
def test_spacing_that_makes_no_sense(start, tmp_path, value, words):
    with pytest.raises(ValueError, match=words):
        start(spacing_mm=value)
    assert not (tmp_path / "out").exists()


def test_ages_of_the_csv_go_first(start, scans):
    (scans / "ages.csv").write_text("filename,ga_weeks\na.png,30\n", encoding="utf-8")
    run = start(ga_weeks="20.5")
    assert [run.read(item["image"]).ga_weeks for item in run.items] == [30, 20.5, 20.5]
    assert np.isnan(start().read(run.items[1]["image"]).ga_weeks)
    with pytest.raises(ValueError, match="ga_weeks is 'twenty'; give a number"):
        start(ga_weeks="twenty")


@pytest.mark.parametrize("below", [".", "results/heads"])
def test_a_file_in_the_way_of_the_output(start, tmp_path, below):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    out = tmp_path / "file" / below
    with pytest.raises(ValueError, match=r"can't write results there .* choose another --output_dir"):
        start(output_dir=str(out))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_rows_of_the_csv_that_name_no_image_are_told(start, scans):
    (scans / "spacing.csv").write_text(f"{HC18_HEADER}\na.png,0.1\nx.png,0.1\nc.png,0.1\n", encoding="utf-8")
    run = start()
    finish(run)
    assert run_json(run)["warnings"] == ["the CSV names x.png, which is not there"]
    # what is there, but not asked for, is no reason to warn
    run = start(only=[str(scans / "b.png")])
    assert run.unmatched == ["x.png"]
    assert start(dataset_dir=str(scans / "b.png")).unmatched == []


def test_only_some_of_the_scans(start, scans):
    run = start(only=[str(scans / "sub" / "c.png"), "elsewhere/a.png"])
    assert todo(run) == ["sub/c.png"]
    with pytest.raises(ScanError, match="holds none of the 1 scans"):
        start(only=["elsewhere/a.png"])


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_nothing_to_measure(start, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match=folder):
        start(dataset_dir=str(tmp_path / folder))


def test_failures_are_told_in_order_and_name_the_file(start):
    run = start()
    first, second, third = (item["image"] for item in run.items)
    wrapped = RuntimeError("applying transform <LoadScand object>")
    wrapped.__cause__ = ScanError("sub/c.png: is damaged\n  or truncated")
    run.failed(third, wrapped)
    run.failed(first, IndexError("list index out of range"))
    run.done(second, Record("b.png", "b", measures={"hc_mm": 1.0}))
    run.finish()
    told = [(entry["filename"], entry["status"], entry["reason"]) for entry in run_json(run)["inputs"]]
    assert told == [
        ("a.png", "failed", "a.png: IndexError: list index out of range"),
        ("b.png", "ok", ""),
        ("sub/c.png", "failed", "sub/c.png: is damaged or truncated"),
    ]
    assert run_json(run)["counts"] == {"ok": 1, "failed": 2, "skipped": 0}


@pytest.mark.parametrize("error", [None, MemoryError("of the device")])
def test_scans_of_which_nothing_was_heard(start, error):
    run = start()
    run.done(run.items[0]["image"], Record("a.png", "a"))
    run.finish(error)
    entries = run_json(run)["inputs"]
    assert [entry["status"] for entry in entries] == ["ok", "failed", "failed"]
    cause = "see the messages above" if error is None else "MemoryError: of the device"
    assert entries[1]["reason"] == f"b.png: the run ended before this scan was done: {cause}"


def test_two_inputs_of_one_stem_are_both_told(start, scans):
    (scans / "a.bmp").write_bytes((scans / "a.png").read_bytes())
    run = start()
    run.failed(run.items[0]["image"], ScanError("a.bmp and a.png would write the same outputs"))
    run.finish()
    assert [entry["filename"] for entry in run_json(run)["inputs"]] == [
        "a.bmp",
        "a.png",
        "b.png",
        "sub/c.png",
    ]
