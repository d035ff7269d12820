from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from brains import (
    ATRIUM_LEFT_MM,
    ATRIUM_RIGHT_MM,
    BPD_MM,
    CEREBELLUM_ML,
    OFD_MM,
    STRONG_TILT,
    TCD_MM,
    brain_labels,
    stored_otherwise,
)

from fetal_monai.measure.brain_frame import find_brain_frame, label_volume
from fetal_monai.measure.cortex import bare_white_matter, cortex_shape
from fetal_monai.measure.tissues import TISSUES
from fetal_monai.measure.volume import BRAIN_MEASURES, LINE_MEASURES, brain_flags, measure_brain
from fetal_monai.report.flags import FLAGS

SMALL = {"spacing": (1.1, 1.1, 1.1), "scale": 0.5}  # half the size, an eighth of the time


@pytest.fixture(scope="module")
def small():
    return measure_brain(*brain_labels(**SMALL))


@pytest.fixture(scope="module")
def upright():
    return measure_brain(*brain_labels())


def test_volumes_of_boxes():
    labels = np.zeros((40, 30, 20), dtype=np.int16)
    for label in range(1, 8):
        labels[5 * label - 4 : 5 * label, 2:12, 3:13] = label  # 4 x 10 x 10 voxels
    found = measure_brain(labels, np.diag([2.0, 1.5, 3.0, 1.0])).measures
    assert all(found[f"{tissue}_ml"] == pytest.approx(0.4 * 9) for tissue in TISSUES)  # 400 voxels of 9 mm³
    assert found["brain_ml"] == pytest.approx(5 * 3.6)
    assert found["intracranial_ml"] == pytest.approx(7 * 3.6)


@pytest.mark.parametrize(
    ("spacing", "rotation"),
    [((1.2, 1.2, 1.2), None), ((0.8, 1.0, 1.5), None), ((1.2, 1.2, 1.2), STRONG_TILT)],
)
def test_lengths_of_a_brain_of_ellipsoids(spacing, rotation):
    found = measure_brain(*brain_labels(spacing, rotation))
    expected = {
        "atrial_width_left_mm": ATRIUM_LEFT_MM,
        "atrial_width_right_mm": ATRIUM_RIGHT_MM,
        "transcerebellar_diameter_mm": TCD_MM,
        "brain_bpd_mm": BPD_MM,
        "brain_ofd_mm": OFD_MM,
    }
    assert {name: found.measures[name] for name in expected} == pytest.approx(expected, abs=0.7)
    assert found.measures["cerebellum_ml"] == pytest.approx(CEREBELLUM_ML, rel=0.01)
    assert found.measures["ventricle_asymmetry"] == pytest.approx(-1 / 6, abs=0.03)  # (5 - 7) / (5 + 7)
    assert found.flags == ["ventriculomegaly_moderate"]
    assert found.extra["atrial_width_grade"]["right"] == "moderate"


@pytest.mark.parametrize("rotation", [np.eye(3), STRONG_TILT], ids=["upright", "tilted"])
def test_axes_and_lines_follow_the_brain(rotation):
    found = measure_brain(*brain_labels(rotation=rotation, shift=(7.0, -3.0, 5.0)))
    axes = np.array(found.extra["brain_frame"]["axes"])
    angles = np.degrees(np.arccos(np.clip((axes * rotation.T).sum(axis=1), -1, 1)))
    assert angles.max() < 1.5
    assert np.linalg.det(axes) == pytest.approx(1)
    for name, measure in LINE_MEASURES.items():
        ends = found.lines[name]
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(found.measures[measure])
    for side, x, degrees in (("left", -18, 15), ("right", 18, -15)):
        line = found.lines[f"atrial_width_{side}"] @ rotation
        assert line.mean(axis=0) == pytest.approx([x, -20, -4], abs=1.5)
        inward = line[0] - line[1]
        assert np.degrees(np.arctan2(inward[1], -np.sign(x) * inward[0])) == pytest.approx(
            abs(degrees), abs=11
        )
    cerebellum = found.lines["tcd"] @ rotation
    assert cerebellum[:, 0] == pytest.approx([-18, 18], abs=0.6)
    assert cerebellum[:, 2] == pytest.approx([-30, -30], abs=2)


def test_storage_does_not_matter(small):
    ways = list(stored_otherwise(*brain_labels(**SMALL)))
    assert len(ways) == 48
    for labels, affine in (ways[11], ways[38]):
        found = measure_brain(labels, affine)
        assert found.measures == pytest.approx(small.measures, abs=1e-6)
        assert found.lines["tcd"] == pytest.approx(small.lines["tcd"], abs=1e-6)


