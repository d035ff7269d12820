"""A patient onto the network's grid, and regions back on the reference's."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose
from torch.nn import functional as F
from tumours import AFFINE, SIZE, tumour_labels, write_patient

from fetal_monai.datasets import tumour_items
from fetal_monai.evaluation import EvaluateTumours
from fetal_monai.scan import find_patients, read_patient
from fetal_monai.transforms.mri import to_canonical
from fetal_monai.transforms.tumour import CHANNELS, regions_of
from fetal_monai.transforms.tumour_inputs import patient_preprocessing
from fetal_monai.transforms.tumour_outputs import (
    RegionsOnInputd,
    entropy_bits,
    sequence_flags,
    tumour_output,
)

VOXEL_ML = 0.008


def on_grid(folder: Path, voxel_mm: float = 2.0) -> dict[Any, Any]:
    """The only patient of a folder as the network sees it."""
    found, _ = find_patients(folder)
    return Compose(patient_preprocessing(read_patient, voxel_mm, 8))({"image": found[0]})


def answer(item: dict[Any, Any], labels: np.ndarray, sure: float = 8.0) -> dict[Any, Any]:
    """The item with logits that say ``labels`` (I, J, K), in BraTS 2018's, on a grid of the patient's own voxels."""
    view, _ = to_canonical(np.where(labels == 4, 3, labels), item["scan"].affine)
    regions = regions_of(torch.from_numpy(np.ascontiguousarray(view)))
    x, y, z = item["box"]
    shape = item["image"].shape[1:]
    cut = regions[:, x, y, z]
    pad = [
        side
        for n, full in zip(reversed(cut.shape[1:]), reversed(shape), strict=True)
        for side in (0, full - n)
    ]
    return {**item, "pred": sure * (2 * F.pad(cut, pad) - 1), "outputs": []}


def test_patient_on_the_grid(tmp_path):
    write_patient(tmp_path / "p1", ("t1c", "flair"))
    item = on_grid(tmp_path)
    image, box = item["image"], item["box"]
    assert all(side % 8 == 0 for side in image.shape[1:]) and len(image) == 4
    shown = [name for name, channel in zip(CHANNELS, image, strict=True) if channel.any()]
    assert shown == ["t1c", "flair"]
    flair = image[CHANNELS.index("flair")]
    assert float(flair[flair != 0].mean()) == pytest.approx(0, abs=0.01)
    assert float(flair[flair != 0].std()) == pytest.approx(1, abs=0.01)
    assert item["grid"].content == SIZE and item["scan"].source.stem == "p1"
    # two voxels around a head that ends two voxels before the volume does, on most sides
    assert all(side.start in (0, 1) and side.stop >= n - 2 for side, n in zip(box, SIZE, strict=True))


def test_coarser_voxels_make_a_smaller_picture(tmp_path):
    write_patient(tmp_path / "p1")
    assert tuple(on_grid(tmp_path, 4.0)["image"].shape) == (4, 24, 32, 24)


@pytest.mark.parametrize("convention", ["brats2018", "brats2023"])
def test_labels_come_back_where_they_were(tmp_path, convention):
    write_patient(tmp_path / "p1")
    found = RegionsOnInputd(0.0, convention)(answer(on_grid(tmp_path), tumour_labels()))
    expected = (
        tumour_labels() if convention == "brats2018" else np.where(tumour_labels() == 4, 3, tumour_labels())
    )
    assert np.array_equal(found["labels"], expected)
    assert found["probability"].shape == (3, *SIZE) and found["uncertainty"] < 0.05


def test_small_parts_are_removed(tmp_path):
    write_patient(tmp_path / "p1")
    labels = tumour_labels()
    labels[10:12, 10:12, 10:12] = 4  # 8 voxels: 0.064 mL
    for min_ml, kept in ((0.06, True), (0.07, False)):
        found = RegionsOnInputd(min_ml)(answer(on_grid(tmp_path), labels))["labels"]
        assert bool(found[10:12, 10:12, 10:12].all()) == kept
        assert np.array_equal(found[16:], tumour_labels()[16:])


def test_uncertainty_grows_as_the_network_is_less_sure(tmp_path):
    write_patient(tmp_path / "p1")
    item, values = on_grid(tmp_path), []
    for sure in (8.0, 4.0, 2.0):
        found = RegionsOnInputd(0.0)(answer(item, tumour_labels(), sure))
        values.append(found["uncertainty"])
    assert values[0] < values[1] < values[2]
    nothing = RegionsOnInputd(0.0)(answer(item, np.zeros(SIZE, np.uint8)))
    assert math.isnan(nothing["uncertainty"]) and not nothing["labels"].any()


def test_entropy_by_hand():
    found = entropy_bits(np.array([0, 0.25, 0.5, 1], np.float32))
    assert found == pytest.approx([0, 0.25 * 2 + 0.75 * math.log2(4 / 3), 1, 0])
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("sequences", "flags"),
    [
        (["t1", "t1c", "t2", "flair"], []),
        (["t1c", "flair"], []),
        (["flair"], ["no_t1c", "one_sequence"]),
        (["t1", "t1c"], ["no_flair_or_t2"]),
        (["t1"], ["no_t1c", "no_flair_or_t2", "one_sequence"]),
    ],
)
def test_what_is_missing_is_said(sequences, flags):
    assert sequence_flags(sequences) == flags


def test_all_files_and_measures(tmp_path):
    write_patient(tmp_path / "in" / "p1", ("flair",))
    out = tmp_path / "out"
    out.mkdir()
    record = Compose(tumour_output(str(out), 0.0, probabilities=True))(
        answer(on_grid(tmp_path / "in"), tumour_labels())
    )["record"]
    names = ["p1_seg.nii.gz", "p1_prob.nii.gz", "p1_entropy.nii.gz", "p1_overlay.png"]
    assert record.outputs == names and sorted(path.name for path in out.iterdir()) == sorted(names)
    labels = nib.load(out / "p1_seg.nii.gz")
    assert np.allclose(labels.affine, AFFINE) and np.array_equal(np.asarray(labels.dataobj), tumour_labels())
    probability = nib.load(out / "p1_prob.nii.gz")
    assert probability.shape == (*SIZE, 3) and np.allclose(probability.affine, AFFINE)
    core = tumour_labels()
    assert np.array_equal(probability.get_fdata()[..., 1] > 0.5, core > 0)
    assert probability.get_fdata().max() == pytest.approx(torch.tensor(8.0).sigmoid().item(), abs=1e-4)
    assert record.measures["whole_tumour_ml"] == pytest.approx((core > 0).sum() * VOXEL_ML)
    assert record.measures["enhancing_ml"] == pytest.approx((core == 4).sum() * VOXEL_ML)
    assert record.measures["n_lesions"] == 1 and record.measures["n_sequences"] == 1
    assert record.extra["sequences"] == ["flair"] and len(record.extra["lesions"]) == 1
    assert {"no_t1c", "one_sequence"} <= set(record.all_flags)
    json.dumps(record.extra)  # it goes into measurements.json


def test_unknown_convention_is_told():
    with pytest.raises(ValueError, match="brats2018 or brats2023"):
        RegionsOnInputd(0.1, "brats1999")


def test_evaluation_of_right_and_wrong_answers(tmp_path, capsys):
    for name in ("p1", "p2"):
        write_patient(tmp_path / "in" / name)
    run = SimpleNamespace(resumed=0, failures=[])
    out = tmp_path / "out"
    out.mkdir()
    evaluation = EvaluateTumours(tumour_items(tmp_path / "in"), run, str(out))  # type: ignore[arg-type]
    for name, shift in (("p1", 0), ("p2", 4)):
        item = answer(on_grid(tmp_path / "in" / name), np.roll(tumour_labels(), shift, 0))
        patient = next(p for p in find_patients(tmp_path / "in")[0] if p.stem == name)
        item["scan"] = read_patient(patient).scan
        Compose([*tumour_output(str(out), 0.0), evaluation])(item)
    summary = evaluation.finish()
    rows = list(csv.DictReader((out / "evaluation.csv").read_text().splitlines()))
    assert [row["subject"] for row in rows] == ["p1", "p2"]
    assert float(rows[0]["dice_whole_tumour"]) == 1 and float(rows[0]["hd95_enhancing_mm"]) == 0
    assert float(rows[0]["lesion_dice_tumour_core"]) == 1 and float(rows[0]["n_missed_enhancing"]) == 0
    expected = (
        2
        * np.sum((tumour_labels() > 0) & (np.roll(tumour_labels(), 4, 0) > 0))
        / (2 * np.sum(tumour_labels() > 0))
    )
    assert float(rows[1]["dice_whole_tumour"]) == pytest.approx(expected, abs=1e-5)
    assert summary["all"]["regions"]["whole_tumour"]["dice"]["worst"] == pytest.approx(expected)
    assert summary["by_sequences"]["t1c flair"]["n"] == 2
    assert "2 patients, 0 unreadable" in capsys.readouterr().out
