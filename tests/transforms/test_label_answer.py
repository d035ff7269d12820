"""Labels as MONAI Label's own bundle app takes them, and items that say how they are read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from fetal_monai.record import Record
from fetal_monai.transforms.label_answer import ToLabelAnswerd, label_answer
from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.volume_outputs import LabelsOnInputd, MeasureBraind, brain_output


def test_labels_and_record_become_pred_and_result() -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    affine = np.diag([0.8, 0.8, 0.8, 1])
    record = Record("a.nii.gz", "a", measures={"brain_ml": 1.5, "ga_weeks": float("nan")}, flags=["cut_off"])
    item = {
        "labels": labels,
        "scan": SimpleNamespace(affine=affine),
        "record": record,
        "image": torch.zeros(1),
    }
    out = ToLabelAnswerd()(item)
    assert out["pred"].shape == (1, 2, 3, 4) and np.array_equal(out["pred"][0], labels)
    assert out["image_meta_dict"] == {"spatial_shape": (2, 3, 4), "original_affine": affine}
    assert out["result"] == {
        "measurements": {"brain_ml": 1.5, "ga_weeks": None},
        "flags": ["cut_off", "no_spacing"],
    }
    assert "pred" not in item


def test_of_a_chain_of_outputs_only_what_writes_nothing_is_left() -> None:
    kinds = [type(step) for step in label_answer(brain_output("nowhere"))]
    assert kinds == [LabelsOnInputd, MeasureBraind, ToLabelAnswerd]


def test_an_item_is_read_as_it_says() -> None:
    load = LoadScand("image", lambda source: ("chain", source.filename))
    assert load({"image": "a.png"}) == {"image": ("chain", "a.png")}
    own = {"image": "a.png", "read": lambda source: ("own", source.filename)}
    assert load(own) == {"image": ("own", "a.png")}
    assert "read" in own