def test_all_storages_give_one_volume():
    labels, affine = brain_labels((4.0, 5.0, 6.0), STRONG_TILT)
    first = label_volume(labels, affine)
    for turned, stored in stored_otherwise(labels, affine):
        other = label_volume(turned, stored)
        assert np.array_equal(other.labels, first.labels)
        assert other.affine == pytest.approx(first.affine)


def test_sides_are_the_patients():
    """A mirrored brain has its wider atrium on the other side."""
    labels, affine = brain_labels(**SMALL)
    mirrored = measure_brain(labels[::-1], affine)
    assert mirrored.measures["atrial_width_left_mm"] == pytest.approx(ATRIUM_RIGHT_MM / 2, abs=0.6)
    assert mirrored.measures["atrial_width_right_mm"] == pytest.approx(ATRIUM_LEFT_MM / 2, abs=0.6)


def test_what_lies_at_the_midline_does_not_count(upright):
    """A cavum and third ventricle, ever wider, leave the atria alone."""
    labels, affine = brain_labels()
    x, y, z = np.stack(np.meshgrid(*[np.arange(n) for n in labels.shape], indexing="ij")) * 1.2 - 61.63
    labels[((x / 8) ** 2 + ((y + 24) / 14) ** 2 + ((z + 4) / 8) ** 2) < 1] = 4
    wide = measure_brain(labels, affine)
    for side in ("left", "right"):
        name = f"atrial_width_{side}_mm"
        assert wide.measures[name] == pytest.approx(upright.measures[name], abs=0.3)


@pytest.mark.parametrize("radius", [24.0, 34.0])
def test_a_ball_has_no_folds(radius):
    half = 45
    grid = np.stack(np.meshgrid(*[np.arange(-half, half + 1)] * 3, indexing="ij"))
    labels = np.where((grid**2).sum(axis=0) < radius**2, 2, 0).astype(np.uint8)
    volume = label_volume(labels, np.eye(4))
    found = cortex_shape(volume, find_brain_frame(volume))
    assert found.surface_mm2 == pytest.approx(4 * math.pi * radius**2, rel=0.02)
    assert found.gyrification_index == pytest.approx(1, abs=0.02)
    assert found.mean_curvature_per_mm == pytest.approx(1 / radius, rel=0.1)


def test_bare_white_matter_by_hand():
    """A bar of two voxels, white matter and cortex: five faces of each look outwards; CSF counts as outside."""
    labels = np.zeros((4, 3, 3), np.uint8)
    labels[1:3, 1, 1] = 3, 2
    assert bare_white_matter(labels) == 0.5
    labels[labels == 0] = 1
    assert bare_white_matter(labels) == 0.5
    labels[1, 1, 1] = 6
    assert bare_white_matter(labels) == 0.0
    assert math.isnan(bare_white_matter(np.zeros((3, 3, 3), np.uint8)))


def test_a_lost_cortex_is_flagged(small):
    assert "cortex_incomplete" not in small.flags
    labels, affine = brain_labels(**SMALL)
    assert "cortex_incomplete" in measure_brain(np.where(labels == 2, 3, labels), affine).flags


def test_folds_count(upright):
    assert upright.measures["gyrification_index"] == pytest.approx(1, abs=0.02)
    labels, affine = brain_labels()
    x = np.arange(labels.shape[0]) * 1.2 - 61.63
    for at in (-24, -12, 12, 24):  # sulci 4 mm wide
        near = np.abs(x - at) < 2
        labels[near, :, 70:] = np.minimum(labels[near, :, 70:], 1)
    folded = measure_brain(labels, affine).measures
    assert folded["gyrification_index"] > 1.2
    assert folded["mean_curvature_per_mm"] > 1.5 * upright.measures["mean_curvature_per_mm"]


def test_nothing_at_all():
    found = measure_brain(np.zeros((9, 9, 9), dtype=np.uint8), np.eye(4))
    assert found.flags == ["no_brain"]
    assert list(found.measures) == list(BRAIN_MEASURES)
    assert all(math.isnan(value) for value in found.measures.values())
    assert (found.lines, found.extra) == ({}, {})
    crumb = np.zeros((9, 9, 9), dtype=np.uint8)
    crumb[4, 4, 4] = 3
    assert measure_brain(crumb, np.eye(4)).flags == ["no_brain"]


