"""A run over patients: which are done, which fail and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tumours import write_patient

from fetal_monai.patient_run import PatientRun
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
