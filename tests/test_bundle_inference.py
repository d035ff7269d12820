"""File to file: what every bundle's inference promises of its output folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundle_configs import metadata, parser_of, skip_without_weights, variants
from bundle_runs import BUNDLES, HEAD, MONAI_WARNS_OF_CONFIGS, ROOT, Run, copy_samples, run_bundle
from bundle_trials import TRIALS
from PIL import Image

import fetal_monai
from fetal_monai.run import file_sha256

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
each_variant = pytest.mark.parametrize(("bundle", "overlays"), variants())

SIDES = {2: ("spacing_row_mm", "spacing_column_mm"), 3: ("spacing_i_mm", "spacing_j_mm", "spacing_k_mm")}
STAGES = {"read", "network", "output", "total"}


def check_promises(run: Run, bundle: Path, scans: Path) -> None:
    trial = TRIALS[bundle.name]
    names = [*trial.names]
    assert run.files() == run.promised()
    assert {name: entry["status"] for name, entry in run.entries.items()} == dict.fromkeys(names, "ok")
    header = [*run.table[0]]
    assert header[0] == "filename"
    last = ["spacing_mm", *SIDES[trial.axes], "spacing_source", "flags"]
    assert header[-len(last) :] == last
    assert [name for name in header if name in trial.columns] == [*trial.columns]
    assert [row["filename"] for row in run.table] == names
    assert [*run.rows] == names
    for name, entry in run.entries.items():
        assert {Path(output).name.rpartition("_")[2] for output in entry["outputs"]} >= {"overlay.png"}
        with Image.open(run.out / f"{entry['stem']}_overlay.png") as overlay:
            assert overlay.mode == "RGB"
            check_overlay(overlay, scans / name, trial.axes)
        if trial.axes == 3:
            check_grid(run.out / f"{entry['stem']}_seg.nii.gz", scans / name)
        assert set(entry["seconds"]) == STAGES - {"total"}
        assert all(seconds > 0 for seconds in entry["seconds"].values())
    page = (run.out / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in names)
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", page) == []
    assert "research use" in page


def check_overlay(overlay: Image.Image, scan: Path, axes: int) -> None:
    """As large as the picture, or as its page is wide, where a volume has several views."""
    if axes == 3:
        assert overlay.width >= 800 and overlay.height >= 300
        return
    with Image.open(scan) as picture:
        assert overlay.width >= picture.width and overlay.height >= picture.height


def check_grid(labels: Path, scan: Path) -> None:
    import nibabel

    if scan.is_dir():  # of a patient, whose sequences lie on one grid
        scan = next(scan.glob("*_flair.nii.gz"))
    written, read = nibabel.load(labels), nibabel.load(scan)
    assert written.shape == read.shape and written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, read.affine)
    assert [int(written.header[code]) for code in ("sform_code", "qform_code")] == [
        int(read.header[code]) for code in ("sform_code", "qform_code")
    ]


def check_provenance(run: Run, bundle: Path, weights: Path) -> None:
    info = run.info
    assert (info["bundle"], info["bundle_version"]) == (bundle.name, metadata(bundle)["version"])
    assert (info["weights"], info["weights_sha256"]) == (weights.name, file_sha256(weights))
    assert info["counts"] == {"ok": len(TRIALS[bundle.name].names), "failed": 0, "skipped": 0} | {
        "skipped": info["counts"]["skipped"]
    }
    assert info["versions"]["fetal_monai"] == fetal_monai.__version__
    assert {"python", "torch", "monai", "numpy"} <= set(info["versions"])
    assert set(info["seconds"]) == STAGES
    assert "device" in str(info["settings"])


@each_variant
def test_folder_to_folder(bundle: Path, overlays: tuple[str, ...], tmp_path: Path):
    skip_without_weights(bundle, overlays)
    scans = tmp_path / "in"
    TRIALS[bundle.name].write(scans)
    run = run_bundle(bundle, scans, tmp_path / "out", *overlays)
    check_promises(run, bundle, scans)
    configs = [bundle / "configs" / f"{name}.yaml" for name in ("inference", *overlays)]
    check_provenance(run, bundle, Path(parser_of(*configs).get_parsed_content("model_path")))


@each_bundle
def test_runs_from_a_foreign_directory(bundle: Path, tmp_path: Path):
    """By the documented command, with paths relative to where it is called."""
    scans = tmp_path / "in"
    TRIALS[bundle.name].write(scans)
    arguments = {"config_file": bundle / "configs" / "inference.yaml", "bundle_root": bundle}
    arguments |= {"dataset_dir": "in", "output_dir": "out", "progress": "false", "resume": "false"}
    options = [str(part) for name, value in arguments.items() for part in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "scan/s" not in done.stderr
    run = Run(tmp_path / "out")
    check_promises(run, bundle, scans)
    assert "monai" in run.info["command"] and "--dataset_dir in" in run.info["command"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("overlays", [(), ("segnet",)], ids=["unet", "segnet"])
def test_head_mask_is_on_the_grid_of_its_scan(overlays: tuple[str, ...], tmp_path: Path):
    import nibabel

    skip_without_weights(HEAD, overlays)
    scans = copy_samples(tmp_path / "in", "799_HC.png")
    gray = np.asarray(Image.open(scans / "799_HC.png"))[:, 40:]
    affine = np.diag([-0.279483795166, -0.279483795166, 1, 1])
    affine[:3, 3] = 11, -7, 3
    nibabel.save(nibabel.Nifti1Image(gray.T[..., None], affine), scans / "flat.nii.gz")
    run = run_bundle(HEAD, scans, tmp_path / "out", *overlays)
    mask = np.asarray(Image.open(run.out / "799_HC_seg.png"))
    volume = nibabel.load(run.out / "flat_seg.nii.gz")
    assert mask.shape == (540, 800) and set(np.unique(mask)) == {0, 255}
    assert volume.shape == (760, 540, 1) and set(np.unique(volume.dataobj)) == {0, 1}
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    for name, pixels in (("799_HC.png", mask > 0), ("flat.nii.gz", np.asarray(volume.dataobj) > 0)):
        row = run.rows[name]
        area_mm2 = pixels.sum() * row["spacing_row_mm"] * row["spacing_column_mm"]
        assert area_mm2 == pytest.approx(row["head_area_mm2"], rel=0.02)
        assert 250 < row["hc_mm"] < 420
    assert run.rows["flat.nii.gz"]["spacing_source"] == "affine"
    assert run.rows["799_HC.png"]["spacing_source"] == "csv"


def test_numbers_belong_together(tmp_path: Path):
    run = run_bundle(
        HEAD, copy_samples(tmp_path / "in", "371_HC.png", "799_HC.png"), tmp_path / "out", ga_weeks=38
    )
    for row in run.rows.values():
        assert row["hc_mm_low"] < row["hc_mm"] < row["hc_mm_high"]
        assert row["bpd_mm"] <= row["ofd_mm"]
        assert row["cephalic_index"] == pytest.approx(100 * row["bpd_mm"] / row["ofd_mm"])
        assert 0 <= row["hc_centile"] <= 100
    assert run.rows["371_HC.png"]["ga_weeks_hadlock"] < 25 < run.rows["799_HC.png"]["ga_weeks_hadlock"]


@pytest.mark.parametrize("spacing", [0.2, "0.2", (0.2, 0.2), "0.2,0.2"])
def test_spacing_of_the_command_line_goes_first(spacing: object, tmp_path: Path):
    run = run_bundle(HEAD, copy_samples(tmp_path / "in", "799_HC.png"), tmp_path / "out", spacing_mm=spacing)
    row = run.rows["799_HC.png"]
    assert (row["spacing_mm"], row["spacing_source"]) == (0.2, "argument")


def test_without_spacing_there_are_ratios_and_pixels(tmp_path: Path):
    scans = copy_samples(tmp_path / "in", "799_HC.png")
    (scans / "pixel_size_and_HC.csv").unlink()
    row = run_bundle(HEAD, scans, tmp_path / "out").rows["799_HC.png"]
    assert [row[name] for name in ("hc_mm", "hc_mm_low", "bpd_mm", "ga_weeks_hadlock", "spacing_mm")] == [
        None
    ] * 5
    assert "no_spacing" in row["flags"].split(";")
    assert row["hc_px"] == pytest.approx(346 / 0.2795, rel=0.15)
    assert 60 < row["cephalic_index"] < 100


def test_one_file_in_batches_of_two(tmp_path: Path):
    """A single file is a data set too, and how many go through the network together changes nothing."""
    scans = copy_samples(tmp_path / "in", "371_HC.png", "799_HC.png", "712_HC.png")
    alone = run_bundle(HEAD, scans / "799_HC.png", tmp_path / "alone")
    together = run_bundle(HEAD, scans, tmp_path / "together", batch_size=2)
    for name, value in alone.rows["799_HC.png"].items():
        assert together.rows["799_HC.png"][name] == (
            pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
        )
