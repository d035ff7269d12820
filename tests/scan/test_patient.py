"""Which patients a folder holds."""

from __future__ import annotations

import json

import pytest
from volume_files import oblique, phantom, save_series

from fetal_monai.scan import PatientSource, ScanError, find_patients

AFFINE = oblique((1, 1, 3))


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def series(folder, description, number, study="1.9", **values):
    return save_series(
        folder, phantom(20, 24, 3), AFFINE, uid=f"{study}.{number}", prefix=f"s{number}_", SeriesNumber=number,
        StudyInstanceUID=study, SeriesDescription=description, **values,
    )  # fmt: skip


def found(path):
    """The sequences of each patient by stem, with the files' names; the errors; the reasons to skip."""
    sources, skipped = find_patients(path)
    assert all(isinstance(source, PatientSource) for source in sources)
    return (
        {one.stem: {name: volume.filename for name, volume in one.sequences} for one in sources},
        {one.stem: one.error for one in sources if one.error},
        {row["filename"]: row["reason"] for row in skipped},
    )


def test_a_folder_for_each_patient_in_any_style(tmp_path):
    touch(
        tmp_path,
        "BraTS20_001/BraTS20_001_flair.nii.gz", "BraTS20_001/BraTS20_001_t1ce.nii.gz",
        "BraTS20_001/BraTS20_001_seg.nii.gz", "deep/GLI-1/GLI-1-t1n.nii.gz", "deep/GLI-1/GLI-1-t2f.nii.gz",
        "deep/GLI-1/GLI-1-t2w.nii.gz", "deep/GLI-1/GLI-1-seg.nii.gz", "p/t1.mha", "p/FLAIR.nii", "p/notes.txt",
    )  # fmt: skip
    patients, errors, skipped = found(tmp_path)
    assert patients == {
        "BraTS20_001": {
            "t1c": "BraTS20_001/BraTS20_001_t1ce.nii.gz",
            "flair": "BraTS20_001/BraTS20_001_flair.nii.gz",
        },
        "deep/GLI-1": {
            "t1": "deep/GLI-1/GLI-1-t1n.nii.gz",
            "t2": "deep/GLI-1/GLI-1-t2w.nii.gz",
            "flair": "deep/GLI-1/GLI-1-t2f.nii.gz",
        },
        "p": {"t1": "p/t1.mha", "flair": "p/FLAIR.nii"},
    }
    assert errors == {}
    assert skipped == {
        "BraTS20_001/BraTS20_001_seg.nii.gz": "a label file by its name",
        "deep/GLI-1/GLI-1-seg.nii.gz": "a label file by its name",
        "p/notes.txt": "not a volume type that is read",
    }


def test_what_a_source_holds(tmp_path):
    touch(tmp_path, "p/flair.nii.gz", "p/t1.nii.gz")
    ((source,), _) = find_patients(tmp_path)
    assert (source.path, source.filename, source.stem, source.frame) == (tmp_path / "p", "p", "p", None)
    assert source.files == (tmp_path / "p/t1.nii.gz", tmp_path / "p/flair.nii.gz")
    assert [(name, volume.path) for name, volume in source.sequences] == [
        ("t1", tmp_path / "p/t1.nii.gz"),
        ("flair", tmp_path / "p/flair.nii.gz"),
    ]


def test_one_patients_folder(tmp_path):
    touch(tmp_path, "pat/pat_flair.nii.gz", "pat/t1.nii.gz", "pat/dti/fa.nii.gz", "pat/atlas.nii.gz")
    patients, errors, skipped = found(tmp_path / "pat")
    assert patients == {"pat": {"t1": "t1.nii.gz", "flair": "pat_flair.nii.gz"}}
    assert errors == {}
    why = "shows none of t1, t1c, t2 and flair by its name or headers"
    assert skipped == {"dti/fa.nii.gz": why, "atlas.nii.gz": why}


def test_a_flat_folder_by_what_names_begin_with(tmp_path):
    touch(tmp_path, "001_flair.nii.gz", "001_t1ce.nii.gz", "001_seg.nii.gz", "002_flair.nii.gz")
    touch(tmp_path, "x/t2_a.nii", "x/t2_b.nii")
    patients, errors, _ = found(tmp_path)
    assert patients == {
        "001": {"t1c": "001_t1ce.nii.gz", "flair": "001_flair.nii.gz"},
        "002": {"flair": "002_flair.nii.gz"},
        "x/a": {"t2": "x/t2_a.nii"},
        "x/b": {"t2": "x/t2_b.nii"},
    }
    assert errors == {}
    (_, second, *_), _ = find_patients(tmp_path)
    assert (second.path, second.filename) == (tmp_path / "002_flair.nii.gz", "002")