def test_a_brain_of_no_fetus():
    tiny = measure_brain(*brain_labels((0.8, 0.8, 0.8), scale=0.3))
    assert 1 < tiny.measures["brain_ml"] < 8
    assert "implausible_volume" in tiny.flags
    adult = dict.fromkeys(BRAIN_MEASURES, 9.0) | {"brain_ml": 1200.0}
    assert brain_flags(adult) == ["implausible_volume"]
    assert brain_flags(adult | {"brain_ml": 320.0}) == []


def test_without_landmarks_no_length_but_volumes(small):
    found = measure_brain(*brain_labels(**SMALL, without=(5,)))
    assert found.flags == ["missing_tissue", "brain_axes_unsure"]
    assert all(math.isnan(found.measures[name]) for name in LINE_MEASURES.values())
    assert found.lines == {}
    assert found.measures["white_matter_ml"] == pytest.approx(small.measures["white_matter_ml"])


def test_without_ventricles_no_atrium():
    found = measure_brain(*brain_labels(**SMALL, without=(4,)))
    assert found.flags == ["missing_tissue", "atrium_not_found"]
    assert math.isnan(found.measures["atrial_width_left_mm"])
    assert math.isnan(found.measures["ventricle_asymmetry"])
    assert found.measures["transcerebellar_diameter_mm"] == pytest.approx(TCD_MM / 2, abs=0.7)


def test_a_brain_that_is_cut_off():
    labels, affine = brain_labels(**SMALL)
    middle = labels.shape[2] // 2
    assert "brain_cut_off" in measure_brain(labels[:, :, : middle + 8], affine).flags
    assert "brain_cut_off" not in measure_brain(labels, affine).flags


def test_ct_is_doubted():
    labels, affine = brain_labels(**SMALL)
    image = np.where(labels == 4, 5.0, 35.0).astype(np.float32)
    image[labels == 3] = np.where(np.arange((labels == 3).sum()) % 9, 35.0, np.nan)
    assert "csf_not_bright" in measure_brain(labels, affine, image).flags
    assert "csf_not_bright" not in measure_brain(labels, affine, -image).flags


@pytest.mark.parametrize(
    ("width", "grade"), [(9.9, None), (10, "mild"), (12, "mild"), (12.1, "moderate"), (15, "severe")]
)
def test_the_wider_atrium_grades(width, grade):
    measures = dict.fromkeys(BRAIN_MEASURES, 50.0) | {
        "atrial_width_left_mm": width,
        "atrial_width_right_mm": 7.0,
    }
    assert brain_flags(measures) == ([] if grade is None else [f"ventriculomegaly_{grade}"])
    measures["atrial_width_right_mm"] = math.nan
    assert "atrium_not_found" in brain_flags(measures)


@pytest.mark.parametrize(
    ("labels", "affine", "reason"),
    [
        (np.zeros((4, 4)), np.eye(4), "give \\(I, J, K\\)"),
        (np.full((4, 4, 4), 8), np.eye(4), "0 to 7"),
        (np.full((4, 4, 4), -1), np.eye(4), "0 to 7"),
        (np.full((4, 4, 4), 0.5), np.eye(4), "whole numbers"),
        (np.ones((4, 4, 4)), np.zeros((4, 4)), "singular"),
        (np.ones((4, 4, 4)), np.eye(3), "4, 4"),
        (np.ones((4, 4, 4)), np.full((4, 4), np.nan), "finite"),
    ],
)
def test_bad_input(labels, affine, reason):
    with pytest.raises(ValueError, match=reason):
        measure_brain(labels, affine)


def test_an_image_of_another_shape():
    labels, affine = brain_labels(**SMALL)
    with pytest.raises(ValueError, match="shape"):
        measure_brain(labels, affine, labels[1:])


def test_input_is_left_alone():
    labels, affine = brain_labels(**SMALL)
    before = labels.copy(), affine.copy()
    measure_brain(labels, affine)
    assert np.array_equal(labels, before[0]) and np.array_equal(affine, before[1])


def test_flags_are_explained():
    raised = {"no_brain", "implausible_volume", "missing_tissue", "brain_axes_unsure", "atrium_not_found"}
    raised |= {"brain_cut_off", "csf_not_bright", "no_ga", "ga_out_of_range"}
    raised |= {f"ventriculomegaly_{grade}" for grade in ("mild", "moderate", "severe")}
    assert raised <= set(FLAGS)


def test_importing_is_light():
    code = (
        "import sys; import fetal_monai.measure.volume, fetal_monai.anomaly.separation; "
        "heavy = {'torch', 'monai', 'scipy', 'skimage', 'nibabel', 'matplotlib'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
