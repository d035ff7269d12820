"""Objects of MR series: every labelled voxel where its slice lies, whatever order or file it came in."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_out_readback import items, number, units
from dicom_sources import SERIES, dump_of, errors_of, write_enhanced, write_mr

from fetal_monai.dicom_out import KINDS, Origin, dicom_objects, volume_planes
from fetal_monai.record import Record
from fetal_monai.scan import ScanError, find_volumes, read_volume_scan

pytest.importorskip("highdicom")

ORIGIN = Origin("fetal_brain_mri_segmentation", "0.1.0", "cd" * 32, "key")
SHAPE = (20, 16, 6)
BRAIN = {
    "ga_weeks": 28.0,
    "cerebellum_ml": 4.25,
    "brain_ml": 99.0,
    "brain_ml_z": -0.4,
    "brain_ml_z_low": -1.0,
    "brain_ml_centile": 34.0,
    "atrial_width_left_mm": 7.1,
    "atrial_width_right_mm": float("nan"),
    "brain_bpd_mm": 60.0,
    "n_lesions": 2.0,
    "white_matter_ml": 0.0,
}


def affine_of(oblique: bool) -> np.ndarray:
    turn = np.eye(3)
    if oblique:
        a, b = 0.3, -0.2
        about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        turn = about_z @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.1, 0.9, 3.0])
    affine[:3, 3] = (11, -23, 5)
    return affine


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)


def labels_of(kind: str) -> np.ndarray:
    """Few voxels of each label, no two of them in mirrored places."""
    labels = np.zeros(SHAPE, np.uint8)
    for place, segment in enumerate(KINDS[kind].segments):
        labels[place * 2 : place * 2 + 2, 3 + place : 9, place % 5] = segment.labels[-1]
        labels[17, 2, place % 6] = segment.labels[-1]
    return labels


def made(path, kind="fetal_brain", time_point=None, measures=None):
    (source,) = find_volumes(path)[0]
    scan = read_volume_scan(source, time_point=time_point)
    labels = labels_of(kind)
    record = Record(
        "a",
        "a",
        measures=BRAIN if measures is None else measures,
        spacing_mm=scan.spacing_mm,
        spacing_source="dicom",
    )
    planes = volume_planes(source, time_point)
    return scan, labels, dicom_objects(record, labels, planes, KINDS[kind], ORIGIN)


def voxels_of(seg) -> dict[int, set[tuple[float, ...]]]:
    """Where the voxels of each segment lie, in RAS and mm, by what each frame of the object says of itself alone."""
    (shared,) = seg.SharedFunctionalGroupsSequence
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found: dict[int, set[tuple[float, ...]]] = {}
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(frame)
        points = (
            position
            + np.outer(columns * column_mm, orientation[:3])
            + np.outer(rows * row_mm, orientation[3:])
        )
        named = (
            groups if "SegmentIdentificationSequence" in groups else shared
        )  # shared where there is one segment
        segment = int(named.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found.setdefault(segment, set()).update(rounded(points * (-1, -1, 1)))
    return found


def rounded(points) -> set[tuple[float, ...]]:
    return {tuple(point) for point in (np.round(points, 2) + 0.0).tolist()}


def check_places(seg, scan, labels, kind) -> None:
    found = voxels_of(seg)
    for n, segment in enumerate(KINDS[kind].segments, start=1):
        places = np.argwhere(np.isin(labels, segment.labels))
        there = np.array(sorted(found[n]))
        assert len(there) == len(places) > 0
        back = (np.c_[there, np.ones(len(there))] @ np.linalg.inv(scan.affine).T)[:, :3]
        assert np.abs(back - np.rint(back)).max() < 0.02
        assert {tuple(place) for place in np.rint(back).astype(int).tolist()} == {
            tuple(p) for p in places.tolist()
        }


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (3, 0, 5, 1, 4, 2)])
def test_labels_lie_where_the_nifti_mask_has_them(tmp_path, oblique, order):
    path = write_mr(tmp_path / "s", volume(), affine_of(oblique), order)
    scan, labels, (seg, _) = made(path)
    check_places(seg, scan, labels, "fetal_brain")


def test_one_frame_for_each_slice_and_segment_on_its_source(tmp_path):
    import highdicom
    import pydicom

    path = write_mr(tmp_path / "s", volume(), affine_of(True), (3, 0, 5, 1, 4, 2))
    _, labels, (seg, _) = made(path)
    seg.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    read = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert read.NumberOfFrames == SHAPE[2] * 7
    uids = [f"{SERIES}.{k + 1}" for k in range(SHAPE[2])]
    back = read.get_pixels_by_source_instance(uids, segment_numbers=range(1, 8), combine_segments=True)
    assert np.array_equal(back, labels[:, ::-1, :].transpose(2, 1, 0))
    sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, sorted(path.iterdir()))}
    for groups in read.PerFrameFunctionalGroupsSequence:
        source = sources[groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(position, source.ImagePositionPatient, atol=1e-5)
    assert read.FrameOfReferenceUID == source.FrameOfReferenceUID


def test_enhanced_file_gives_the_frames_of_one_time(tmp_path):
    path = write_enhanced(tmp_path / "e.dcm", volume(), affine_of(True))
    scan, labels, (seg, report) = made(path, time_point=1)
    check_places(seg, scan, labels, "fetal_brain")
    frames = {
        int(groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
        for groups in seg.PerFrameFunctionalGroupsSequence
    }
    assert frames == set(range(SHAPE[2] + 1, 2 * SHAPE[2] + 1))  # the second half of the file
    names = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in items(report, "Source of Measurement")
    }
    assert names == {f"{SERIES}.77"}
    assert [item.ReferencedSOPInstanceUID for item in seg.SourceImageSequence] == [f"{SERIES}.77"]
    for name, dataset in (("seg", seg), ("sr", report)):
        dataset.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        assert errors_of(tmp_path / f"{name}.dcm") == []


@pytest.mark.parametrize("kind", ["fetal_brain", "fetal_brain_mask", "brain_tumour"])
def test_objects_of_a_series_are_valid(tmp_path, kind):
    path = write_mr(tmp_path / "s", volume(), affine_of(False))
    measures = {"whole_tumour_ml": 4.0, "necrosis_ml": 1.0, "rano_diameter_mm": 22.0, "brain_mask_ml": 50.0}
    scan, labels, both = made(path, kind, measures=measures)
    check_places(both[0], scan, labels, kind)
    for name, dataset in zip(("seg", "sr"), both, strict=True):
        dataset.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        assert errors_of(tmp_path / f"{name}.dcm") == []
    assert "Imaging Measurement Report" in dump_of(tmp_path / "sr.dcm")


def test_each_tissue_has_its_volume_on_its_segment(tmp_path):
    _, _, (seg, report) = made(write_mr(tmp_path / "s", volume(), affine_of(False)))
    groups = {
        items(group, "Tracking Identifier")[0].TextValue: group
        for group in items(report, "Measurement Group")
    }
    assert set(groups) == {"Fetal brain", *(s.name for s in KINDS["fetal_brain"].segments)}
    (volume_item,) = items(groups["Cerebellum"], "Volume")
    assert (number(volume_item), units(volume_item)) == (4.25, "ml")
    (segment,) = items(groups["Cerebellum"], "Referenced Segment")
    (reference,) = segment.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert reference.ReferencedSegmentNumber == 5
    (brain,) = items(groups["Fetal brain"], "Volume")
    assert number(brain) == 99
    assert number(items(brain, "Z-Score of measurement")[0]) == -0.4
    assert number(items(brain, "Percentile Ranking of measurement")[0]) == 34
    (width,) = items(report, "Lateral Ventricle width")
    assert items(width, "Laterality")[0].ConceptCodeSequence[0].CodeMeaning == "Left"
    (own,) = items(report, "Brain biparietal diameter")  # the brain's is not the skull's
    assert own.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99FETALMONAI"
    assert units(items(report, "Lesions")[0]) == "1"


def test_enhancing_tumour_is_one_segment_in_both_conventions(tmp_path):
    path = write_mr(tmp_path / "s", volume(), affine_of(False))
    (source,) = find_volumes(path)[0]
    planes = volume_planes(source)
    record = Record("a", "a", spacing_mm=(1, 1, 1), spacing_source="dicom")
    old = labels_of("brain_tumour")
    masks = [
        dicom_objects(record, labels, planes, KINDS["brain_tumour"], ORIGIN).mask
        for labels in (old, np.where(old == 4, 3, old))
    ]
    assert np.array_equal(masks[0].pixel_array, masks[1].pixel_array)
    assert masks[0].SegmentSequence[2].SegmentLabel == "Enhancing tumour"


def test_mask_of_another_shape_is_refused(tmp_path):
    path = write_mr(tmp_path / "s", volume(), affine_of(False))
    (source,) = find_volumes(path)[0]
    record = Record("a", "a", spacing_mm=(1, 1, 1))
    with pytest.raises(ValueError, match="the mask has shape"):
        dicom_objects(record, np.zeros((16, 20, 6)), volume_planes(source), KINDS["fetal_brain"], ORIGIN)


def test_series_without_a_frame_of_reference_is_refused(tmp_path):
    import pydicom

    path = write_mr(tmp_path / "s", volume(), affine_of(False))
    for file in path.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.FrameOfReferenceUID
        dataset.save_as(file)
    (source,) = find_volumes(path)[0]
    with pytest.raises(ScanError, match="has no FrameOfReferenceUID"):
        volume_planes(source)