def test_numbers_of_series_do_not_split_a_patient(tmp_path):
    touch(tmp_path, "a/4_FLAIR.nii", "a/7_T1.nii", "a/9_DWI.nii", "a/12_AX_T1_POST.nii")
    touch(tmp_path, "b/5_p1_t1.nii.gz", "b/6_p1_flair.nii.gz", "b/5_p2_t1.nii.gz")
    touch(tmp_path, "c/t1_mprage_20240131120000_3.nii", "c/t2_flair_20240131120000_11.nii")
    patients, errors, skipped = found(tmp_path)
    assert {stem: set(sequences) for stem, sequences in patients.items()} == {
        "a": {"flair", "t1", "t1c"},
        "b/5_p2": {"t1"},
        "b/p1": {"t1", "flair"},
        "c": {"t1", "flair"},
    }
    assert errors == {} and [*skipped] == ["a/9_DWI.nii"]


def test_numbers_of_patients_still_do(tmp_path):
    touch(tmp_path, "1_t1.nii", "1_flair.nii", "2_t1.nii", "2_flair.nii", "d/1_t1.nii", "d/2_t1.nii")
    patients, errors, _ = found(tmp_path)
    assert {stem: set(sequences) for stem, sequences in patients.items()} == {
        "1": {"t1", "flair"},
        "2": {"t1", "flair"},
        "d/1": {"t1"},
        "d/2": {"t1"},
    }
    assert errors == {}


def test_folders_for_each_sequence(tmp_path):
    brats = "VSD.Brain.XX.O.MR_{}.545{}/VSD.Brain.XX.O.MR_{}.545{}.mha"
    touch(tmp_path, *(f"old/p1/{brats.format(name, n, name, n)}" for name, n in (("Flair", 12), ("T1c", 14))))
    touch(tmp_path, "old/p1/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha")
    touch(tmp_path, "new/t1/a.nii", "new/flair/a.nii", "new/t1/b.nii", "new/flair/b.nii")
    patients, errors, skipped = found(tmp_path)
    assert {stem: set(sequences) for stem, sequences in patients.items()} == {
        "old/p1": {"t1c", "flair"},
        "new/a": {"t1", "flair"},
        "new/b": {"t1", "flair"},
    }
    assert errors == {}
    assert list(skipped.values()) == ["a label file by its name"]


def test_the_third_of_seven_is_broken(tmp_path):
    touch(tmp_path, *(f"p{n}/flair.nii.gz" for n in range(1, 8)))
    (tmp_path / "p3" / "flair.nii.gz").write_bytes(b"")
    patients, errors, _ = found(tmp_path)
    assert list(patients) == [f"p{n}" for n in range(1, 8)]
    assert errors == {"p3": "p3/flair.nii.gz: is empty (0 bytes); copy it again from its source"}


def test_no_sequence_and_two_files_for_one(tmp_path):
    touch(tmp_path, "a/scan.nii.gz", "a/other.nii", "b/flair.nii.gz", "b/t2f.nii.gz", "b/t1.nii", "c/t1.nii")
    _, errors, skipped = found(tmp_path)
    assert errors["a"].startswith(
        "a: no sequence recognised (a/other.nii, a/scan.nii.gz); name the files as BraTS does"
    )
    assert errors["b"] == (
        "b: two files for flair (b/flair.nii.gz and b/t2f.nii.gz); keep one, or list the files in a CSV (columns "
        "patient, t1, t1c, t2, flair)"
    )
    assert set(errors) == {"a", "b"} and skipped == {}


def test_outputs_are_named_after_patients_only(tmp_path):
    touch(tmp_path, "a/t1.nii", "a/t1.nii.gz", "b_flair.nii", "c_flair.nii", "b/flair.nii")
    _, errors, _ = found(tmp_path)
    assert errors["a"].startswith("a: two files for t1 (a/t1.nii and a/t1.nii.gz); keep one")
    assert errors["b"] == (
        "b: is the name of several patients (with b/flair.nii and with b_flair.nii); rename one"
    )
    assert set(errors) == {"a", "b"}


