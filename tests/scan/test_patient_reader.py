"""The sequences of one patient on one grid."""

from __future__ import annotations

import json

import numpy as np
import pytest
from volume_files import oblique, phantom, save_nifti, save_series

from fetal_monai.scan import ScanError, find_patients, read_patient

SHAPE = (40, 44, 36)
AFFINE = oblique((3, 3, 3))


def head(
    shape=SHAPE, affine=AFFINE, shift_mm=(0, 0, 0), radii_mm=(45, 55, 40), inner=600, outer=200, tilt=0.0
):
    """An ellipsoid around the middle of SHAPE on AFFINE, with a bright ball off its middle, seen on any grid."""
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    centre = AFFINE[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + AFFINE[:3, 3] + shift_mm
    places = indices @ affine[:3, :3].T + affine[:3, 3] - centre
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    places = places @ turn
    image = outer * (((places / radii_mm) ** 2).sum(-1) < 1)
    image[np.linalg.norm(places - (15, 20, 5), axis=-1) < 18] = inner
    return (image + np.random.default_rng(0).integers(0, 9, shape)).astype(np.int16)


def patient(folder, **volumes):
    """A folder with a file for each sequence: voxels, or voxels and an affine."""
    folder.mkdir(exist_ok=True)
    for sequence, volume in volumes.items():
        voxels, affine = volume if isinstance(volume, tuple) else (volume, AFFINE)
        save_nifti(folder / f"{sequence}.nii.gz", voxels, affine)
    ((source,), _) = find_patients(folder)
    return source


def reason(source, **options):
    with pytest.raises(ScanError) as caught:
        read_patient(source, **options)
    return str(caught.value)


def test_sequences_on_one_grid_stay_as_they_are(tmp_path):
    flair, t1 = head(), head(inner=90, outer=300)
    scan = read_patient(source := patient(tmp_path / "p", t1=t1, flair=flair))
    assert (scan.source, scan.reference, scan.flags) == (source, "flair", ())
    assert list(scan.images) == ["t1", "flair"]
    for sequence, voxels in (("t1", t1), ("flair", flair)):
        assert scan.images[sequence].dtype == np.float32
        np.testing.assert_array_equal(scan.images[sequence], voxels)
    assert scan.scan.source.stem == "p"
    np.testing.assert_array_equal(scan.scan.image, flair)
    np.testing.assert_allclose(scan.scan.affine, AFFINE, atol=1e-5)
    assert scan.scan.header is not None


def test_the_reference_has_the_smallest_voxels(tmp_path):
    fine = AFFINE @ np.diag([2 / 3, 2 / 3, 2 / 3, 1])
    t1 = head((60, 66, 54), fine)
    source = patient(tmp_path / "p", t1=(t1, fine), t2=head(), flair=head())
    scan = read_patient(source)
    assert (scan.reference, scan.flags) == ("t1", ("resampled",))
    assert {image.shape for image in scan.images.values()} == {(60, 66, 54)}
    asked = read_patient(source, reference="t2")
    assert asked.reference == "t2" and asked.images["t1"].shape == SHAPE
    assert reason(source, reference="t1c") == "p: has no t1c to be the reference; it has t1, t2, flair"
    with pytest.raises(ValueError, match="reference is 'T9'; give one of t1, t1c, t2, flair"):
        read_patient(source, reference="T9")


@pytest.mark.parametrize(
    ("sequences", "reference"),
    [(("t1", "t2"), "t2"), (("t1", "t1c", "t2"), "t1c"), (("t1", "t1c", "t2", "flair"), "flair")],
)
def test_the_reference_among_equals(tmp_path, sequences, reference):
    source = patient(tmp_path / "p", **dict.fromkeys(sequences, head()))
    assert read_patient(source).reference == reference


def test_another_orientation_of_the_same_voxels(tmp_path):
    flair = head()
    turned, affine = flair[::-1].transpose(2, 0, 1), np.eye(4)
    affine[:3, :3] = AFFINE[:3, :3][:, [2, 0, 1]] * (1, -1, 1)
    affine[:3, 3] = (AFFINE @ (SHAPE[0] - 1, 0, 0, 1))[:3]
    scan = read_patient(patient(tmp_path / "p", t1=(turned, affine), flair=flair))
    assert scan.flags == ("resampled",)
    np.testing.assert_allclose(scan.images["t1"], flair, atol=0.1)


def test_linear_between_voxels_and_0_outside(tmp_path):
    ramp = np.broadcast_to(10 * np.arange(SHAPE[0])[:, None, None], SHAPE).astype(np.int16)
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, 0] * 10.5
    scan = read_patient(patient(tmp_path / "p", t1=(ramp, affine), flair=head()))
    along = scan.images["t1"][:, 20, 20]
    np.testing.assert_allclose(along[11:], 10 * (np.arange(11, 40) - 10.5), atol=0.01)
    assert (along[:10] == 0).all()
    assert "resampled" in scan.flags


def test_a_slab_covers_part_of_the_head(tmp_path):
    slab, affine = (40, 44, 10), AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, 2] * 15
    scan = read_patient(patient(tmp_path / "p", t2=(head(slab, affine), affine), flair=head()))
    assert scan.reference == "flair"
    assert scan.flags == ("resampled", "sequence_covers_part")


@pytest.mark.parametrize("shift_mm", [(9, 0, 0), (0, -9, 0), (0, 0, 12)])
def test_a_head_elsewhere_is_flagged(tmp_path, shift_mm):
    source = patient(tmp_path / "p", t1c=head(shift_mm=shift_mm, inner=90), flair=head())
    assert read_patient(source).flags == ("sequences_misaligned",)


