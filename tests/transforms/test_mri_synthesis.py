from __future__ import annotations

import numpy as np
import pytest
import torch
from brain_sources import SHAPE, STILL, VOXEL_MM, made, save

from fetal_monai.synthesis import mri
from fetal_monai.transforms.mri import BrainSourced, sample
from fetal_monai.transforms.mri_synthesis import RandFetalBraind


@pytest.mark.parametrize("seed", range(6))
def test_any_seed_gives_a_picture(source, seed):
    out = made(source, seed)
    assert set(out) == {"image", "label", "ga_weeks"}
    for key in ("image", "label"):
        assert tuple(out[key].shape) == (1, *SHAPE) and out[key].dtype == torch.float32
        assert out[key].isfinite().all()
    assert float(out["image"].min()) >= 0 and 0.5 < float(out["image"].max()) <= 1.5
    assert set(out["label"].unique().tolist()) == set(range(8))


def test_seeds_repeat_and_the_source_stays(source):
    before = {key: value.clone() for key, value in source.items() if isinstance(value, torch.Tensor)}
    first, again, other = (made(source, seed) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"]) and torch.equal(first["label"], again["label"])
    assert not torch.equal(first["image"], other["image"]) and not torch.equal(first["label"], other["label"])
    assert all(torch.equal(value, source[key]) for key, value in before.items())


def test_where_nothing_moves_volumes_are_those_of_the_source(source):
    out = made(source, 0, **STILL)
    there = torch.bincount(source["label"].flatten().long(), minlength=8)[1:] * VOXEL_MM**3
    here = torch.bincount(out["label"].flatten().long(), minlength=8)[1:] * 1.4**3
    assert torch.all((here / there - 1).abs() < 0.2)
    assert float(here.sum()) == pytest.approx(float(there.sum()), rel=0.02)


@pytest.mark.parametrize("length_mm", [50.0, 65.0])
def test_head_has_a_length_within_bounds(source, length_mm):
    out = made(source, 3, **{**STILL, "length_mm": (length_mm, length_mm), "zoom": 5.0})
    long = np.ptp(np.argwhere(out["label"][0].numpy() > 0)[:, 1]) + 1
    assert long * 1.4 == pytest.approx(length_mm, abs=3)  # shear adds to it


def test_head_has_a_length_in_voxels(source):
    """Whatever its size, and with voxels that follow from it."""
    for zoom in (0.0, 0.5):
        out = made(source, 3, **{**STILL, "zoom": zoom, "length_voxels": (39.9, 40.0, 40.1)})
        long = np.ptp(np.argwhere(out["label"][0].numpy() > 0)[:, 1]) + 1
        assert long == pytest.approx(40, abs=2)  # shear adds to it
    transform = RandFetalBraind(SHAPE, **{**STILL, "length_voxels": (39.9, 40.0, 40.1)})
    transform.set_random_state(3)
    transform({"source": source})
    assert transform.voxel_mm == pytest.approx(source["length_mm"] / 40, rel=0.01)


def test_skull_closes_in_on_the_fluid_alone(source):
    shares = []
    for seed in range(12):
        wide, narrow = (
            torch.bincount(
                made(source, seed, **{**STILL, "narrow_mm": reach})["label"].flatten().long(), minlength=8
            )
            for reach in (0.0, 6.0)
        )
        assert torch.equal(wide[2:], narrow[2:])
        shares.append(float(narrow[1] / wide[1]))
    assert 2 <= sum(share < 1 for share in shares) <= 7 and min(shares) < 0.3


def test_no_fluid_is_left_beyond_the_skull(source):
    """A real scan whose skull closed in shows black there, and is not labelled."""
    still = {**STILL, "synthetic": 0.0, "artefacts": 0.0, "bare": 0.0, "masked": 0.0}
    n_left = 0
    for seed in range(12):
        transform = RandFetalBraind(SHAPE, 1.4, **{**still, "narrow_mm": 6.0})
        transform._surround = lambda image, label, distance: image
        transform.set_random_state(seed)
        narrow, wide = transform({"source": source}), made(source, seed, **still)
        lost = (wide["label"] > 0) & (narrow["label"] == 0)
        n_left += int(lost.sum())
        assert not narrow["image"][lost].any()
    assert n_left > 1000


def test_skull_gives_way_to_more_fluid(source):
    """In labels, and in a real scan too, where it has the gray of the atlas's fluid."""
    shares = []
    for seed in range(12):
        wide, wider = (
            made(
                source, seed, **{**STILL, "widen_mm": reach, "synthetic": 0.0, "artefacts": 0.0, "bare": 0.0}
            )
            for reach in (0.0, 4.0)
        )
        before, after = wide["label"], wider["label"]
        assert torch.equal(before[before > 0], after[before > 0])
        more = (after == 1) & (before == 0)
        shares.append(float((after == 1).sum() / (before == 1).sum()))
        if more.any():
            gray = wider["image"][before == 1].median()
            assert float(wider["image"][more].median()) == pytest.approx(float(gray), rel=0.15)
    assert 2 <= sum(share > 1 for share in shares) <= 7 and max(shares) > 1.5


def test_ventricles_grow_and_shrink_with_the_push(source):
    """The same seed with and without: half of the pictures are left alone."""
    ratios = []
    for seed in range(16):
        alone, pushed = (
            int((made(source, seed, **{**STILL, "ventricle_mm": reach})["label"] == 4).sum())
            for reach in (0.0, 4.0)
        )
        ratios.append(pushed / alone)
    changed = [ratio for ratio in ratios if ratio != 1]
    assert 4 <= len(changed) <= 12
    assert max(changed) > 1.4 and min(changed) < 0.6


@pytest.mark.parametrize("reach_mm", [-3.0, 2.0])
def test_a_wide_ventricle_moves_its_wall_by_the_reach(tmp_path, reach_mm):
    """A plate 20 mm thick, so that its middle stays; the push fades with the distance from the wall."""
    labels = np.full((60, 20, 20), 3, np.uint8)
    labels[20:40] = 4
    source = BrainSourced(1.0, 0.0, 8.0)(save(tmp_path, labels, labels, np.eye(4)))["source"]
    points = mri.sampling_grid((60, 20, 20), np.eye(3), (29.5, 9.5, 9.5))
    moved = RandFetalBraind()._push_ventricles(source, points, reach_mm)
    seen = sample(source["label"][None], moved, "nearest")[0, :, 10, 10]
    shown = np.flatnonzero(seen == 4)
    assert np.array_equal(shown, np.arange(shown[0], shown[-1] + 1))
    # outside, the wall is seen from x where x - reach * exp(-x / 8) = 0
    x = 0.0
    for _ in range(50):
        x = reach_mm * np.exp(-abs(x) / 8)
    assert len(shown) == pytest.approx(20 + 2 * x, abs=1.1)


def test_labels_do_not_move_with_slices(source, monkeypatch):
    pictures = []
    for steps in (0.0, 4.0):
        monkeypatch.setattr(mri, "slice_motion", lambda shape, *_, by=steps: torch.full((3, *shape), by))
        pictures.append(made(source, 4, artefacts=10.0))  # surely
    assert torch.equal(pictures[0]["label"], pictures[1]["label"])
    assert not torch.equal(pictures[0]["image"], pictures[1]["image"])


def test_real_scan_or_made_contrast(source):
    """Without artefacts the real picture goes up with the source's labels, as that was drawn."""
    real = made(source, 5, synthetic=0.0, artefacts=0.0, bare=1.0, masked=0.0, **STILL)
    means = [float(real["image"][real["label"] == label].mean()) for label in range(1, 7)]
    assert means == sorted(means)
    orders = set()
    for seed in range(5):
        out = made(source, seed, synthetic=1.0, t2_like=0.0, **STILL)
        orders.add(tuple(np.argsort([float(out["image"][out["label"] == n].mean()) for n in range(1, 8)])))
    assert len(orders) == 5


def test_a_bare_brain_ends_at_its_edge(source):
    out = made(source, 6, bare=1.0, masked=0.0, artefacts=0.0, **STILL)
    grown = torch.nn.functional.max_pool3d((out["label"] > 0).float(), 9, 1, 4)
    assert not out["image"][grown == 0].any()
    whole = made(source, 6, bare=0.0, masked=0.0, artefacts=0.0, **STILL)
    assert float((whole["image"][grown == 0] > 0).float().mean()) > 0.5


def test_distance_goes_on_beyond_the_source(source):
    transform = RandFetalBraind()
    size = torch.tensor(source["label"].shape, dtype=torch.float32) - 1
    points = torch.stack([size / 2, size * torch.tensor([1.0, 0.5, 0.5])])
    points = torch.cat([points, points[1:] + torch.tensor([10.0, 0, 0])]).reshape(3, 1, 1, 3)
    inside, edge, beyond = transform._distance(source, points).flatten().tolist()
    assert inside < 0 < edge
    assert beyond == pytest.approx(edge + 10 * VOXEL_MM, rel=1e-3)
