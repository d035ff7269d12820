from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from brains import stored_otherwise
from scipy.spatial.transform import Rotation

from fetal_monai.measure.tumour import LESION_FIELDS, LINE_MEASURES, TUMOUR_MEASURES, measure_tumour

SHAPE = (60, 50, 20)
SPACING = (1.0, 1.5, 2.5)  # a voxel is 3.75 mm³


def placed(shape=SHAPE, spacing=SPACING) -> np.ndarray:
    """Affine of a volume whose middle is at 0."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(spacing) * (np.array(shape) - 1) / 2
    return affine


def tumour() -> np.ndarray:
    """To the right oedema of 20 x 14 x 8 voxels about a core of 14 x 8 x 4 that enhances but for 6 x 4 x 2.

    To the left oedema of 3 x 5 x 2 voxels.
    """
    labels = np.zeros(SHAPE, np.uint8)
    labels[35:55, 20:34, 6:14] = 2
    labels[38:52, 23:31, 8:12] = 4
    labels[42:48, 25:29, 9:11] = 1
    labels[10:13, 10:15, 4:6] = 2
    return labels


AFFINE = placed()
LABELS = tumour()
WHOLE, CORE, NECROSIS, SMALL = 20 * 14 * 8, 14 * 8 * 4, 6 * 4 * 2, 3 * 5 * 2


def test_a_tumour_of_boxes_by_hand():
    found = measure_tumour(LABELS, AFFINE)
    voxel_ml = 3.75 / 1000
    expected = {
        "whole_tumour_ml": (WHOLE + SMALL) * voxel_ml,
        "tumour_core_ml": CORE * voxel_ml,
        "enhancing_ml": (CORE - NECROSIS) * voxel_ml,
        "oedema_ml": (WHOLE + SMALL - CORE) * voxel_ml,
        "necrosis_ml": NECROSIS * voxel_ml,
        "oedema_ratio": (WHOLE + SMALL - CORE) / (WHOLE + SMALL),
        "necrosis_ratio": NECROSIS / CORE,
        "n_lesions": 2,
    }
    assert tuple(found.measures) == TUMOUR_MEASURES
    assert {name: found.measures[name] for name in expected} == pytest.approx(expected)
    assert found.flags == []
    assert found.extra["rano_region"] == found.extra["longest_region"] == "enhancing"
    assert found.extra["midplane"] == {
        "origin_mm": pytest.approx([0, 0, 0]),
        "right": [1, 0, 0],
        "source": "volume",
    }


def test_lengths_of_a_box_by_hand():
    """A slice of 14 x 8 voxels, 14 by 12 mm: from the middle of a face to the farthest one of another voxel."""
    found = measure_tumour(LABELS, AFFINE)
    diagonal = math.hypot(13, 12)  # in y from face to face, in x from middle to middle
    assert found.measures["rano_diameter_mm"] == pytest.approx(diagonal)
    assert found.measures["longest_diameter_3d_mm"] == pytest.approx(math.hypot(13, 10.5, 10))
    for name, measure in LINE_MEASURES.items():
        line = found.lines[name]
        assert line.shape == (2, 3)
        assert np.linalg.norm(line[1] - line[0]) == pytest.approx(found.measures[measure])
    first, second = (
        np.diff(found.lines[name], axis=0)[0] for name in ("rano_diameter", "rano_perpendicular")
    )
    assert first @ second == pytest.approx(0, abs=1e-9)
    place = found.extra["rano_slice"]
    assert (place["axis"], place["tilt_degrees"]) == (2, 0)
    assert place["index"] == 8  # the lowest of four alike
    assert found.lines["rano_diameter"][:, 2] == pytest.approx([-3.75, -3.75])


def test_a_row_for_each_lesion_by_hand():
    large, small = measure_tumour(LABELS, AFFINE).lesions
    assert tuple(large) == tuple(small) == LESION_FIELDS
    assert large == {
        "lesion": 1,
        "volume_ml": pytest.approx(8.4),
        "tumour_core_ml": pytest.approx(CORE * 0.00375),
        "enhancing_ml": pytest.approx((CORE - NECROSIS) * 0.00375),
        "longest_diameter_mm": pytest.approx(
            math.hypot(19, 19.5, 20)
        ),  # 20 x 21 x 20 mm, faces across the second
        "enhancing_diameter_mm": pytest.approx(math.hypot(13, 10.5, 10)),
        "centre_ras_x_mm": pytest.approx(15),  # voxels 44.5, 26.5, 9.5 of a volume about 29.5, 24.5, 9.5
        "centre_ras_y_mm": pytest.approx(3),
        "centre_ras_z_mm": pytest.approx(0),
        "side": "right",
    }
    assert small == {
        "lesion": 2,
        "volume_ml": pytest.approx(0.1125),
        "tumour_core_ml": 0,
        "enhancing_ml": 0,
        "longest_diameter_mm": pytest.approx(math.hypot(2, 7.5, 2.5)),
        "enhancing_diameter_mm": pytest.approx(math.nan, nan_ok=True),
        "centre_ras_x_mm": pytest.approx(-18.5),
        "centre_ras_y_mm": pytest.approx(-18.75),
        "centre_ras_z_mm": pytest.approx(-12.5),
        "side": "left",
    }


def test_storage_changes_nothing():
    image = head_about(np.array([4.0, 0.0, 0.0]))
    first = measure_tumour(LABELS, AFFINE, image)
    assert first.extra["midplane"]["source"] == "image"
    stored = list(zip(stored_otherwise(LABELS, AFFINE), stored_otherwise(image, AFFINE), strict=True))
    for (labels, affine), (gray, _) in [stored[n] for n in (0, 11, 29, 46)]:
        found = measure_tumour(labels, affine, gray)
        assert found.measures == pytest.approx(first.measures)
        for row, as_before in zip(found.lesions, first.lesions, strict=True):
            assert row == pytest.approx(as_before, nan_ok=True)
        assert found.flags == first.flags
        for name, line in first.lines.items():
            assert found.lines[name] == pytest.approx(line)
        assert found.extra["midplane"] == first.extra["midplane"]
        place = found.extra["rano_slice"]
        index = [0, 0, 0]
        index[place["axis"]] = place["index"]
        assert (affine @ [*index, 1])[2] == pytest.approx(-3.75)


def test_a_turned_patient_has_the_same_measures():
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("xyz", (8, -12, 15), degrees=True).as_matrix()
    upright, found = measure_tumour(LABELS, AFFINE), measure_tumour(LABELS, rotation @ AFFINE)
    assert found.measures == pytest.approx(upright.measures)
    assert found.lines["longest"] == pytest.approx(upright.lines["longest"] @ rotation[:3, :3].T)
    assert found.extra["rano_slice"]["tilt_degrees"] == pytest.approx(
        math.degrees(math.acos(math.cos(math.radians(8)) * math.cos(math.radians(12))))
    )


def test_conventions():
    """The same tumour in BraTS 2023, and one of BraTS 2013 whose core is partly labelled 3."""
    first = measure_tumour(LABELS, AFFINE)
    as_2023 = np.where(LABELS == 4, 3, LABELS)
    assert measure_tumour(as_2023, AFFINE).measures == first.measures
    as_2013 = LABELS.copy()
    as_2013[42:45, 25:29, 9:11] = 3
    assert measure_tumour(as_2013.astype(np.float32), AFFINE).measures == first.measures
    without = measure_tumour(np.where(LABELS == 4, 3, LABELS), AFFINE, convention="brats2013")
    assert without.measures["enhancing_ml"] == 0
    assert without.extra["rano_region"] == "tumour_core"


def test_without_enhancement_the_core_is_measured():
    found = measure_tumour(np.where(LABELS == 4, 1, LABELS), AFFINE)
    assert found.extra["rano_region"] == found.extra["longest_region"] == "tumour_core"
    assert found.measures["rano_diameter_mm"] == pytest.approx(math.hypot(13, 12))
    assert found.measures["necrosis_ratio"] == 1


def test_oedema_alone_has_no_rano_diameter():
    found = measure_tumour(np.where(LABELS > 0, 2, 0), AFFINE)
    assert found.extra == {
        "rano_region": None,
        "longest_region": "whole_tumour",
        "midplane": found.extra["midplane"],
    }
    assert math.isnan(found.measures["rano_diameter_mm"])
    assert math.isnan(found.measures["rano_perpendicular_mm"])
    assert math.isnan(found.measures["necrosis_ratio"])
    assert found.measures["oedema_ratio"] == 1
    # 20 x 14 x 8 voxels: 19 by 19.5 by 17.5 mm from middle to middle, and 2.5 for the faces at both ends
    assert found.measures["longest_diameter_3d_mm"] == pytest.approx(math.hypot(19, 19.5, 20))


def test_nothing_at_all():
    found = measure_tumour(np.zeros(SHAPE, np.uint8), AFFINE)
    assert found.flags == ["no_tumour"]
    zero = ("whole_tumour_ml", "tumour_core_ml", "enhancing_ml", "oedema_ml", "necrosis_ml", "n_lesions")
    assert [name for name, value in found.measures.items() if value == 0] == list(zero)
    assert all(math.isnan(value) for name, value in found.measures.items() if name not in zero)
    assert (found.lesions, found.lines) == ([], {})
    assert found.extra == {"rano_region": None, "longest_region": None}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
def test_a_tumour_at_an_end_of_the_volume(axis, end):
    labels = LABELS.copy()
    np.moveaxis(labels, axis, 0)[end, 9, 9] = 2
    assert measure_tumour(labels, AFFINE).flags == ["tumour_at_edge"]


def test_one_axial_slice():
    found = measure_tumour(LABELS[:, :, 8:9], AFFINE)
    assert found.flags == []
    assert math.isnan(found.measures["longest_diameter_3d_mm"])
    assert set(found.lines) == {"rano_diameter", "rano_perpendicular"}
    assert found.measures["rano_diameter_mm"] == pytest.approx(math.hypot(13, 12))
    assert found.measures["whole_tumour_ml"] == pytest.approx(280 * 3.75 / 1000)
    assert found.lesions[0]["side"] == "right"
    assert math.isnan(found.lesions[0]["longest_diameter_mm"])


def test_a_single_sagittal_slice_has_no_side():
    found = measure_tumour(LABELS[40:41], AFFINE, head_about(np.zeros(3))[40:41])
    assert found.lesions[0]["side"] == "unknown"
    assert found.extra["midplane"] is None
    assert found.extra["rano_slice"]["tilt_degrees"] == pytest.approx(90)


def test_a_lesion_at_the_midline():
    labels = np.zeros((41, 20, 20), np.uint8)
    affine = placed(labels.shape, (1, 1, 1))
    labels[20, 5, 5:10] = 2  # on the plane itself
    labels[19:22, 12, 2:5] = 2  # to both sides
    labels[20:25, 12, 15:18] = 2  # four of five to the right
    labels[18:21, 5, 15:17] = 2  # two of three to the left
    sides = {round(row["volume_ml"] * 1000): row["side"] for row in measure_tumour(labels, affine).lesions}
    assert sides == {5: "midline", 9: "midline", 15: "right", 6: "midline"}


def head_about(middle_mm: np.ndarray, turn_degrees: float = 0.0) -> np.ndarray:
    """A picture of a head with a bright skull and dark ventricles; its midplane is turned about the patient's axis."""
    points = np.argwhere(np.ones(SHAPE)) @ AFFINE[:3, :3].T + AFFINE[:3, 3] - middle_mm
    points = points @ Rotation.from_euler("z", turn_degrees, degrees=True).as_matrix()
    radius = np.sqrt(((points / [22, 31, 40]) ** 2).sum(axis=1))
    image = np.where(radius < 0.88, 60.0, np.where(radius < 1, 100.0, 0.0))
    for x in (-6, 6):
        image[(((points - [x, -5, 0]) / [3, 10, 12]) ** 2).sum(axis=1) < 1] = 20.0
    return image.reshape(SHAPE)


