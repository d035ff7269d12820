"""Sequences of a patient side by side, and random pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from fetal_monai.datasets import tumour_items
from fetal_monai.transforms.tumour import (
    CHANNELS,
    CLIP,
    PatientPictured,
    PatientSourced,
    head_voxels,
    normalise_sequence,
    regions_of,
)
from fetal_monai.transforms.tumour_synthesis import SEQUENCE_PRIORS, RandTumourd

SIZE = (60, 72, 56)  # voxels of 2 mm
SHAPE = (32, 40, 32)
STILL: dict[str, Any] = {"rotate": 0.0, "zoom": 0.0, "stretch": 0.0, "elastic_mm": 0.0, "artefacts": 0.0}
GRAY = {
    "t1c": (50, 90, 70, 30, 60, 150),
    "flair": (10, 60, 80, 60, 140, 90),
}  # fluid, WM, GM, then labels 1, 2, 3


def brain() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tissue (0 outside, 1 fluid, 2 white, 3 gray), tumour labels of a made head, and how far out voxels lie."""
    place = np.stack(np.meshgrid(*(np.arange(n) for n in SIZE), indexing="ij"), -1)
    r = (((place - np.array([30, 36, 28])) / np.array([24, 30, 22])) ** 2).sum(-1)
    tissue = np.select([r < 0.05, r < 0.6, r < 1], [1, 2, 3], 0)
    far = np.linalg.norm(place - np.array([40, 30, 30]), axis=-1)
    return tissue, np.select([far < 3, far < 6, far < 9], [1, 4, 2], 0), r


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tissue, labels, _ = brain()
    shown = np.where(labels > 0, np.select([labels == 1, labels == 2], [4, 5], 6), tissue)
    root = tmp_path_factory.mktemp("patients")
    (root / "p1").mkdir()
    noise = np.random.default_rng(0).normal(0, 3, SIZE)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    for sequence, gray in GRAY.items():
        image = np.where(shown > 0, np.array([0, *gray])[shown] + noise, 0).clip(0)
        nib.save(nib.Nifti1Image(image.astype(np.float32), affine), root / "p1" / f"p1_{sequence}.nii")
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), affine), root / "p1" / "p1_seg.nii")
    return root


@pytest.fixture(scope="module")
def source(folder: Path) -> dict[str, Any]:
    return PatientSourced(2.0, 3)(tumour_items(folder)[0])["source"]


def made(source: dict[str, Any], seed: int, **kwargs: Any) -> dict[Any, Any]:
    transform = RandTumourd(**{"shape": SHAPE, "voxel_mm": 2.0, **kwargs})
    transform.set_random_state(seed)
    return transform({"source": source})


def shown(picture: dict[Any, Any]) -> list[str]:
    return [name for name, channel in zip(CHANNELS, picture["image"], strict=True) if channel.any()]


def test_gray_values_of_the_head_have_mean_0_and_sd_1():
    image = torch.zeros(20, 20, 20)
    image[5:15, 5:15, 5:15] = torch.from_numpy(np.random.default_rng(0).normal(300, 20, (10, 10, 10))).float()
    scaled = normalise_sequence(image)
    inside = scaled[5:15, 5:15, 5:15]
    assert float(inside.mean()) == pytest.approx(0, abs=1e-4) and float(inside.std()) == pytest.approx(
        1, abs=1e-3
    )
    assert not scaled[:5].any()
    image[10, 10, 10] = 1e6
    assert float(normalise_sequence(image).max()) == CLIP
    assert not normalise_sequence(torch.ones(4, 4, 4)).any()


def test_head_is_told_from_air_with_noise():
    air = np.random.default_rng(0).uniform(1, 20, (30, 30, 30))
    air[8:22, 8:22, 8:22] = 200
    head = head_voxels(torch.from_numpy(air).float())
    assert head.sum() == 14**3 and head[8:22, 8:22, 8:22].all()


