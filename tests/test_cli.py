"""The command line: what it passes on, what it prints, and how it ends."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fetal_monai
from fetal_monai import commands, workflow
from fetal_monai.cli import main
from fetal_monai.measure.shape import Ellipse
from fetal_monai.record import Record, write_measurements, write_run

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "hc18"
INFERENCE = """\
bundle_root: .
dataset_dir: IN
output_dir: OUT
spacing_mm: null
ga_weeks: null
resume: false
progress: true
device: cpu
train:
  rate: 1
run:
- _target_: fetal_monai.record.write_run
  out_dir: '@output_dir'
  info: {device: '@device'}
  records: []
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose run only leaves a `run.json` without scans."""
    configs = tmp_path / "tiny" / "configs"
    configs.mkdir(parents=True)
    (configs / "metadata.json").write_text('{"version": "0.1.0", "network_data_format": {}}')
    (configs / "inference.yaml").write_text(INFERENCE)
    (configs / "segnet.yaml").write_text("network_name: segnet\n")
    return tmp_path / "tiny"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    (tmp_path / "IN").mkdir()
    return tmp_path / "IN"


Asked = dict[str, Any]


@pytest.fixture
def fake_monai(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Record]], Asked]:
    """Takes the place of `monai.bundle.run`: notes what was asked for and leaves the given records."""

    def install(records: Sequence[Record]) -> Asked:
        asked: Asked = {}

        def run(config_files: Sequence[str], values: Mapping[str, Any], verbose: bool) -> None:
            asked.update(values, config_files=[Path(file).name for file in config_files], verbose=verbose)
            sys.stdout.write("a chatty library\n")
            out = str(values["output_dir"])
            write_measurements(out, records, ["hc_mm"])
            write_run(out, {"bundle": "tiny"}, records, [{"filename": "notes.txt", "reason": "no image"}])

        monkeypatch.setattr(workflow, "_monai_run", run)
        return asked

    return install


GOOD = Record("a.png", "a", measures={"hc_mm": 172.5}, spacing_mm=(0.1, 0.1), spacing_source="csv")
BAD = Record("b.png", "b", status="failed", reason="b.png: is empty (0 bytes)")


@pytest.mark.parametrize(("records", "code"), [([GOOD], 0), ([GOOD, BAD], 3), ([BAD], 1)])
def test_exit_code_says_how_many_scans_were_done(
    bundle: Path,
    scans: Path,
    tmp_path: Path,
    fake_monai: Callable[[Sequence[Record]], Asked],
    capsys: pytest.CaptureFixture[str],
    records: list[Record],
    code: int,
) -> None:
    fake_monai(records)
    assert main(["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT")]) == code
    printed = capsys.readouterr()
    good = records.count(GOOD)
    assert printed.out.startswith(f"{good} of {len(records)} scans done, 1 other files left out\n")
    assert "chatty" not in printed.out, "standard output is for the result alone"
    assert ("failed: b.png: is empty" in printed.err) == (BAD in records)


def test_options_become_the_configurations_values(
    bundle: Path, scans: Path, tmp_path: Path, fake_monai: Callable[[Sequence[Record]], Asked]
) -> None:
    asked = fake_monai([GOOD])
    out = str(tmp_path / "OUT")
    options = ["--spacing-mm", "0.1,0.2", "--ga-weeks", "20.5", "--resume", "--device", "cuda:1", "--quiet"]
    settings = [
        "--set",
        "train#rate=1e-3",
        "--set",
        "run=$[]",
        "--set",
        "ga_weeks=null",
        "--overlay-config",
        "segnet",
    ]
    assert main(["run", str(bundle), str(scans), "--out", out, *options, *settings]) == 0
    assert asked == {
        "bundle_root": str(bundle),
        "dataset_dir": str(scans),
        "output_dir": out,
        "spacing_mm": [0.1, 0.2],
        "ga_weeks": "$None",
        "resume": True,
        "progress": False,
        "device": "$torch.device('cuda:1')",
        "train#rate": 0.001,
        "run": "$[]",
        "config_files": ["inference.yaml", "segnet.yaml"],
        "verbose": False,
    }


def test_what_was_not_asked_for_is_left_to_the_configuration(
    bundle: Path, scans: Path, tmp_path: Path, fake_monai: Callable[[Sequence[Record]], Asked]
) -> None:
    asked = fake_monai([GOOD])
    assert main(["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT")]) == 0
    assert set(asked) == {"bundle_root", "dataset_dir", "output_dir", "progress", "config_files", "verbose"}


def test_paths_are_no_expressions(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_monai: Callable[[Sequence[Record]], Asked],
) -> None:
    asked = fake_monai([GOOD])
    (tmp_path / "$exit()").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(bundle), "$exit()", "--out", "@OUT"]) == 0
    assert (asked["dataset_dir"], asked["output_dir"]) == ("./$exit()", "./@OUT")


def test_results_as_json(
    bundle: Path,
    scans: Path,
    tmp_path: Path,
    fake_monai: Callable[[Sequence[Record]], Asked],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_monai([GOOD, BAD])
    assert main(["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT"), "--json"]) == 3
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["counts"] == {"ok": 1, "failed": 1, "skipped": 1}
    assert result["measurements"][0]["hc_mm"] == 172.5
    assert result["failed"] == {"b.png": "b.png: is empty (0 bytes)"}


def test_quiet_says_only_what_failed(
    bundle: Path,
    scans: Path,
    tmp_path: Path,
    fake_monai: Callable[[Sequence[Record]], Asked],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_monai([GOOD] + [BAD] * 12)
    assert main(["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT"), "--quiet"]) == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--set", "spacng_mm=0.1"], "did you mean spacing_mm?"),
        (["--set", "spacing_mm"], "KEY=VALUE"),
        (["--overlay-config", "vnet"], "it has: inference, segnet"),
        (["--overlay-config", "../inference"], "has no configuration"),
    ],
)
def test_what_the_configuration_does_not_know_is_refused(
    bundle: Path,
    scans: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    what: str,
) -> None:
    assert main(["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT"), *options]) == 2
    assert what in capsys.readouterr().err
    assert not (tmp_path / "OUT").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--spacing-mm", "0"],
        ["--spacing-mm", "0,12"],
        ["--spacing-mm", "1,1,1"],
        ["--spacing-mm", "nan"],
        ["--ga-weeks", "-3"],
        ["--device", "abacus"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", "tiny", str(tmp_path), "--out", str(tmp_path / "OUT"), *options])
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_missing_input_and_bundle_are_said_before_anything_is_loaded(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(bundle), str(tmp_path / "none"), "--out", "OUT"]) == 2
    assert main(["run", "nonsense", str(tmp_path), "--out", "OUT"]) == 2
    assert "none does not exist" in (printed := capsys.readouterr().err)
    assert "there is no bundle 'nonsense'" in printed


def test_errors_are_one_line_without_monais_wrappers(
    bundle: Path,
    scans: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        try:
            raise ValueError("weights are damaged:\n fetch them again")
        except ValueError as error:
            raise RuntimeError("Failed to evaluate ConfigExpression") from error

    monkeypatch.setattr(workflow, "_monai_run", fail)
    call = ["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT")]
    assert main(call) == 1
    assert capsys.readouterr().err == "fetal-monai run: weights are damaged: fetch them again\n"
    with pytest.raises(RuntimeError):
        main([*call, "--debug"])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "x.pt"), "x.pt: No such file or directory"),
        (KeyError("image"), "KeyError: 'image'; --debug shows where"),
        (RuntimeError(), "RuntimeError: no further words; --debug shows where"),
    ],
)
def test_explanations(error: Exception, text: str) -> None:
    assert commands.explain(error) == text


def test_interruption_and_closed_pipe(
    bundle: Path, scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "_monai_run", interrupt)
    assert main(["run", str(bundle), str(scans), "--out", "OUT"]) == 130
    assert "what is finished is kept" in capsys.readouterr().err


def test_run_that_leaves_nothing_is_an_error(
    bundle: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_run(tmp_path / "OUT", {}, [GOOD])  # of an earlier run
    monkeypatch.setattr(workflow, "_monai_run", lambda *_: None)
    assert main(["run", str(bundle), str(scans), "--out", str(tmp_path / "OUT")]) == 1
    assert "left no run.json" in capsys.readouterr().err


def test_monai_runs_the_bundles_own_configuration(
    bundle: Path, scans: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "OUT"
    assert main(["run", str(bundle), str(scans), "--out", str(out), "--set", "device=abacus"]) == 1, (
        "no scan at all"
    )
    assert json.loads((out / "run.json").read_text())["device"] == "abacus"
    printed = capfd.readouterr()
    assert printed.out.startswith("0 of 0 scans done")
    assert printed.err == ""


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    names = [entry["name"] for entry in listed]
    assert "fetal_head_ultrasound_segmentation" in names
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


def test_copy(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", str(bundle), str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "configs" / "inference.yaml").read_text() == INFERENCE
    assert main(["copy", str(bundle), str(tmp_path / "mine" / "configs" / "inference.yaml")]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call",
    [
        "main(['list'])",
        "main(['fetch', '--list'])",
        "main(['copy', 'x', 'y'])",
        "commands.explain(ValueError('x'))",
    ],
)
def test_quick_commands_load_nothing_heavy(call: str) -> None:
    heavy = "{'torch', 'monai', 'numpy', 'PIL', 'tqdm', 'pydicom', 'skimage', 'scipy'}"
    code = (
        f"import sys\nfrom fetal_monai.cli import main\nfrom fetal_monai import commands, workflow\n{call}\n"
    )
    code += f"loaded = {heavy} & set(sys.modules)\nassert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"fetal-monai {fetal_monai.__version__}\n"


def measured(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["measure", *arguments, "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_measure_drawn_outline_gives_the_sonographers_hc(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (SAMPLES / "pixel_size_and_HC.csv").read_text().splitlines()[1:]:
        name, spacing, hc_mm = line.split(",")
        mask = SAMPLES / name.replace(".png", "_Annotation.png")
        result = measured(capsys, str(mask), "--spacing-mm", spacing)
        assert result["hc_mm"] == pytest.approx(float(hc_mm), abs=0.1), name
        assert result["flags"] == []


def test_measure_filled_mask_with_uneven_spacing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    circle = Ellipse((100.0, 150.0), (80.0, 80.0), 0.0).mask((200, 300))
    red = np.zeros((200, 300, 3), np.uint8)
    red[circle] = (200, 0, 0)
    Image.fromarray(red).save(tmp_path / "mask.png")
    result = measured(capsys, str(tmp_path / "mask.png"), "--spacing-mm", "0.8,1", "--ga-weeks", "40")
    truth = Ellipse((0.0, 0.0), (80.0, 64.0), 0.0)
    assert result["hc_mm"] == pytest.approx(truth.perimeter, rel=2e-3)
    assert result["cephalic_index"] == pytest.approx(80, rel=2e-3)
    assert result["bpd_mm"] == pytest.approx(128, rel=3e-3)
    assert result["hc_centile"] > 99
    assert result["flags"] == ["hc_out_of_range", "anisotropic_spacing"]


def test_measure_without_spacing_gives_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(Ellipse((100.0, 150.0), (80.0, 60.0), 0.3).mask((200, 300))).save(tmp_path / "mask.png")
    result = measured(capsys, str(tmp_path / "mask.png"))
    assert result["ofd_px"] == pytest.approx(160, rel=5e-3)
    assert "hc_mm" not in result
    assert result["flags"] == ["no_spacing"]
    assert main(["measure", str(tmp_path / "mask.png")]) == 0
    assert "give --spacing-mm" in capsys.readouterr().out


def test_measure_takes_the_spacing_of_a_nifti_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import nibabel as nib

    mask = Ellipse((100.0, 150.0), (80.0, 60.0), 0.0).mask((200, 300))
    nib.save(
        nib.Nifti1Image(mask.T.astype(np.uint8), np.diag([0.5, 0.5, 1, 1])), tmp_path / "head_seg.nii.gz"
    )
    result = measured(capsys, str(tmp_path / "head_seg.nii.gz"))
    assert result["ofd_mm"] == pytest.approx(80, rel=5e-3)
    assert result["spacing_source"] == "affine"


def test_measure_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no picture")
    result = measured(capsys, str(tmp_path / "black.png"), "--spacing-mm", "0.1", code=1)
    assert result["hc_mm"] is None
    assert result["flags"] == ["no_head"]
    assert main(["measure", str(tmp_path / "text.png")]) == 1
    assert main(["measure", str(tmp_path / "none.png")]) == 1
    assert main(["measure", str(tmp_path / "black.png"), "--spacing-mm", "120"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.startswith("fetal-monai measure: ") for line in said] == [True] * 3
    assert "text.png: is not a PNG" in said[0]
    assert "none.png does not exist" in said[1]
    assert "120 mm per pixel" in said[2]


def test_report_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_measurements(tmp_path, [GOOD, BAD], ["hc_mm"])
    write_run(tmp_path, {"bundle": "fetal_head"}, [GOOD, BAD])
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Fetal head" in page
    assert "172.5" in page
    assert "s empty (0 bytes)" in page
    assert main(["report", str(tmp_path / "none")]) == 1
    assert "holds no run.json" in capsys.readouterr().err


def test_fetch_lists_explains_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list"]) == 0
    assert "hc18" in capsys.readouterr().out
    assert main(["fetch", "--list", "--json"]) == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} >= {"hc18", "feta"}
    assert main(["fetch", "feta", "--out", str(tmp_path / "feta")]) == 1
    assert f"--downloadLocation {tmp_path / 'feta'}" in capsys.readouterr().out
    assert main(["fetch", "hc18", "--check", str(tmp_path)]) == 1
    assert "training_set/*HC.png: 0 of 999 files" in capsys.readouterr().err
    assert main(["fetch"]) == 2
    assert main(["fetch", "hc19"]) == 2
    assert "there is no dataset 'hc19'" in capsys.readouterr().err


def test_undefined_is_null() -> None:
    with pytest.raises(ValueError, match="JSON"):
        commands._print_json({"hc_mm": math.nan})
