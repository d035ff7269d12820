"""Patients that a CSV lists."""

from __future__ import annotations

import pytest
from volume_files import oblique, phantom, save_series

from fetal_monai.scan import ScanError, find_patients


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def table(folder, *lines, encoding="utf-8"):
    path = folder / "patients.csv"
    path.write_text("\n".join(lines), encoding=encoding)
    return path


def test_rows_with_paths_relative_to_the_csv(tmp_path):
    touch(tmp_path, "a/one.nii.gz", "b/two.nii.gz", "x.mha")
    save_series(tmp_path / "b" / "dicom", phantom(20, 24, 4), oblique((1, 1, 3)))
    path = table(
        tmp_path,
        "flair,Patient,t1c,age",
        "a/one.nii.gz,p1,b/two.nii.gz,50",
        ",p2,b/dicom,",
        ",,,",
        "x.mha,p3",
    )
    sources, skipped = find_patients(path)
    assert skipped == []
    assert [(one.stem, one.filename, [name for name, _ in one.sequences], one.error) for one in sources] == [
        ("p1", "p1", ["t1c", "flair"], ""),
        ("p2", "p2", ["t1c"], ""),
        ("p3", "p3", ["flair"], ""),
    ]
    assert sources[0].files == (tmp_path / "b/two.nii.gz", tmp_path / "a/one.nii.gz")
    assert len(sources[1].files) == len(sources[1].sequences[0][1].files) == 4


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "cp1252")])
def test_separators_and_encodings(tmp_path, separator, encoding):
    touch(tmp_path, "a.nii.gz")
    path = table(
        tmp_path, separator.join(("patient", "t2")), separator.join(("Jürgen", "a.nii.gz")), encoding=encoding
    )
    assert [(one.stem, one.error) for one in find_patients(path)[0]] == [("Jürgen", "")]


def test_a_bad_row_fails_alone(tmp_path):
    touch(tmp_path, "a.nii.gz", "empty.nii.gz")
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    rows = (
        "p1,a.nii.gz,",
        "p2,gone.nii.gz,",
        "p3,,",
        ",a.nii.gz,",
        "../p5,a.nii.gz,",
        "p6,a.nii.gz,a.nii.gz",
    )
    sources, _ = find_patients(table(tmp_path, "patient,t1,t2", *rows, "p7,empty.nii.gz,"))
    errors = {one.stem: one.error for one in sources}
    assert errors["p1"] == ""
    assert errors["p2"] == (
        f"patients.csv line 3: {tmp_path / 'gone.nii.gz'}: does not exist; give a folder of volumes, or one volume"
    )
    assert errors["p3"] == "patients.csv line 4: the patient p3 has no file; give one of t1, t1c, t2, flair"
    assert errors["patients.csv line 5"] == "patients.csv line 5: the patient has no name"
    assert "'../p5' is no name for outputs" in errors["patients.csv line 6"]
    assert errors["p6"] == "patients.csv line 7: a.nii.gz stands for two sequences"
    assert errors["p7"] == "t1: empty.nii.gz: is empty (0 bytes); copy it again from its source"


def test_one_patient_in_two_rows(tmp_path):
    touch(tmp_path, "a.nii.gz", "b.nii.gz")
    sources, _ = find_patients(table(tmp_path, "patient,t1", "p1,a.nii.gz", "p1,b.nii.gz", "p2,a.nii.gz"))
    assert [one.error for one in sources] == [
        "patients.csv: 2 rows are of patient p1; name each differently",
        "patients.csv: 2 rows are of patient p1; name each differently",
        "",
    ]
    assert len({one.filename for one in sources}) == 3


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            ["name,t1", "p,a.nii"],
            "has no column patient, or none of a sequence; columns patient, t1, t1c, t2, flair",
        ),
        (["patient,age", "p,5"], "has no column patient, or none of a sequence"),
        (["patient,t1,T1", "p,a,b"], "has the column t1 twice; keep one"),
        (["patient,t1"], "lists no patient"),
        ([""], "has no column patient"),
    ],
)
def test_no_such_csv(tmp_path, lines, reason):
    with pytest.raises(ScanError, match=rf"patients\.csv: {reason}"):
        find_patients(table(tmp_path, *lines))
