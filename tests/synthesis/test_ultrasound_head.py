from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import ndimage

from fetal_monai.measure.growth import growth_mean_sd
from fetal_monai.synthesis.ultrasound import ABNORMALITIES, BOX_LABELS, CLASSES, PLANES, synthesise_head
from fetal_monai.synthesis.ultrasound_anatomy import draw_anatomy
from fetal_monai.synthesis.ultrasound_shapes import Blob, HeadAnatomy

SHAPE = (216, 320)


def head(seed: int = 0, plane: str = "trans_ventricular", **options):
    return synthesise_head(RandomState(seed), plane, **{"shape": SHAPE, **options})


def widest_mm(mask: np.ndarray, pixel_mm: float) -> float:
    """Diameter of the largest disc in a mask, outer to outer."""
    return 2 * float(ndimage.distance_transform_edt(np.pad(mask, 1)).max()) * pixel_mm


def labels_in_mm(anatomy: HeadAnatomy, step: float = 0.1) -> np.ndarray:
    """Tissues on a grid of `step` mm, rows along v and columns along u."""
    v, u = (np.arange(-70, 70, step, dtype=np.float32) for _ in range(2))
    return anatomy.tissues(*np.broadcast_arrays(u[None], v[:, None]))


@pytest.mark.parametrize("plane", PLANES)
def test_a_seed_gives_the_same_picture_and_another_another(plane):
    first, again, other = (head(seed, plane) for seed in (4, 4, 5))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert first.boxes == again.boxes
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("plane", PLANES)
def test_types_ranges_and_black_outside_of_the_sector(plane):
    for seed in range(4):
        made = head(seed, plane)
        assert made.image.shape == made.labels.shape == made.sector.shape == SHAPE
        assert made.image.dtype == np.float32
        assert made.labels.dtype == np.uint8
        assert made.sector.dtype == bool
        assert 0 <= made.image.min() < 0.05 < 0.3 < made.image.max() <= 1
        assert (made.image[~made.sector] == 0).all()
        assert 16 <= made.ga_weeks <= 38
        assert 0.35 <= 2 * made.ellipse.semi_axes[0] / SHAPE[1] <= 0.85


def test_the_skull_drawn_has_the_circumference_stated():
    for seed in range(6):
        made = head(seed, PLANES[seed % 3], shape=(540, 800), pixel_mm=0.25, ga_weeks=20 + 2 * seed)
        mask = made.labels > 0
        area_mm2 = mask.sum() * made.pixel_mm**2
        a, b = (axis * made.pixel_mm for axis in made.ellipse.semi_axes)
        assert area_mm2 == pytest.approx(math.pi * a * b, rel=0.005)
        # moments of the mask: an ellipse's variance along an axis is a quarter of its square
        spread = np.linalg.eigvalsh(np.cov(np.stack(np.nonzero(mask)) * made.pixel_mm))
        assert 2 * np.sqrt(spread) == pytest.approx([b, a], rel=0.005)
        h = ((a - b) / (a + b)) ** 2
        hc_mm = math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
        assert made.measures["hc_mm"] == pytest.approx(hc_mm, rel=1e-6)
        assert (made.measures["ofd_mm"], made.measures["bpd_mm"]) == pytest.approx((2 * a, 2 * b))


def test_heads_grow_as_the_charts_say():
    for weeks in (18, 30):
        mean, sd = growth_mean_sd("hc_mm", weeks)
        sizes = [draw_anatomy(RandomState(s), "trans_thalamic", weeks).measures["hc_mm"] for s in range(60)]
        assert np.mean(sizes) == pytest.approx(mean, abs=0.5 * sd)
        assert 0.6 * sd < np.std(sizes) < 1.3 * sd


@pytest.mark.parametrize(
    ("kind", "width"), [(None, None), ("ventriculomegaly", 12.0), ("ventriculomegaly", 16.0)]
)
def test_the_ventricle_drawn_is_as_wide_as_stated(kind, width):
    for seed in range(5):
        made = head(seed, abnormality=kind, severity=width, ga_weeks=26, shape=(432, 640))
        stated = made.measures["atrial_width_mm"]
        assert 4 <= stated < 10 if width is None else stated == width
        mask = np.isin(made.labels, [CLASSES["lateral_ventricle"], CLASSES["choroid_plexus"]])
        assert widest_mm(mask, made.pixel_mm) == pytest.approx(stated, abs=1.5 * made.pixel_mm)


def test_the_cavum_is_as_wide_as_stated_or_absent():
    for seed in range(5):
        there = draw_anatomy(RandomState(seed), "trans_thalamic", 24)
        mask = labels_in_mm(there) == CLASSES["cavum_septi_pellucidi"]
        assert mask.any(axis=1).sum() * 0.1 == pytest.approx(there.measures["cavum_width_mm"], abs=0.2)
        made = head(seed, PLANES[seed % 3], abnormality="absent_cavum")
        assert CLASSES["cavum_septi_pellucidi"] not in made.labels
        assert made.boxes["cavum_septi_pellucidi"] == []
        assert math.isnan(made.measures["cavum_width_mm"])


