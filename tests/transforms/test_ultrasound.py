from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from heads import draw_outline, picture_of, save_png
from monai.transforms import Compose
from scipy import ndimage
from skimage.measure import find_contours

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.scan import Scan, ScanError, ScanSource, read_scan
from fetal_monai.transforms.grid import network_grid
from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.ultrasound import (
    GridToTensorsd,
    OutlineLabeld,
    ToNetworkGridd,
    head_preprocessing,
    head_training,
    normalise,
    to_grid,
)

HEAD = Ellipse((70, 110), (60, 46), 0.4)
SHAPE = (140, 210)


def source_of(path: Path) -> ScanSource:
    return ScanSource(path, path.name, path.stem)


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    return read_scan(source_of(save_png(tmp_path / "a.png", picture_of(HEAD, SHAPE))))


def test_normalise_by_hand():
    # without the black pixels these are 1 to 201, whose 99.5th percentile is 200
    image = np.concatenate([np.zeros(300), np.arange(1, 202)]).astype(np.float32).reshape(3, 167)
    done = normalise(image)
    assert done.dtype == np.float32
    assert done == pytest.approx(np.minimum(image / 200, 1))


@pytest.mark.parametrize("gain", [0.01, 0.5, 3])
def test_normalise_forgets_gain_and_black_margins(gain):
    image = np.random.default_rng(0).uniform(1, 90, (40, 50)).astype(np.float32)
    assert normalise(image * np.float32(gain)) == pytest.approx(normalise(image), abs=1e-6)
    assert np.array_equal(normalise(np.pad(image, 30))[30:-30, 30:-30], normalise(image))


def test_normalise_of_nothing_is_nothing():
    assert np.array_equal(normalise(np.zeros((4, 5), np.float32)), np.zeros((4, 5), np.float32))


def test_to_grid_pads_with_black():
    grid = network_grid((300, 200), padded=(64, 96))
    small = to_grid(np.full((300, 200), 100, np.uint8), grid)
    assert small.shape == (64, 96)
    assert small.dtype == np.float32
    assert np.array_equal(grid.crop(small), np.ones((64, 42), np.float32))
    assert small.sum() == 64 * 42


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_to_grid_puts_things_where_the_grid_says(dtype):
    disc = Ellipse((180, 260), (25, 25), 0)
    image = (200 * disc.soft_mask((400, 600))).astype(dtype)
    grid = network_grid((400, 600), (0.1, 0.15), pixels=20000)
    centre = ndimage.center_of_mass(to_grid(image, grid))
    assert centre == pytest.approx(grid.from_input(np.array([[180, 260]]))[0], abs=0.02)


def test_to_grid_leaves_the_picture_alone():
    image = picture_of(HEAD, SHAPE)
    before = image.copy()
    to_grid(image, network_grid(SHAPE))
    assert np.array_equal(image, before)


def test_load_scan_takes_paths_and_sources(tmp_path):
    path = save_png(tmp_path / "a.png", picture_of(HEAD, SHAPE))
    for given in (path, str(path), source_of(path)):
        scan = LoadScand()({"image": given})["image"]
        assert scan.source == source_of(path)
        assert scan.image.shape == SHAPE
    assert LoadScand(read=lambda source: source.stem)({"image": path})["image"] == "a"
    with pytest.raises(ScanError, match=r"b\.png"):
        LoadScand()({"image": tmp_path / "b.png"})


def test_network_grid_of_a_scan(scan):
    item = {"image": scan}
    out = ToNetworkGridd(pixels=8000)(item)
    assert item == {"image": scan}
    assert out["scan"] is scan
    assert out["grid"] == network_grid(SHAPE, pixels=8000)
    assert out["image"].shape == (1, *out["grid"].shape)
    assert out["image"].dtype == torch.float32
    assert np.array_equal(out["image"][0].numpy(), to_grid(scan.image, out["grid"]))


