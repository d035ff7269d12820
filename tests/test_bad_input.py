"""Scans that cannot be measured: each says why, stops no other, and leaves nothing half done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_scans import BAD, BAD_ROWS, GOOD, doppler, fine, gray
from bundle_runs import HEAD, MONAI_WARNS_OF_CONFIGS, SAMPLES, Run, copy_samples, root_cause, run_bundle
from PIL import Image

from fetal_monai.scan import ScanError

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def good_row(tmp_path_factory: pytest.TempPathFactory) -> Row:
    """What is measured of the good image when it is alone."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.warns(UserWarning, match="parsing config_file"):
        row = run_bundle(HEAD, copy_samples(folder / "in", GOOD), folder / "out").rows[GOOD]
    assert row["hc_mm"] == pytest.approx(168.1, rel=0.15)
    return row


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with the good image."""
    return copy_samples(tmp_path / "in", GOOD)


def check(run: Run, good_row: Row, failures: dict[str, tuple[str, ...]]) -> None:
    """The good image is measured as if it were alone; the others have their reasons, and no number."""
    assert set(run.reasons) == set(failures)
    for name, words in failures.items():
        reason = run.reasons[name]
        assert name in reason
        assert [word for word in words if word not in reason] == [], reason
        assert {key: value for key, value in run.rows[name].items() if value is not None} == {
            "filename": name,
            "flags": "failed",
        }
        assert run.entries[name]["outputs"] == []
    assert run.info["counts"]["ok"] == len(run.entries) - len(failures)
    assert {key: run.rows[GOOD][key] for key in good_row} == good_row
    assert run.files() == run.promised()
    assert all(name in (run.out / "report.html").read_text(encoding="utf-8") for name in run.entries)


@pytest.mark.parametrize("name", BAD)
def test_bad_file_beside_a_good_one(name: str, scans: Path, tmp_path: Path, good_row: Row):
    write, words = BAD[name]
    write(scans / name)
    check(run_bundle(HEAD, scans, tmp_path / "out"), good_row, {name: words})


def test_all_bad_files_beside_a_good_one(scans: Path, tmp_path: Path, good_row: Row):
    for name, (write, _) in BAD.items():
        write(scans / name)
    fails = {name: words for name, (_, words) in BAD.items()}
    twins = ("truncated.png", "truncated.nii", "truncated.dcm")
    for name in (*twins, "letter.png", "letter.dcm", "letter.nii.gz"):
        fails[name] = ("would write the same outputs",)
    check(run_bundle(HEAD, scans, tmp_path / "out", batch_size=4), good_row, fails)


def test_nothing_but_bad_files(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for name in ("empty.png", "black.png"):
        BAD[name][0](tmp_path / "in" / name)
    run = run_bundle(HEAD, tmp_path / "in", tmp_path / "out")
    assert run.info["counts"] == {"ok": 0, "failed": 2, "skipped": 0}
    assert [row["flags"] for row in run.table] == ["failed", "failed"]
    assert run.files() == run.promised()


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_spacing_in_the_csv(name: str, scans: Path, tmp_path: Path, good_row: Row):
    row, words = BAD_ROWS[name]
    fine(scans / name)
    with open(scans / "pixel_size_and_HC.csv", "a", encoding="utf-8") as file:
        file.write(f"{name},{row}\n")
    check(run_bundle(HEAD, scans, tmp_path / "out"), good_row, {name: words})


def test_decimal_commas_that_cannot_be_misread(scans: Path, tmp_path: Path, good_row: Row):
    lines = (scans / "pixel_size_and_HC.csv").read_text(encoding="utf-8").replace(",", ";").replace(".", ",")
    (scans / "pixel_size_and_HC.csv").write_text(lines.replace(",png", ".png"), encoding="utf-8")
    check(run_bundle(HEAD, scans, tmp_path / "out"), good_row, {})


def test_csv_that_names_no_image(tmp_path: Path):
    scans = tmp_path / "in"
    scans.mkdir()
    shutil.copyfile(SAMPLES / GOOD, scans / "mine.png")
    (scans / "spacing.csv").write_text("filename,pixel size(mm)\nother.png,0.13\n", encoding="utf-8")
    run = run_bundle(HEAD, scans, tmp_path / "out")
    assert run.rows["mine.png"]["hc_mm"] is None
    assert "no_spacing" in run.rows["mine.png"]["flags"].split(";")
    assert [warning for warning in run.info["warnings"] if "other.png" in warning]


def test_two_inputs_with_one_stem(scans: Path, tmp_path: Path, good_row: Row):
    for ending in ("png", "bmp"):
        Image.fromarray(gray()).save(scans / f"twin.{ending}")
    words = ("twin.bmp and twin.png would write the same outputs (twin_seg)", "rename one")
    run = run_bundle(HEAD, scans, tmp_path / "out")
    check(run, good_row, {"twin.png": words, "twin.bmp": words})
    assert not [*run.out.glob("twin*")]


def test_pixels_of_other_types(scans: Path, tmp_path: Path, good_row: Row):
    """16-bit, palette and RGBA are read, and measured alike."""
    picture, pixels = Image.open(SAMPLES / GOOD), gray()
    Image.fromarray(pixels.astype(np.uint16) * 257).save(scans / "sixteen.png")
    picture.convert("P").save(scans / "palette.png")
    picture.convert("RGBA").save(scans / "rgba.png")
    picture.convert("LA").save(scans / "la.tif")
    with open(scans / "pixel_size_and_HC.csv", "a", encoding="utf-8") as file:
        file.writelines(
            f"{name},0.132815947658,\n" for name in ("sixteen.png", "palette.png", "rgba.png", "la.tif")
        )
    run = run_bundle(HEAD, scans, tmp_path / "out")
    check(run, good_row, {})
    for name, row in run.rows.items():
        assert row["hc_mm"] == pytest.approx(good_row["hc_mm"], rel=0.01), name
    assert "sixteen_bit" in run.rows["sixteen.png"]["flags"]


def test_a_scan_that_fails_now_leaves_no_result_of_before(scans: Path, tmp_path: Path, good_row: Row):
    fine(scans / "other.png")
    run_bundle(HEAD, scans, tmp_path / "out")
    doppler(scans / "other.png")
    run = run_bundle(HEAD, scans, tmp_path / "out", resume=True)
    check(run, good_row, {"other.png": ("colour Doppler",)})
    assert run.info["resumed"] == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"spacing_mm": 0}, "spacing_mm is 0 mm per pixel"),
        ({"spacing_mm": -0.1}, "spacing_mm is -0.1 mm per pixel"),
        ({"spacing_mm": 100}, "between 0.005 and 2"),
        ({"spacing_mm": "wide"}, "spacing_mm is 'wide'; give a number"),
        ({"spacing_mm": "0,13"}, "spacing_mm is 0 mm per pixel"),
        ({"ga_weeks": "term"}, "ga_weeks is 'term'; give a number"),
        ({"resume": "perhaps"}, "resume is 'perhaps'; give true or false"),
        ({"dataset_dir": "nowhere"}, "nowhere: does not exist; give a folder of images, or one image"),
        ({"dataset_dir": str(HEAD / "configs")}, "no image found among its .* files; PNG, JPEG"),
    ],
    ids=lambda value: "-".join(f"{k}-{v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_bad_settings(values: Row, words: str, scans: Path, tmp_path: Path):
    with pytest.raises(RuntimeError) as caught:
        run_bundle(HEAD, scans, tmp_path / "out", **values)
    cause = root_cause(caught.value)
    assert isinstance(cause, ValueError)
    with pytest.raises(type(cause), match=words):
        raise cause
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def refused(scans: Path, out: Path) -> str:
    with pytest.raises(RuntimeError) as caught:
        run_bundle(HEAD, scans, out)
    cause = root_cause(caught.value)
    assert isinstance(cause, ValueError) and not isinstance(cause, ScanError)
    return str(cause)


@pytest.mark.parametrize("below", ["", "below"])
def test_file_in_the_way_of_the_output_folder(below: str, scans: Path, tmp_path: Path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    message = refused(scans, tmp_path / "out" / below)
    assert str(tmp_path / "out") in message and "choose another --output_dir" in message
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(scans: Path, tmp_path: Path):
    (tmp_path / "out").mkdir(mode=0o555)
    message = refused(scans, tmp_path / "out")
    assert "Permission denied" in message and "choose another --output_dir" in message
