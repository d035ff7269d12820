"""From maps to boxes in input pixels, JSON and overlay."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fetal_monai.measure.structures import STRUCTURES
from fetal_monai.scan import ScanSource
from fetal_monai.scan.reader import Scan
from fetal_monai.transforms.detection_outputs import DecodeBoxesd, MeasureStructuresd, detection_output
from fetal_monai.transforms.grid import network_grid

THRESHOLDS = dict.fromkeys(STRUCTURES, 0.4)
SHAPE, GRID = (200, 300), (108, 160)


def item_with(*boxes: tuple[str, float, tuple[float, float, float, float]], spacing_mm=None) -> dict:
    """Maps that hold boxes (x, y, width, height) in input pixels with a score, and their scan."""
    grid = network_grid(SHAPE, padded=GRID)
    maps = torch.zeros(8, len(STRUCTURES), GRID[0] // 4, GRID[1] // 4)
    maps[0] = -12
    for label, score, (x, y, width, height) in boxes:
        left, top = x * grid.scale[1] + grid.offset[1], y * grid.scale[0] + grid.offset[0]
        size = np.array([width * grid.scale[1], height * grid.scale[0]]) / 4
        center = np.array([left, top]) / 4 + size / 2
        column, row = center.astype(int)
        told = [*(center - [column + 0.5, row + 0.5]), *np.log(size), 1.0, 0.0, math.log(size[1])]
        place = STRUCTURES.index(label)
        maps[:, place, row, column] = torch.tensor([math.log(score / (1 - score)), *told])
    source = ScanSource(Path("a.png"), "a.png", "a")
    picture = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8)
    scan = Scan(source, picture, spacing_mm, "none" if spacing_mm is None else "argument")
    return {"pred": maps.flatten(0, 1), "scan": scan, "grid": grid, "outputs": []}


HEAD = ("head", 0.9, (40.0, 30.0, 210.0, 150.0))
VENTRICLE = ("lateral_ventricle", 0.8, (60.0, 120.0, 50.0, 30.0))


def test_boxes_in_input_pixels():
    out = DecodeBoxesd()(item_with(HEAD, VENTRICLE, ("cavum_septi_pellucidi", 0.03, (150, 90, 40, 20))))
    np.testing.assert_allclose(out["box"], [HEAD[2], VENTRICLE[2]], atol=1e-3)
    assert out["label"].tolist() == [0, 4]
    assert out["label_scores"].tolist() == pytest.approx([0.9, 0.8])
    assert out["box"].dtype == torch.float32 and out["label"].dtype == torch.long


def test_nothing_found_is_empty():
    out = DecodeBoxesd()(item_with())
    assert out["box"].shape == (0, 4) and out["label"].shape == out["label_scores"].shape == (0,)


def test_boxes_end_with_the_picture():
    out = DecodeBoxesd()(item_with(("head", 0.9, (-20.0, 30.0, 200.0, 190.0))))
    np.testing.assert_allclose(out["box"], [[0, 30, 180, 170]], atol=1e-3)


def written(folder: Path, item: dict) -> dict:
    for step in detection_output(str(folder), THRESHOLDS):
        item = step(item)
    return item


def test_files_of_a_picture_in_mm(tmp_path: Path):
    item = written(tmp_path, item_with(HEAD, VENTRICLE, spacing_mm=(0.2, 0.5)))
    record = item["record"]
    assert record.outputs == ["a_boxes.json", "a_overlay.png"]
    content = json.loads((tmp_path / "a_boxes.json").read_text())
    assert (content["image"], content["width"], content["height"]) == ("a.png", 300, 200)
    head, ventricle = content["boxes"]
    assert (ventricle["label"], ventricle["shown"]) == ("lateral_ventricle", True)
    assert ventricle["score"] == pytest.approx(0.8, abs=0.01)
    assert ventricle["bbox"] == pytest.approx([60, 120, 50, 30], abs=0.01)
    assert ventricle["bbox_mm"] == pytest.approx([30, 24, 25, 6], abs=0.01)
    assert head["label"] == "head" and content["spacing_mm"] == [0.2, 0.5]
    assert record.measures["atrial_width_mm"] == pytest.approx(6, abs=0.01)
    assert record.flags == ["cavum_not_found"] and record.spacing_source == "argument"
    assert record.thumbnail.startswith("data:image/jpeg;base64,")
    with Image.open(tmp_path / "a_overlay.png") as overlay:
        assert overlay.mode == "RGB" and overlay.width >= 480


def test_without_spacing_there_are_no_mm(tmp_path: Path):
    item = written(tmp_path, item_with(HEAD, VENTRICLE))
    content = json.loads((tmp_path / "a_boxes.json").read_text())
    assert content["spacing_mm"] is None and all("bbox_mm" not in box for box in content["boxes"])
    assert math.isnan(item["record"].measures["atrial_width_mm"])
    assert "no_spacing" in item["record"].all_flags


def test_without_a_head_no_box_counts(tmp_path: Path):
    item = written(tmp_path, item_with(VENTRICLE, spacing_mm=(0.2, 0.2)))
    content = json.loads((tmp_path / "a_boxes.json").read_text())
    assert [box["shown"] for box in content["boxes"]] == [False]
    assert item["record"].flags == ["no_head"] and math.isnan(item["record"].measures["atrial_width_mm"])
    assert "midline" not in content


def test_every_label_needs_a_threshold():
    with pytest.raises(ValueError, match="thresholds has no 'midline_falx'"):
        MeasureStructuresd({"head": 0.3})
