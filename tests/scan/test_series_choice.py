"""Study folders and DICOMDIR: which series are meant, and what a disc lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scan_files import save_dicom
from volume_files import oblique, phantom, save_enhanced, save_nifti, save_series

from fetal_monai.scan import ScanError, find_patients, find_scans, find_volumes, read_volume_scan
from fetal_monai.scan.series_choice import asked_series, choose_pictures, choose_volumes

SPACING = (1.1, 1.2, 3.0)
SERIES = {  # by number: description, and what else tells it
    1: ("LOC 3 plane", {"ImageType": ["ORIGINAL", "PRIMARY", "M"]}),
    2: ("Dir axial", {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}),
    3: ("T1 fl2d cor", {}),
    5: ("T2 HASTE cor", {}),
    6: ("SSFSE sag", {}),
}


def study(folder: Path, *numbers: int, uid: str = "1.2.9", apart: bool = False) -> Path:
    """The series of these numbers, each brighter by its number, in one folder or each in its own."""
    for number in numbers:
        description, more = SERIES[number]
        save_series(
            folder / f"S{number}" if apart else folder,
            phantom(20, 18, 4) + number,
            oblique(SPACING),
            uid=f"{uid}.{number}",
            prefix=f"S{number}",
            StudyInstanceUID=uid,
            SeriesNumber=number,
            SeriesDescription=description,
            **more,
        )
    return folder


def chosen(path, asked=None):
    sources, skipped = choose_volumes(find_volumes(path), asked_series(asked))
    return [source.stem for source in sources if not source.error], {
        row["filename"]: row["reason"] for row in skipped
    }


def test_the_one_that_fits_is_picked(tmp_path):
    names, skipped = chosen(study(tmp_path, 1, 2, 3, 5))
    assert names == ["series_5"]
    assert skipped == {
        "series_1": "a localizer",
        "series_2": "not T2-weighted by its headers",
        "series_3": "T1-weighted",
    }


@pytest.mark.parametrize("apart", [False, True])
def test_several_that_fit_are_asked_for(tmp_path, apart):
    study(tmp_path / "p", 1, 5, 6, apart=apart)
    with pytest.raises(ScanError) as caught:
        chosen(tmp_path)
    assert str(caught.value) == (
        "p: 2 series fit: 5 (T2 HASTE cor, 4 images), 6 (SSFSE sag, 4 images); choose with --series 5, or --series all"
    )
    with pytest.raises(ScanError, match=r"^p: 2 series fit"):
        chosen(tmp_path / "p")
    names = {5: "p/S5", 6: "p/S6"} if apart else {5: "p/series_5", 6: "p/series_6"}
    for number, name in names.items():
        assert chosen(tmp_path, number)[0] == [name]
    assert chosen(tmp_path, "all")[0] == list(names.values())
    assert chosen(tmp_path, "1.2.9.6, 5")[0] == list(names.values())


def test_a_study_of_which_must_be_asked_does_not_stop_others(tmp_path):
    study(tmp_path / "a", 5, 6)
    study(tmp_path / "b", 1, 6, uid="1.2.8")
    save_nifti(tmp_path / "c.nii.gz", phantom(20, 18, 4), sform=oblique(SPACING))
    sources, _ = choose_volumes(find_volumes(tmp_path), None)
    assert [source.filename for source in sources] == ["a", "b/series_6", "c.nii.gz"]
    assert "2 series fit" in sources[0].error and not sources[1].error
    with pytest.raises(ScanError, match=r"^a: 2 series fit: .* --series 5, or --series all"):
        read_volume_scan(sources[0])
    assert chosen(tmp_path, 6)[0] == ["a/series_6", "b/series_6"]  # of each study


def test_where_none_fits_it_is_asked_and_one_alone_is_taken(tmp_path):
    study(tmp_path / "a", 1, 2)
    with pytest.raises(
        ScanError, match=r"none of 2 series fits: 1 \(LOC 3 plane, 4 images, a localizer\), 2 \(Dir"
    ):
        chosen(tmp_path / "a")
    assert chosen(tmp_path / "a", 2)[0] == ["series_2"]
    assert chosen(study(tmp_path / "b", 2))[0] == ["b"]


def test_a_series_that_is_not_there(tmp_path):
    study(tmp_path, 1, 5)
    with pytest.raises(
        ScanError, match=r"there is no series 7; there are 1 \(LOC .*\), 5 \(T2 HASTE cor, 4 images\)"
    ):
        chosen(tmp_path, 7)
    with pytest.raises(ValueError, match=r"series is cor; give numbers"):
        asked_series("cor")
    assert asked_series(["4", 5]) == ("4", "5") and asked_series("All") == "all"
    assert asked_series(None) is None and asked_series("null") is None


def test_enhanced_files_are_series_too(tmp_path):
    import pydicom

    for number, description in ((4, "T2 sag"), (9, "survey")):
        path = save_enhanced(tmp_path / f"{number}.dcm", phantom(20, 18, 4), oblique(SPACING))
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.3.{number}", "1.2.9"
        dataset.SeriesNumber, dataset.SeriesDescription = number, description
        dataset.save_as(path)
    assert chosen(tmp_path) == (["4"], {"9.dcm": "a localizer"})
    assert chosen(tmp_path, 9)[0] == ["9"]


def test_the_series_of_a_patient(tmp_path):
    for number, words in ((2, "T1 ax post GD"), (4, "T1 ax post GD 3d"), (5, "FLAIR ax")):
        save_series(
            tmp_path / "p", phantom(20, 18, 4), oblique(SPACING), uid=f"1.2.{number}", prefix=f"S{number}",
            StudyInstanceUID="1.2", SeriesNumber=number, SeriesDescription=words,
        )  # fmt: skip
    (patient,), _ = find_patients(tmp_path)
    assert (
        "2 files for t1c" in patient.error.replace("two", "2") and "choose DICOM by --series" in patient.error
    )
    (patient,), skipped = find_patients(tmp_path, series=asked_series("4,5"))
    assert not patient.error
    assert {name: source.stem for name, source in patient.sequences} == {
        "t1c": "p/series_4",
        "flair": "p/series_5",
    }
    assert skipped == [{"filename": "p/series_2", "reason": "another series was asked for"}]


def test_pictures_of_a_study(tmp_path, gray):
    save_dicom(tmp_path / "a.dcm", gray, SeriesNumber=1, SeriesInstanceUID="1.1")
    save_dicom(tmp_path / "b.dcm", np.stack([gray] * 2), frames=2, SeriesNumber=2, SeriesInstanceUID="1.2")
    save_dicom(tmp_path / "ct.dcm", gray, Modality="CT", SeriesNumber=3, SeriesInstanceUID="1.3")
    report = save_dicom(tmp_path / "words.dcm", gray, Modality="SR")
    import pydicom

    dataset = pydicom.dcmread(report)
    del dataset.Rows, dataset.PixelData
    dataset.save_as(report)
    found = find_scans(tmp_path)
    sources, skipped = choose_pictures(found, None)
    assert [source.stem for source in sources] == ["a", "b_frame0001", "b_frame0002"]
    assert [row["reason"] for row in skipped] == [
        "a DICOM of modality CT, not ultrasound",
        "a DICOM without an image",
    ]
    assert [source.stem for source in choose_pictures(found, ("2",))[0]] == ["b_frame0001", "b_frame0002"]
    alone = find_scans(tmp_path / "ct.dcm")
    assert choose_pictures(alone, None) == alone  # reading it says what is wrong


@pytest.fixture
def disc(tmp_path):
    """Two series on a disc, whose names tell nothing, spread over folders."""
    from pydicom.fileset import FileSet

    files = FileSet()
    for path in sorted(study(tmp_path / "in", 1, 5).iterdir()):
        import pydicom

        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.PatientName, dataset.StudyID = "P", "N", "1"
        dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260101", "101010", ""
        files.add(dataset)
    files.write(tmp_path / "disc")
    files._stage["t"].cleanup()  # which it leaves to the interpreter's end
    return tmp_path / "disc"


@pytest.mark.parametrize("lower", [False, True])
def test_a_disc_is_read_by_its_dicomdir_or_folder(disc, lower):
    if lower:
        for path in sorted(disc.rglob("*"), reverse=True):
            path.rename(path.with_name(path.name.lower()))
    dicomdir = next(path for path in disc.iterdir() if path.name.lower() == "dicomdir")
    (disc / "README.TXT").write_text("words")
    for path in (disc, dicomdir):
        names, skipped = chosen(path)
        assert names == ["series_5"] and skipped["series_1"] == "a localizer"
        sources, _ = choose_volumes(find_volumes(path), ("5",))
        scan = read_volume_scan(sources[0])
        np.testing.assert_array_equal(scan.image, phantom(20, 18, 4) + 5)
        np.testing.assert_allclose(scan.affine, oblique(SPACING), atol=1e-3)


def test_series_of_a_disc_that_is_spread_over_folders(disc):
    images = sorted(path for path in disc.rglob("*") if path.is_file() and path.name != "DICOMDIR")
    loose = disc / "MORE" / "A"
    loose.mkdir(parents=True)
    images[-1].rename(loose / images[-1].name)
    (disc / "DICOMDIR").unlink()
    assert len(find_volumes(disc)[0]) == 3  # each folder has series of its own
    (disc / "DICOMDIR").write_bytes(b"nothing")
    assert len(find_volumes(disc)[0]) == 3
    with pytest.raises(ScanError, match="is no DICOMDIR, or damaged"):
        find_volumes(disc / "DICOMDIR")


def test_a_disc_that_was_copied_in_part(disc):
    images = sorted(path for path in disc.rglob("*") if path.is_file() and path.name != "DICOMDIR")
    lost = images[-1].relative_to(disc).as_posix()
    images[-1].unlink()
    for path in (disc, disc / "DICOMDIR"):
        sources, _ = find_volumes(path)
        assert [bool(source.error) for source in sources] == [False, True]
        assert sources[1].error == (
            f"{sources[1].filename}: its DICOMDIR lists an image more, such as {lost}; "
            "copy the whole disc or study again"
        )
        pictures, _ = find_scans(path)
        assert [source.filename for source in pictures if source.error] == [lost]


def test_a_dicomdir_that_leads_out_of_its_folder(disc):
    data = (disc / "DICOMDIR").read_bytes()
    assert b"PT000000\\" in data
    (disc / "DICOMDIR").write_bytes(data.replace(b"PT000000\\", b"..      \\"))
    with pytest.raises(ScanError, match=r"names files outside of it"):
        find_volumes(disc / "DICOMDIR")