def test_spacing_of_the_item_goes_before_that_of_the_scan(scan):
    out = ToNetworkGridd()({"image": scan, "spacing_mm": (0.1, 0.2)})
    assert out["grid"] == network_grid(SHAPE, (0.1, 0.2))


@pytest.mark.parametrize("spacing_mm", [None, (0.1, 0.16)])
def test_label_is_half_on_the_outline(tmp_path, spacing_mm):
    path = save_png(tmp_path / "a_Annotation.png", draw_outline(HEAD, SHAPE))
    grid = network_grid(SHAPE, spacing_mm, padded=(96, 160))
    item = {"label": str(path), "grid": grid}
    label = OutlineLabeld("label")(item)["label"]
    assert item["label"] == str(path)
    assert label.shape == (1, 96, 160)
    head = HEAD.scaled(grid.scale)
    centre = grid.from_input(np.array([HEAD.center]))[0]
    head = Ellipse((centre[0], centre[1]), head.semi_axes, head.angle)
    contour = max(find_contours(label[0].numpy(), 0.5), key=len)
    distance = head.distance(contour)
    assert np.abs(distance).max() < 0.15  # what drawing on whole pixels leaves open
    assert abs(distance.mean()) < 0.03
    assert label.sum().item() == pytest.approx(head.area, rel=2e-3)


def test_label_ends_where_the_picture_ends(tmp_path):
    high = Ellipse((20, 110), (60, 46), 0.0)  # its upper part is out of view
    path = save_png(tmp_path / "a.png", draw_outline(high, SHAPE))
    grid = network_grid(SHAPE, padded=(96, 112))  # 74 of 96 rows hold the picture
    label = OutlineLabeld("label")({"label": path, "grid": grid})["label"][0].numpy()
    assert grid.offset[0] == 11
    assert label[: grid.offset[0]].max() == 0
    centre = np.rint(grid.from_input(np.array([[0, 110]]))[0]).astype(int)
    assert label[centre[0], centre[1]] == 1


def test_label_without_an_ellipse_says_which(tmp_path):
    path = save_png(tmp_path / "empty_Annotation.png", np.zeros(SHAPE, np.uint8))
    with pytest.raises(ValueError, match=r"empty_Annotation\.png.*closed curve"):
        OutlineLabeld("label")({"label": path, "grid": network_grid(SHAPE)})


def test_tensors_of_the_grid_by_hand(scan):
    # 140x210 into 48x64: 64/210 = 0.30476, 42.67 -> 42 rows from row 3
    grid = network_grid(SHAPE, padded=(48, 64))
    out = GridToTensorsd()({"scan": scan, "grid": grid, "spacing_mm": (0.3, 0.6), "hc_mm": 1.0})
    assert set(out) == {"content", "grid_mm", "hc_mm"}
    assert out["content"].tolist() == [3, 0, 42, 64]
    assert out["grid_mm"].tolist() == pytest.approx([0.3 * 140 / 42, 0.6 * 210 / 64])
    assert GridToTensorsd()({"scan": scan, "grid": grid})["grid_mm"].isnan().all()


def test_chains_agree_on_what_the_network_sees(tmp_path):
    path = save_png(tmp_path / "a.png", picture_of(HEAD, SHAPE))
    label = save_png(tmp_path / "a_Annotation.png", draw_outline(HEAD, SHAPE))
    item = {"image": str(path), "label": str(label), "spacing_mm": (0.2, 0.2), "hc_mm": 66.9}
    trained = Compose(head_training((96, 144)))(item)
    assert set(trained) == {"image", "label", "hc_mm", "content", "grid_mm"}
    assert trained["image"].shape == trained["label"].shape == (1, 96, 144)
    inferred = Compose(head_preprocessing(pixels=96 * 144))({"image": str(path)})
    assert inferred["grid"] == network_grid(SHAPE, padded=(96, 144))
    assert torch.equal(trained["image"], inferred["image"])
    assert item["image"] == str(path)