def test_source_lies_in_the_axes_of_the_patient(source):
    """Stored to the left and back, it is turned; labels are those of one convention; the box is the head's."""
    tissue, labels, _ = brain()
    box = [slice(i.min(), i.max() + 1) for i in np.nonzero(tissue)]
    expected = labels[tuple(box)][::-1, ::-1]
    assert np.array_equal(source["label"].numpy(), np.select([expected == 4], [3], expected))
    assert source["present"] == [True, False, False, True]
    images = source["images"].float()
    assert not images[1].any() and not images[2].any()
    flair = images[CHANNELS.index("flair")]
    assert flair[source["label"] == 2].mean() > 1.5 and float(flair.mean()) == pytest.approx(0, abs=0.05)


def test_tissues_are_in_the_order_of_flair(source):
    tissue, labels, _ = brain()
    box = tuple(slice(i.min(), i.max() + 1) for i in np.nonzero(tissue))
    true, free = tissue[box][::-1, ::-1], labels[box][::-1, ::-1] == 0
    assert (source["tissue"].numpy() == true)[free].mean() > 0.95


def test_regions_by_hand():
    regions = regions_of(torch.tensor([[[0, 1, 2, 3]]]))
    assert regions[:, 0, 0].tolist() == [[0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 1]]


def test_validation_shows_all_there_is_or_what_is_asked(source):
    picture = PatientPictured(4.0, 8)({"source": source})
    assert tuple(picture["image"].shape) == (4, 24, 32, 24) and tuple(picture["label"].shape) == (
        3,
        24,
        32,
        24,
    )
    assert shown(picture) == ["t1c", "flair"]
    assert shown(PatientPictured(4.0, 8, ["flair"])({"source": source})) == ["flair"]
    volume = float((source["label"] > 0).sum()) * 8
    assert float(picture["label"][1].sum()) * 64 == pytest.approx(volume, rel=0.1)
    with pytest.raises(ValueError, match="'t3'"):
        PatientPictured(sequences=["t3"])


@pytest.mark.parametrize("seed", range(6))
def test_any_seed_gives_a_picture(source, seed):
    picture = made(source, seed)
    assert tuple(picture["image"].shape) == (4, *SHAPE) and tuple(picture["label"].shape) == (3, *SHAPE)
    assert picture["image"].dtype == picture["label"].dtype == torch.float32
    assert picture["image"].isfinite().all() and float(picture["image"].abs().max()) <= CLIP
    assert shown(picture)
    core, whole, enhancing = picture["label"]
    assert (core <= whole).all() and (enhancing <= core).all()


