"""`--dicom true`: from a DICOM scan to objects beside its mask, through the bundles' own configurations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from brain_files import HALF, t2w
from brains import brain_labels
from bundle_runs import (
    ANOMALY,
    DETECTION,
    HEAD,
    MONAI_WARNS_OF_CONFIGS,
    MRI,
    SAMPLES,
    root_cause,
    run_bundle,
)
from dicom_out_readback import items, number
from dicom_sources import SECRETS, errors_of, write_mr, write_ultrasound
from PIL import Image

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)
pytest.importorskip("highdicom")

PIXEL_MM = 0.132815947658  # of the sample


def head_pixels() -> np.ndarray:
    """A sample of HC18 below a dark banner."""
    with Image.open(SAMPLES / "371_HC.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    return np.pad(pixels, ((30, 0), (10, 0)))


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    write_ultrasound(folder / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    Image.fromarray(head_pixels()).save(folder / "in" / "b.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FETAL_MONAI_DEIDENTIFY_KEY", "key")
        return run_bundle(HEAD, folder / "in", folder / "out", dicom=True)


def test_objects_are_made_of_dicom_alone(head):
    assert {"a_seg.png", "a_seg.dcm", "a_sr.dcm"} <= set(head.entries["a.dcm"]["outputs"])
    assert not any(name.endswith(".dcm") for name in head.entries["b.png"]["outputs"])
    assert head.files() == head.promised()
    assert errors_of(head.out / "a_seg.dcm") == errors_of(head.out / "a_sr.dcm") == []


def test_objects_say_what_mask_and_table_say(head):
    mask = np.asarray(Image.open(head.out / "a_seg.png")) != 0
    assert mask.any()
    assert np.array_equal(pydicom.dcmread(head.out / "a_seg.dcm").pixel_array != 0, mask)
    report = pydicom.dcmread(head.out / "a_sr.dcm")
    (row,) = [row for row in head.table if row["filename"] == "a.dcm"]
    assert number(items(report, "Head Circumference")[0]) == float(row["hc_mm"])
    assert float(row["hc_mm"]) > 100
    assert number(items(report, "Biparietal Diameter")[0]) == float(row["bpd_mm"])
    parameters = [item.TextValue for item in items(report, "Algorithm Parameters")]
    assert parameters[0] == f"weights_sha256 {head.info['weights_sha256']}"


def test_tables_and_report_name_no_patient(head):
    for path in head.out.rglob("*"):
        if path.is_file() and path.suffix in (".csv", ".json", ".html"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in SECRETS if word in text], path.name


def test_deidentified_objects_name_no_patient(tmp_path, monkeypatch):
    pytest.importorskip("dicomanonymizer")
    from fetal_monai.deidentify import Deidentifier

    monkeypatch.setenv("FETAL_MONAI_DEIDENTIFY_KEY", "key")
    source = write_ultrasound(tmp_path / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    run = run_bundle(HEAD, source.parent, tmp_path / "out", dicom=True, deidentify=True)
    for path in run.out.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [
                word for word in SECRETS if word.encode() in data or word.encode("latin-1") in data
            ], path.name
    report, mask = (pydicom.dcmread(run.out / f"a_{name}.dcm") for name in ("sr", "seg"))
    image = pydicom.dcmread(source)
    for made in (report, mask):
        assert made.PatientIdentityRemoved == "YES"
        assert made.StudyInstanceUID == Deidentifier("key").uid(image.StudyInstanceUID)
        assert made.StudyDate in ("", None)
    assert items(report, "Image Region")[0].ContentSequence[0].ReferencedSOPSequence[
        0
    ].ReferencedSOPInstanceUID == Deidentifier("key").uid(image.SOPInstanceUID)
    assert items(report, "Head Circumference")
    assert "words_hidden" in run.table[0]["flags"]
    assert errors_of(run.out / "a_seg.dcm") == errors_of(run.out / "a_sr.dcm") == []


def test_structures_are_regions_of_a_report_alone(tmp_path):
    write_ultrasound(tmp_path / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    run = run_bundle(DETECTION, tmp_path / "in", tmp_path / "out", dicom=True)
    assert run.files() == run.promised()
    assert {"a_boxes.json", "a_sr.dcm"} <= run.files() and "a_seg.dcm" not in run.files()
    assert errors_of(run.out / "a_sr.dcm") == []
    boxes = json.loads((run.out / "a_boxes.json").read_text(encoding="utf-8"))["boxes"]
    shown = [box["bbox"] for box in boxes if box["shown"]]
    regions = items(pydicom.dcmread(run.out / "a_sr.dcm"), "Image Region")
    assert len(regions) == len(shown) >= 3
    for region, (x, y, width, height) in zip(regions, shown, strict=True):
        corners = np.reshape(region.GraphicData, (-1, 2))
        assert corners.min(axis=0) == pytest.approx([x, y], abs=0.01)
        assert np.ptp(corners, axis=0) == pytest.approx([width, height], abs=0.02)


def test_score_of_a_head_is_a_report_alone(tmp_path):
    write_ultrasound(tmp_path / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    run = run_bundle(ANOMALY, tmp_path / "in", tmp_path / "out", dicom=True)
    assert run.files() == run.promised() and "a_sr.dcm" in run.files()
    assert not list(run.out.glob("*_seg.dcm"))
    assert errors_of(run.out / "a_sr.dcm") == []
    report = pydicom.dcmread(run.out / "a_sr.dcm")
    (row,) = run.table
    assert number(items(report, "Anomaly score")[0]) == pytest.approx(float(row["anomaly_score"]))
    assert items(report, "Image Region")[0].GraphicType == "ELLIPSE"


def test_what_can_not_be_made_loses_nothing(tmp_path):
    source = write_ultrasound(
        tmp_path / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM, StudyInstanceUID=""
    )
    run = run_bundle(HEAD, source.parent, tmp_path / "out", dicom=True)
    entry = run.entries["a.dcm"]
    assert entry["status"] == "ok"
    assert entry["reason"].startswith("no DICOM objects: a.dcm: has no StudyInstanceUID")
    assert "dicom_failed" in run.table[0]["flags"]
    assert float(run.table[0]["hc_mm"]) > 100
    assert run.files() == run.promised()
    assert not list(run.out.glob("*.dcm"))


def test_full_disk_at_the_report_leaves_no_half(tmp_path, monkeypatch):
    from highdicom.sr import ComprehensiveSR

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ComprehensiveSR, "save_as", full)
    source = write_ultrasound(tmp_path / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    run = run_bundle(HEAD, source.parent, tmp_path / "out", dicom=True)
    assert "No space left" in run.entries["a.dcm"]["reason"]
    assert run.files() == run.promised()
    assert "a_seg.png" in run.files() and "a_seg.dcm" not in run.files()


@pytest.mark.parametrize(
    ("values", "missing", "told"),
    [
        ({"dicom": True}, "highdicom", "needs highdicom"),
        ({"dicom": True, "deidentify": True}, "dicomanonymizer", "needs dicom-anonymizer"),
        ({"deidentify": True}, None, "give --dicom true too"),
    ],
)
def test_what_is_missing_is_told_before_the_run(tmp_path, monkeypatch, values, missing, told):
    if missing is not None:
        for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)
    source = write_ultrasound(tmp_path / "in" / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    with pytest.raises(Exception, match=r".") as caught:
        run_bundle(HEAD, source.parent, tmp_path / "out", **values)
    assert told in str(root_cause(caught.value))
    assert not list((tmp_path / "out").glob("*.png"))


def test_series_gives_a_segmentation_on_its_slices(tmp_path):
    labels, affine = brain_labels(**HALF)
    affine = np.asarray(affine, float)
    if np.linalg.det(affine) > 0:  # as dcm2niix has it
        labels, affine = labels[::-1], affine @ np.array([[-1, 0, 0, len(labels) - 1], *np.eye(4)[1:]])
    write_mr(tmp_path / "in" / "s", t2w(labels), affine)
    run = run_bundle(MRI, tmp_path / "in", tmp_path / "out", dicom=True, ga_weeks=26)
    entry = run.entries["s"]
    assert entry["reason"] == ""
    assert {"s_seg.nii.gz", "s_seg.dcm", "s_sr.dcm"} <= set(entry["outputs"])
    assert errors_of(run.out / "s_seg.dcm") == errors_of(run.out / "s_sr.dcm") == []
    check_same_places(run.out / "s_seg.dcm", run.out / "s_seg.nii.gz")
    report = pydicom.dcmread(run.out / "s_sr.dcm")
    rows = json.loads((run.out / "measurements.json").read_text(encoding="utf-8"))
    groups = {
        items(group, "Tracking Identifier")[0].TextValue: group
        for group in items(report, "Measurement Group")
    }
    columns = {"Cortical gray matter": "cortical_gray_matter_ml", "White matter": "white_matter_ml"}
    for name, column in columns.items():
        assert number(items(groups[name], "Volume")[0]) == pytest.approx(rows[0][column], abs=0.006)


def check_same_places(seg_path: Path, nifti_path: Path) -> None:
    """Every voxel of the object has, where it lies, the label that the NIfTI has there."""
    seg, nifti = pydicom.dcmread(seg_path), nibabel.load(nifti_path)
    labels, to_voxel = np.asarray(nifti.dataobj), np.linalg.inv(nifti.affine)
    (shared,) = seg.SharedFunctionalGroupsSequence
    along, down = np.reshape(
        np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float), (2, 3)
    )
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    seen = np.zeros(labels.shape, np.uint8)
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        rows, columns = np.nonzero(frame)
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        points = position + np.outer(columns * column_mm, along) + np.outer(rows * row_mm, down)
        places = np.c_[points * (-1, -1, 1), np.ones(len(points))] @ to_voxel.T
        i, j, k = np.rint(places[:, :3]).astype(int).T
        seen[i, j, k] = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    assert labels.any() and np.array_equal(seen, labels)
