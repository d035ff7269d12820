"""Structures on the network's grid: changed with their picture, and as the maps that a detector learns from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from structures import SHAPE, corners_in, head_in, write_structures

from fetal_monai.datasets import structure_items
from fetal_monai.measure.structures import STRUCTURES, Structure, bounding_box, box_points, rectangle_points
from fetal_monai.networks.heatmap import find_peaks
from fetal_monai.transforms.detection import (
    HeatmapLabeld,
    LoadStructuresd,
    RandBesideHeadd,
    RandStructureSimilarityd,
    TrueBoxesd,
    detection_preprocessing,
    synthetic_items,
)

GRID = (64, 96)


def by_label(structures):
    return {one.label: one for one in structures}


def item_of(*structures: Structure, complete: bool = False, image: torch.Tensor | None = None):
    image = torch.zeros(1, *GRID) if image is None else image
    return {"image": image, "structures": list(structures), "complete": complete}


def maps_of(label: torch.Tensor) -> torch.Tensor:
    """What a network would give that is as sure as the label."""
    parts = label.unflatten(0, (10, len(STRUCTURES)))
    return torch.cat([torch.logit(parts[:1].clamp(0, 1), 1e-4), parts[1:8]]).flatten(0, 1)


def test_loads_onto_the_grid(tmp_path: Path):
    item = structure_items(write_structures(tmp_path, ["P1"]))[0]
    loaded = LoadStructuresd((72, 128))(item)
    assert loaded["image"].shape == (1, 72, 128) and not loaded["complete"]
    factor = 72 / SHAPE[0]
    shift = (128 - SHAPE[1] * factor) / 2
    found = by_label(loaded["structures"])
    assert set(found) == {"head", "midline_falx", "cavum_septi_pellucidi", "lateral_ventricle"}
    expected = corners_in(head_in(angle_deg=0.0))["lateral_ventricle"] * factor + [shift, 0]
    np.testing.assert_allclose(found["lateral_ventricle"].points, expected)
    assert found["head"].axes()[1:] == pytest.approx((0.8 * 72, 0.64 * 72), rel=0.02)
    assert found["midline_falx"].axes()[1] == pytest.approx(0.95 * 0.8 * 72, rel=0.02)
    assert {"scan", "grid", "objects", "mask"}.isdisjoint(loaded)
    assert isinstance(item["objects"], list)  # the input stays


def test_without_a_mask_the_head_is_its_box(tmp_path: Path):
    item = structure_items(write_structures(tmp_path, ["P1"]))[0]
    del item["mask"]
    found = by_label(LoadStructuresd(SHAPE)(item)["structures"])
    assert not found["head"].has_axis and "midline_falx" not in found
    np.testing.assert_allclose(bounding_box(found["head"].points), item["objects"][0]["bbox"])


def test_labels_lead_back_to_the_boxes():
    ventricle = Structure("lateral_ventricle", rectangle_points((30, 22), 0.4, 24, 12))
    cavum = Structure("cavum_septi_pellucidi", rectangle_points((60, 30), -0.2, 22, 9))
    maps = maps_of(HeatmapLabeld()(item_of(ventricle, cavum))["label"])
    peaks = find_peaks(maps, threshold=0.9)
    assert sorted(peaks.label.tolist()) == [2, 4]
    for one in (ventricle, cavum):
        place = peaks.label.tolist().index(STRUCTURES.index(one.label))
        np.testing.assert_allclose(peaks.box[place], bounding_box(one.points), atol=1e-4)
        angle, _, short = one.axes()
        assert peaks.angle[place].item() == pytest.approx(angle, abs=1e-4)
        assert peaks.short_side[place].item() == pytest.approx(short, abs=1e-3)


def heat_of(*structures: Structure, complete: bool = False) -> torch.Tensor:
    return HeatmapLabeld()(item_of(*structures, complete=complete))["label"].unflatten(
        0, (10, len(STRUCTURES))
    )[0]


def test_what_has_no_box_is_unknown_unless_the_picture_is_complete():
    cavum = Structure("cavum_septi_pellucidi", rectangle_points((60, 30), 0, 20, 9))
    heat = heat_of(cavum)
    assert [bool((one == -1).all()) for one in heat] == [True, True, False, True, True]
    assert heat[2].max() == 1 and heat[2].min() == 0 and (heat[2] == 1).sum() == 1
    assert heat_of(cavum, complete=True)[[0, 1, 3, 4]].abs().max() == 0


def test_mostly_outside_is_neither_there_nor_missing():
    heat = heat_of(Structure("cavum_septi_pellucidi", box_points([-12, 20, 20, 8])))[2]
    assert heat.max() == 0 and (heat == -1).sum() == 4  # 2 columns and 2 rows of cells
    assert heat_of(Structure("cavum_septi_pellucidi", box_points([-8, 20, 20, 8])))[2].max() == 1


def test_only_what_was_drawn_turned_teaches_its_angle():
    for has_axis, expected in ((True, 1.0), (False, 0.0)):
        one = Structure("lateral_ventricle", rectangle_points((40, 30), 0.5, 24, 10), has_axis)
        label = HeatmapLabeld()(item_of(one))["label"].unflatten(0, (10, len(STRUCTURES)))
        assert label[8, 4].sum() == pytest.approx(1) and label[9, 4].sum() == pytest.approx(expected)


def test_structures_move_with_the_picture():
    """A bright square stays within its corners, whatever is drawn."""
    picture = torch.zeros(1, *GRID)
    picture[0, 20:30, 40:60] = 1
    change = RandStructureSimilarityd("image", rotate=0.7, turn_prob=0.3, zoom=(0.7, 1.3), translate=0.1)
    change.set_random_state(1)
    mirrored = 0
    for _ in range(12):
        out = change(item_of(Structure("lateral_ventricle", box_points([40, 20, 20, 10])), image=picture))
        points = out["structures"][0].points
        rows, columns = torch.nonzero(out["image"][0] > 0.5, as_tuple=True)
        if len(rows) and points.min() > 1 and (points < [GRID[1] - 1, GRID[0] - 1]).all():
            x, y, width, height = bounding_box(points)
            assert columns.min() == pytest.approx(x, abs=1.5) and columns.max() + 1 == pytest.approx(
                x + width, abs=1.5
            )
            assert rows.min() == pytest.approx(y, abs=1.5) and rows.max() + 1 == pytest.approx(
                y + height, abs=1.5
            )
        (a, b), (c, d) = points[1] - points[0], points[3] - points[0]
        mirrored += a * d - b * c < 0
    assert 0 < mirrored < 12
    assert picture.sum() == 200


def test_beside_the_head_nothing_is_there():
    picture = torch.zeros(1, *GRID)
    picture[0, :, :40] = torch.arange(40) / 40
    head = Structure("head", box_points([40, 4, 44, 50]))
    out = RandBesideHeadd(prob=1.0)(item_of(head, image=picture))
    assert out["structures"] == [] and out["complete"]
    assert (
        out["image"].shape == (1, *GRID) and out["image"][0, :, -1].min() > 0.9
    )  # the strip fills the picture
    assert heat_of().min() == -1 and HeatmapLabeld()(out)["label"].abs().max() == 0
    full = item_of(Structure("head", box_points([2, 2, 90, 60])), image=picture)
    assert RandBesideHeadd(prob=1.0)(full)["structures"] != []  # there is no room beside it


def test_true_boxes_collate():
    out = TrueBoxesd()(item_of(Structure("cavum_septi_pellucidi", box_points([5, 6, 20, 8]))))
    assert out["truth"].shape == (12, 5)
    assert out["truth"][0].tolist() == [2, 5, 6, 20, 8] and (out["truth"][1:] == -1).all()
    assert out["known"].tolist() == [False, False, True, False, False]


def test_synthetic_heads_are_complete_and_repeat():
    items = synthetic_items(6, seed=1)
    assert items == synthetic_items(6, seed=1) != synthetic_items(6, seed=2)
    load = LoadStructuresd((108, 160))
    labels = set()
    for item in items:
        first, second = load(item), load(item)
        assert torch.equal(first["image"], second["image"]) and first["complete"]
        found = by_label(first["structures"])
        labels |= set(found)
        x, y, width, height = bounding_box(found["head"].points)
        for name in ("cavum_septi_pellucidi", "choroid_plexus", "lateral_ventricle"):
            if name in found:
                column, row = found[name].points.mean(axis=0)
                assert x < column < x + width and y < row < y + height
        if {"cavum_septi_pellucidi", "midline_falx"} <= set(found):
            angle = found["midline_falx"].axes()[0]
            off = found["cavum_septi_pellucidi"].points.mean(axis=0) - found["midline_falx"].points.mean(
                axis=0
            )
            assert abs(off @ [-math.sin(angle), math.cos(angle)]) < 0.1 * height
    assert labels == set(STRUCTURES)


def test_inference_pads_to_one_shape(tmp_path: Path):
    item = structure_items(write_structures(tmp_path, ["P1"]))[0]
    for step in detection_preprocessing(None, (64, 128)):
        item = step(item)
    assert item["image"].shape == (1, 64, 128)
    assert item["grid"].content == (64, 90) and item["grid"].offset == (0, 19)
