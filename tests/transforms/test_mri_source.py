from __future__ import annotations

import numpy as np
import pytest
import torch
from brain_sources import SMALL, save
from brains import brain_labels, stored_otherwise

from fetal_monai.transforms.mri import BrainPictured, BrainSourced, normalise_mr, sample, to_canonical

RAMP = torch.arange(1001, dtype=torch.float32).reshape(7, 11, 13)


def test_gray_values_by_hand():
    """Of 1 to 1000 the 99th percentile is 990.01, which becomes 1."""
    out = normalise_mr(RAMP)
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out, RAMP / 990.01, rtol=1e-5)
    dazzling = RAMP.clone()
    dazzling[0, 0, 0] = 9999
    assert float(normalise_mr(dazzling)[0, 0, 0]) == 1.5


@pytest.mark.parametrize("factor", [0.01, 100])
def test_gray_values_may_have_any_range(factor):
    np.testing.assert_allclose(normalise_mr(RAMP * factor), normalise_mr(RAMP), rtol=1e-5)


def test_where_values_are_negative_the_lowest_are_background():
    """As of -500 to 500: the 0.5th percentile becomes 0, the 99th of the rest 1."""
    shifted = normalise_mr(RAMP - 500)
    low = np.percentile(RAMP.numpy() - 500, 0.5)
    top = np.percentile((RAMP.numpy() - 500)[RAMP.numpy() - 500 > low], 99)
    np.testing.assert_allclose(shifted, ((RAMP.numpy() - 500 - low) / (top - low)).clip(0), atol=1e-5)
    np.testing.assert_allclose(normalise_mr(RAMP - 900), shifted, atol=1e-5)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (-7, 0), (3, 1)])
def test_an_even_volume_is_even(value, expected):
    image = torch.full((9, 9, 9), float(value))
    assert torch.equal(normalise_mr(image), torch.full((9, 9, 9), float(expected)))


def test_integers_are_taken_too():
    np.testing.assert_allclose(normalise_mr(RAMP.to(torch.int16)), normalise_mr(RAMP))


def test_axes_turn_to_right_front_top():
    image, affine = np.arange(24).reshape(2, 3, 4), np.diag([2.0, 3, 4, 1])
    for array, stored_affine in stored_otherwise(image, affine):
        view, canonical = to_canonical(array, stored_affine)
        assert np.array_equal(view, image)
        np.testing.assert_allclose(canonical, affine)


def test_looked_up_by_hand():
    volume = torch.arange(27.0).reshape(1, 3, 3, 3)
    points = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 1, 2], [5, 1, 1]]).reshape(4, 1, 1, 3)
    assert sample(volume, points)[0, :, 0, 0].tolist() == pytest.approx([0, 13, 9.5, 0])
    assert sample(volume, points - 0.2, "nearest")[0, 1:2, 0, 0].tolist() == [13]


def test_source_of_random_brains(tmp_path):
    labels, affine = brain_labels(**SMALL)
    image = np.where(labels == 4, 1000, 10 * labels.astype(np.int16))
    item = save(tmp_path, image, labels, affine)
    source = BrainSourced(voxel_mm=1.0, margin_mm=6.0)({**item, "more": 1})["source"]
    shape = tuple(source["label"].shape)
    sides = np.ptp(np.argwhere(labels > 0), axis=0) + 1 + 2 * 4  # 6 mm are 4 voxels
    np.testing.assert_allclose(shape, np.minimum(sides, labels.shape) * 1.5, atol=1)
    assert source["voxel_mm"] == 1.0
    assert source["length_mm"] == 1.5 * (np.ptp(np.argwhere(labels > 0)[:, 1]) + 1)
    assert source["label"].dtype == torch.uint8 and source["label"].unique().tolist() == [*range(8)]
    assert source["image"].shape == shape and source["image"].dtype == torch.float16
    ventricles = source["image"][source["label"] == 4].float().median()
    assert (
        float(ventricles) == pytest.approx(float(source["image"].max()), rel=0.2) and float(ventricles) > 0.5
    )
    distance = source["distance"].float()
    assert ((distance > 0) == (source["label"] == 0)).all()
    around = np.abs(distance.numpy()[source["label"].numpy() == 0]).min()
    assert around == pytest.approx(1.0)  # next to it: one voxel of 1 mm


def test_push_leads_away_from_the_ventricles_and_fades(tmp_path):
    labels = np.ones((40, 40, 40), np.uint8)
    labels[18:22] = 4  # a plate
    source = BrainSourced(1.0, 0.0, 8.0)(save(tmp_path, labels, labels, np.eye(4)))["source"]
    push = source["push"].float()[:, :, 20, 20]
    for steps in (4, 8, 12):  # voxels from the plate: 1 mm each
        for place, way in ((21 + steps, 1), (18 - steps, -1)):
            assert float(push[0, place]) == pytest.approx(way * np.exp(-steps / 8), rel=0.1)
    assert float(push[0, 21]) > 0.3 and float(push[0, 18]) < -0.3  # out of it, from within too
    assert float(push[1:].abs().max()) < 1e-3


def test_storage_makes_no_other_source(tmp_path):
    labels, affine = brain_labels(**SMALL)
    image = (labels * 7).astype(np.int16)
    stored = list(zip(stored_otherwise(image, affine), stored_otherwise(labels, affine), strict=True))
    first, *others = [
        BrainSourced(1.5)(save(tmp_path / str(n), array, other, turned))["source"]
        for n, ((array, turned), (other, _)) in enumerate([stored[0], stored[21], stored[43]])
    ]
    for other in others:
        assert torch.equal(first["label"], other["label"]) and torch.equal(first["image"], other["image"])


def test_scan_and_labels_must_have_one_shape(tmp_path):
    labels, affine = brain_labels(**SMALL)
    item = save(tmp_path, labels, labels[:-1], affine)
    with pytest.raises(
        ValueError, match=r"labels.nii.gz: labels of .* voxels are not on the grid of their scan"
    ):
        BrainSourced()(item)


def test_picture_for_validation(tmp_path):
    labels, affine = brain_labels(**SMALL)
    image = np.where(labels > 0, 100 + labels.astype(np.int16), 0)
    out = BrainPictured(1.5, 16)(BrainSourced(1.5)(save(tmp_path, image, labels, affine)))
    assert out["image"].shape == out["label"].shape and "source" not in out
    assert all(side % 16 == 0 for side in out["label"].shape[1:])
    counts = [
        torch.bincount(torch.as_tensor(x).flatten().long(), minlength=8)[1:] for x in (labels, out["label"])
    ]
    np.testing.assert_allclose(*counts, rtol=0.1)
    assert float(out["image"].min()) >= 0 and float(out["image"].max()) <= 1.5
    assert float(out["image"][out["label"] > 1].median()) > 0.9
