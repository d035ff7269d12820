"""Tumour patients as BraTS and the Decathlon lay them out."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fetal_monai.datasets import read_tumour_labels, tumour_items

SHAPE = (12, 10, 8)


def write(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def scan(n_volumes: int = 0) -> np.ndarray:
    shape = (*SHAPE, n_volumes) if n_volumes else SHAPE
    return np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)


def labels(*values: int) -> np.ndarray:
    """Label k in the k-th plane."""
    out = np.zeros(SHAPE, np.uint8)
    for place, value in enumerate(values):
        out[place] = value
    return out


def patient(folder: Path, names: dict[str, np.ndarray]) -> Path:
    for name, values in names.items():
        write(folder / name, values)
    return folder


@pytest.mark.parametrize(
    ("folder", "names", "label"),
    [
        ("BraTS20_001", ["BraTS20_001_flair.nii.gz", "BraTS20_001_t1ce.nii.gz"], "BraTS20_001_seg.nii.gz"),
        ("BraTS-GLI-00001-000", ["BraTS-GLI-00001-000-t2f.nii.gz"], "BraTS-GLI-00001-000-seg.nii.gz"),
        ("pat0001", ["flair.nii", "t1c.nii"], "seg.nii"),
    ],
)
def test_labels_lie_beside_the_sequences(tmp_path, folder, names, label):
    patient(tmp_path / folder, {**{name: scan() for name in names}, label: labels(1)})
    patient(tmp_path / "without_labels", {"flair.nii": scan()})
    items = tumour_items(tmp_path)
    assert [(item["subject"], item["label"].name, item["role"]) for item in items] == [
        (folder, label, "train")
    ]
    assert items[0]["convention"] == ("brats2023" if folder.startswith("BraTS-GLI") else None)
    assert items[0]["dataset"] == tmp_path.name
    assert {source.path.name for _, source in items[0]["image"].sequences} == set(names)


def test_patients_of_one_folder_keep_their_own_labels(tmp_path):
    for number in (1, 2):
        stem = f"BraTS20_00{number}"
        patient(
            tmp_path, {f"{stem}_flair.nii": scan(), f"{stem}_t1.nii": scan(), f"{stem}_seg.nii": labels(1)}
        )
    found = {item["subject"]: item["label"].name for item in tumour_items(tmp_path)}
    assert found == {f"BraTS20_00{n}": f"BraTS20_00{n}_seg.nii" for n in (1, 2)}


def decathlon(root: Path, described: dict[str, str] | None = None) -> Path:
    root.mkdir(parents=True)
    for name in ("BRATS_001.nii.gz", "BRATS_002.nii.gz"):
        write(root / "imagesTr" / name, scan(4))
        write(root / "labelsTr" / name, labels(0, 1, 2, 3))
    names = described or {
        "0": "background",
        "1": "edema",
        "2": "non-enhancing tumor",
        "3": "enhancing tumour",
    }
    modality = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    (root / "dataset.json").write_text(json.dumps({"modality": modality, "labels": names}))
    return root


def test_decathlon_as_it_comes(tmp_path):
    items = tumour_items(decathlon(tmp_path / "Task01_BrainTumour"))
    assert [item["label"].name for item in items] == ["BRATS_001.nii.gz", "BRATS_002.nii.gz"]
    frames = {sequence: source.frame for sequence, source in items[0]["image"].sequences}
    assert frames == {"flair": 0, "t1": 1, "t1c": 2, "t2": 3}
    found = read_tumour_labels(items[0]["label"], items[0]["convention"], SHAPE, np.eye(4))
    assert found[:5, 0, 0].tolist() == [0, 2, 1, 3, 0]


@pytest.mark.parametrize(
    ("convention", "stored", "expected"),
    [
        (None, [1, 2, 4], [1, 2, 3]),  # BraTS 2018
        ("brats2023", [1, 2, 3], [1, 2, 3]),
        (None, [1, 2, 3, 4], [1, 2, 1, 3]),  # BraTS 2015
        ("brats2013", [1, 2, 3], [1, 2, 1]),
    ],
)
def test_labels_of_all_years(tmp_path, convention, stored, expected):
    path = write(tmp_path / "seg.nii", labels(*stored))
    found = read_tumour_labels(path, convention, SHAPE, np.eye(4))
    assert found.dtype == np.uint8 and found[: len(stored), 0, 0].tolist() == expected


def test_labels_turn_with_their_scan(tmp_path):
    """Stored mirrored along the first axis, they are given as the scan lies."""
    turned = np.diag([-1.0, 1.0, 1.0, 1.0])
    turned[0, 3] = SHAPE[0] - 1
    path = write(tmp_path / "seg.nii", labels(1, 2)[::-1].copy(), turned)
    assert read_tumour_labels(path, None, SHAPE, np.eye(4))[:3, 0, 0].tolist() == [1, 2, 0]


def test_roles_are_listed_or_drawn(tmp_path):
    for name in ("a1", "b2", "c3"):
        patient(tmp_path / name, {"flair.nii": scan(), "seg.nii": labels(1)})
    table = tmp_path / "roles.csv"
    table.write_text("patient,role\na1,validation\nb2,train\nc3,train\n")
    found = tumour_items(tmp_path, "validation", roles_file=table)
    assert [item["subject"] for item in found] == ["a1"]
    assert len(tumour_items(tmp_path, "train", fractions=(0.0, 0.0))) == 3


def bad_folder(root: Path, damage: str) -> Path:
    if damage == "unlabelled":
        patient(root / "a", {"flair.nii": scan()})
    elif damage == "two labels":
        patient(root / "a", {"a_flair.nii": scan(), "seg.nii": labels(1), "a_seg.nii": labels(1)})
    elif damage == "two files":
        patient(root / "a", {"a_flair.nii": scan(), "a_t2f.nii": scan(), "seg.nii": labels(1)})
    elif damage == "another task":
        decathlon(root / "x", {"0": "background", "1": "liver"})
        return root / "x"
    return root


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("none", "no such folder"),
        ("unlabelled", "1 patients, none with labels"),
        ("two labels", "are both labels of a"),
        ("two files", "two files for flair"),
        ("another task", "expected those of Task01"),
    ],
)
def test_bad_folders_are_told(tmp_path, damage, words):
    with pytest.raises(ValueError, match=words):
        tumour_items(bad_folder(tmp_path / "patients", damage))


@pytest.mark.parametrize(
    ("stored", "shape", "words"),
    [(labels(7), SHAPE, "from 0 to 4"), (labels(1), (12, 10, 9), "not on the grid")],
)
def test_bad_labels_are_told_with_their_file(tmp_path, stored, shape, words):
    path = write(tmp_path / "seg.nii", stored)
    with pytest.raises(ValueError, match=words) as caught:
        read_tumour_labels(path, None, shape, np.eye(4))
    assert "seg.nii" in str(caught.value)


def test_labels_beyond_the_decathlons_are_told(tmp_path):
    path = write(tmp_path / "seg.nii", labels(4))
    with pytest.raises(ValueError, match="Task01 has 0 to 3"):
        read_tumour_labels(path, "decathlon", SHAPE, np.eye(4))


def test_a_3_without_a_4_asks_for_the_convention(tmp_path):
    """BraTS 2013 without enhancing tumour would pass for BraTS 2023."""
    path = write(tmp_path / "seg.nii", labels(1, 2, 3))
    with pytest.raises(ValueError, match=r"seg.nii: labels hold a 3 and no 4.*--label_convention"):
        read_tumour_labels(path, None, SHAPE, np.eye(4))
    assert read_tumour_labels(path, "brats2023", SHAPE, np.eye(4))[:, 0, 0].max() == 3
    assert read_tumour_labels(path, "brats2013", SHAPE, np.eye(4))[:, 0, 0].max() == 2