@pytest.mark.parametrize(("kind", "depth"), [(None, None), ("large_cisterna_magna", 13.0)])
def test_cerebellum_and_cisterna_are_as_large_as_stated(kind, depth):
    for seed in range(5):
        anatomy = draw_anatomy(RandomState(seed), "trans_cerebellar", 27, kind, depth)
        tissues = labels_in_mm(anatomy)
        cerebellum = tissues == CLASSES["cerebellum"]
        assert cerebellum.any(axis=1).sum() * 0.1 == pytest.approx(anatomy.measures["tcd_mm"], abs=0.2)
        midline = tissues[len(tissues) // 2]
        found = (midline == CLASSES["cisterna_magna"]).sum() * 0.1
        assert found == pytest.approx(anatomy.measures["cisterna_magna_mm"], abs=0.2)
        assert found < 10 if depth is None else found == pytest.approx(13, abs=0.2)


def test_a_deformed_skull_departs_from_its_ellipse_by_what_was_asked():
    for seed in range(8):
        made = head(seed, "trans_thalamic", abnormality="deformed_skull", severity=6.0, ga_weeks=28)
        off = (made.labels > 0) ^ made.ellipse.mask(SHAPE)
        assert made.measures["deformation_mm"] == 6
        assert off.sum() * made.pixel_mm**2 > 20
        rows, columns = np.nonzero(off)
        far = np.abs(made.ellipse.distance(np.column_stack([rows, columns]))).max() * made.pixel_mm
        a, b = made.ellipse.semi_axes
        assert 0.6 * 6 < far < 6 * a / b + made.pixel_mm


@pytest.mark.parametrize("plane", PLANES)
def test_boxes_are_exactly_around_the_labels(plane):
    for seed in range(6):
        made = head(seed, plane)
        assert tuple(made.boxes) == BOX_LABELS
        for name, boxes in made.boxes.items():
            mask = made.labels > 0 if name == "head" else made.labels == CLASSES[name]
            covered = np.zeros(SHAPE, bool)
            for x, y, w, h in boxes:
                part = mask[y : y + h, x : x + w]
                assert part.shape == (h, w)
                assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
                covered[y : y + h, x : x + w] = True
            assert (mask <= covered).all()
        assert len(made.boxes["head"]) == len(made.boxes["midline_falx"]) == 1
        assert bool(made.boxes["cerebellum"]) == (plane == "trans_cerebellar")
        assert bool(made.boxes["lateral_ventricle"]) == (plane == "trans_ventricular")


def test_the_cavum_lies_in_front():
    for seed in range(10):
        made = head(seed, "trans_ventricular")
        for name, sign in (("cavum_septi_pellucidi", 1), ("lateral_ventricle", -1)):
            middle = np.argwhere(made.labels == CLASSES[name]).mean(axis=0) - made.ellipse.center
            assert sign * (middle @ np.array(made.forehead)) > 0


def test_skull_and_plexus_are_bright_and_fluid_is_dark():
    found = {name: [] for name in CLASSES}
    for seed in range(8):
        made = head(seed, shape=(432, 640), ga_weeks=26)
        for name, code in CLASSES.items():
            if (made.labels == code).any():
                found[name].append(np.median(made.image[made.labels == code]))
    gray = {name: np.mean(medians) for name, medians in found.items() if medians}
    assert gray["lateral_ventricle"] < 0.8 * gray["brain"] < gray["brain"] < gray["choroid_plexus"]
    assert gray["skull"] > 2 * gray["brain"]
    assert gray["midline_falx"] > 1.3 * gray["brain"]


def test_every_abnormality_can_be_drawn_where_it_is_looked_for():
    for kind, plane in ABNORMALITIES.items():
        made = head(3, plane, abnormality=kind)
        assert made.abnormality == kind


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plane": "coronal"}, "trans_thalamic"),
        ({"abnormality": "tumour"}, "ventriculomegaly"),
        ({"abnormality": "large_cisterna_magna"}, "trans_cerebellar"),
        ({"ga_weeks": 45}, "14 to 40"),
        ({"ga_weeks": 16, "abnormality": "ventriculomegaly", "severity": 30}, "ask for less"),
        (
            {"plane": "trans_cerebellar", "abnormality": "large_cisterna_magna", "severity": 90},
            "ask for less",
        ),
    ],
)
def test_what_can_not_be_drawn_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        head(**options)


def test_a_blob_is_as_large_as_it_says_whatever_its_angle():
    step = np.arange(-12, 12, 0.05, dtype=np.float32)
    for angle in (0.0, 0.7):
        area = (Blob(1, -1, 6, 3, angle).level(step[None], step[:, None]) < 1).sum() * 0.05**2
        assert area == pytest.approx(math.pi * 18, rel=0.005)


class TestMarks:
    def test_all_but_the_marks_is_the_same_picture_and_the_same_truth(self):
        plain, marked = (synthesise_head(RandomState(3), with_marks=on) for on in (False, True))
        assert 0.002 < marked.marks.mean() < 0.05 and not plain.marks.any()
        assert np.array_equal(plain.image[~marked.marks], marked.image[~marked.marks])
        assert (plain.image != marked.image)[marked.marks].all()
        assert np.array_equal(plain.labels, marked.labels) and plain.measures == marked.measures

    def test_ruler_has_the_scale_of_the_picture(self):
        from fetal_monai.enhance import read_ruler

        heads = [synthesise_head(RandomState(seed), with_marks=True) for seed in range(6)]
        rulers = [(read_ruler(255 * head.image), head.pixel_mm) for head in heads]
        found = [ruler.spacing_mm / pixel_mm for ruler, pixel_mm in rulers if ruler is not None]
        assert len(found) >= 3
        assert found == pytest.approx([1] * len(found), rel=0.01)

    def test_marks_are_found_by_the_enhancement(self):
        from fetal_monai.enhance.marks import find_marks

        heads = [synthesise_head(RandomState(seed), with_marks=True) for seed in range(4)]
        found = [
            find_marks(np.round(255 * head.image), whole_words=True)[head.marks].mean() for head in heads
        ]
        assert np.mean(found) > 0.9
