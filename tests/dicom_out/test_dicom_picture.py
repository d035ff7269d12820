"""Objects of a 2D ultrasound picture, read back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dicom_out_readback import items, number, numbers, units
from dicom_sources import PATIENT, SERIES, dump_of, errors_of, write_ultrasound

from fetal_monai.dicom_out import KINDS, Origin, dicom_objects, picture_plane
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.record import Record
from fetal_monai.scan import ScanError, find_scans

pytest.importorskip("highdicom")

SHAPE = (120, 160)
HEAD = Ellipse((70, 90), (40, 30), 0.4)
ORIGIN = Origin("fetal_head_ultrasound_segmentation", "0.1.0", "ab" * 32, "key")
MEASURES = {
    "hc_mm": 110.456,
    "hc_mm_low": 108.1,
    "hc_mm_high": 113.0,
    "bpd_mm": 30.0,
    "ofd_mm": 40.0,
    "cephalic_index": 75.0,
    "ga_weeks_hadlock": 15.5,
    "ga_weeks": 16.0,
    "hc_centile": 12.0,
}


def picture(seed: int = 0, frames: int = 1) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(20, 200, (frames, *SHAPE)).astype(np.uint8)
    return pixels[0] if frames == 1 else pixels


def record(**changes) -> Record:
    ellipse = {"center": HEAD.center, "semi_axes": HEAD.semi_axes, "angle": HEAD.angle}
    known = {"measures": MEASURES, "spacing_mm": (0.5, 0.5), "spacing_source": "dicom_region"}
    return Record("a.dcm", "a", extra={"ellipse_px": ellipse}, **(known | changes))


def made(path, which=0, changes=None, mask=None):
    source = find_scans(path)[0][which]
    mask = HEAD.mask(SHAPE) if mask is None else mask
    return dicom_objects(
        record(**(changes or {})), mask, [picture_plane(source)], KINDS["fetal_head"], ORIGIN
    )


@pytest.fixture
def path(tmp_path):
    return write_ultrasound(tmp_path / "a.dcm", picture())


def saved(dataset, tmp_path, name="made.dcm"):
    import pydicom

    dataset.save_as(tmp_path / name, enforce_file_format=True)
    return pydicom.dcmread(tmp_path / name)


def test_mask_lies_on_the_pixels_of_its_source(path, tmp_path):
    import highdicom

    made(path).mask.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    back = seg.get_pixels_by_source_instance([f"{SERIES}.1"], segment_numbers=[1])
    assert np.array_equal(back[0, ..., 0] != 0, HEAD.mask(SHAPE))
    (segment,) = seg.SegmentSequence
    assert segment.SegmentLabel == "Fetal head"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "69536005"
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters.count("ab" * 32) == 1


def test_patient_and_study_are_those_of_the_source(path, tmp_path):
    for dataset in made(path):
        read = saved(dataset, tmp_path)
        for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
            assert read[keyword].value == PATIENT[keyword]
        assert str(read.PatientName) == PATIENT["PatientName"]
        assert read.StudyDate == "20260312"
        assert read.SeriesInstanceUID != SERIES


def test_report_has_the_measures_in_their_codes(path, tmp_path):
    report = saved(made(path).report, tmp_path)
    (hc,) = items(report, "Head Circumference")
    assert number(hc) == 110.46
    assert hc.ConceptNameCodeSequence[0].CodeValue == "11984-2"
    assert hc.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    (upper,), (lower,) = (
        items(hc, "+, range of upper measurement uncertainty"),
        items(hc, "-, range of lower measurement uncertainty"),
    )
    assert (number(upper), number(lower)) == (2.54, 2.36)
    (centile,) = items(hc, "Percentile Ranking of measurement")
    assert number(centile) == 12
    assert [number(item) for item in items(report, "Gestational Age")] == [15.5, 16.0]
    assert items(report, "Equation")[0].ConceptCodeSequence[0].CodeValue == "11932-1"
    assert items(report, "Algorithm Version")[0].TextValue == "0.1.0"
    assert (
        next(item.TextValue for item in items(report, "Algorithm Parameters"))
        == f"weights_sha256 {'ab' * 32}"
    )


def test_region_is_the_ellipse_counted_from_the_corner_of_the_first_pixel(path, tmp_path):
    (region,) = items(saved(made(path).report, tmp_path), "Image Region")
    assert region.GraphicType == "ELLIPSE"
    ends = np.reshape(region.GraphicData, (4, 2))
    lengths = [math.dist(ends[0], ends[1]), math.dist(ends[2], ends[3])]
    assert lengths == pytest.approx([80, 60], abs=1e-3)
    assert ends[:2].mean(axis=0) == pytest.approx([90.5, 70.5], abs=1e-3)
    assert HEAD.distance(ends[:, ::-1].astype(float) - 0.5) == pytest.approx([0] * 4, abs=1e-3)
    reference = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == f"{SERIES}.1"


def test_mask_and_report_follow_one_finding(path):
    mask, report = made(path)
    (tracked,) = items(report, "Tracking Unique Identifier")
    assert mask.SegmentSequence[0].TrackingUID == tracked.UID


def test_flags_and_intervals_stand_there_in_words(path, tmp_path):
    report = saved(made(path, changes={"flags": ["head_cut_off"]}).report, tmp_path)
    words = " ".join(item.TextValue for item in items(report, "Comment"))
    for part in (
        "Research use only",
        "90 % interval 108.1 to 113.0 mm",
        "0.5 mm per pixel",
        "the ellipse was completed there",
    ):
        assert part in words


def test_numbers_that_are_not_to_be_used_are_left_out(path, tmp_path):
    report = saved(made(path, changes={"flags": ["poor_ellipse_fit"]}).report, tmp_path)
    assert not numbers(report)
    words = " ".join(item.TextValue for item in items(report, "Comment"))
    assert "Measures were left out" in words and "not close to an ellipse" in words


def test_without_spacing_there_is_no_length(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", picture(), calibrated=False)
    measures = {"hc_mm": math.nan, "bpd_mm": math.nan, "cephalic_index": 75.0, "hc_px": 220.9}
    changes = {"measures": measures, "spacing_mm": None, "spacing_source": "none"}
    report = saved(made(path, changes=changes).report, tmp_path)
    assert [units(item) for item in numbers(report)] == ["%"]
    assert "220.9" not in str(report)
    assert any("no millimetres" in item.TextValue for item in items(report, "Comment"))


def test_nothing_found_has_no_region_and_an_empty_mask(path, tmp_path):
    nothing = {"measures": {"hc_mm": math.nan}, "flags": ["no_head"]}
    source = find_scans(path)[0][0]
    empty = Record("a.dcm", "a", spacing_mm=(0.5, 0.5), **nothing)
    mask, report = dicom_objects(
        empty, np.zeros(SHAPE, bool), [picture_plane(source)], KINDS["fetal_head"], ORIGIN
    )
    assert not mask.pixel_array.any()
    assert not items(report, "Image Region")
    assert any("No fetal head" in item.TextValue for item in items(report, "Comment"))
    assert errors_of_both((mask, report), tmp_path) == []


def errors_of_both(datasets, tmp_path):
    errors = []
    for number_, dataset in enumerate(datasets):
        saved(dataset, tmp_path, f"{number_}.dcm")
        errors += errors_of(tmp_path / f"{number_}.dcm")
    return errors


@pytest.mark.parametrize("changes", [{}, {"flags": ["low_contrast", "head_cut_off"]}, {"measures": {}}])
def test_objects_are_valid(path, tmp_path, changes):
    assert errors_of_both(made(path, changes=changes), tmp_path) == []


def test_independent_reader_shows_the_report(path, tmp_path):
    saved(made(path).report, tmp_path, "sr.dcm")
    text = dump_of(tmp_path / "sr.dcm")
    assert '(11984-2,LN,"Head Circumference")="110.46" (mm,UCUM,"mm")' in text
    assert "Müllerin" in text


def test_frame_of_a_clip_is_named(tmp_path):
    import highdicom

    path = write_ultrasound(tmp_path / "clip.dcm", picture(frames=3), frames=3)
    mask, report = made(path, which=1)
    mask.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    back = seg.get_pixels_by_source_frame(f"{SERIES}.1", [2], segment_numbers=[1])
    assert np.array_equal(back[0, ..., 0] != 0, HEAD.mask(SHAPE))
    reference = items(report, "Image Region")[0].ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedFrameNumber == 2
    assert {mask.InstanceNumber, report.InstanceNumber} == {1002}  # no other frame's
    assert errors_of_both((mask, report), tmp_path) == []


def test_frames_that_no_object_can_refer_to_are_refused(tmp_path):
    from pydicom.uid import UltrasoundImageStorage

    pixels = picture(frames=3)
    path = write_ultrasound(tmp_path / "clip.dcm", pixels, frames=3, SOPClassUID=UltrasoundImageStorage)
    with pytest.raises(ScanError, match=r"clip.dcm: holds several frames, but its SOP class"):
        made(path, which=2)


def test_header_without_what_a_reference_needs_is_refused(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", picture(), StudyInstanceUID="")
    with pytest.raises(ScanError, match=r"a.dcm: has no StudyInstanceUID"):
        made(path)


def test_uids_follow_from_source_and_content(path):
    first, again = made(path), made(path)
    other = made(path, mask=HEAD.mask(SHAPE) & (np.arange(SHAPE[1]) > 90))
    told = made(path, changes={"measures": {**MEASURES, "hc_mm": 110.5}})
    for one, same in zip(first, again, strict=True):
        assert one.SOPInstanceUID == same.SOPInstanceUID
    assert len({made_.mask.SOPInstanceUID for made_ in (first, other)}) == 2
    assert told.mask.SOPInstanceUID == first.mask.SOPInstanceUID
    assert len({made_.report.SOPInstanceUID for made_ in (first, other, told)}) == 3
    assert len({dataset.SeriesInstanceUID for made_ in (first, other, told) for dataset in made_}) == 2
    assert first.mask.SOPInstanceUID.is_valid