def test_seeds_repeat(source):
    first, again, other = (made(source, seed) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"]) and torch.equal(first["label"], again["label"])
    assert not torch.equal(first["image"], other["image"])


def test_pictures_about_the_tumour_hold_some_of_it(source):
    assert all(made(source, seed, tumour=1.0, **STILL)["label"][1].any() for seed in range(10))


def test_sequences_drop_out_and_others_are_made(source):
    plain = {"synthetic": 0.0, "subset": 0.0}
    assert shown(made(source, 0, **plain)) == ["t1c", "flair"]
    assert shown(made(source, 0, synthetic=1.0, subset=0.0)) == list(CHANNELS)
    some = {tuple(shown(made(source, seed, synthetic=0.0, subset=1.0))) for seed in range(20)}
    assert some == {("t1c",), ("flair",), ("t1c", "flair")}


def test_real_sequences_are_shown_as_they_are(source):
    picture = made(source, 3, synthetic=0.0, subset=0.0, remade=0.0, tumour=1.0, **STILL)
    flair = picture["image"][CHANNELS.index("flair")]
    core, whole, _ = picture["label"] > 0
    head = flair != 0
    assert flair[whole & ~core].mean() > flair[head & ~whole].mean() + 1


def other(source: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Another patient: mirrored, and its FLAIR brighter by 1."""
    flair = torch.tensor([name == "flair" for name in CHANNELS])[:, None, None, None]
    return {
        **source,
        "images": (source["images"] + flair).flip(1),
        "label": source["label"].flip(0),
        "tissue": source["tissue"].flip(0),
        **changes,
    }


def carved(source: dict[str, Any], others: list[dict[str, Any]], seed: int, share: float = 1.0) -> Any:
    plain = {"synthetic": 0.0, "subset": 0.0, "remade": 0.0, "tumour": 1.0, **STILL}
    transform = RandTumourd(SHAPE, 2.0, carved=share, **plain)
    transform.set_random_state(seed)
    return transform({"source": source, "others": others})


def test_another_patients_tumour_comes_with_its_labels(source):
    """The labels are those of both; where it was put its oedema is bright, as at home."""
    gained = []
    for seed in range(6):
        alone, both = carved(source, [], seed), carved(source, [other(source)], seed)
        new = (both["label"][1] > 0) & (alone["label"][1] == 0)
        gained.append(int(new.sum()))
        assert (both["label"][0] <= both["label"][1]).all()
        if gained[-1] > 200:
            flair = both["image"][CHANNELS.index("flair")]
            assert flair[new].mean() > flair[(flair != 0) & (both["label"][1] == 0)].mean() + 0.5
    assert max(gained) > 200


def test_patients_without_a_tumour_or_a_common_sequence_give_nothing(source):
    alone = carved(source, [], 0)
    empty = other(source, label=torch.zeros_like(source["label"]))
    strange = other(source, present=[False, True, True, False])
    for donor in (empty, strange):
        assert torch.equal(carved(source, [donor], 0)["label"], alone["label"])
    assert torch.equal(carved(source, [other(source)], 0, share=0.0)["label"], alone["label"])


def test_only_sequences_of_both_patients_are_shown(source):
    donor = other(source, present=[True, False, False, False])
    assert shown(carved(source, [donor], 0)) == ["t1c"]


def plain(source: dict[str, Any], **kwargs: Any) -> dict[Any, Any]:
    still = {"synthetic": 0.0, "subset": 0.0, "remade": 0.0, "tumour": 1.0, **STILL}
    return made(source, 3, **{**still, **kwargs})


def test_cavity_is_as_dark_as_fluid(source):
    """The made FLAIR shows fluid at 10 and this core at 60, between white and gray matter; T1c fluid and core alike."""
    before, after = plain(source), plain(source, cavity=1.0)
    core, _, enhancing = before["label"] > 0
    flair, inner = CHANNELS.index("flair"), core & ~enhancing
    assert inner.sum() > 20 and torch.equal(before["label"], after["label"])
    whole = before["label"][1] > 0
    fluid = float(before["image"][flair][~whole & (before["image"][flair] != 0)].min())
    was, now = (float(picture["image"][flair][inner].median()) for picture in (before, after))
    assert fluid - 0.3 < now < (fluid + was) / 2


def test_contrast_changes_the_tumour_alone(source):
    before, after = plain(source), plain(source, contrast=1.0)
    assert torch.equal(before["label"], after["label"])
    core, whole, enhancing = before["label"] > 0
    changed = (after["image"] - before["image"]).abs()
    for channel in (CHANNELS.index("flair"), CHANNELS.index("t1c")):
        for part in (core & ~enhancing, whole & ~core, enhancing):
            assert changed[channel][part].mean() > 2 * changed[channel][~whole].mean()


@pytest.mark.parametrize("sequence", ["t1", "t2"])
def test_made_sequences_have_the_contrast_of_their_kind(source, sequence):
    """Of 8 pictures' means: oedema is brighter than white matter on T2, and darker on T1."""
    channel, differences = CHANNELS.index(sequence), []
    for seed in range(8):
        picture = made(source, seed, synthetic=1.0, subset=0.0, tumour=1.0, **STILL)
        core, whole, _ = picture["label"] > 0
        image = picture["image"][channel]
        oedema = image[whole & ~core]
        if len(oedema):
            differences.append(float(oedema.mean() - image[(image != 0) & ~whole].median()))
    assert len(differences) >= 6
    assert all(difference > 0 if sequence == "t2" else difference < 0.2 for difference in differences)
    assert SEQUENCE_PRIORS["t2"][6][0] > SEQUENCE_PRIORS["t2"][2][1]
