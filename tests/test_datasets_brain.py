"""Atlases, FeTA and stacks in the layouts they are published in; files without content unless their voxels matter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fetal_monai.datasets import (
    ATLAS_TO_FETA,
    feta_items,
    fetal_atlas_items,
    ga_weeks_of,
    remap_labels,
    stack_items,
)
from fetal_monai.fetch import check, load_manifest
from fetal_monai.measure.tissues import TISSUES

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
GZIP = b"\x1f\x8b\x08\x00"


def lay_out(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(GZIP if name.endswith(".gz") else b"")
    return folder


def atlas(folder: Path, *cases: str, names: tuple[str, str] = ("t2w.nii.gz", "labels.nii.gz")) -> Path:
    return lay_out(folder, *(f"{case}/{name}" for case in cases for name in names))


def feta(folder: Path, *subjects: str, table: str = "") -> Path:
    lay_out(folder, *(f"{s}/anat/{s}_rec-mial_{what}.nii.gz" for s in subjects for what in ("T2w", "dseg")))
    if table:
        (folder / "participants.tsv").write_text(table, encoding="utf-8")
    return folder


def test_an_atlas_by_hand(tmp_path):
    folder = atlas(tmp_path / "spina_bifida", "GA21_notoperated")
    assert fetal_atlas_items(folder) == [
        {
            "image": str(folder / "GA21_notoperated" / "t2w.nii.gz"),
            "label": str(folder / "GA21_notoperated" / "labels.nii.gz"),
            "ga_weeks": 21.0,
            "subject": "GA21_notoperated",
            "dataset": "spina_bifida",
            "label_key": "atlas",
            "role": "train",
        }
    ]


@pytest.mark.parametrize(
    ("name", "weeks"),
    [("STA21", 21), ("GA25_operated", 25), ("HarvardSTA38_Study1", 38), ("fetal_SB_atlas_GA34_operated", 34)],
)
def test_ages_in_names(name, weeks):
    assert ga_weeks_of(name) == weeks


@pytest.mark.parametrize("name", ["sub-001", "STA99", "GA210", "case 21", ""])
def test_names_without_an_age(name):
    assert math.isnan(ga_weeks_of(name))


def test_layouts_as_published(tmp_path):
    srr = ("srr.nii.gz", "parcellation.nii.gz", "mask.nii.gz", "lmks.nii.gz")
    folder = atlas(tmp_path / "a" / "SpinaBifida_Fidon2021", "fetal_SB_atlas_GA30_operated", names=srr)
    atlas(tmp_path / "a" / "Neurotypical_Gholipour2017", "HarvardSTA21_Study1", names=srr)
    atlas(tmp_path / "a" / "deeper" / "mine", "STA22", names=("t2w.nii", "labels.nii"))
    found = {(i["dataset"], i["ga_weeks"], Path(i["label"]).name) for i in fetal_atlas_items(tmp_path / "a")}
    assert found == {
        ("SpinaBifida_Fidon2021", 30, "parcellation.nii.gz"),
        ("Neurotypical_Gholipour2017", 21, "parcellation.nii.gz"),
        ("mine", 22, "labels.nii"),
    }
    (own,) = fetal_atlas_items(folder / "fetal_SB_atlas_GA30_operated")
    assert (own["dataset"], own["subject"]) == ("SpinaBifida_Fidon2021", "fetal_SB_atlas_GA30_operated")


def test_a_scan_without_labels_and_hidden_files_do_not_count(tmp_path):
    folder = lay_out(
        atlas(tmp_path, "STA21"), "STA22/t2w.nii.gz", "STA21/._t2w.nii.gz", "STA23/labels.nii.gz"
    )
    assert [item["subject"] for item in fetal_atlas_items(folder)] == ["STA21"]


def test_several_folders_and_feta_among_them(tmp_path):
    first = atlas(tmp_path / "crl", "STA22", "STA21")
    table = "participant_id\tPathology\tGestational age\nsub-001\tPathological\t28.4\n"
    second = feta(tmp_path / "feta_2.4", "sub-001", "sub-002", table=table)
    items = fetal_atlas_items([str(first), second])
    assert [(i["subject"], i["label_key"], i["dataset"]) for i in items] == [
        ("STA21", "atlas", "crl"),
        ("STA22", "atlas", "crl"),
        ("sub-001", "feta", "feta_2.4"),
        ("sub-002", "feta", "feta_2.4"),
    ]
    assert items[2]["ga_weeks"] == 28.4
    assert math.isnan(items[3]["ga_weeks"])


def test_what_manifest_calls_complete_is_read(tmp_path):
    manifest = load_manifest()
    names = ("srr.nii.gz", "parcellation.nii.gz")
    crl = atlas(tmp_path / "crl", *(f"HarvardSTA{w}_Study1" for w in range(21, 39)), names=names)
    assert check(manifest["fetal_atlas_crl"], crl) == []
    assert [item["ga_weeks"] for item in fetal_atlas_items(crl)] == list(range(21, 39))
    atlas(tmp_path / "few", *(f"STA{week}" for week in range(21, 38)))
    assert check(manifest["fetal_atlas_crl"], tmp_path / "few") == [
        "**/*STA[0-9][0-9]*/*.nii.gz: 34 of 36 files"
    ]
    cases = [f"GA{w}_notoperated" for w in range(21, 26)] + [f"GA{w}_operated" for w in range(25, 35)]
    bifida = atlas(tmp_path / "bifida", *cases, names=names)
    assert check(manifest["fetal_atlas_spina_bifida"], bifida) == []
    assert len(fetal_atlas_items(bifida)) == 15
    runs = [f"sub-01_run-{run}_T2w" for run in (1, 3, 4, 5, 6)]
    stacks = lay_out(
        tmp_path / "stacks", *(f"{r}{end}.nii.gz" for r in runs for end in ("", "_desc-brain_mask"))
    )
    assert check(manifest["fetal_stacks"], stacks) == []
    assert len(stack_items(stacks)) == 5
    subjects = [f"sub-{number:03d}" for number in range(1, 81)]
    table = "participant_id\tPathology\tGestational age\nsub-080\tNeurotypical\t31.1\n"
    whole = feta(tmp_path / "feta", *subjects, table=table)
    assert check(manifest["feta"], whole) == []
    assert feta_items(whole, fractions=(0, 0))[-1]["ga_weeks"] == 31.1


def test_crls_own_labels_are_told(tmp_path):
    folder = lay_out(tmp_path / "crl", "STA21.nii.gz", "STA21_tissue.nii.gz")
    with pytest.raises(ValueError, match=r"no case with t2w\.nii\.gz and labels\.nii\.gz.*another key: get"):
        fetal_atlas_items(folder)
    with pytest.raises(ValueError, match=r"nowhere: no such folder"):
        fetal_atlas_items(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="dataset_dirs is empty"):
        fetal_atlas_items([])


def test_roles(tmp_path):
    folder = atlas(tmp_path / "a", "STA21", "STA22", "STA23")
    (tmp_path / "roles.csv").write_text("patient,role\nSTA22,validation\n", encoding="utf-8")
    roles = {i["subject"]: i["role"] for i in fetal_atlas_items(folder, roles_file=tmp_path / "roles.csv")}
    assert roles == {"STA21": "train", "STA22": "validation", "STA23": "train"}
    (chosen,) = fetal_atlas_items(folder, "validation", roles_file=tmp_path / "roles.csv")
    assert chosen["subject"] == "STA22"
    # SHA-256 of "0:sub-001" starts with the fraction 0.074 of its range, that of "0:sub-003" with 0.333
    whole = feta(tmp_path / "feta", "sub-001", "sub-003")
    assert {i["subject"]: i["role"] for i in feta_items(whole, fractions=(0.2, 0.5))} == {
        "sub-001": "validation",
        "sub-003": "calibration",
    }
    with pytest.raises(ValueError, match="none of 3 cases has the role test; give fractions or a roles_file"):
        fetal_atlas_items(folder, ["test"])


def test_ages_of_participants(tmp_path):
    table = "\ufeffparticipant_id\tPathology\tGestational age\nsub-001\tx\t23.5\nsub-002\tx\tn/a\nsub-003\tx\t196\n"
    folder = feta(tmp_path / "feta", "sub-001", "sub-002", "sub-003", "sub-004", table=table)
    weeks = [item["ga_weeks"] for item in feta_items(folder)]
    assert weeks[0] == 23.5
    assert [math.isnan(value) for value in weeks] == [False, True, True, True]  # 196 days are no weeks
    (folder / "participants.tsv").write_text("participant_id,ga\nsub-001,23\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"participants\.tsv: no column 'participant_id'"):
        feta_items(folder)


def test_feta_with_an_image_missing(tmp_path):
    folder = feta(tmp_path, "sub-001", "sub-002")
    (folder / "sub-002/anat/sub-002_rec-mial_T2w.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"of 1 labels are missing, first of sub-002_rec-mial_dseg\.nii\.gz"):
        feta_items(folder)
    with pytest.raises(ValueError, match=r"no \*_dseg\.nii\.gz with its \*_T2w\.nii\.gz"):
        feta_items(atlas(tmp_path / "atlas", "STA21"))


def test_stacks(tmp_path):
    folder = lay_out(
        tmp_path / "bids",
        "sub-01/anat/sub-01_run-1_T2w.nii.gz",
        "sub-01/anat/sub-01_run-2_T2w.nii.gz",
        "sub-02/anat/sub-02_T2w.nii.gz",
        "derivatives/masks/sub-01/anat/sub-01_run-1_T2w_desc-brain_mask.nii.gz",
        "derivatives/masks/sub-02/anat/sub-02_desc-brain_mask.nii.gz",
    )
    (folder / "participants.tsv").write_text("participant_id\tga_weeks\nsub-02\t29\n", encoding="utf-8")
    items = stack_items(folder)
    assert [(Path(i["image"]).name, Path(i["label"]).name, i["subject"]) for i in items] == [
        ("sub-01_run-1_T2w.nii.gz", "sub-01_run-1_T2w_desc-brain_mask.nii.gz", "sub-01"),
        ("sub-02_T2w.nii.gz", "sub-02_desc-brain_mask.nii.gz", "sub-02"),
    ]
    assert items[1]["ga_weeks"] == 29
    assert {(i["label_key"], i["dataset"], i["role"]) for i in items} == {("brain", "bids", "train")}
    lay_out(folder, "sub-03/anat/sub-03_desc-brain_mask.nii.gz")
    with pytest.raises(
        ValueError, match=r"of 1 labels are missing, first of sub-03_desc-brain_mask\.nii\.gz"
    ):
        stack_items(folder)
    with pytest.raises(ValueError, match=r"no \*_desc-brain_mask\.nii\.gz"):
        stack_items(atlas(tmp_path / "atlas", "STA21"))


def test_labels_in_the_order_of_feta():
    order = ["white_matter", "ventricles", "cerebellum", "extra_axial_csf"]
    order += ["cortical_gray_matter", "deep_gray_matter", "brainstem"]
    found = remap_labels(np.arange(9).reshape(3, 3), "atlas")
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 3, 4], [5, 1, 2], [6, 7, 3]]
    assert [TISSUES[label - 1] for label in found.ravel()[1:8]] == order
    assert sorted(set(ATLAS_TO_FETA.values())) == list(range(8))
    assert remap_labels(np.array([0.0, 7.0]), "feta").tolist() == [0, 7]
    assert remap_labels(np.array([False, True]), "brain").tolist() == [0, 1]
    assert remap_labels(np.zeros((0, 2)), "atlas").shape == (0, 2)


@pytest.mark.parametrize(
    ("labels", "key", "message"),
    [
        ([0, 9], "atlas", "labels from 0 to 9; the key 'atlas' has 0 to 8"),
        ([0, 8], "feta", "the key 'feta' has 0 to 7"),
        ([-1, 0], "feta", "labels from -1"),
        ([0, math.nan], "brain", "the key 'brain'"),
        ([0, 0.5], "brain", "not whole numbers"),
        ([0], "crl", "label_key is 'crl'; give one of atlas, feta, brain"),
    ],
)
def test_labels_of_another_key_are_told(labels, key, message):
    with pytest.raises(ValueError, match=message):
        remap_labels(labels, key)


def test_samples():
    nibabel = pytest.importorskip("nibabel")
    (brain,) = fetal_atlas_items(SAMPLES / "fetal_brain_atlas")
    assert (brain["ga_weeks"], brain["dataset"]) == (26, "spina_bifida")
    scan, labels = nibabel.load(brain["image"]), nibabel.load(brain["label"])
    assert scan.shape == labels.shape == (135, 189, 155)
    count = np.bincount(remap_labels(labels.dataobj, brain["label_key"]).ravel())
    assert count[1:].tolist() == [65157, 48150, 109446 + 1505, 44109, 3567, 11595, 4667]
    (stack,) = stack_items(SAMPLES / "fetal_brain_stacks")
    scan, mask = nibabel.load(stack["image"]), nibabel.load(stack["label"])
    assert scan.shape == mask.shape == (320, 320, 22)
    assert np.allclose(scan.affine, mask.affine, atol=1e-3)
    assert nibabel.aff2axcodes(scan.affine) == ("I", "R", "P")
    assert remap_labels(mask.dataobj, "brain").max() == 1
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*")) < 15e6
