"""`fetal-monai enhance`: what it writes, what it says of each picture, and how it ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rulers import draw_ruler, fan_picture, fifths

from fetal_monai.cli import main
from fetal_monai.scan import find_scans, read_scan, read_spacing_csv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a folder, a broken one, and a CSV."""
    path = tmp_path / "IN"
    (path / "b").mkdir(parents=True)
    Image.fromarray(fan_picture((120, 160))[0]).save(path / "a.png")
    Image.fromarray(fan_picture((120, 160), 1)[0]).save(path / "b" / "c.png")
    (path / "bad.png").write_bytes(b"no picture")
    (path / "sizes.csv").write_text("filename,pixel size(mm)\na.png,0.25\n")
    return path


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "enhance.csv").open(newline="") as file:
        return {row["input"]: row for row in csv.DictReader(file)}


def test_a_folder_with_a_broken_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "OUT"
    assert main(["enhance", str(folder), "--out", str(out)]) == 3
    printed = capsys.readouterr()
    assert printed.out.startswith("2 of 3 pictures done")
    assert "bad.png" in printed.err
    for stem in ("a", "b/c"):
        before = np.asarray(Image.open(folder / f"{stem}.png"))
        after = np.asarray(Image.open(out / f"{stem}_enhanced.png"))
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
        assert not np.array_equal(after, before)
        with Image.open(out / f"{stem}_compare.png") as compared:
            assert compared.width > 2 * before.shape[1]
    rows = rows_of(out)
    assert (rows["a.png"]["pixel size(mm)"], rows["a.png"]["spacing_source"]) == ("0.25", "csv")
    assert (rows["b/c.png"]["pixel size(mm)"], rows["b/c.png"]["status"]) == ("", "ok")
    assert rows["bad.png"]["status"] == "failed" and "bad.png" in rows["bad.png"]["reason"]
    info = json.loads((out / "run.json").read_text())
    assert info["counts"] == {"ok": 2, "failed": 1, "skipped": 1}
    assert info["settings"]["steps"] == ["marks", "gain", "speckle", "contrast"]


def test_the_output_can_be_measured_with_its_spacing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    assert main(["enhance", str(folder / "a.png"), "--out", str(out), "--steps", "gain", "--quiet"]) == 0
    sources, skipped = find_scans(out)
    assert [source.filename for source in sources] == ["a_enhanced.png"], "the comparison is no scan"
    assert {entry["filename"] for entry in skipped} == {"a_compare.png", "enhance.csv", "run.json"}
    scan = read_scan(sources[0], spacing_table=read_spacing_csv(out))
    assert (scan.spacing_mm, scan.spacing_source) == ((0.25, 0.25), "csv")


def test_no_step_leaves_the_picture_as_it_is(folder: Path, tmp_path: Path) -> None:
    assert (
        main(["enhance", str(folder / "a.png"), "--out", str(tmp_path / "OUT"), "--steps", "", "--quiet"])
        == 0
    )
    after = np.asarray(Image.open(tmp_path / "OUT" / "a_enhanced.png"))
    assert np.array_equal(after, np.asarray(Image.open(folder / "a.png")))


def test_a_ruler_is_read_only_when_allowed(tmp_path: Path) -> None:
    path = tmp_path / "ruler.png"
    Image.fromarray(draw_ruler(fan_picture()[0], 31.4, fifths)).save(path)
    arguments = ["enhance", str(path), "--out", str(tmp_path / "OUT"), "--steps", "gain", "--quiet"]
    assert main(arguments) == 0
    assert rows_of(tmp_path / "OUT")["ruler.png"]["spacing_source"] == "none"
    assert main([*arguments, "--allow-ruler"]) == 0
    row = rows_of(tmp_path / "OUT")["ruler.png"]
    assert (row["spacing_source"], row["flags"]) == ("ruler", "spacing_from_ruler")
    assert float(row["pixel size(mm)"]) == pytest.approx(10 / 31.4, rel=5e-3)


def test_nifti_stays_nifti_on_its_own_grid(tmp_path: Path) -> None:
    import nibabel

    affine = np.diag([0.3, 0.4, 1, 1])
    pixels = fan_picture((120, 160))[0].T[..., None]
    nibabel.save(nibabel.Nifti1Image(pixels, affine), tmp_path / "a.nii.gz")
    assert main(["enhance", str(tmp_path / "a.nii.gz"), "--out", str(tmp_path / "OUT"), "--quiet"]) == 0
    after = nibabel.load(tmp_path / "OUT" / "a_enhanced.nii.gz")
    assert after.shape == (160, 120, 1)
    assert np.allclose(after.affine, affine)


def test_wrong_usage_and_nothing_done(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "OUT")]
    assert main(["enhance", str(folder), *out, "--steps", "sharpen"]) == 2
    assert "marks, gain, speckle, contrast" in capsys.readouterr().err
    assert main(["enhance", str(folder / "missing"), *out]) == 2
    assert main(["enhance", str(folder / "bad.png"), *out]) == 1
