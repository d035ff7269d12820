"""Boxes as they lie on disk, and copies that are turned with their pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from structures import SHAPE, corners_in, head_in, write_structures

from fetal_monai.datasets import structure_items, turn_structures
from fetal_monai.measure.structures import bounding_box


def test_items_hold_what_is_drawn(tmp_path):
    write_structures(tmp_path, ["P1", "P2"], {"P2": "brain"})
    first, second = structure_items(tmp_path)
    assert first["subject"] == "P1" and first["image"].endswith("images/P1_Plane3_1_of_1.png")
    assert [one["label"] for one in first["objects"]] == [
        "head",
        "cavum_septi_pellucidi",
        "lateral_ventricle",
    ]
    assert first["objects"][0]["corners"] is None and first["mask"].endswith(
        "brain_masks/P1_Plane3_1_of_1.png"
    )
    expected = corners_in(head_in(angle_deg=0.0))["cavum_septi_pellucidi"]
    np.testing.assert_allclose(first["objects"][1]["corners"], expected)
    assert [one["label"] for one in second["objects"]] == ["cavum_septi_pellucidi", "lateral_ventricle"]
    assert "mask" not in second


def test_patients_keep_their_listed_role(tmp_path):
    write_structures(tmp_path, ["P1", "P2", "P3"])
    (tmp_path / "roles.csv").write_text("patient,role\nP1,test\nP2,validation\nP3,train\n")
    items = structure_items(tmp_path, ["test", "train"], roles_file=tmp_path / "roles.csv")
    assert [(item["subject"], item["role"]) for item in items] == [("P1", "test"), ("P3", "train")]
    with pytest.raises(ValueError, match="none of 3 cases has the role calibration"):
        structure_items(tmp_path, "calibration", roles_file=tmp_path / "roles.csv")


def damaged(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["categories"][0].update(name="liver"), "'liver' is not one of head"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "a box of 3 numbers"),
        (lambda c: c.pop("images"), "not in COCO's format .KeyError: 'images'"),
        (
            lambda c: c["images"][0].update(file_name="gone.png"),
            "1 of its pictures are not there, first .*gone.png",
        ),
    ],
)
def test_says_what_is_wrong(tmp_path, change, words):
    write_structures(tmp_path, ["P1"])
    damaged(tmp_path / "annotations.json", change)
    with pytest.raises(ValueError, match=words):
        structure_items(tmp_path)


def test_no_table(tmp_path):
    with pytest.raises(ValueError, match=r"no annotations.json; expected COCO boxes"):
        structure_items(tmp_path)


def test_turned_copy_by_a_quarter(tmp_path, monkeypatch):
    """Turned by 90 degrees and not mirrored, x becomes y and y the width less x."""
    write_structures(tmp_path / "in", ["P1"])

    class Quarter:
        def uniform(self, low, high):
            return 90.0

        def random(self):
            return 1.0

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Quarter())
    assert turn_structures(tmp_path / "in", tmp_path / "out") == 1
    before, after = (structure_items(tmp_path / name)[0] for name in ("in", "out"))
    with Image.open(before["image"]) as first, Image.open(after["image"]) as second:
        assert second.size == first.size[::-1]
        np.testing.assert_array_equal(np.asarray(second), np.rot90(np.asarray(first)))
    for one, other in zip(before["objects"][1:], after["objects"][1:], strict=True):
        corners = np.array(one["corners"])
        expected = np.column_stack([corners[:, 1], SHAPE[1] - corners[:, 0]])
        np.testing.assert_allclose(other["corners"], expected, atol=1e-6)
        np.testing.assert_allclose(other["bbox"], bounding_box(expected), atol=1e-6)


def test_turned_copy_keeps_boxes_on_their_structures(tmp_path):
    write_structures(tmp_path / "in", ["P1", "P2", "P3", "P4"])
    turn_structures(tmp_path / "in", tmp_path / "out", seed=3)
    for item in structure_items(tmp_path / "out"):
        mask = np.asarray(Image.open(item["mask"])) > 0
        x, y, width, height = item["objects"][0]["bbox"]
        rows, columns = np.nonzero(mask)
        assert (x, y) == (columns.min(), rows.min())
        assert (width, height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
        for one in item["objects"][1:]:
            column, row = np.array(one["corners"]).mean(axis=0).astype(int)
            assert mask[row, column]


def test_does_not_turn_into_itself(tmp_path):
    write_structures(tmp_path, ["P1"])
    with pytest.raises(ValueError, match="give another folder"):
        turn_structures(tmp_path, tmp_path)
