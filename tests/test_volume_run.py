"""A run over volumes, and what its tables say of them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser

from fetal_monai.record import Record, load_run, write_measurements
from fetal_monai.report.labels import describe_spacing
from fetal_monai.scan import ScanError
from fetal_monai.volume_run import VolumeRun

SPACING = (1.125, 1.125, 3.3)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """A stack, a stack at three times, and a picture that is passed over."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    stack = np.random.default_rng(0).integers(0, 99, (20, 24, 18)).astype(np.int16)
    affine = np.diag([*SPACING, 1])
    nibabel.save(nibabel.Nifti1Image(stack, affine), folder / "a.nii.gz")
    times = np.stack([stack, stack + 1, stack + 2], axis=-1)
    nibabel.save(nibabel.Nifti1Image(times, affine), folder / "sub" / "b.nii")
    (folder / "shot.png").write_bytes(b"x")
    return folder


@pytest.fixture
def start(volumes: Path, tmp_path: Path) -> Any:
    """Start a run over the volumes."""
    bundle = tmp_path / "a_bundle"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "metadata.json").write_text('{"version": "1.2.3"}', encoding="utf-8")
    (bundle / "model.pt").write_bytes(b"weights")

    def start_run(**changes: Any) -> VolumeRun:
        values = {
            "dataset_dir": str(volumes),
            "output_dir": str(tmp_path / "out"),
            "bundle_root": str(bundle),
            "weights": str(bundle / "model.pt"),
            "columns": ["brain_ml"],
            "title": "Brains",
            **changes,
        }
        return VolumeRun(**values)

    return start_run


def finish(run: VolumeRun) -> dict[str, Any]:
    """Each volume that can be read becomes a record; returns `run.json`."""
    for item in run.items:
        source = item["image"]
        try:
            scan = run.read(source)
        except ScanError as error:
            run.failed(source, error)
            continue
        measures = {"brain_ml": 250.123, "ga_weeks": scan.ga_weeks}
        record = Record(
            source.filename, source.stem, measures=measures, flags=[*scan.flags], spacing_mm=scan.spacing_mm
        )
        record.spacing_source = scan.spacing_source
        run.done(source, record)
    run.finish()
    return json.loads((run.output_dir / "run.json").read_text(encoding="utf-8"))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "measurements.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_run_leaves_behind(start):
    run = start(settings={"flips": [0]})
    info = finish(run)
    assert info["counts"] == {"ok": 1, "failed": 1, "skipped": 1}
    assert info["skipped"] == [{"filename": "shot.png", "reason": "a 2D picture, not a volume"}]
    reason = "is 4D: 3 volumes of 20x24x18; take one with --time_point 0 (the first) to 2"
    assert info["inputs"][1]["reason"] == f"sub/b.nii: {reason}"
    assert info["settings"] == {
        "spacing_mm": None, "ga_weeks": None, "time_point": None, "min_size": 2, "flips": [0],
    }  # fmt: skip
    done, failed = table(run.output_dir)
    assert list(done) == [
        "filename", "brain_ml", "ga_weeks",
        "spacing_mm", "spacing_i_mm", "spacing_j_mm", "spacing_k_mm", "spacing_source", "flags",
    ]  # fmt: skip
    assert list(done.values()) == [
        "a.nii.gz", "250.12", "", "1.61042", "1.125", "1.125", "3.3", "sform", "",
    ]  # fmt: skip
    assert list(failed.values()) == ["sub/b.nii", *[""] * 7, "failed"]
    assert "1.125 × 1.125 × 3.3 mm per voxel" in (run.output_dir / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("value", "time_point"), [(2, 2), ("0", 0)])
def test_time_points_as_a_command_line_gives_them(start, value, time_point):
    run = start(time_point=value)
    assert run.time_point == time_point
    stack = start().read(run.items[0]["image"]).image
    np.testing.assert_array_equal(run.read(run.items[1]["image"]).image, stack + time_point)


@pytest.mark.parametrize("value", [None, "null"])
def test_no_time_point(start, value):
    run = start(time_point=value)
    assert run.time_point is None
    with pytest.raises(ScanError, match=r"sub/b\.nii: is 4D"):
        run.read(run.items[1]["image"])


@pytest.mark.parametrize("value", [-1, "first", True, 1.0])
def test_time_points_that_are_none(start, tmp_path, value):
    with pytest.raises(ValueError, match=f"time_point is {value!r}; give a whole number, 0 for the first"):
        start(time_point=value)
    assert not (tmp_path / "out").exists()


def test_the_fewest_voxels(start):
    run = start(min_size=20)
    with pytest.raises(ScanError, match="is 20x24x18 voxels; at least 20 along each axis are needed"):
        run.read(run.items[0]["image"])


