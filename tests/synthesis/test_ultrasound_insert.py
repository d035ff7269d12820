from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import ndimage

from fetal_monai.measure.shape import Ellipse
from fetal_monai.synthesis.ultrasound import synthesise_head
from fetal_monai.synthesis.ultrasound_insert import INSERTED, insert_abnormality

HEAD = synthesise_head(RandomState(3), "trans_thalamic", ga_weeks=28, shape=(300, 440))
CAVUM = HEAD.boxes["cavum_septi_pellucidi"][0]
SEVERITY_MM = {
    "ventriculomegaly": 14.0,
    "absent_cavum": 0.0,
    "mass": 18.0,
    "cyst": 18.0,
    "deformed_skull": 6.0,
}


def insert(kind: str, seed: int = 0, **options):
    given = {"severity_mm": SEVERITY_MM[kind], "pixel_mm": HEAD.pixel_mm, "cavum": CAVUM, **options}
    return insert_abnormality(HEAD.image, HEAD.ellipse, kind, random=RandomState(seed), **given)


@pytest.mark.parametrize("kind", INSERTED)
def test_only_what_the_mask_covers_is_changed(kind):
    before = HEAD.image.copy()
    for seed in range(4):
        picture, mask = insert(kind, seed)
        assert picture.dtype == np.float32
        assert mask.dtype == bool
        assert np.array_equal(picture[~mask], HEAD.image[~mask])
        assert np.abs(picture - HEAD.image)[mask].mean() > 0.01
        assert 0 <= picture.min() <= picture.max() <= 1
        reach = Ellipse(
            HEAD.ellipse.center, tuple(2.4 * s for s in HEAD.ellipse.semi_axes), HEAD.ellipse.angle
        )
        assert not (mask & ~reach.mask(mask.shape)).any()
    assert np.array_equal(before, HEAD.image)


@pytest.mark.parametrize("kind", INSERTED)
def test_a_seed_gives_the_same_again(kind):
    (first, mask), (again, same), (other, _) = (insert(kind, seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.array_equal(mask, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("width", [12.0, 16.0])
def test_the_inserted_ventricle_is_dark_behind_and_as_wide_as_asked(width):
    for seed in range(5):
        picture, mask = insert("ventriculomegaly", seed, severity_mm=width)
        widest = 2 * ndimage.distance_transform_edt(mask).max() * HEAD.pixel_mm
        # the blend reaches out by up to 2.4 sigma of 2.5 px on either side
        assert width - HEAD.pixel_mm < widest < width + 14 * HEAD.pixel_mm
        middle = np.argwhere(mask).mean(axis=0) - HEAD.ellipse.center
        assert middle @ np.array(HEAD.forehead) < 0
        core = ndimage.binary_erosion(mask, iterations=int(0.3 * width / HEAD.pixel_mm))
        assert np.median(picture[core]) < 0.8 * np.median(HEAD.image[HEAD.labels == 2])


def test_a_mass_is_bright_and_a_cyst_dark():
    usual = np.median(HEAD.image[HEAD.labels == 2])
    for seed in range(4):
        for kind, factor in (("mass", 1.3), ("cyst", 0.8)):
            picture, mask = insert(kind, seed)
            core = ndimage.binary_erosion(mask, iterations=int(4 / HEAD.pixel_mm))
            middle = np.median(picture[core]) / usual
            assert middle > factor if kind == "mass" else middle < factor
            long_mm = max(np.ptp(axis) + 1 for axis in np.nonzero(mask)) * HEAD.pixel_mm
            assert 0.7 * 18 < long_mm < 18 + 14 * HEAD.pixel_mm


def test_without_its_cavum_the_box_looks_like_its_surroundings():
    x, y, w, h = CAVUM
    picture, mask = insert("absent_cavum")
    box = np.s_[y : y + h, x : x + w]
    assert mask[box].mean() > 0.9
    assert mask.sum() < 3.5 * w * h
    beside = np.concatenate(
        [HEAD.image[y - 3 * h : y - h, x : x + w], HEAD.image[y + 2 * h : y + 4 * h, x : x + w]]
    )
    assert picture[box].mean() == pytest.approx(beside.mean(), rel=0.7)
    assert np.ptp(ndimage.gaussian_filter(picture, 2)[box]) < np.ptp(
        ndimage.gaussian_filter(HEAD.image, 2)[box]
    )


def test_the_forehead_can_be_given():
    for sign in (1, -1):
        forehead = sign * np.array(HEAD.forehead)
        _, mask = insert("ventriculomegaly", forehead=forehead)
        assert (np.argwhere(mask).mean(axis=0) - HEAD.ellipse.center) @ forehead < 0


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("stroke", {"severity_mm": 1.0}, "ventriculomegaly"),
        ("cyst", {"pixel_mm": 0.0}, "above 0"),
        ("cyst", {"severity_mm": 300.0}, "ask for less"),
        ("ventriculomegaly", {"severity_mm": 60.0}, "ask for less"),
        ("deformed_skull", {"severity_mm": 60.0}, "ask for less"),
        ("absent_cavum", {"cavum": None}, "give cavum"),
        ("absent_cavum", {"cavum": (0, 0, 3, 3)}, "outside"),
    ],
)
def test_what_does_not_fit_is_refused(kind, options, words):
    with pytest.raises(ValueError, match=words):
        insert_abnormality(
            HEAD.image,
            HEAD.ellipse,
            kind,
            random=RandomState(0),
            **{"severity_mm": 10.0, "pixel_mm": HEAD.pixel_mm, "cavum": CAVUM, **options},
        )


def test_a_colour_picture_and_a_tiny_head_are_refused():
    with pytest.raises(ValueError, match="rows, columns"):
        insert_abnormality(np.zeros((9, 9, 3)), HEAD.ellipse, "cyst", 5.0, 0.2, RandomState(0))
    with pytest.raises(ValueError, match="100 pixels"):
        insert_abnormality(HEAD.image, Ellipse((50, 50), (4, 3), 0.0), "cyst", 0.5, 0.2, RandomState(0))
