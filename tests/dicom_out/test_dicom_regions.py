"""Reports of what has no mask: boxes of structures, an anomaly score, the name of a plane."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_out_readback import items, number, numbers, units
from dicom_sources import SERIES, dump_of, errors_of, write_ultrasound

from fetal_monai.dicom_out import KINDS, Origin, dicom_objects, picture_plane, structure_regions
from fetal_monai.measure.detected import StructureMeasurement
from fetal_monai.measure.structures import STRUCTURES, Found
from fetal_monai.record import Record
from fetal_monai.scan import find_scans

pytest.importorskip("highdicom")

SHAPE = (120, 160)
ORIGIN = Origin("fetal_brain_ultrasound_detection", "0.1.0", "ab" * 32, "key")
FOUND = [
    Found("head", 0.9, np.array([20.0, 10, 120, 100]), 0.0, np.array([0.0, 100]), True),
    Found("cavum_septi_pellucidi", 0.7, np.array([40.0, 50, 20, 10]), 0.0, np.array([0.0, 10]), True),
    Found("lateral_ventricle", 0.8, np.array([90.0, 70, 30, 16]), 0.0, np.array([0.0, 16]), True),
    Found("lateral_ventricle", 0.6, np.array([90.0, 30, 30, 12]), 0.0, np.array([0.0, 12]), True),
    Found("choroid_plexus", 0.1, np.array([95.0, 75, 8, 8]), 0.0, np.array([0.0, 8]), False),
]
MEASURES = {"atrial_width_mm": 8.0, "cavum_width_mm": 5.0, "n_found": 4.0} | {
    "score_head": 0.9,
    "score_midline_falx": math.nan,
    "score_cavum_septi_pellucidi": 0.7,
    "score_choroid_plexus": math.nan,
    "score_lateral_ventricle": 0.8,
}


def report_of(folder, kind, record, regions=(), frames=None, which=0):
    pixels = np.random.default_rng(0).integers(20, 200, (frames or 1, *SHAPE)).astype(np.uint8)
    path = write_ultrasound(folder / "a.dcm", pixels if frames else pixels[0], frames=frames)
    plane = picture_plane(find_scans(path)[0][which])
    mask, report = dicom_objects(record, None, [plane], KINDS[kind], ORIGIN, regions)
    assert mask is None
    report.save_as(folder / "sr.dcm", enforce_file_format=True)
    return pydicom.dcmread(folder / "sr.dcm")


def structures(folder, measures=MEASURES, spacing_mm=(0.5, 0.5), flags=(), **where):
    measured = StructureMeasurement(FOUND, dict(measures), list(flags), None, spacing_mm)
    record = Record("a.dcm", "a", measures=dict(measures), flags=list(flags), spacing_mm=spacing_mm)
    return report_of(folder, "fetal_structures", record, structure_regions(measured), **where)


def groups_of(report):
    return {
        items(group, "Tracking Identifier")[0].TextValue: group
        for group in items(report, "Measurement Group")
    }


class TestStructures:
    def test_each_that_counts_is_a_region_of_its_box(self, tmp_path):
        groups = groups_of(structures(tmp_path))
        assert set(groups) == {
            "Structures of the fetal brain",
            "Head",
            "Cavum septi pellucidi",
            "Lateral ventricle",
            "Lateral ventricle 2",
        }
        (region,) = items(groups["Lateral ventricle"], "Image Region")
        assert region.GraphicType == "POLYLINE"
        corners = np.reshape(region.GraphicData, (-1, 2))
        assert np.array_equal(corners, [[90, 70], [120, 70], [120, 86], [90, 86], [90, 70]])
        assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == f"{SERIES}.1"

    def test_widths_stand_in_their_codes_with_the_line_they_run_along(self, tmp_path):
        groups = groups_of(structures(tmp_path))
        whole = groups["Structures of the fetal brain"]
        (atrium,) = items(whole, "Lateral Ventricle width")
        assert number(atrium) == 8.0 and units(atrium) == "mm"
        assert atrium.ConceptNameCodeSequence[0].CodeValue == "12171-5"
        (line,) = [item for item in atrium.ContentSequence if item.ValueType == "SCOORD"]
        assert np.array_equal(np.reshape(line.GraphicData, (2, 2)), [[105, 70], [105, 86]])
        assert "no caliper" in items(atrium, "Method Citation")[0].TextValue
        (cavum,) = items(whole, "Width")
        assert number(cavum) == 5.0
        site = items(cavum, "Finding Site")[0].ConceptCodeSequence[0]
        assert (site.CodeValue, site.CodingSchemeDesignator) == ("74968005", "SCT")
        assert len(items(structures(tmp_path), "Lateral Ventricle width")) == 1

    def test_each_box_has_its_own_score(self, tmp_path):
        groups = groups_of(structures(tmp_path))
        scores = {
            name: [number(item) for item in items(group, "Score, lateral ventricle")]
            for name, group in groups.items()
        }
        assert scores["Lateral ventricle"] == [0.8]
        assert scores["Lateral ventricle 2"] == [0.6]
        assert scores["Structures of the fetal brain"] == []

    def test_without_spacing_there_is_a_region_and_no_length(self, tmp_path):
        measures = MEASURES | {
            "atrial_width_mm": math.nan,
            "cavum_width_mm": math.nan,
            "atrial_width_px": 16.0,
        }
        report = structures(tmp_path, measures, None)
        assert len(items(report, "Image Region")) == 4
        assert {units(item) for item in numbers(report)} == {"1"}

    def test_nothing_found_has_no_region_and_says_so(self, tmp_path):
        measured = StructureMeasurement([replace(one, shown=False) for one in FOUND], {}, ["no_head"])
        record = Record("a.dcm", "a", measures={"n_found": 0.0}, flags=["no_head"])
        report = report_of(tmp_path, "fetal_structures", record, structure_regions(measured))
        assert not items(report, "Image Region") and not numbers(report)
        assert any("No fetal head" in item.TextValue for item in items(report, "Comment"))
        assert errors_of(tmp_path / "sr.dcm") == []

    def test_no_number_stands_on_a_region_where_a_flag_says_not_to_use_it(self, tmp_path):
        report = structures(tmp_path, flags=["spacing_conflict"])
        assert not numbers(report)
        assert len(items(report, "Image Region")) == 4

    def test_frame_of_a_clip_is_named_by_regions_and_lines(self, tmp_path):
        report = structures(tmp_path, frames=3, which=1)
        groups = groups_of(report)
        (region,) = items(groups["Head"], "Image Region")
        assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 2
        assert errors_of(tmp_path / "sr.dcm") == []

    def test_is_valid_and_an_independent_reader_shows_it(self, tmp_path):
        structures(tmp_path, flags=["low_score"])
        assert errors_of(tmp_path / "sr.dcm") == []
        text = dump_of(tmp_path / "sr.dcm")
        assert '(12171-5,LN,"Lateral Ventricle width")="8.0" (mm,UCUM,"mm")' in text
        assert "(74968005,SCT" in text

    def test_moved_box_is_another_answer(self, tmp_path):
        first = structures(tmp_path).SOPInstanceUID
        assert structures(tmp_path).SOPInstanceUID == first
        moved = [replace(one, box=one.box + np.eye(4)[0]) for one in FOUND]
        measured = StructureMeasurement(moved, dict(MEASURES), [], None, (0.5, 0.5))
        record = Record("a.dcm", "a", measures=dict(MEASURES), spacing_mm=(0.5, 0.5))
        other = report_of(tmp_path, "fetal_structures", record, structure_regions(measured))
        assert other.SOPInstanceUID != first

    def test_every_structure_has_a_code(self):
        assert set(KINDS["fetal_structures"].findings) == set(STRUCTURES)


ELLIPSE = {"center": (60.0, 80.0), "semi_axes": (50.0, 40.0), "angle": 0.1}
SCORES = {"anomaly_score": 4.5, "p_value": 0.012, "mse": 0.00214, "alteration": -3.2}


class TestAnomaly:
    def test_scores_stand_on_the_head_without_a_unit(self, tmp_path):
        record = Record("a.dcm", "a", measures=SCORES, extra={"ellipse_px": ELLIPSE})
        record.flags.append("unlike_normal_heads")
        report = report_of(tmp_path, "fetal_anomaly", record)
        (group,) = items(report, "Measurement Group")
        assert items(group, "Image Region")[0].GraphicType == "ELLIPSE"
        assert {units(item) for item in numbers(report)} == {"1"}
        assert number(items(report, "p-value against healthy heads")[0]) == 0.012
        assert number(items(report, "Anomaly score")[0]) == 4.5
        words = " ".join(item.TextValue for item in items(report, "Comment"))
        assert "names no disease" in words and "scores as high as few" in words
        assert "millimetres" not in words
        assert errors_of(tmp_path / "sr.dcm") == []
        assert "p-value against healthy heads" in dump_of(tmp_path / "sr.dcm")

    def test_no_head_has_no_score(self, tmp_path):
        record = Record("a.dcm", "a", measures=SCORES, flags=["no_head"], extra={"ellipse_px": None})
        report = report_of(tmp_path, "fetal_anomaly", record)
        assert not numbers(report)
        assert errors_of(tmp_path / "sr.dcm") == []


class TestPlane:
    def test_plane_is_an_evaluation_with_probabilities(self, tmp_path):
        measures = {"plane": "trans-thalamic", "probability_trans_thalamic": 0.91, "plane_second": "other"}
        report = report_of(tmp_path, "fetal_plane", Record("a.dcm", "a", measures=measures))
        (view,) = items(report, "Image View")
        code = view.ConceptCodeSequence[0]
        assert (code.CodingSchemeDesignator, code.CodeMeaning) == ("99FETALMONAI", "Trans thalamic")
        assert code.get("LongCodeValue", code.get("CodeValue")) == "trans_thalamic"
        assert [number(item) for item in numbers(report)] == [0.91]
        assert errors_of(tmp_path / "sr.dcm") == []

    def test_plane_is_left_out_where_a_flag_says_so(self, tmp_path):
        record = Record("a.dcm", "a", measures={"plane": "other"}, flags=["no_head"])
        assert not items(report_of(tmp_path, "fetal_plane", record), "Image View")
