"""The shipped anomaly bundle on healthy heads, on one with fluid put into it, on no heads and on what can't be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bad_scans import BAD, GOOD
from bundle_runs import ANOMALY, MONAI_WARNS_OF_CONFIGS, Run, copy_samples, run_bundle
from heads import save_png
from PIL import Image
from scipy import ndimage

from fetal_monai.evaluation.anomaly import head_in
from fetal_monai.head_finder import HeadFinder
from fetal_monai.synthesis.ultrasound_insert import insert_abnormality

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

HEADS = ("306_HC.png", "371_HC.png", "799_HC.png")


def overlay_is_there(run: Run, name: str) -> bool:
    return (run.out / f"{Path(name).stem}_overlay.png").is_file()


def test_no_head_is_unlike_a_head(tmp_path: Path):
    """What is no head scores higher than every healthy one, and is flagged: no ellipse, or one that does not fit."""
    scans = copy_samples(tmp_path / "in", *HEADS)
    noise = np.random.default_rng(0).uniform(0, 255, (441, 640))
    smooth = ndimage.gaussian_filter(noise, 3)
    save_png(scans / "noise.png", noise.astype(np.uint8))
    save_png(scans / "smooth.png", np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth)))
    save_png(scans / "ramp.png", np.tile(np.linspace(0, 255, 640).astype(np.uint8), (441, 1)))
    run = run_bundle(ANOMALY, scans, tmp_path / "out")
    highest = max(run.rows[name]["anomaly_score"] for name in HEADS)
    for name in ("noise.png", "smooth.png", "ramp.png"):
        row = run.rows[name]
        assert row["anomaly_score"] > highest and row["p_value"] <= 0.05, name
        flags = set(row["flags"].split(";"))
        assert "unlike_normal_heads" in flags and {"no_head", "poor_ellipse_fit"} & flags, name
        assert overlay_is_there(run, name)


def test_fluid_that_was_put_in_is_where_the_map_glows(tmp_path: Path):
    picture, head, pixel_mm = head_in(HeadFinder("fetal_head_ultrasound_segmentation"))(
        copy_samples(tmp_path / "samples", GOOD) / GOOD
    )
    assert head is not None and pixel_mm is not None
    gray = picture.astype(np.float32) / 255
    altered, changed = insert_abnormality(gray, head, "cyst", 18, pixel_mm, np.random.RandomState(2))
    save_png(tmp_path / "in" / "before.png", picture)
    save_png(tmp_path / "in" / "after.png", np.uint8(np.rint(altered * 255)))
    run = run_bundle(ANOMALY, tmp_path / "in", tmp_path / "out")
    assert run.rows["after.png"]["alteration"] > run.rows["before.png"]["alteration"] + 1
    heat = np.asarray(Image.open(run.out / "after_map.png"), dtype=float)
    assert heat.shape == picture.shape
    assert heat[changed].mean() > 5 * heat[(heat > 0) & ~changed].mean()


def test_bad_files_beside_a_good_one(tmp_path: Path):
    alone = run_bundle(ANOMALY, copy_samples(tmp_path / "alone", GOOD), tmp_path / "first").rows[GOOD]
    scans = copy_samples(tmp_path / "in", GOOD)
    names = [
        name for name in BAD if Path(name).stem not in ("truncated", "letter")
    ]  # of which there are several
    for name in names:
        BAD[name][0](scans / name)
    run = run_bundle(ANOMALY, scans, tmp_path / "out")
    assert set(run.reasons) == set(names)
    for name in names:
        assert [word for word in (name, *BAD[name][1]) if word not in run.reasons[name]] == []
        assert {key for key, value in run.rows[name].items() if value is not None} == {"filename", "flags"}
    assert {key: run.rows[GOOD][key] for key in alone} == alone
    assert run.files() == run.promised()
