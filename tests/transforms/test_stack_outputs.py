from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from brains import stored_otherwise
from monai.transforms import Compose
from PIL import Image

from fetal_monai.record import Record
from fetal_monai.scan import ScanSource, read_volume_scan
from fetal_monai.transforms.stack_outputs import STACK_COLUMNS, GrowMaskd, SaveCropd, stack_output
from fetal_monai.transforms.volume_grid import to_volume_grid, volume_grid

SPACING = (1.0, 1.0, 4.0)
SHAPE = (60, 70, 14)
BRAIN = (slice(15, 45), slice(20, 55), slice(4, 11))  # 30 x 35 x 28 mm, 29.4 mL


def stack_of(folder: Path, brain: tuple[slice, ...] | None = BRAIN, which: int = 0) -> Path:
    """A stack in one of 48 orientations whose brain is brighter than all else."""
    image = np.random.default_rng(0).integers(10, 60, SHAPE).astype(np.int16)
    if brain is not None:
        image[brain] += 500
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -31, 12, 7
    stored, turned = list(stored_otherwise(image, affine))[which]
    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(stored, turned), folder / "a_T2w.nii.gz")
    return folder / "a_T2w.nii.gz"


def item_of(path: Path) -> dict[Any, Any]:
    """What a network leaves that takes what is bright for brain."""
    scan = read_volume_scan(ScanSource(path, path.name, "a_T2w"))
    grid = volume_grid(scan.image.shape, scan.affine, 1.0, 16)
    x, y, z = grid.content
    pred = torch.zeros(2, *grid.shape)
    pred[0] = 1
    pred[1, :x, :y, :z] = to_volume_grid(scan.image, grid) / 150
    return {"pred": pred, "scan": scan, "grid": grid, "outputs": []}


def done(path: Path, out: Path, **options: Any) -> Record:
    out.mkdir(exist_ok=True)
    return Compose(stack_output(str(out), **{"grow_mm": 0.0, **options}))(item_of(path))["record"]


@pytest.mark.parametrize("which", [0, 13, 45])
def test_mask_measures_and_files(tmp_path, which):
    path = stack_of(tmp_path / "in", which=which)
    record = done(path, tmp_path / "out")
    assert record.outputs == ["a_T2w_seg.nii.gz", "a_T2w_overlay.png"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(record.outputs)
    scan, mask = nibabel.load(path), nibabel.load(tmp_path / "out" / "a_T2w_seg.nii.gz")
    assert mask.shape == scan.shape and mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, scan.affine)
    labels, bright = np.asarray(mask.dataobj), np.asarray(scan.dataobj) > 300
    assert 2 * np.count_nonzero((labels > 0) & bright) / (np.count_nonzero(labels) + bright.sum()) > 0.95
    assert list(record.measures) == STACK_COLUMNS
    assert record.measures["brain_mask_ml"] == pytest.approx(29.4, rel=0.08)
    assert record.measures["brain_slices"] == 7
    assert record.measures["brain_through_plane_mm"] == 28
    assert record.measures["slice_spacing_mm"] == 4
    assert record.measures["brain_in_plane_mm"] == pytest.approx(math.hypot(30, 35), abs=3)
    assert math.isnan(record.measures["ga_weeks"])
    assert record.flags == [] and sorted(record.spacing_mm) == [1, 1, 4]
    with Image.open(tmp_path / "out" / "a_T2w_overlay.png") as overlay:
        assert overlay.mode == "RGB" and overlay.width > 1000
    assert record.thumbnail.startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("which", [0, 13, 45])
