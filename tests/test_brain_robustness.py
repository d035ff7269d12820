"""The fetal brain bundle on one scan stored, scaled and sampled in other ways, and beside files that make no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from bundle_runs import MONAI_WARNS_OF_CONFIGS, MRI, ROOT, Run, run_bundle
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.processing import resample_from_to
from nibabel.spaces import vox2out_vox

from fetal_monai.metrics import dice

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

SCAN = ROOT / "data/samples/fetal_brain_atlas/spina_bifida/GA26_operated/t2w.nii.gz"
ORIENTATIONS = ["LPS", "PIR", "SAL"]


def turned(image: Any, codes: str) -> Any:
    """The same volume with its axes stored in another order and direction."""
    way = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    data = apply_orientation(np.asarray(image.dataobj), way)
    return nibabel.Nifti1Image(data, image.affine @ inv_ornt_aff(way, image.shape))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("scans")
    scan: Any = nibabel.load(SCAN)
    nibabel.save(scan, folder / "plain.nii.gz")
    for codes in ORIENTATIONS:
        nibabel.save(turned(scan, codes), folder / f"{codes}.nii.gz")
    data = np.asarray(scan.dataobj)
    nibabel.save(nibabel.Nifti1Image(data.astype(np.float32) * 100, scan.affine), folder / "times100.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(data.astype(np.float32) / 7 - 40, scan.affine), folder / "negative.nii.gz"
    )
    for mm in (0.5, 1.2):
        fine = resample_from_to(scan, vox2out_vox(scan, (mm, mm, mm)), order=1)
        nibabel.save(
            nibabel.Nifti1Image(fine.get_fdata().astype(np.int16), fine.affine), folder / f"at{mm}.nii.gz"
        )
    nibabel.save(nibabel.Nifti1Image(np.stack([data] * 2, -1), scan.affine), folder / "several.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(np.full((40, 40, 40), 7, np.int16), np.eye(4)), folder / "constant.nii.gz"
    )
    (folder / "half.nii.gz").write_bytes((folder / "plain.nii.gz").read_bytes()[:20000])
    nibabel.save(nibabel.Nifti1Image(data[:, :, 60:63], scan.affine), folder / "three_slices.nii.gz")
    out = tmp_path_factory.mktemp("out")
    return run_bundle(MRI, folder, out, ga_weeks=26)


def labels(run: Run, name: str) -> Any:
    return nibabel.load(run.out / f"{name}_seg.nii.gz")


def mean_dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.mean([dice(first == k, second == k) for k in range(1, 8)]))


@pytest.mark.parametrize("name", [*ORIENTATIONS, "times100", "negative", "at0.5", "at1.2"])
def test_shape_and_affine_are_the_inputs(run: Run, name: str):
    scan = nibabel.load(Path(run.info["input"]) / f"{name}.nii.gz")
    found = labels(run, name)
    assert found.shape == scan.shape
    assert np.array_equal(found.affine, scan.affine)
    assert found.get_data_dtype() == np.uint8


@pytest.mark.parametrize("name", [*ORIENTATIONS, "times100", "negative"])
def test_storage_changes_nothing(run: Run, name: str):
    back = turned(labels(run, name), "RAS")
    assert mean_dice(np.asarray(back.dataobj), np.asarray(labels(run, "plain").dataobj)) >= 0.97


@pytest.mark.parametrize("name", ["at0.5", "at1.2"])
def test_other_voxels_change_little(run: Run, name: str):
    """On the grid of the resampled scan: there and back by nearest neighbour alone costs 0.1 at 1.2 mm."""
    found = labels(run, name)
    plain = resample_from_to(labels(run, "plain"), found, order=0)
    assert mean_dice(np.asarray(found.dataobj), plain.get_fdata().astype(int)) >= 0.90


def test_measures_do_not_depend_on_storage(run: Run):
    plain = run.rows["plain.nii.gz"]
    for codes in ORIENTATIONS:
        row = run.rows[f"{codes}.nii.gz"]
        assert row["brain_ml"] == pytest.approx(plain["brain_ml"], rel=0.01)
        assert row["atrial_width_left_mm"] == pytest.approx(plain["atrial_width_left_mm"], abs=0.7)


def test_a_spina_bifida_brain_deviates(run: Run):
    row = run.rows["plain.nii.gz"]
    assert row["ventricles_ml_z"] > 2
    assert row["deviation_score"] > 1.6  # the 95th percentile of simulated normal ones
    assert {"ventriculomegaly_moderate", "ventriculomegaly_severe"} & set(row["flags"].split(";"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("several", "2 volumes.*time_point"),
        ("constant", "7|constant|same value"),
        ("half", "damaged|truncated"),
        ("three_slices", "3 "),
    ],
)
def test_what_makes_no_sense_fails_alone(run: Run, name: str, reason: str):
    import re

    text = run.reasons[f"{name}.nii.gz"]
    assert f"{name}.nii.gz" in text
    assert re.search(reason, text), text
    assert not list(run.out.glob(f"{name}_*"))


def test_all_others_are_done(run: Run):
    assert run.info["counts"] == {"ok": 8, "failed": 4, "skipped": 0}
    assert run.files() == run.promised()
