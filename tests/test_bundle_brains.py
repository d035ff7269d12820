"""The brain bundles file to file, with a network in place of theirs whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from brain_files import HALF, T2W, write_stack, write_volume
from brains import brain_labels, stored_otherwise
from bundle_runs import MONAI_WARNS_OF_CONFIGS, MRI, ROOT, STACK, run_bundle
from torch import nn

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

SAMPLES = ROOT / "data" / "samples"


class Grays(nn.Module):
    """Logits (N, C, X, Y, Z) that are highest for the label whose gray value, 1 for the brightest, is nearest."""

    def __init__(self, *grays: float) -> None:
        super().__init__()
        self.grays = torch.tensor(grays)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -20 * (x - self.grays.view(1, -1, 1, 1, 1)).abs()


def network(*grays: float) -> str:
    return f"$__import__('test_bundle_brains').Grays({', '.join(map(str, grays))})"


BRIGHT_IS_BRAIN = network(0.05, 0.4)  # even at 0.225


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def stack_run(folder: Path, **values: Any) -> Any:
    return run_bundle(STACK, folder / "in", folder / "out", network=BRIGHT_IS_BRAIN, amp=False, **values)


def test_stack_is_measured_and_cut(tmp_path):
    for number, which in enumerate((0, 29)):
        write_stack(tmp_path / "in" / f"{number}.nii.gz", which)
    run = stack_run(tmp_path, crop=True, crop_margin_mm=3, grow_mm=0)
    labels, affine = brain_labels((1.5, 1.5, 3.5), scale=0.5)
    voxel_ml = 1.5 * 1.5 * 3.5 / 1000
    for number, (truth, turned) in enumerate(list(stored_otherwise(labels > 0, affine))[i] for i in (0, 29)):
        row = run.rows[f"{number}.nii.gz"]
        mask = voxels(run.out / f"{number}_seg.nii.gz")
        assert dice(mask > 0, truth) > 0.9
        assert row["brain_mask_ml"] == pytest.approx(np.count_nonzero(mask) * voxel_ml)
        assert row["brain_mask_ml"] == pytest.approx(truth.sum() * voxel_ml, rel=0.1)
        assert row["slice_spacing_mm"] == pytest.approx(3.5)
        assert row["brain_in_plane_mm"] == pytest.approx(52, abs=5)
        assert abs(row["brain_slices"] - 12) <= 1 and row["flags"] == ""
        crop = nibabel.load(run.out / f"{number}_crop.nii.gz")
        start = np.rint((np.linalg.inv(turned) @ crop.affine)[:3, 3]).astype(int)
        whole = voxels(tmp_path / "in" / f"{number}.nii.gz")
        inside = tuple(slice(a, a + n) for a, n in zip(start, crop.shape, strict=True))
        assert np.array_equal(np.asarray(crop.dataobj), whole[inside])
        assert np.count_nonzero(mask[inside]) == np.count_nonzero(mask) and crop.shape != whole.shape


def test_stack_without_a_brain(tmp_path):
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).integers(0, 20, (40, 40, 5)).astype(np.int16)
    image[0, 0] = 500
    nibabel.save(nibabel.Nifti1Image(image, np.diag([1.5, 1.5, 4, 1])), tmp_path / "in" / "none.nii.gz")
    run = run_bundle(
        STACK, tmp_path / "in", tmp_path / "out", network=network(0.1, 9.0), amp=False, crop="true"
    )
    row = run.rows["none.nii.gz"]
    assert row["flags"].split(";") == ["few_slices", "no_brain"]
    assert row["brain_mask_ml"] is None and row["slice_spacing_mm"] == 4
    assert run.entries["none.nii.gz"]["outputs"] == ["none_seg.nii.gz", "none_overlay.png"]


def test_evaluation_of_stacks(tmp_path, capsys):
    """Masks that are what the network finds: Dice near 1; the real stack's, which it does not know, under that."""
    write_stack(tmp_path / "in" / "sub-1_run-1_T2w.nii.gz", 7)
    labels, affine = list(stored_otherwise(*brain_labels((1.5, 1.5, 3.5), scale=0.5)))[7]
    mask = nibabel.Nifti1Image((labels > 0).astype(np.uint8), affine)
    nibabel.save(mask, tmp_path / "in" / "sub-1_run-1_desc-brain_mask.nii.gz")
    out = tmp_path / "out"
    run_bundle(STACK, tmp_path / "in", out, "evaluate", network=BRIGHT_IS_BRAIN, amp=False)
    header, row = [line.split(",") for line in (out / "evaluation.csv").read_text().splitlines()]
    found = dict(zip(header, row, strict=True))
    assert (found["filename"], found["subject"]) == ("sub-1_run-1_T2w.nii.gz", "sub-1")
    assert float(found["dice_brain"]) > 0.9 and float(found["hd95_brain_mm"]) < 4
    assert "1 scans, 0 unreadable" in capsys.readouterr().out
    assert (out / "dice.png").is_file() and (out / "evaluation.json").is_file()


def test_tissues_are_measured_where_they_lie(tmp_path):
    """Gray values tell the label of the phantom, so that the volumes are known."""
    write_volume(tmp_path / "in" / "brain.nii.gz", 11)
    labels, _ = list(stored_otherwise(*brain_labels(**HALF)))[11]
    grays = [0.05, *(T2W[1:] / 960)]
    run = run_bundle(MRI, tmp_path / "in", tmp_path / "out", network=network(*grays), amp=False, ga_weeks=24)
    found, row = voxels(run.out / "brain_seg.nii.gz"), run.rows["brain.nii.gz"]
    assert dice(found > 0, labels > 0) > 0.95
    assert dice(found == 3, labels == 3) > 0.6  # partial volume takes its borders for others
    assert row["intracranial_ml"] == pytest.approx((labels > 0).sum() * 1.5**3 / 1000, rel=0.05)
    assert row["white_matter_ml"] == pytest.approx(np.count_nonzero(found == 3) * 1.5**3 / 1000)
    assert row["ga_weeks"] == 24 and math.isfinite(row["brain_ml_z"])


def test_evaluation_of_tissues(tmp_path, capsys):
    from brain_files import write_atlas

    write_atlas(tmp_path / "in", "GA24_a")
    grays = [0.05, *(T2W[1:] / 960)]
    out = tmp_path / "out"
    run_bundle(MRI, tmp_path / "in", out, "evaluate", network=network(*grays), amp=False)
    header, row = [line.split(",") for line in (out / "evaluation.csv").read_text().splitlines()]
    found = dict(zip(header, row, strict=True))
    assert (found["filename"], found["ga_weeks"]) == ("GA24_a/t2w.nii.gz", "24.00")
    assert float(found["dice_white_matter"]) > 0.6
    assert "1 scans, 0 unreadable" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "name", "shape"),
    [
        (MRI, "fetal_brain_atlas", (135, 189, 155)),
        (STACK, "fetal_brain_stacks", (320, 320, 22)),
    ],
    ids=["volume", "stack"],
)
def test_samples_run_as_they_are_shipped(bundle, name, shape, tmp_path):
    """Labels and masks beside the scans are passed over; the output has the scan's grid."""
    run = run_bundle(bundle, SAMPLES / name, tmp_path)
    (entry,) = run.info["inputs"]
    assert entry["status"] == "ok" and len(run.info["skipped"]) >= 1
    scan, labels = (
        nibabel.load(path) for path in (SAMPLES / name / entry["filename"], run.out / entry["outputs"][0])
    )
    assert labels.shape == scan.shape == shape
    np.testing.assert_array_equal(labels.affine, scan.affine)