def test_a_head_nearly_there_is_not(tmp_path):
    source = patient(tmp_path / "p", t1c=head(shift_mm=(1.5, 1, 0), inner=90), flair=head())
    assert read_patient(source).flags == ()


def test_a_head_without_its_skull(tmp_path):
    source = patient(tmp_path / "p", t1c=head(radii_mm=(38, 46, 33)), flair=head())
    assert read_patient(source).flags == ("sequences_differ_in_extent",)


def test_no_head_to_be_told_from_the_background(tmp_path):
    noise = np.random.default_rng(1).integers(0, 200, SHAPE).astype(np.int16)
    assert read_patient(patient(tmp_path / "p", t1c=noise, flair=head())).flags == ()


def test_registration_brings_a_head_back(tmp_path):
    flair, t1c = head(), head(shift_mm=(9, -12, 6), tilt=0.12, inner=90)
    source = patient(tmp_path / "p", t1c=t1c, flair=flair)
    scan = read_patient(source, register=True)
    assert scan.flags == ("registered",)
    truth = head(inner=90)
    before, after = (np.mean(np.abs(image - truth)[truth > 50]) for image in (t1c, scan.images["t1c"]))
    assert before > 40 and after < 10
    np.testing.assert_array_equal(scan.images["flair"], flair)
    again = read_patient(source, register=True)
    np.testing.assert_allclose(again.images["t1c"], scan.images["t1c"], atol=0.5)


def test_registration_leaves_what_lies_right(tmp_path):
    t1c = head(inner=90)
    scan = read_patient(patient(tmp_path / "p", t1c=t1c, flair=head()), register=True)
    assert scan.flags == ()
    np.testing.assert_array_equal(scan.images["t1c"], t1c)


def test_a_sequence_wholly_elsewhere(tmp_path):
    far = AFFINE.copy()
    far[:3, 3] += 500
    source = patient(tmp_path / "p", t1c=(head(inner=90), far), flair=head())
    assert reason(source).startswith(
        "t1c.nii.gz: lies wholly outside flair.nii.gz; give sequences of one examination"
    )
    assert read_patient(source, register=True).flags == ("registered", "resampled")


def test_a_label_map_given_as_an_image(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:20, 10:20, 10:20], labels[12:16, 12:16, 12:16] = 2, 4
    assert reason(patient(tmp_path / "p", t1=head(), flair=labels)) == (
        "flair.nii.gz: is a label map, not an image: its voxels are only 0, 2, 4; give the MR image itself"
    )
    assert "is a label map" in reason(patient(tmp_path / "q", flair=labels.astype(np.float32)))
    few = patient(tmp_path / "r", flair=(labels / 4).astype(np.float32))
    assert list(read_patient(few).images) == ["flair"]


def test_shapes_that_differ_with_one_affine(tmp_path):
    source = patient(tmp_path / "p", t1=head()[:, :, :30], flair=head())
    assert reason(source) == (
        "t1.nii.gz (t1) is 40x44x30 voxels and flair.nii.gz (flair) 40x44x36, but both claim the same affine; save "
        "them with the affines that they came with"
    )


def test_an_empty_brain_and_a_damaged_file(tmp_path):
    assert reason(patient(tmp_path / "p", t1=head(), flair=np.zeros(SHAPE, np.int16))) == (
        "flair.nii.gz: shows nothing: all voxels have the same value (0)"
    )
    source = patient(tmp_path / "q", t1=head(), flair=head())
    (tmp_path / "q" / "t1.nii.gz").write_bytes(b"no volume at all")
    assert reason(source).startswith("t1.nii.gz: is damaged")


def test_the_error_of_the_source(tmp_path):
    source = patient(tmp_path / "p", scan=head())
    assert reason(source) == source.error and "no sequence recognised" in source.error


def test_flags_of_reading_come_along(tmp_path):
    t1 = head().astype(np.float32)
    t1[5, 5, 5] = np.nan
    scan = read_patient(patient(tmp_path / "p", t1=t1, flair=head()))
    assert scan.flags == scan.scan.flags == ("non_finite_voxels",)


def test_a_file_of_four_axes(tmp_path):
    flair, t1 = head(), head(inner=90)
    save_nifti(tmp_path / "BRATS_001.nii.gz", np.stack([flair, t1], axis=-1), AFFINE)
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w"}}))
    ((source,), _) = find_patients(tmp_path)
    scan = read_patient(source)
    assert (source.stem, scan.reference, scan.flags) == ("BRATS_001", "flair", ())
    np.testing.assert_array_equal(scan.images["flair"], flair)
    np.testing.assert_array_equal(scan.images["t1"], t1)


def test_a_dicom_study(tmp_path):
    stored = phantom(24, 28, 20)
    affine = oblique((3, 3, 3))
    for number, description in ((1, "AX T1"), (2, "AX FLAIR")):
        save_series(
            tmp_path / "study" / f"s{number}", stored + number, affine, uid=f"1.2.{number}",
            SeriesDescription=description, StudyInstanceUID="1.9",
        )  # fmt: skip
    ((source,), _) = find_patients(tmp_path / "study")
    scan = read_patient(source)
    assert (source.stem, scan.reference, scan.scan.spacing_source) == ("study", "flair", "dicom")
    assert "resampled" not in scan.flags and "sequences_misaligned" not in scan.flags
    np.testing.assert_array_equal(scan.images["t1"], stored + 1)
    np.testing.assert_array_equal(scan.images["flair"], stored + 2)
    np.testing.assert_allclose(scan.scan.affine, affine, atol=1e-3)