@pytest.mark.parametrize(
    ("value", "spacing_mm"),
    [(0.8, (0.8, 0.8, 0.8)), ("0.8,0.9,3", (0.8, 0.9, 3.0)), ([1, 1, "3"], (1.0, 1.0, 3.0)), ("null", None)],
)
def test_spacing_in_any_form(start, value, spacing_mm):
    run = start(spacing_mm=value)
    scan = run.read(run.items[0]["image"])
    assert run.spacing_mm == spacing_mm
    assert scan.spacing_mm == pytest.approx(spacing_mm or SPACING)
    assert scan.spacing_source == ("argument" if spacing_mm else "sform")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1,1", r"spacing_mm needs one value or three \(i, j, k\), got 2"),
        (0, r"spacing_mm is 0 x 0 x 0 mm; between 0\.05 and 20 makes sense"),
        ("thick", "spacing_mm is 'thick'; give a number"),
    ],
)
def test_spacing_that_makes_no_sense(start, value, words):
    with pytest.raises(ValueError, match=words):
        start(spacing_mm=value)


def test_ages(start, volumes):
    (volumes / "ages.csv").write_text("filename,ga_weeks\na.nii.gz,30\nx.nii,20\n", encoding="utf-8")
    run = start(ga_weeks=25, time_point=0)
    assert [run.read(item["image"]).ga_weeks for item in run.items] == [30, 25]
    assert run.unmatched == ["x.nii"]


def test_resume(start):
    assert finish(start())["resumed"] == 0
    run = start(resume=True)
    assert [item["image"].stem for item in run.items] == ["sub/b"]
    assert finish(start(resume=True, time_point=0))["counts"] == {"ok": 2, "failed": 0, "skipped": 1}
    assert start(resume=True, time_point=0).items == []
    assert len(start(resume=True, time_point=1).items) == 2
    assert len(start(resume=True, time_point=0, min_size=3).items) == 2


def test_a_series_is_done_again_if_a_slice_changes(start, tmp_path):
    from pydicom import dcmread

    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(4):
        save_slice(folder / f"{number}.dcm", number)
    finish(start(dataset_dir=str(folder)))
    assert start(dataset_dir=str(folder), resume=True).items == []
    header = dcmread(folder / "2.dcm")
    header.PatientID = "another"
    header.save_as(folder / "2.dcm")
    assert len(start(dataset_dir=str(folder), resume=True).items) == 1
    for path in (folder, folder / "1.dcm"):
        assert len(start(dataset_dir=str(folder), only=[str(path)]).items) == 1
    with pytest.raises(ScanError, match="holds none of the 1 scans"):
        start(dataset_dir=str(folder), only=["elsewhere"])


def test_a_configuration_says_so(start, volumes, tmp_path):
    run = ConfigParser(
        {
            "run": {
                "_target_": "fetal_monai.volume_run.VolumeRun",
                "dataset_dir": str(volumes),
                "output_dir": str(tmp_path / "out"),
                "bundle_root": str(tmp_path / "a_bundle"),
                "weights": str(tmp_path / "a_bundle" / "model.pt"),
                "columns": ["brain_ml"],
                "title": "Brains",
                "time_point": None,
                "min_size": 16,
            }
        }
    ).get_parsed_content("run")
    assert isinstance(run, VolumeRun) and run.min_size == 16


def test_no_volume(start, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match="empty: no volume found"):
        start(dataset_dir=str(tmp_path / "empty"))


# Records


def a_record(**values: Any) -> Record:
    return Record(
        "a.nii", "a", measures={"brain_ml": 1.0}, spacing_mm=SPACING, spacing_source="sform", **values
    )


def test_spacing_of_a_volume_in_one_number():
    assert a_record().spacing_isotropic_mm == pytest.approx(math.prod(SPACING) ** (1 / 3))
    record = a_record()
    record.spacing_mm = (0.8, 0.8, 0.8)
    assert record.spacing_isotropic_mm == 0.8


def test_thick_slices_are_no_flag():
    assert a_record(flags=["few_slices"]).all_flags == ["few_slices"]
    assert Record("a.png", "a", spacing_mm=(0.1, 0.2)).all_flags == ["anisotropic_spacing"]


def test_a_record_survives_json_and_a_lost_journal(start, tmp_path):
    record = a_record()
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    run = start()
    finish(run)
    for path in (run.output_dir / ".fetal_monai").iterdir():
        path.unlink()
    ((done, failed), _) = load_run(run.output_dir)
    assert done.spacing_mm == pytest.approx(SPACING) and done.spacing_source == "sform"
    assert done.measures == {"brain_ml": 250.123, "ga_weeks": pytest.approx(math.nan, nan_ok=True)}
    assert (failed.spacing_mm, failed.status) == (None, "failed")


def test_columns_where_every_volume_failed(tmp_path):
    header = write_measurements(
        tmp_path, [Record("a", "a", status="failed", reason="a: no")], ["brain_ml"], axes=3
    )
    columns = ["spacing_mm", "spacing_i_mm", "spacing_j_mm", "spacing_k_mm"]
    assert header[2:6] == columns
    assert write_measurements(tmp_path, [a_record()])[2:6] == columns


def test_spacing_in_words():
    assert describe_spacing(a_record()) == "1.125 × 1.125 × 3.3 mm per voxel, from the file's header (sform)"


def save_slice(path: Path, number: int) -> None:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, f"1.2.{number + 1}"
    dataset.SeriesInstanceUID, dataset.Modality = "1.2", "MR"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 3 * number], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [1, 1]
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = np.arange(256, dtype="<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)