@pytest.mark.parametrize("turn", [0.0, 12.0])
def test_sides_are_told_by_the_head_not_by_the_volume(turn):
    """A lesion 4 mm to the right of the volume's middle lies to the left in a head that lies 8 mm to the right."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[32:35, 23:26, 8:12] = 4
    image = head_about(np.array([8.0, 0.0, 0.0]), turn)
    image[labels > 0] = 200.0
    found = measure_tumour(labels, AFFINE, image.astype(np.int16))
    plane = found.extra["midplane"]
    assert plane["source"] == "image"
    right = [math.cos(math.radians(turn)), math.sin(math.radians(turn)), 0]
    assert math.degrees(math.acos(min(1.0, np.dot(plane["right"], right)))) < 2
    assert (np.array([8, 0, 0]) - plane["origin_mm"]) @ plane["right"] == pytest.approx(0, abs=0.7)
    assert found.lesions[0]["side"] == "left"
    assert measure_tumour(labels, AFFINE).lesions[0]["side"] == "right"


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(SHAPE),
        np.full(SHAPE, np.nan),
        np.arange(60)[:, None, None] + np.zeros(SHAPE),  # brighter and brighter to the right
    ],
    ids=["empty", "nan", "slope"],
)
def test_an_image_that_tells_no_midplane(image):
    found = measure_tumour(LABELS, AFFINE, image)
    assert found.extra["midplane"]["source"] == "volume"
    assert [row["side"] for row in found.lesions] == ["right", "left"]


def test_the_input_stays_as_it_is():
    labels, affine, image = tumour(), placed(), head_about(np.zeros(3))
    image[0, 0, 0] = np.nan
    before = image.copy()
    for array in (labels, affine, image):
        array.flags.writeable = False
    measure_tumour(labels, affine, image)
    assert np.array_equal(image, before, equal_nan=True)


@pytest.mark.parametrize(
    ("labels", "affine", "image", "reason"),
    [
        (np.zeros((4, 4)), np.eye(4), None, r"one \(I, J, K\)"),
        (np.zeros((0, 4, 4)), np.eye(4), None, r"one \(I, J, K\)"),
        (np.zeros((4, 4, 4)), np.eye(4), np.zeros((4, 4, 5)), r"\(4, 4, 4\), image \(4, 4, 5\)"),
        (np.full((4, 4, 4), 7), np.eye(4), None, "0 to 4"),
        (np.ones((4, 4, 4)), np.zeros((4, 4)), None, "singular"),
        (np.ones((4, 4, 4)), np.eye(3), None, r"\(4, 4\)"),
        (np.ones((4, 4, 4)), np.full((4, 4), np.nan), None, "finite"),
    ],
)
def test_bad_input(labels, affine, image, reason):
    with pytest.raises(ValueError, match=reason):
        measure_tumour(labels, affine, image)


def test_importing_is_quick_and_silent():
    code = (
        "import sys; import fetal_monai.measure.tumour_change, fetal_monai.metrics_lesions; "
        "heavy = {'torch', 'monai', 'scipy', 'skimage', 'matplotlib'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
