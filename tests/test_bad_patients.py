"""Patients that cannot be measured: each says why, the others are done, and mended ones are taken up again."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from bundle_runs import MONAI_WARNS_OF_CONFIGS, TUMOUR, Run
from tumours import write_patient

from fetal_monai.cli import main

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)
FLAIR, T1C = "flair.nii.gz", "t1c.nii.gz"


def save(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(image.get_fdata(dtype=np.float32)), image.affine), path)


def truncated(folder: Path) -> None:
    path = folder / f"{folder.name}_{FLAIR}"
    path.write_bytes(path.read_bytes()[:20_000])


def unknown(folder: Path) -> None:
    for place, sequence in enumerate((T1C, FLAIR)):
        (folder / f"{folder.name}_{sequence}").rename(folder / f"scan{place}.nii.gz")


def doubled(folder: Path) -> None:
    shutil.copyfile(folder / f"{folder.name}_{FLAIR}", folder / f"{folder.name}_t2f.nii.gz")


def cut(folder: Path) -> None:
    save(folder / f"{folder.name}_{T1C}", lambda image: image[:, :, :30])


def labelled(folder: Path) -> None:
    shutil.copyfile(folder / f"{folder.name}_seg.nii.gz", folder / f"{folder.name}_{FLAIR}")


def blank(folder: Path) -> None:
    save(folder / f"{folder.name}_{FLAIR}", np.zeros_like)


BAD: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "p3": (truncated, ("p3_flair.nii.gz", "is damaged", "copy it again from its source")),
    "q_unknown": (unknown, ("no sequence recognised", "scan0.nii.gz", "name the files as BraTS does")),
    "q_doubled": (doubled, ("two files for flair", "q_doubled_t2f.nii.gz", "keep one")),
    "q_cut": (cut, ("48x56x30", "48x56x44", "claim the same affine")),
    "q_labelled": (labelled, ("is a label map, not an image", "give the MR image itself")),
    "q_blank": (blank, ("q_blank_flair.nii.gz", "shows nothing")),
}


def run(patients: Path, out: Path, *more: str) -> tuple[int, Run]:
    options = ["--quiet", "--set", "flips=[]", "--set", "voxel_mm=4.0", *more]
    return main(["run", str(TUMOUR), str(patients), "--out", str(out), *options]), Run(out)


@pytest.mark.slow
def test_seven_patients_of_which_the_third_is_broken_and_worse(tmp_path, capsys):
    patients, out = tmp_path / "in", tmp_path / "out"
    good = [f"p{n}" for n in range(1, 8) if n != 3]
    for name in (*good, *BAD):
        write_patient(patients / name)
    shutil.copytree(patients / "p3", tmp_path / "whole")
    for name, (spoil, _) in BAD.items():
        spoil(patients / name)
    code, found = run(patients, out)
    assert code == 3
    assert found.info["counts"]["ok"] == 6 and found.info["counts"]["failed"] == len(BAD)
    assert set(found.reasons) == set(BAD)
    for name, (_, words) in BAD.items():
        assert [word for word in words if word not in found.reasons[name]] == [], found.reasons[name]
        row = {key: value for key, value in found.rows[name].items() if value is not None}
        assert row == {"filename": name, "flags": "failed"} and found.entries[name]["outputs"] == []
        assert found.reasons[name] in capsys_err(capsys, found)
    assert found.files() == found.promised()
    check_lesions(found, good)

    shutil.rmtree(patients / "p3")
    shutil.copytree(tmp_path / "whole", patients / "p3")
    code, again = run(patients, out, "--resume")
    assert code == 3 and again.info["resumed"] == 6
    assert set(again.reasons) == set(BAD) - {"p3"}
    assert again.rows["p3"]["n_sequences"] == 2 and again.files() == again.promised()
    check_lesions(again, [*good, "p3"])


def capsys_err(capsys: pytest.CaptureFixture[str], found: Run) -> str:
    """What the command said of failures; kept, as it is read once."""
    kept: Any = found.__dict__
    return str(kept.setdefault("said", capsys.readouterr().err))


def check_lesions(found: Run, names: list[str]) -> None:
    """A row for each lesion of those that are done, which add up to the whole tumour."""
    with open(found.out / "lesions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in names:
        of_patient = [row for row in rows if row["filename"] == name]
        assert len(of_patient) == found.rows[name]["n_lesions"]
        volume_ml = sum(float(row["volume_ml"]) for row in of_patient)
        assert volume_ml == pytest.approx(found.rows[name]["whole_tumour_ml"], abs=0.02)
    assert {row["filename"] for row in rows} <= set(names)


def test_nothing_but_a_broken_patient(tmp_path):
    truncated(write_patient(tmp_path / "in" / "p1", ("flair",)))
    code, found = run(tmp_path / "in", tmp_path / "out")
    assert code == 1 and list(found.reasons) == ["p1"]
    assert (found.out / "lesions.csv").read_text().count("\n") == 1
    assert json.loads((found.out / "measurements.json").read_text())[0]["whole_tumour_ml"] is None
