"""Single slices as patients: pictures, a DICOM slice and a NIfTI of one slice, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from volume_files import oblique, phantom, save_nifti, save_series

from fetal_monai.scan import ScanError, find_patients, read_patient, read_spacing_csv, write_labels


def head(rows: int = 120, columns: int = 100) -> np.ndarray:
    """An ellipse of 85 rows on black, brighter at the picture's left."""
    row, column = np.mgrid[:rows, :columns].astype(float)
    far = np.hypot((row - rows / 2 + 0.5) / 42.5, (column - columns / 2 + 0.5) / 35)
    return np.where(far <= 1, 200 - column, 0).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def only(folder: Path, **options):
    (source,) = find_patients(folder, **options)[0]
    return source


def test_pictures_are_slices_of_one_patient(tmp_path):
    save(tmp_path / "p1" / "p1_flair.png", head())
    save(tmp_path / "p1" / "p1_t1c.png", head())
    save(tmp_path / "p1" / "p1_seg.png", head())
    patient = read_patient(only(tmp_path), min_size=8, spacing_mm=(0.5, 2.0))
    assert list(patient.images) == ["t1c", "flair"] and patient.flags == ("single_slice",)
    scan = patient.scan
    assert scan.image.shape == (100, 120, 1) and scan.slice_axis == 2
    assert scan.spacing_mm[:2] == (0.5, 2.0) and np.isnan(scan.spacing_mm[2])
    # the picture's left is the patient's right, its top the front
    np.testing.assert_allclose(scan.affine[:3, :2], [[-0.5, 0], [0, -2.0], [0, 0]])
    assert scan.image[20, 60, 0] > scan.image[80, 60, 0]


def test_without_spacing_the_head_is_taken_for_170_mm(tmp_path):
    save(tmp_path / "p1_flair.png", head())
    patient = read_patient(only(tmp_path))
    assert set(patient.flags) == {"single_slice", "size_assumed"}
    assert patient.scan.spacing_source == "none"
    assert -patient.scan.affine[0, 0] == pytest.approx(170 / 85, rel=0.03)


def test_spacing_from_a_csv_beside(tmp_path):
    save(tmp_path / "p1" / "p1_flair.png", head())
    (tmp_path / "sizes.csv").write_text("filename,pixel size(mm)\np1/p1_flair.png,0.9\n")
    patient = read_patient(only(tmp_path), spacing_table=read_spacing_csv(tmp_path))
    assert patient.scan.spacing_mm[:2] == (0.9, 0.9) and patient.scan.spacing_source == "csv"


def test_labels_of_a_picture_lie_as_it_was_shown(tmp_path):
    save(tmp_path / "p1_flair.png", head())
    patient = read_patient(only(tmp_path))
    labels = np.zeros(patient.scan.image.shape, np.uint8)
    labels[10:20, 30:60, 0] = 4
    path = write_labels(labels, patient.scan, tmp_path / "out")
    written = np.asarray(Image.open(path))
    assert path.name.endswith("_seg.png") and written.shape == (120, 100)
    assert (written[30:60, 10:20] == 4).all() and np.count_nonzero(written) == 300


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_nifti_of_one_slice(tmp_path, axis):
    shape = [40, 50, 44]
    shape[axis] = 1
    save_nifti(tmp_path / "p1_flair.nii", phantom(*shape), sform=oblique((1, 1.5, 5)))
    patient = read_patient(only(tmp_path), min_size=8)
    assert patient.scan.slice_axis == axis and patient.flags == ("single_slice",)
    assert patient.scan.spacing_mm == pytest.approx((1, 1.5, 5))


@pytest.mark.parametrize(("header", "thick"), [({"SliceThickness": "4"}, 4.0), ({}, 1.5)])
def test_one_dicom_slice(tmp_path, header, thick):
    save_series(tmp_path, phantom(40, 50, 1), oblique((1, 1.5, 5)), SeriesDescription="AX FLAIR", **header)
    patient = read_patient(only(tmp_path), min_size=8)
    assert list(patient.images) == ["flair"] and "single_slice" in patient.flags
    assert patient.scan.spacing_mm == pytest.approx((1, 1.5, thick))


def test_few_slices_are_still_too_few(tmp_path):
    save_nifti(tmp_path / "p1_flair.nii", phantom(40, 50, 4), sform=oblique((1, 1, 5)))
    with pytest.raises(ScanError, match="at least 8 along each axis"):
        read_patient(only(tmp_path), min_size=8)


def test_a_picture_without_a_word_needs_to_be_told(tmp_path):
    save(tmp_path / "a.png", head())
    save(tmp_path / "b.jpg", head())
    assert "--sequences flair" in only(tmp_path).error
    found, _ = find_patients(tmp_path, unnamed="flair")
    assert [patient.stem for patient in found] == ["a", "b"]
    assert [patient.sequences[0][0] for patient in found] == ["flair", "flair"]
    one = only(tmp_path / "a.png", unnamed="t1c")
    assert one.sequences[0][0] == "t1c" and one.stem == "a"


def test_what_shows_something_else_is_not_taken_for_it(tmp_path):
    save(tmp_path / "p1_dwi.png", head())
    assert "no sequence recognised" in only(tmp_path, unnamed="flair").error


def test_pictures_beside_volumes_are_left_out(tmp_path):
    save(tmp_path / "p1" / "p1_flair.png", head())
    save_nifti(tmp_path / "p1" / "p1_flair.nii", phantom(40, 50, 44), sform=oblique((1, 1, 1)))
    found, skipped = find_patients(tmp_path)
    assert not found[0].error and skipped == [
        {"filename": "p1/p1_flair.png", "reason": "a picture beside volumes"}
    ]


def test_a_slice_beside_a_volume_and_pictures_of_two_sizes_are_told(tmp_path):
    save_nifti(tmp_path / "p1_flair.nii", phantom(40, 50, 44), sform=oblique((1, 1, 1)))
    save_nifti(tmp_path / "p1_t1.nii", phantom(40, 50, 1), sform=oblique((1, 1, 1)))
    with pytest.raises(ScanError, match="t1 is a single slice and flair a volume"):
        read_patient(only(tmp_path))
    save(tmp_path / "q" / "p2_flair.png", head())
    save(tmp_path / "q" / "p2_t1.png", head(columns=110))
    with pytest.raises(ScanError, match=r"differ in size .t1 110x120 and flair 100x120"):
        read_patient(only(tmp_path / "q"))


def test_shifted_pictures_are_flagged(tmp_path):
    save(tmp_path / "p1_flair.png", head())
    save(tmp_path / "p1_t1.png", np.roll(head(), 15, axis=1))
    assert "sequences_misaligned" in read_patient(only(tmp_path), spacing_mm=2.0).flags
