from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from brain_sources import STILL, VOXEL_MM, made

from fetal_monai.synthesis import mri
from fetal_monai.transforms.stack_synthesis import RandFetalStackd

SHAPE = (48, 56, 40)


def stack(source: dict[str, Any], seed: int, **kwargs: Any) -> dict[str, Any]:
    return made(source, seed, RandFetalStackd, **{"shape": SHAPE, "voxel_mm": (1.4, 3.3), **kwargs})


@pytest.mark.parametrize("seed", range(6))
def test_any_seed_gives_a_stack(source, seed):
    out = stack(source, seed, empty=0.0, shift_mm=5.0)
    for key in ("image", "label"):
        assert tuple(out[key].shape) == (1, *SHAPE) and out[key].dtype == torch.float32
        assert out[key].isfinite().all()
    assert float(out["image"].min()) >= 0 and 0.5 < float(out["image"].max()) <= 1.5
    assert out["label"].unique().tolist() == [0, 1]


def test_seeds_repeat(source):
    first, again, other = (stack(source, seed) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"]) and torch.equal(first["label"], again["label"])
    assert not torch.equal(first["image"], other["image"])


def test_some_show_no_brain(source):
    out = stack(source, 0, empty=1.0)
    assert not out["label"].any()
    assert float((out["image"] > 0).float().mean()) > 0.1
    found = [stack(source, seed, empty=0.5)["label"].any().item() for seed in range(8)]
    assert 1 <= sum(found) <= 7


def test_voxels_and_slices_are_drawn_from_their_ranges():
    transform = RandFetalStackd(voxel_mm=(1.5, 3.0), thickness_mm=(2.0, 5.0))
    drawn = []
    for seed in range(200):
        transform.set_random_state(seed)
        transform.randomize_grid()
        drawn.append((transform.voxel_mm, transform.slice_mm, transform.axis))
    voxel, thickness, axis = np.transpose(drawn)
    assert 1.5 <= voxel.min() < 1.6 and 2.8 < voxel.max() <= 3.0
    assert np.median(voxel) == pytest.approx(np.sqrt(1.5 * 3.0), rel=0.1)  # even on a logarithmic scale
    assert 2.0 <= thickness.min() < 2.3 and 4.7 < thickness.max() <= 5.0
    assert set(axis) == {0, 1, 2}


def test_brain_is_as_large_as_its_voxels_say(source):
    """Cut by no field of view, the mask has on every grid the volume that lies within its margin of the brain."""
    for voxel_mm, margin in ((1.6, 0.0), (3.2, 0.0), (1.6, 3.0)):
        ml = float((source["distance"] < margin).sum()) * VOXEL_MM**3
        transform = RandFetalStackd(
            (64, 64, 64), (voxel_mm, voxel_mm), empty=0.0, artefacts=0.0, mask_margin_mm=margin, **STILL
        )
        transform._field_of_view = lambda image: torch.ones_like(image)
        transform.set_random_state(0)
        out = transform({"source": source})
        assert float(out["label"].sum()) * voxel_mm**3 == pytest.approx(ml, rel=0.03)


def test_labels_do_not_move_with_slices(source, monkeypatch):
    pictures = []
    for steps in (0.0, 4.0):
        monkeypatch.setattr(mri, "slice_motion", lambda shape, *_, by=steps: torch.full((3, *shape), by))
        pictures.append(stack(source, 4, empty=0.0, artefacts=10.0, shift_mm=0.0))  # surely
    assert pictures[0]["label"].any()
    assert torch.equal(pictures[0]["label"], pictures[1]["label"])
    assert not torch.equal(pictures[0]["image"], pictures[1]["image"])


def test_slices_are_thick_along_their_axis(source):
    """What differs between neighbours along the slices is less than between those within them."""
    transform = RandFetalStackd(SHAPE, artefacts=0.0)
    image = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32))
    for axis in range(3):
        transform.set_random_state(0)
        transform.voxel_mm, transform.slice_mm, transform.axis = 1.5, 6.0, axis
        steps = [float(transform._scan(image).diff(dim=n).abs().mean()) for n in range(3)]
        assert np.argmin(steps) == axis
        assert steps[axis] < 0.4 * min(steps[:axis] + steps[axis + 1 :])


@pytest.mark.parametrize("seed", range(8))
def test_beyond_the_field_of_view_all_is_black_and_no_brain(seed):
    transform = RandFetalStackd(SHAPE)
    transform.set_random_state(seed)
    transform.voxel_mm, transform.axis = 2.0, 2
    image = torch.full((1, *SHAPE), 0.5)
    seen = transform._field_of_view(image)
    assert torch.equal(seen > 0, image > 0) and set(seen.unique().tolist()) <= {0.0, 1.0}
    there = np.argwhere(seen[0].numpy() > 0)
    sides = np.ptp(there, axis=0) + 1
    assert len(there) == np.prod(sides)  # one box
    assert all(
        side == full or side >= min(full, 30) for side, full in zip(sides, SHAPE, strict=True)
    )  # 60 mm
