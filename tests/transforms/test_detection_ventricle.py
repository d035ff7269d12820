"""Heads with a wide ventricle or without a cavum: what is in the picture is what the structures tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from structures import corners_in, head_in

from fetal_monai.measure.structures import STRUCTURES, Structure, bounding_box, ellipse_points
from fetal_monai.transforms.detection import HeatmapLabeld
from fetal_monai.transforms.detection_ventricle import RandAbnormalHeadd, with_wide_ventricles

SHAPE = (216, 320)
HEAD = head_in(SHAPE)
CAVUM, VENTRICLE = "cavum_septi_pellucidi", "lateral_ventricle"


def item(**further):
    image = np.random.default_rng(0).uniform(0.2, 0.8, SHAPE).astype(np.float32) * HEAD.mask(SHAPE)
    drawn = [Structure(name, corners) for name, corners in corners_in(HEAD).items()]
    structures = [Structure("head", ellipse_points(HEAD)), *drawn]
    return {"image": torch.from_numpy(image[None]), "structures": structures, "complete": False, **further}


def by_label(data):
    return {one.label: one for one in data["structures"]}


def seeded(seed: int, **options) -> RandAbnormalHeadd:
    return RandAbnormalHeadd(**options).set_random_state(seed)


@pytest.mark.parametrize("pulled", [0.0, 1.0])
def test_the_new_ventricle_takes_the_place_of_the_old_ones_box(pulled):
    before = item()
    old = by_label(before)[VENTRICLE]
    changed = 0
    for seed in range(8):
        after = seeded(seed, ventricle=1.0, pulled=pulled)(before)
        assert [one.label for one in after["structures"]].count(VENTRICLE) == 1
        new = by_label(after)[VENTRICLE]
        if new is old:  # nothing fitted
            assert torch.equal(after["image"], before["image"])
            continue
        changed += 1
        difference = np.abs(after["image"][0].numpy() - before["image"][0].numpy())
        x, y, width, height = (int(side) for side in bounding_box(new.points))
        assert difference[y : y + height, x : x + width].sum() > 0.5 * difference.sum()
        middle = old.points.mean(axis=0) - np.array(HEAD.center[::-1])
        assert (new.points.mean(axis=0) - np.array(HEAD.center[::-1])) @ middle > 0  # the same side and end
    assert changed >= 4
    assert by_label(before)[VENTRICLE] is old


def test_a_cavum_that_was_removed_is_known_to_be_missing():
    before = item()
    after = seeded(0, ventricle=0.0, no_cavum=1.0)(before)
    assert after["absent"] == (CAVUM,)
    assert CAVUM not in by_label(after)
    assert VENTRICLE in by_label(after)
    x, y, width, height = (int(side) for side in bounding_box(by_label(before)[CAVUM].points))
    part = (0, slice(y, y + height), slice(x, x + width))
    assert not torch.allclose(after["image"][part], before["image"][part])
    heat = HeatmapLabeld()(after)["label"].unflatten(0, (10, len(STRUCTURES)))[0]
    assert (heat[STRUCTURES.index(CAVUM)] == 0).all()
    assert (heat[STRUCTURES.index("choroid_plexus")] == -1).all()  # still unknown


def test_without_a_share_or_a_drawn_structure_nothing_is_done():
    before = item()
    assert seeded(0, ventricle=0.0)(before)["structures"] == before["structures"]
    bare = {**before, "structures": before["structures"][:1]}
    for options in ({"ventricle": 1.0}, {"ventricle": 0.0, "no_cavum": 1.0}):
        assert torch.equal(seeded(0, **options)(bare)["image"], before["image"])
    with pytest.raises(ValueError, match="at most 1"):
        RandAbnormalHeadd(0.8, 0.3)


def test_a_marked_item_is_widened_in_the_same_way_every_time():
    first, again = (seeded(seed, ventricle=0.0)(item(abnormal_seed=3)) for seed in (0, 1))
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], item()["image"])
    assert "abnormal_seed" not in first


def test_items_with_a_ventricle_come_twice():
    items = [{"objects": [{"label": VENTRICLE}]}, {"objects": [{"label": CAVUM}]}]
    assert with_wide_ventricles(items, seed=5) == [*items, {**items[0], "abnormal_seed": 5}]
