"""What a folder holds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scan_files import save_dicom

from fetal_monai.scan import ScanError, find_scans, read_scan


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_lists_images_sorted_with_stems_below_the_folder(tmp_path):
    touch(tmp_path, "b.png", "a.JPG", "sub/c.nii.gz", "sub/deep/d.mha", "e.tiff", "sub/f.x.bmp")
    sources, skipped = find_scans(tmp_path)
    assert [source.filename for source in sources] == [
        "a.JPG", "b.png", "e.tiff", "sub/c.nii.gz", "sub/deep/d.mha", "sub/f.x.bmp",
    ]  # fmt: skip
    assert [source.stem for source in sources] == ["a", "b", "e", "sub/c", "sub/deep/d", "sub/f.x"]
    assert skipped == [] and all(source.error == "" and source.frame is None for source in sources)


def test_skips_outlines_own_outputs_and_other_files_with_the_reason(tmp_path):
    touch(
        tmp_path, "a.png", "a_Annotation.png", "a_seg.png", "v_seg.nii.gz", "a_overlay.png", "a_map.png",
        "measurements.csv", "run.json", "report.html", "notes.txt", "README.md", "config.yaml", "noextension",
        ".hidden.png", ".fetal_monai/a.png", "DICOMDIR",
    )  # fmt: skip
    sources, skipped = find_scans(tmp_path)
    assert [source.filename for source in sources] == ["a.png"]
    reasons = {entry["filename"]: entry["reason"] for entry in skipped}
    assert reasons["a_Annotation.png"] == "an outline drawn for another scan (HC18)"
    for name in ("a_seg.png", "v_seg.nii.gz", "a_overlay.png", "a_map.png"):
        assert reasons[name] == "an output of an earlier run"
    for name in ("measurements.csv", "run.json", "report.html", "notes.txt", "noextension", "DICOMDIR"):
        assert reasons[name] == "not an image type that is read"
    assert not any(name.startswith(".") for name in reasons)


def test_a_single_file_keeps_its_name_even_if_it_is_an_outline(tmp_path):
    touch(tmp_path, "a_Annotation.png")
    (source,), skipped = find_scans(tmp_path / "a_Annotation.png")
    assert (source.filename, source.stem, skipped) == ("a_Annotation.png", "a_Annotation", [])


def test_dicom_is_known_by_its_content(tmp_path, gray, read):
    save_dicom(tmp_path / "IM_0001", gray)
    save_dicom(tmp_path / "1.2.840.99", gray)
    sources, _ = find_scans(tmp_path)
    assert [source.stem for source in sources] == ["1.2.840.99", "IM_0001"]
    np.testing.assert_array_equal(read(tmp_path / "IM_0001").image, gray)


def test_frames_are_scans_of_their_own(tmp_path, gray):
    save_dicom(tmp_path / "loop.dcm", np.stack([gray, gray // 2, gray // 3]), frames=3)
    sources, _ = find_scans(tmp_path)
    assert [source.stem for source in sources] == ["loop_frame0001", "loop_frame0002", "loop_frame0003"]
    assert [source.frame for source in sources] == [0, 1, 2]
    assert {source.filename for source in sources} == {"loop.dcm"}
    for divisor, source in enumerate(sources, start=1):
        np.testing.assert_array_equal(read_scan(source).image, gray // divisor)


def test_two_inputs_with_one_stem_both_fail_and_the_others_do_not(tmp_path, gray):
    for name in ("a.png", "a.bmp", "b.png"):
        Image.fromarray(gray).save(tmp_path / name)
    sources, _ = find_scans(tmp_path)
    reason = "a.bmp and a.png would write the same outputs (a_seg); rename one"
    assert {source.filename: source.error for source in sources} == {
        "a.bmp": reason,
        "a.png": reason,
        "b.png": "",
    }
    with pytest.raises(ScanError, match=r"^a\.bmp and a\.png would write the same outputs"):
        read_scan(sources[0])


def test_a_frame_and_a_picture_with_one_stem_fail(tmp_path, gray):
    save_dicom(tmp_path / "a.dcm", np.stack([gray, gray]), frames=2)
    Image.fromarray(gray).save(tmp_path / "a_frame0002.png")
    errors = {source.stem: bool(source.error) for source in find_scans(tmp_path)[0]}
    assert errors == {"a_frame0001": False, "a_frame0002": True}


def test_absurd_number_of_frames(tmp_path, gray):
    save_dicom(tmp_path / "a.dcm", gray, frames=2_000_000_000)
    (source,) = find_scans(tmp_path)[0]
    assert source.error == "a.dcm: claims to hold 2000000000 frames; its header is damaged"


@pytest.mark.parametrize("name", ["gone.png", "gone.dcm"])
def test_a_link_to_nothing_fails_alone(tmp_path, gray, name):
    Image.fromarray(gray).save(tmp_path / "a.png")
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    errors = {source.filename: source.error for source in find_scans(tmp_path)[0]}
    assert errors == {"a.png": "", name: f"{name}: cannot be opened (No such file or directory)"}


def test_a_number_of_frames_that_is_none(tmp_path, gray):
    path = save_dicom(tmp_path / "a.dcm", gray, frames=77)
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x0077", b"IS\x02\x007_"))
    (source,) = find_scans(tmp_path)[0]
    assert source.error == "a.dcm: its number of frames is not a number; the header is damaged"


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(ScanError, match="does not exist; give a folder of images, or one image"):
        find_scans(tmp_path / "nowhere")


def test_a_folder_without_an_image(tmp_path):
    with pytest.raises(ScanError, match="no image found; PNG, JPEG"):
        find_scans(tmp_path)
    touch(tmp_path, "notes.txt", "a.csv")
    with pytest.raises(ScanError, match="no image found among its 2 files; PNG, JPEG"):
        find_scans(tmp_path)


def test_a_single_file_that_is_no_image(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(ScanError, match=r"notes\.txt: is no image by its name and content"):
        find_scans(tmp_path / "notes.txt")


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "real/a.png", "in/b.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    assert [source.filename for source in find_scans(tmp_path / "in")[0]] == ["b.png", "linked/a.png"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes only on POSIX")
def test_names_that_are_no_text_can_be_written(tmp_path):
    touch(tmp_path, os.fsdecode(b"f\xf6tus.png"))
    (source,) = find_scans(tmp_path)[0]
    assert source.filename.encode() == "f\ufffdtus.png".encode()
    assert source.path.is_file()