def test_one_file(tmp_path):
    touch(tmp_path, "p7_flair.nii.gz", "p7.nii.gz", "p7_seg.nii.gz")
    ((source,), skipped) = find_patients(tmp_path / "p7_flair.nii.gz")
    assert (source.filename, source.stem, source.error) == ("p7_flair.nii.gz", "p7_flair", "")
    assert (source.path, source.files) == (tmp_path / "p7_flair.nii.gz", (tmp_path / "p7_flair.nii.gz",))
    assert [name for name, _ in source.sequences] == ["flair"] and skipped == []
    assert "p7.nii.gz: no sequence recognised" in find_patients(tmp_path / "p7.nii.gz")[0][0].error
    assert find_patients(tmp_path / "p7_seg.nii.gz")[0][0].error == (
        "p7_seg.nii.gz: is a label file by its name; give the image itself"
    )


def test_the_decathlon_as_it_comes(tmp_path):
    task = tmp_path / "Task01_BrainTumour"
    touch(task, "imagesTr/BRATS_001.nii.gz", "imagesTr/._BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz")
    modality = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    (task / "dataset.json").write_text(json.dumps({"modality": modality}))
    for folder, stem in ((task, "imagesTr/BRATS_001"), (task / "imagesTr", "BRATS_001")):
        ((source,), _) = find_patients(folder)
        assert (source.stem, source.error) == (stem, "")
        assert source.path == task / "imagesTr/BRATS_001.nii.gz" and source.files == (source.path,)
        assert [(name, volume.frame) for name, volume in source.sequences] == [
            ("t1", 1),
            ("t1c", 2),
            ("t2", 3),
            ("flair", 0),
        ]


def test_studies_with_a_folder_for_each_series(tmp_path):
    for date, study in (("d1", "1.8"), ("d2", "1.9")):
        series(tmp_path / "p" / date / "a", "AX T2 FLAIR", 3, study)
        series(tmp_path / "p" / date / "b", "AX T1", 5, study, ContrastBolusAgent="GADAVIST")
        series(tmp_path / "p" / date / "c", "DWI", 6, study)
    sources, skipped = find_patients(tmp_path)
    assert [(one.stem, one.path, one.error) for one in sources] == [
        ("p/d1", tmp_path / "p/d1", ""),
        ("p/d2", tmp_path / "p/d2", ""),
    ]
    assert [(name, volume.filename) for name, volume in sources[0].sequences] == [
        ("t1c", "p/d1/b"),
        ("flair", "p/d1/a"),
    ]
    assert len(sources[0].files) == 6
    assert [row["filename"] for row in skipped] == ["p/d1/c", "p/d2/c"]


def test_series_and_studies_mixed_in_one_folder(tmp_path):
    series(tmp_path / "x", "T1", 1, "1.7")
    series(tmp_path / "x", "T2", 2, "1.7")
    patients, errors, _ = found(tmp_path / "x")
    assert patients == {"x": {"t1": "series_1", "t2": "series_2"}} and errors == {}
    series(tmp_path / "x", "T2", 3, "1.8")
    assert [(stem, set(of)) for stem, of in found(tmp_path)[0].items()] == [
        ("x/study_1", {"t1", "t2"}),
        ("x/study_2", {"t2"}),
    ]


def test_a_series_without_words_by_its_folder(tmp_path):
    save_series(tmp_path / "p" / "AX FLAIR", phantom(20, 24, 3), AFFINE)
    save_series(tmp_path / "q" / "AX FLAIR", phantom(20, 24, 3), AFFINE, SeriesDescription="ADC")
    patients, errors, _ = found(tmp_path)
    assert patients == {"p": {"flair": "p/AX FLAIR"}, "q/AX FLAIR": {}}
    assert list(errors) == ["q/AX FLAIR"]


def test_a_broken_slice_beside_a_study(tmp_path):
    series(tmp_path / "p", "T1", 1)
    touch(tmp_path, "p/broken.dcm")
    patients, errors, skipped = found(tmp_path)
    assert patients == {"p": {"t1": "p"}} and errors == {}
    assert skipped == {"p/broken.dcm": "p/broken.dcm: is not a DICOM file, although named .dcm"}


def test_nothing_there(tmp_path):
    touch(tmp_path, "p/p_seg.nii.gz", "p/seg.nii.gz")
    with pytest.raises(
        ScanError, match=r"no patient found among its 2 files; give folders with the sequences"
    ):
        find_patients(tmp_path)
    with pytest.raises(ScanError, match="does not exist"):
        find_patients(tmp_path / "nowhere")
