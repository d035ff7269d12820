from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.transforms.augmentation import (
    RandAcousticShadowd,
    RandBurnedInMarksd,
    RandDepthGaind,
    RandSimilarityd,
    RandSpeckled,
)

SHAPE = (96, 144)
STILL = {"rotate": 0.0, "turn_prob": 0.0, "zoom": (1.0, 1.0), "stretch": 0.0, "shear": 0.0, "translate": 0.0}
ARTEFACTS = [RandAcousticShadowd, RandBurnedInMarksd, RandDepthGaind, RandSpeckled]


def disc(row: float, column: float, radius: float) -> torch.Tensor:
    return torch.from_numpy(Ellipse((row, column), (radius, radius), 0).soft_mask(SHAPE)[None])


def speckled() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0.1, 0.9, (1, *SHAPE)).astype(np.float32))


def moved(image: torch.Tensor, seed: int = 0, **changes: object) -> np.ndarray:
    transform = RandSimilarityd("image", **{**STILL, **changes})
    transform.set_random_state(seed)
    return transform({"image": image})["image"].numpy()


def test_image_and_label_move_alike():
    image = disc(40, 60, 20)
    transform = RandSimilarityd(["image", "label"]).set_random_state(3)
    item = {"image": image, "label": image.clone(), "hc_mm": 1.0}
    for _ in range(5):
        out = transform(item)
        assert torch.equal(out["image"], out["label"])
        assert not torch.equal(out["image"], image)
        assert out["image"].shape == image.shape
        assert out["image"].dtype == torch.float32
        assert out["hc_mm"] == 1.0
    assert torch.equal(item["image"], disc(40, 60, 20))


def test_a_seed_repeats():
    image = speckled()
    first = RandSimilarityd("image").set_random_state(7)
    second = RandSimilarityd("image").set_random_state(7)
    pairs = [(first({"image": image})["image"], second({"image": image})["image"]) for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(pairs[0][0], pairs[1][0])


def test_nothing_moves_without_reason():
    image = speckled()
    assert moved(image) == pytest.approx(image.numpy(), abs=1e-4)
    assert torch.equal(RandSimilarityd("image", prob=0)({"image": image})["image"], image)


@pytest.mark.parametrize("zoom", [0.65, 1.0, 1.5])
def test_zoom_grows_both_sides_alike(zoom):
    out = moved(disc(47.5, 71.5, 24), zoom=(zoom, zoom))
    assert out.sum() == pytest.approx(np.pi * (24 * zoom) ** 2, rel=0.01)
    rows, columns = np.nonzero(out[0] > 0.5)
    assert np.ptp(rows) + 1 == pytest.approx(48 * zoom, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(48 * zoom, abs=1)


def test_zoom_keeps_to_its_range():
    areas = [moved(disc(47.5, 71.5, 20), seed, zoom=(0.65, 1.5)).sum() / (np.pi * 400) for seed in range(60)]
    factors = np.sqrt(areas)
    assert 0.645 < factors.min() < 0.75
    assert 1.3 < factors.max() < 1.51
    assert np.median(factors) == pytest.approx(np.sqrt(0.65 * 1.5), abs=0.12)  # even on a logarithmic scale


def test_a_turn_keeps_size_and_distance_from_the_middle():
    dot = disc(47.5, 101.5, 6)  # 30 to the right of the middle
    angles = []
    for seed in range(30):
        out = moved(dot, seed, turn_prob=1.0)
        row, column = ndimage.center_of_mass(out[0])
        assert out.sum() == pytest.approx(np.pi * 36, rel=0.02)
        assert np.hypot(row - 47.5, column - 71.5) == pytest.approx(30, abs=0.05)
        angles.append(np.arctan2(row - 47.5, column - 71.5))
    assert min(angles) < -2
    assert max(angles) > 2
    small = [ndimage.center_of_mass(moved(dot, seed, rotate=0.2)[0]) for seed in range(30)]
    assert max(abs(np.arctan2(row - 47.5, column - 71.5)) for row, column in small) < 0.2


def test_shift_is_a_part_of_the_side():
    places = np.array(
        [ndimage.center_of_mass(moved(disc(47.5, 71.5, 10), seed, translate=0.15)[0]) for seed in range(40)]
    )
    far = np.abs(places - [47.5, 71.5]).max(axis=0)
    assert far == pytest.approx([0.15 * 96] * 2, rel=0.1)
    assert (far <= 0.15 * 96 + 0.05).all()


def test_stretch_keeps_the_area():
    out = moved(disc(47.5, 71.5, 24), 1, stretch=0.3)
    rows, columns = np.nonzero(out[0] > 0.5)
    assert out.sum() == pytest.approx(np.pi * 24**2, rel=0.01)
    assert abs(np.ptp(rows) - np.ptp(columns)) > 3


def test_what_comes_from_outside_is_black():
    out = moved(torch.ones(1, *SHAPE), zoom=(0.5, 0.5))
    assert out[0, :20].max() == 0
    assert out.sum() == pytest.approx(96 * 144 / 4, rel=0.01)


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_artefacts_keep_shape_type_and_range(artefact):
    image = speckled()
    transform = artefact(prob=1.0).set_random_state(0)
    for _ in range(5):
        item = {"image": image, "label": image}
        out = transform(item)
        assert out["label"] is image
        assert item["image"] is image
        assert out["image"].shape == image.shape
        assert out["image"].dtype == torch.float32
        assert 0 <= out["image"].min() <= out["image"].max() <= 1
        assert not torch.equal(out["image"], image)
    assert torch.equal(image, speckled())


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_artefacts_come_as_often_as_asked_and_repeat_with_a_seed(artefact):
    image = speckled()
    assert artefact(prob=0.0)({"image": image})["image"] is image
    first, second = (artefact(prob=0.5).set_random_state(11) for _ in range(2))
    pairs = [(first({"image": image})["image"], second({"image": image})["image"]) for _ in range(24)]
    assert all(torch.equal(a, b) for a, b in pairs)
    assert 5 <= sum(a is image for a, _ in pairs) <= 19
