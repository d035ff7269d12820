"""Spacing beside the images, and which spacing wins."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scan_files import save_dicom

from fetal_monai.scan import ScanError, check_spacing, find_scans, read_scan, read_spacing_csv

HEADER = "filename,pixel size(mm),head circumference (mm)\n"


def save(folder: Path, gray, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray).save(folder / name)


def spacings(folder: Path) -> dict[str, object]:
    """Spacing of each scan of a folder, or the reason that there is none."""
    table = read_spacing_csv(folder)
    found: dict[str, object] = {}
    for source in find_scans(folder)[0]:
        try:
            scan = read_scan(source, spacing_table=table)
            found[source.filename] = scan.spacing_mm[0] if scan.spacing_mm else None
        except ScanError as error:
            found[source.filename] = str(error)
    return found


def test_hc18(tmp_path, gray):
    save(tmp_path, gray, "000_HC.png", "001_HC.png")
    text = HEADER.replace("\n", ",GA weeks\n") + "000_HC.png,0.069,44.3,14.5\n001_HC.png,0.07,56.81,\n"
    (tmp_path / "pixel_size_and_HC.csv").write_text(text)
    table = read_spacing_csv(tmp_path)
    scans = [read_scan(source, spacing_table=table) for source in find_scans(tmp_path)[0]]
    assert [scan.spacing_mm for scan in scans] == [(0.069, 0.069), (0.07, 0.07)]
    assert {scan.spacing_source for scan in scans} == {"csv"}
    assert scans[0].ga_weeks == 14.5 and math.isnan(scans[1].ga_weeks)
    row = table.row(scans[0].source)
    assert row is not None and row.hc_mm == 44.3


def test_hc18_keeps_its_csv_beside_the_folder(tmp_path, gray):
    save(tmp_path, gray, "training_set/000_HC.png")
    (tmp_path / "training_set_pixel_size_and_HC.csv").write_text(HEADER + "000_HC.png,0.069,44.3\n")
    (tmp_path / "test_set_pixel_size.csv").write_text("filename,pixel size(mm)\n000_HC.png,0.2\n")
    assert spacings(tmp_path / "training_set") == {"000_HC.png": 0.069}


def test_rows_match_by_path_then_by_name(tmp_path, gray):
    save(tmp_path, gray, "a/1.png", "b/1.png", "b/2.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "a/1.png,0.1,\nb\\1.png,0.2,\n2.png,0.3,\n")
    assert spacings(tmp_path) == {"a/1.png": 0.1, "b/1.png": 0.2, "b/2.png": 0.3}


def test_each_folder_may_have_its_own_csv(tmp_path, gray):
    save(tmp_path, gray, "a/1.png", "b/1.png")
    for folder, size in (("a", 0.1), ("b", 0.2)):
        (tmp_path / folder / "sizes.csv").write_text(HEADER + f"1.png,{size},\n")
    assert spacings(tmp_path) == {"a/1.png": 0.1, "b/1.png": 0.2}


def test_a_single_image_finds_the_csv_beside_it(tmp_path, gray):
    save(tmp_path, gray, "1.png", "2.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,0.1,\n2.png,0.2,\n")
    (source,) = find_scans(tmp_path / "2.png")[0]
    assert read_scan(source, spacing_table=read_spacing_csv(tmp_path / "2.png")).spacing_mm == (0.2, 0.2)


def test_a_name_for_two_images_is_no_answer(tmp_path, gray):
    save(tmp_path, gray, "a/1.png", "b/1.png", "c/2.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,0.1,\n2.png,0.2,\n")
    reason = "2 images are named 1.png; the CSV must give their paths below the folder"
    assert spacings(tmp_path) == {
        "a/1.png": f"a/1.png: {reason}",
        "b/1.png": f"b/1.png: {reason}",
        "c/2.png": 0.2,
    }


def test_rows_that_contradict(tmp_path, gray):
    save(tmp_path, gray, "1.png", "2.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,0.1,\n1.png,0.2,\n2.png,0.2,\n2.png,0.2,\n")
    reason = "1.png: the CSV has rows that differ for 1.png; keep the right one"
    assert spacings(tmp_path) == {"1.png": reason, "2.png": 0.2}


@pytest.mark.parametrize(
    "text",
    [
        "filename;pixel size(mm)\n1.png;0,124\n",
        "filename\tpixel size(mm)\r\n1.png\t0,124\r\n",
        'filename,pixel size(mm)\n1.png,"0,124"\n',
        "\ufefffilename,Pixel Size (mm)\n1.png, 0.124 ,,\n",
        "pixel_size_mm;extra;filename\n0.124;x;./1.png\n\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_separators_decimal_commas_and_encodings(tmp_path, gray, text, encoding):
    save(tmp_path, gray, "1.png")
    (tmp_path / "sizes.csv").write_bytes(text.encode(encoding))
    assert spacings(tmp_path) == {"1.png": 0.124}


def test_a_decimal_comma_that_cannot_be_told_from_a_separator(tmp_path, gray):
    save(tmp_path, gray, "1.png", "2.png", "3.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,0,124,68,75\n2.png,0,124\n3.png,0.124,68.75\n")
    found = spacings(tmp_path)
    assert found["1.png"] == (
        "1.png: sizes.csv line 2: 5 cells for 3 columns; decimal commas in a comma-separated file cannot be told "
        "apart, write 0.12 or separate by semicolons"
    )
    assert str(found["2.png"]).startswith("2.png: sizes.csv line 3: the pixel size is 0 mm per pixel")
    assert found["3.png"] == 0.124


@pytest.mark.parametrize("value", ["0", "-0.1", "nan", "inf", "2.5", "0.0001", "1e9"])
def test_absurd_spacing_fails_its_scan_alone(tmp_path, gray, value):
    save(tmp_path, gray, "1.png", "2.png")
    (tmp_path / "sizes.csv").write_text(HEADER + f"1.png,{value},\n2.png,0.1,\n")
    found = spacings(tmp_path)
    assert found["1.png"] == (
        f"1.png: sizes.csv line 2: the pixel size is {float(value):g} mm per pixel; between 0.005 and 2.0 makes sense, "
        "give the right one with --spacing_mm"
    )
    assert found["2.png"] == 0.1


def test_text_for_a_number(tmp_path, gray):
    save(tmp_path, gray, "1.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,0.12 mm,\n")
    assert spacings(tmp_path) == {
        "1.png": "1.png: sizes.csv line 2: the pixel size is '0.12 mm', no number; write it as 0.12"
    }


def test_an_empty_cell_says_nothing(tmp_path, gray):
    save(tmp_path, gray, "1.png", "2.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,,\n2.png\n")
    assert spacings(tmp_path) == {"1.png": None, "2.png": None}


def test_rows_that_name_no_image_are_told(tmp_path, gray):
    save(tmp_path, gray, "a/1.png")
    (tmp_path / "sizes.csv").write_text(HEADER + "1.png,0.1,\nother.png,0.1,\nb/9.png,0.1,\n")
    table = read_spacing_csv(tmp_path)
    assert table.unmatched(source.filename for source in find_scans(tmp_path)[0]) == ["b/9.png", "other.png"]
    assert spacings(tmp_path) == {"a/1.png": 0.1}


def test_other_csv_files_are_left_alone(tmp_path, gray):
    save(tmp_path, gray, "1.png")
    (tmp_path / "measurements.csv").write_text("filename,pixel size(mm)\n1.png,0.5\n")
    (tmp_path / "labels.csv").write_text("filename,plane\n1.png,brain\n")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "sizes.csv").write_text(HEADER + "1.png,0.1,\n")
    assert spacings(tmp_path) == {"1.png": None}


def test_a_csv_given_by_name_must_be_one(tmp_path):
    (tmp_path / "labels.csv").write_text("name,plane\n1.png,brain\n")
    with pytest.raises(ScanError, match=r"labels\.csv: has no columns `filename` and `pixel size\(mm\)`"):
        read_spacing_csv(tmp_path / "labels.csv")


def test_argument_before_file_before_csv(tmp_path, gray):
    save_dicom(tmp_path / "1.dcm", gray, PixelSpacing=[0.3, 0.2])
    save_dicom(tmp_path / "2.dcm", gray)
    (tmp_path / "sizes.csv").write_text(HEADER + "1.dcm,0.1,\n2.dcm,0.1,\n")
    table = read_spacing_csv(tmp_path)
    first, second = find_scans(tmp_path)[0]
    scan = read_scan(first, spacing_table=table, spacing_mm=0.4)
    assert (scan.spacing_mm, scan.spacing_source) == ((0.4, 0.4), "argument")
    assert read_scan(first, spacing_mm=(0.4, 0.5)).spacing_mm == (0.4, 0.5)
    scan = read_scan(first, spacing_table=table)
    assert (scan.spacing_mm, scan.spacing_source) == ((0.3, 0.2), "pixel_spacing")
    assert scan.flags == ("spacing_conflict",)
    assert read_scan(second, spacing_table=table).spacing_source == "csv"


def test_an_argument_holds_everywhere(tmp_path, gray, region, read):
    scan = read(save_dicom(tmp_path / "1.dcm", gray, regions=[region()]), spacing_mm=0.4)
    assert scan.spacing_at(50, 50) == ((0.4, 0.4), "argument")


def test_a_csv_mends_absurd_spacing_in_the_file(tmp_path, gray):
    save_dicom(tmp_path / "1.dcm", gray, PixelSpacing=[0, 0])
    (tmp_path / "sizes.csv").write_text(HEADER + "1.dcm,0.1,\n")
    assert spacings(tmp_path) == {"1.dcm": 0.1}


@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, 2.5, (0.1, 0), (0.1, 0.1, 0.1)])
def test_an_absurd_argument(tmp_path, gray, read, value):
    save(tmp_path, gray, "1.png")
    with pytest.raises(ScanError, match=r"^1\.png: the spacing given"):
        read(tmp_path / "1.png", spacing_mm=value)


@given(st.floats(0.005, 2.0), st.floats(0.005, 2.0))
def test_believable_spacing_passes_unchanged(row, column):
    assert check_spacing((row, column)) == (row, column)
    assert check_spacing(row) == (row, row)


@given(st.floats(max_value=0.00499) | st.floats(min_value=2.001) | st.just(math.nan))
def test_unbelievable_spacing_never_passes(value):
    with pytest.raises(ScanError, match=r"between 0\.005 and 2\.0 makes sense"):
        check_spacing(value)
