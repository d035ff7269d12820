"""A run over patients: which are done, which fail and why."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tumours import write_patient

from fetal_monai.lesion_table import LESION_COLUMNS
from fetal_monai.patient_run import PatientRun
from fetal_monai.record import Record
from fetal_monai.scan import ScanError


def patient_run(root: Path, **kwargs: Any) -> PatientRun:
    bundle = root / "bundle"
    (bundle / "configs").mkdir(parents=True, exist_ok=True)
    (bundle / "configs" / "metadata.json").write_text(json.dumps({"version": "0.0.1"}))
    (root / "model.pt").write_bytes(b"weights")
    settings = {"columns": ["whole_tumour_ml"], "title": "Tumours", **kwargs}
    return PatientRun(
        dataset_dir=str(root / "in"),
        output_dir=str(root / "out"),
        bundle_root=str(bundle),
        weights=str(root / "model.pt"),
        **settings,
    )


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    write_patient(tmp_path / "in" / "p1", ("t1", "t1c", "t2", "flair"))
    write_patient(tmp_path / "in" / "p2", ("t1c",))
    return tmp_path


def read(run: PatientRun) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in run.items:
        try:
            found[item["image"].stem] = run.read(item["image"])
        except ScanError as error:
            found[item["image"].stem] = str(error)
    return found


def test_all_sequences_there_are(patients):
    found = read(patient_run(patients))
    assert list(found["p1"].images) == ["t1", "t1c", "t2", "flair"] and found["p1"].reference == "flair"
    assert list(found["p2"].images) == ["t1c"]


@pytest.mark.parametrize("value", ["flair, t1", ["flair", "t1"]])
def test_some_sequences_and_who_lacks_them(patients, value):
    run = patient_run(patients, sequences=value, reference="t1")
    found = read(run)
    assert list(found["p1"].images) == ["t1", "flair"] and found["p1"].reference == "t1"
    assert found["p2"] == "p2: has t1c, none of t1, flair"
    assert run.info["settings"]["sequences"] == ("t1", "flair")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": "t3"}, "reference is 't3'"),
        ({"sequences": "t1, dwi"}, "give some of t1, t1c, t2, flair"),
        ({"sequences": []}, "give some of"),
        ({"register": "perhaps"}, "register"),
    ],
)
def test_bad_options_are_told(patients, options, words):
    with pytest.raises(ValueError, match=words):
        patient_run(patients, **options)


def test_a_run_without_patients_is_told(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ScanError, match="in"):
        patient_run(tmp_path)


def test_a_changed_sequence_changes_the_key(patients):
    run = patient_run(patients)
    source = run.items[0]["image"]
    before = run._input_key(source)
    path = patients / "in" / "p1" / "p1_t2.nii.gz"
    path.write_bytes(path.read_bytes() + b"0")
    assert run._input_key(source) != before


LESION = {
    "lesion": 1,
    "volume_ml": 12.344,
    "tumour_core_ml": 5.0,
    "enhancing_ml": 0.0,
    "longest_diameter_mm": 30.25,
    "enhancing_diameter_mm": math.nan,
    "centre_ras_x_mm": -12.0,
    "centre_ras_y_mm": 3.5,
    "centre_ras_z_mm": 40.0,
    "side": "left",
}


def test_a_table_of_lesions_whole_also_when_resumed(patients):
    header = ",".join(LESION_COLUMNS)
    first = "p1,1,12.34,5.00,0.00,30.25,,-12.00,3.50,40.00,left,no_t1c"
    second = first.replace("p1,1,12.34", "p1,2,1.00")
    run = patient_run(patients)
    sources = {item["image"].stem: item["image"] for item in run.items}
    lesions = [LESION, LESION | {"lesion": 2, "volume_ml": 1.0}]
    run.done(
        sources["p1"], Record("p1", "p1", spacing_mm=(2, 2, 2), flags=["no_t1c"], extra={"lesions": lesions})
    )
    run.failed(sources["p2"], ScanError("p2: is empty"))
    run.finish()
    assert (patients / "out" / "lesions.csv").read_text().splitlines() == [header, first, second]
    again = patient_run(patients, resume=True)
    assert [item["image"].stem for item in again.items] == ["p2"]
    again.done(sources["p2"], Record("p2", "p2", spacing_mm=(2, 2, 2), extra={"lesions": [LESION]}))
    again.finish()
    third = "p2" + first.removeprefix("p1").removesuffix("no_t1c")
    assert (patients / "out" / "lesions.csv").read_text().splitlines() == [header, first, second, third]
    page = (patients / "out" / "report.html").read_text()
    assert page.count('class="lesions"') == 2 and "−12.0, 3.5, 40.0" in page
    assert 'href="./lesions.csv"' in page
