"""Average precision over a validation set of maps."""

from __future__ import annotations

import math

import torch

from fetal_monai.measure.structures import STRUCTURES, Structure, box_points
from fetal_monai.training_detection import BoxPrecision
from fetal_monai.transforms.detection import HeatmapLabeld, TrueBoxesd


def item(complete: bool = False, *structures: Structure) -> dict:
    made = {"image": torch.zeros(1, 64, 96), "structures": list(structures), "complete": complete}
    made = TrueBoxesd()(HeatmapLabeld()(made))
    parts = made["label"].unflatten(0, (10, len(STRUCTURES)))
    made["pred"] = torch.cat([torch.logit(parts[:1].clamp(0, 1), 1e-4), parts[1:8]]).flatten(0, 1)
    return made


CAVUM = Structure("cavum_septi_pellucidi", box_points([20, 20, 24, 12]))
HEAD = Structure("head", box_points([8, 8, 80, 50]))


def test_perfect_maps_are_perfect():
    metric = BoxPrecision((0.5, 0.95))
    metric.update([item(False, HEAD, CAVUM), item(False, HEAD)])
    by_label = metric.by_label()
    assert by_label["head"] == by_label["cavum_septi_pellucidi"] == 1
    assert math.isnan(by_label["choroid_plexus"]) and metric.compute() == 1


def test_a_false_box_counts_only_where_the_label_is_known():
    wrong = item(False, CAVUM)["pred"]
    unknown, missing = item(), item(True)
    for other, expected in ((unknown, 1.0), (missing, 0.5)):
        metric = BoxPrecision(0.5, ["cavum_septi_pellucidi"])
        metric.update([other | {"pred": wrong}, item(False, CAVUM)])
        assert metric.compute() == expected


def test_an_empty_set_is_no_success():
    assert BoxPrecision().compute() == 0