def test_crop_lies_where_it_was(tmp_path, which):
    """A margin of 6 mm: 6 voxels within the slices, 2 slices of 4 mm."""
    path = stack_of(tmp_path / "in", which=which)
    record = done(path, tmp_path / "out", crop="true", crop_margin_mm=6)
    assert record.outputs == ["a_T2w_seg.nii.gz", "a_T2w_crop.nii.gz", "a_T2w_overlay.png"]
    scan, crop = nibabel.load(path), nibabel.load(tmp_path / "out" / "a_T2w_crop.nii.gz")
    assert crop.get_data_dtype() == scan.get_data_dtype()
    labels = np.asarray(nibabel.load(tmp_path / "out" / "a_T2w_seg.nii.gz").dataobj)
    sides = np.ptp(np.argwhere(labels), axis=0) + 1
    margin = np.where(np.isclose(np.linalg.norm(scan.affine[:3, :3], axis=0), 4), 2, 6)
    assert crop.shape == tuple(sides + 2 * margin)
    first = np.linalg.inv(scan.affine) @ crop.affine @ (0, 0, 0, 1)
    start = np.rint(first[:3]).astype(int)
    np.testing.assert_allclose(first[:3], start, atol=1e-4)
    np.testing.assert_allclose(crop.affine[:3, :3], scan.affine[:3, :3], atol=1e-6)
    cut = np.asarray(scan.dataobj)[tuple(slice(a, a + n) for a, n in zip(start, crop.shape, strict=True))]
    assert np.array_equal(np.asarray(crop.dataobj), cut)


def test_crop_ends_with_the_stack(tmp_path):
    path = stack_of(tmp_path / "in", (slice(0, 30), slice(20, 55), slice(4, 14)))
    record = done(path, tmp_path / "out", crop=True, crop_margin_mm=100)
    assert record.flags == ["brain_cut_off"]
    scan, crop = nibabel.load(path), nibabel.load(tmp_path / "out" / "a_T2w_crop.nii.gz")
    np.testing.assert_array_equal(crop.affine, scan.affine)
    assert np.array_equal(np.asarray(crop.dataobj), np.asarray(scan.dataobj))


def test_without_a_brain_there_is_no_crop(tmp_path):
    record = done(stack_of(tmp_path / "in", None), tmp_path / "out", crop=True)
    assert record.flags == ["no_brain"]
    assert record.outputs == ["a_T2w_seg.nii.gz", "a_T2w_overlay.png"]
    assert not np.asarray(nibabel.load(tmp_path / "out" / "a_T2w_seg.nii.gz").dataobj).any()
    assert all(math.isnan(record.measures[name]) for name in STACK_COLUMNS if name != "slice_spacing_mm")


def test_flags_of_reading_come_first(tmp_path):
    path = stack_of(tmp_path / "in")
    nibabel.save(nibabel.load(path).slicer[:, :, 4:9], path)
    assert done(path, tmp_path / "out").flags == ["few_slices", "brain_cut_off"]


@pytest.mark.parametrize("margin", [-1, math.nan, math.inf])
def test_margin_must_make_sense(margin, tmp_path):
    with pytest.raises(ValueError, match="give mm, 0 or more"):
        SaveCropd(str(tmp_path), margin)


def test_crop_is_true_or_false(tmp_path):
    with pytest.raises(ValueError, match="crop is 'maybe'; give true or false"):
        stack_output(str(tmp_path), crop="maybe")


@pytest.mark.parametrize(("grow_mm", "expected"), [(0.0, 32), (1.0, 64), (2.9, 128), (3.0, 192)])
def test_mask_grows_by_mm_in_every_direction(grow_mm, expected):
    """4 x 4 voxels in 2 slices, of 1 x 1 x 3 mm: only by 3 mm do the slices beside them get any, 16 each."""
    labels = np.zeros((20, 20, 8), np.uint8)
    labels[8:12, 8:12, 3:5] = 1
    before = labels.copy()
    grown = GrowMaskd(grow_mm)({"labels": labels, "scan": SimpleNamespace(spacing_mm=(1.0, 1.0, 3.0))})[
        "labels"
    ]
    assert grown.dtype == np.uint8 and np.array_equal(labels, before)
    assert int(grown.sum()) == expected and grown[before == 1].all()
    assert bool(grown[8:12, 8:12, 2].all()) == (grow_mm == 3.0)


def test_nothing_grows_from_nothing_and_never_inwards():
    empty = {"labels": np.zeros((4, 4, 4), np.uint8), "scan": SimpleNamespace(spacing_mm=(1.0, 1.0, 1.0))}
    assert not GrowMaskd(2.0)(empty)["labels"].any()
    with pytest.raises(ValueError, match="grow_mm is -1"):
        GrowMaskd(-1)
