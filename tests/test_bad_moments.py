"""A full disk, a kill in mid-run, damaged weights: nothing half done is left, or taken for whole."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bad_scans import GOOD, fine
from bundle_runs import HEAD, MONAI_WARNS_OF_CONFIGS, ROOT, Run, copy_samples, root_cause, run_bundle
from PIL import Image
from torch import nn

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

PATIENCE_SECONDS = 120


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """From now on, half of what is to become a file with `part` in its name is written, and no more."""
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if part in str(target):
            data = Path(source).read_bytes()
            Path(source).write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr("os.replace", full)


@pytest.mark.parametrize("part", ["late_seg", "late_overlay", "late-"], ids=["mask", "overlay", "journal"])
def test_disk_full_at_one_scan(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scans = copy_samples(tmp_path / "in", GOOD)
    fine(scans / "late.png")
    with monkeypatch.context() as context:
        fill_the_disk(context, part)
        run = run_bundle(HEAD, scans, tmp_path / "out")
    assert {name: entry["status"] for name, entry in run.entries.items()} == {
        GOOD: "ok",
        "late.png": "failed",
    }
    reason = run.reasons["late.png"]
    assert "late.png" in reason and "No space left on device" in reason and "resume" in reason
    assert run.files() == run.promised()
    assert run.rows[GOOD]["hc_mm"] > 100 and run.rows["late.png"].get("hc_mm") is None

    again = run_bundle(HEAD, scans, tmp_path / "out", resume="true")
    assert again.reasons == {} and again.info["resumed"] == 1
    assert again.files() == again.promised()


@pytest.mark.parametrize("part", ["measurements", "run.json", "report.html"])
def test_disk_full_at_the_end(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scans = copy_samples(tmp_path / "in", GOOD)
    with monkeypatch.context() as context:
        fill_the_disk(context, part)
        with pytest.raises((OSError, RuntimeError)) as caught:
            run_bundle(HEAD, scans, tmp_path / "out")
    assert "No space left on device" in str(root_cause(caught.value))
    partial = Run(tmp_path / "out")
    assert not [name for name in partial.files() if part in name or ".tmp" in name]
    again = run_bundle(HEAD, scans, tmp_path / "out", resume=True)
    assert again.info["resumed"] == 1
    assert again.files() == again.promised()


def test_something_in_the_way_of_one_output(tmp_path: Path):
    scans = copy_samples(tmp_path / "in", GOOD)
    fine(scans / "late.png")
    (tmp_path / "out" / "late_overlay.png").mkdir(parents=True)
    run = run_bundle(HEAD, scans, tmp_path / "out")
    assert list(run.reasons) == ["late.png"]
    assert "late_overlay.png" in run.reasons["late.png"]
    assert run.files() == run.promised()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_kill_in_mid_run(tmp_path: Path):
    scans = copy_samples(tmp_path / "in")
    (scans / "pixel_size_and_HC.csv").write_text("filename,pixel size(mm)\n", encoding="utf-8")
    for number in range(14):
        fine(scans / f"{number:02}.png")
    out = tmp_path / "out"
    arguments = {"config_file": HEAD / "configs" / "inference.yaml", "bundle_root": HEAD}
    arguments |= {"dataset_dir": scans, "output_dir": out, "progress": "false"}
    options = [str(part) for name, value in arguments.items() for part in (f"--{name}", value)]
    process = subprocess.Popen(
        [sys.executable, "-m", "monai.bundle", "run", *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = out / ".fetal_monai"
    end = time.monotonic() + PATIENCE_SECONDS
    try:
        while len([*journal.glob("[!.]*.json")]) < 2 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL

    assert not [name for name in ("run.json", "measurements.csv", "report.html") if (out / name).exists()]
    finished = [json.loads(path.read_text(encoding="utf-8"))["record"] for path in journal.glob("[!.]*.json")]
    assert 2 <= len(finished) < 14
    for path in out.glob("[!.]*.png"):
        with Image.open(path) as picture:
            picture.load()
    kept = {name: (out / name).stat().st_mtime_ns for record in finished for name in record["outputs"]}

    run = run_bundle(HEAD, scans, out, resume="true")
    assert run.info["resumed"] == len(finished)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert run.files() == run.promised()
    whole = run_bundle(HEAD, scans, tmp_path / "whole")
    assert run.table == whole.table
    assert run.files() == whole.files()
    for name in whole.files():
        if name.endswith("_seg.png"):
            assert (out / name).read_bytes() == (whole.out / name).read_bytes()


def damaged(tmp_path: Path, kind: str) -> Path:
    """A weights file that is of no use."""
    path, whole = tmp_path / f"{kind}.pt", HEAD / "models" / "model.pt"
    if kind == "truncated":
        path.write_bytes(whole.read_bytes()[:1_000_000])
    elif kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    elif kind == "other":
        torch.save(nn.Linear(2, 2).state_dict(), path)
    elif kind == "nan":
        state = torch.load(whole, weights_only=True)
        next(iter(state.values())).view(-1)[0] = torch.nan
        torch.save(state, path)
    elif kind == "empty":
        path.touch()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "fetch or train it again"),
        ("text", "fetch or train it again"),
        ("empty", "fetch or train it again"),
        ("missing", "no such weights file; train first"),
        ("other", "weights of another network"),
        ("nan", "not finite"),
    ],
)
def test_weights_of_no_use(kind: str, words: str, tmp_path: Path):
    weights = damaged(tmp_path, kind)
    with pytest.raises(RuntimeError) as caught:
        run_bundle(HEAD, copy_samples(tmp_path / "in", GOOD), tmp_path / "out", model_path=str(weights))
    cause = root_cause(caught.value)
    assert isinstance(cause, ValueError)
    assert str(weights) in str(cause) and words in str(cause)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", ["{", "{}", '{"alpha": 3}', None], ids=["cut", "bare", "wrong", "missing"]
)
def test_calibration_of_no_use(content: str | None, tmp_path: Path):
    path = tmp_path / "calibration.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(RuntimeError) as caught:
        run_bundle(HEAD, copy_samples(tmp_path / "in", GOOD), tmp_path / "out", calibration_path=str(path))
    cause = root_cause(caught.value)
    assert isinstance(cause, ValueError) and str(path) in str(cause)
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_no_calibration_gives_no_interval(tmp_path: Path):
    scans = copy_samples(tmp_path / "in", GOOD)
    row = run_bundle(HEAD, scans, tmp_path / "out", calibration_path=None).rows[GOOD]
    assert row["hc_mm"] > 100
    assert [row["hc_mm_low"], row["hc_mm_high"]] == [None, None]
