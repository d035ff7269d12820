"""A single slice through the chain: a slab for the network, its middle back, files and measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from PIL import Image

from fetal_monai.scan import find_patients, read_patient
from fetal_monai.transforms.tumour_inputs import SLAB, SLAB_ROOM, patient_preprocessing
from fetal_monai.transforms.tumour_outputs import tumour_output


def on_grid(folder: Path, spacing_mm: float | None) -> dict:
    row, column = np.mgrid[:96, :80]
    inside = np.hypot((row - 48) / 40, (column - 40) / 32) < 1
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(inside, 60 + column, 0).astype(np.uint8)).save(folder / "p1_flair.png")
    (source,) = find_patients(folder)[0]
    read = lambda one: read_patient(one, spacing_mm=spacing_mm)  # noqa: E731
    return Compose(patient_preprocessing(read, 2.0, 8))({"image": source})


def answered(item: dict, output_dir: Path) -> dict:
    """All regions where columns 50 to 60 and rows 40 to 60 of the picture are, in the middle of the slab alone."""
    middle = item["slab"][1]
    logits = torch.full((3, *item["image"].shape[1:]), -8.0)
    x, y, _ = item["box"]
    # on the grid of 2 mm, X goes to the right and Y to the front: both the other way than the picture's
    logits[:, 80 - 60 - x.start : 80 - 50 - x.start, 96 - 60 - y.start : 96 - 40 - y.start, middle] = 8.0
    return Compose(tumour_output(str(output_dir), 0.1))({**item, "pred": logits, "outputs": []})


def test_a_slice_is_shown_as_a_slab(tmp_path):
    item = on_grid(tmp_path, 2.0)
    image = item["image"]
    assert image.shape[3] == SLAB_ROOM and item["slab"] == (2, SLAB_ROOM // 2)
    shown = (image[3] != 0).any(0).any(0)
    assert int(shown.sum()) == SLAB and bool(shown[SLAB_ROOM // 2])
    first = image[3, :, :, SLAB_ROOM // 2]
    assert all(torch.equal(image[3, :, :, place], first) for place in shown.nonzero().ravel().tolist())


@pytest.mark.parametrize("spacing_mm", [2.0, None])
def test_the_middle_comes_back_with_areas_or_without(tmp_path, spacing_mm):
    out = tmp_path / "out"
    if spacing_mm is None:  # 80 rows of head taken for 170 mm: other voxels on the grid, the same chain
        item = on_grid(tmp_path / "in", None)
        logits = torch.full((3, *item["image"].shape[1:]), -8.0)
        logits[:, 20:30, 20:40, item["slab"][1]] = 8.0
        found = Compose(tumour_output(str(out), 0.1))({**item, "pred": logits, "outputs": []})
    else:
        found = answered(on_grid(tmp_path / "in", spacing_mm), out)
    record = found["record"]
    assert record.outputs == ["in_seg.png", "in_overlay.png"] or record.outputs == [
        "p1_seg.png",
        "p1_overlay.png",
    ]
    seg = np.asarray(Image.open(out / record.outputs[0]))
    assert seg.shape == (96, 80) and set(np.unique(seg)) == {0, 4}
    assert np.isnan(record.measures["whole_tumour_ml"]) and "single_slice" in record.all_flags
    if spacing_mm is None:
        assert {"no_spacing", "size_assumed"} <= set(record.all_flags) and record.spacing_mm is None
        assert np.isnan(record.measures["rano_diameter_mm"]) and np.isnan(record.measures["whole_tumour_mm2"])
    else:
        assert (seg[40:60, 50:60] == 4).all() and np.count_nonzero(seg) == 200
        assert record.measures["whole_tumour_mm2"] == 800.0
        assert record.measures["rano_diameter_mm"] == pytest.approx(np.hypot(38, 20), abs=2.0)


def test_what_is_smaller_than_a_cut_of_the_smallest_ball_is_removed(tmp_path):
    item = on_grid(tmp_path / "in", 2.0)
    logits = torch.full((3, *item["image"].shape[1:]), -8.0)
    logits[:, 20:24, 20:24, item["slab"][1]] = 8.0  # 64 mm2; a ball of 0.5 mL has 76
    found = Compose(tumour_output(str(tmp_path / "out"), 0.5))({**item, "pred": logits, "outputs": []})
    assert "no_tumour" in found["record"].flags
