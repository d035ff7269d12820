"""Which volumes a folder holds."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from volume_files import oblique, phantom, read_one, save_nifti, save_series

from fetal_monai.scan import ScanError, find_volumes


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_files_and_series_sorted_with_stems_below_the_folder(tmp_path):
    touch(tmp_path, "b.nii.gz", "sub/c.nrrd", "sub/a.mha", "d.NII")
    save_series(tmp_path / "sub" / "b_dicom", phantom(20, 24, 4), oblique((1, 1, 3)))
    sources, skipped = find_volumes(tmp_path)
    assert [(source.filename, source.stem, len(source.files)) for source in sources] == [
        ("b.nii.gz", "b", 0),
        ("d.NII", "d", 0),
        ("sub/a.mha", "sub/a", 0),
        ("sub/b_dicom", "sub/b_dicom", 4),
        ("sub/c.nrrd", "sub/c", 0),
    ]
    assert skipped == []


def test_the_folder_of_a_series_by_itself(tmp_path):
    save_series(tmp_path / "scan", phantom(20, 24, 4), oblique((1, 1, 3)))
    ((source,), _) = find_volumes(tmp_path / "scan")
    assert (source.path, source.filename, source.stem) == (tmp_path / "scan", "scan", "scan")


def test_masks_outputs_and_other_files_are_skipped_with_the_reason(tmp_path):
    touch(
        tmp_path, "a.nii.gz", "a_seg.nii.gz", "a_crop.nii.gz", "a_overlay.png", "a_desc-brain_mask.nii.gz",
        "a_dseg.nii.gz", "c/labels.nii.gz", "shot.png", "run.json", "a.raw",
    )  # fmt: skip
    sources, skipped = find_volumes(tmp_path)
    assert [source.filename for source in sources] == ["a.nii.gz"]
    reasons = {entry["filename"]: entry["reason"] for entry in skipped}
    for name in ("a_seg.nii.gz", "a_crop.nii.gz", "a_overlay.png"):
        assert reasons[name] == "an output of an earlier run"
    for name in ("a_desc-brain_mask.nii.gz", "a_dseg.nii.gz", "c/labels.nii.gz"):
        assert reasons[name] == "a mask or label map by its name"
    assert reasons["shot.png"] == "a 2D picture, not a volume"
    assert reasons["run.json"] == reasons["a.raw"] == "not a volume type that is read"


def test_a_mask_by_itself_is_taken(tmp_path):
    touch(tmp_path, "a_mask.nii")
    assert [source.stem for source in find_volumes(tmp_path / "a_mask.nii")[0]] == ["a_mask"]


def test_a_dicom_without_an_image_is_skipped(tmp_path):
    paths = save_series(tmp_path, phantom(20, 24, 4), oblique((1, 1, 3)))
    dataset = dcmread(paths[0])
    del dataset.Rows, dataset.Columns, dataset.PixelData
    dataset.save_as(tmp_path / "report.dcm")
    sources, skipped = find_volumes(tmp_path)
    assert len(sources) == 1 and len(sources[0].files) == 4
    assert skipped == [{"filename": "report.dcm", "reason": "a DICOM without an image"}]


def test_what_cannot_be_read_fails_alone(tmp_path):
    affine = oblique((1, 1, 3))
    save_series(tmp_path / "s", phantom(20, 24, 8), affine)
    touch(tmp_path, "s/broken.dcm")
    (tmp_path / "s" / "empty.dcm").touch()
    (tmp_path / "gone.nii").symlink_to(tmp_path / "nowhere")
    errors = {source.filename: source.error for source in find_volumes(tmp_path)[0]}
    assert errors["s"] == ""
    assert errors["s/broken.dcm"] == "s/broken.dcm: is not a DICOM file, although named .dcm"
    assert errors["s/empty.dcm"] == "s/empty.dcm: is empty (0 bytes); copy it again from its source"
    assert errors["gone.nii"] == "gone.nii: cannot be opened (No such file or directory)"


def test_two_inputs_with_one_stem_both_fail(tmp_path):
    touch(tmp_path, "scan.nii.gz", "other.mha")
    save_series(tmp_path / "scan", phantom(20, 24, 4), oblique((1, 1, 3)))
    errors = {source.filename: source.error for source in find_volumes(tmp_path)[0]}
    why = "scan and scan.nii.gz would write the same outputs (scan_seg); rename one"
    assert errors == {"scan": why, "scan.nii.gz": why, "other.mha": ""}


def test_pictures_are_for_another_bundle(tmp_path):
    touch(tmp_path, "a.png", "b.jpg")
    with pytest.raises(
        ScanError, match=r"a\.png: is a 2D picture, not a volume; .* fetal_head_ultrasound_segmentation"
    ):
        find_volumes(tmp_path / "a.png")
    with pytest.raises(ScanError, match=r"no volume found among its 2 files; NIfTI.*; 2D pictures are for"):
        find_volumes(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ScanError, match="no volume found; NIfTI, MHA, NRRD and DICOM series are read"):
        find_volumes(tmp_path)
    with pytest.raises(ScanError, match="does not exist; give a folder of volumes, or one volume"):
        find_volumes(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(ScanError, match=r"notes\.txt: is no volume by its name and content"):
        find_volumes(tmp_path / "notes.txt")


def test_names_with_dots(tmp_path):
    path = save_nifti(tmp_path / "sub-01_acq-1.5.nii.gz", phantom(20, 20, 20), np.diag([1.5, 1.5, 1.5, 1]))
    assert read_one(path).source.stem == "sub-01_acq-1.5"
