import numpy as np
import pytest
from balls import CENTER_MM, affine_of, ball, rotation

from fetal_monai.report.slices import (
    VIEWS,
    borders,
    checked,
    cut,
    direction_letters,
    extent,
    fractions,
    plane_of,
    window,
)

EYE = np.eye(3)


def volume(shape=(9, 11, 7), spacing=(1.0, 1.0, 1.0)):
    values = np.random.default_rng(0).integers(0, 200, shape).astype(np.int16)
    return values, affine_of(spacing, shape, (0, 0, 0))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("axial", lambda v: v[::-1, ::-1, 3].T),  # right on the left, front above
        ("coronal", lambda v: v[::-1, 5, ::-1].T),  # right on the left, top above
        ("sagittal", lambda v: v[4, ::-1, ::-1].T),  # front on the left, top above
    ],
)
def test_cut_along_voxels_is_the_voxels_as_radiologists_have_them(view, expected):
    values, affine = volume()
    shown = extent(np.zeros(values.shape, np.uint8), affine, EYE)
    plane = plane_of(view, shown, EYE, 1.0)
    found = cut(values, affine, plane)
    assert np.array_equal(found, expected(values))


def test_between_voxels_the_cut_is_linear_and_outside_nan():
    values, affine = volume()
    shown = extent(np.zeros(values.shape, np.uint8), affine, EYE)
    plane = plane_of("axial", shown, EYE, 1.0, np.array([0.0, 0.0, 0.25]))
    mixed = 0.75 * values[..., 3] + 0.25 * values[..., 4]
    assert cut(values, affine, plane) == pytest.approx(mixed[::-1, ::-1].T, abs=1e-3)
    assert np.isnan(cut(values, affine, plane_of("axial", shown, EYE, 1.0, np.array([0, 0, 3.6])))).all()


def test_pixels_and_points_are_inverse():
    shown = extent(*ball()[2:0:-1], EYE)
    plane = plane_of("coronal", shown, rotation(20, 0), 0.7)
    places = plane.pixels(plane.points()).reshape(*plane.shape, 2)
    assert places[3, 5] == pytest.approx([3, 5])
    assert places[-1, -1] == pytest.approx(np.array(plane.shape) - 1)


def test_tilted_plane_holds_the_line_and_stays_close_to_its_view():
    shown = extent(*ball()[2:0:-1], EYE)
    ends = np.array([[-10.0, 2, 3], [12.0, 6, 8]])
    plane = plane_of("axial", shown, EYE, 1.0, ends.mean(axis=0), ends[1] - ends[0])
    assert (ends - plane.origin) @ plane.normal == pytest.approx([0, 0], abs=1e-9)
    assert np.linalg.norm(np.diff(plane.pixels(ends), axis=0)) == pytest.approx(
        np.linalg.norm(ends[1] - ends[0])
    )
    rise = 5 / np.linalg.norm(ends[1] - ends[0])
    assert abs(plane.normal[2]) == pytest.approx(np.sqrt(1 - rise**2))
    assert plane.right @ VIEWS["axial"][0] > 0.9


def test_extent_is_the_labels_with_a_margin_but_not_beyond_the_volume():
    _, affine, labels = ball(radius_mm=10.0)
    shown = extent(labels, affine, EYE)
    assert shown.center_mm == pytest.approx(CENTER_MM)
    assert shown.low_mm == pytest.approx(CENTER_MM - 20)
    assert shown.high_mm == pytest.approx(CENTER_MM + 20)
    assert extent(labels[:, :, :40], affine, EYE).high_mm[2] == pytest.approx(CENTER_MM[2] + 7.5)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_extent_of_few_voxels_or_none(count):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[(*np.unravel_index(np.arange(count), (2, 2, 2)),)] = 1
    shown = extent(labels, np.eye(4), EYE)
    assert shown.high_mm == pytest.approx(
        [19.5] * 3 if count == 0 else [labels.nonzero()[0].max() + 10.0] * 3, abs=1
    )


def test_fractions_add_up_to_one_and_hold_the_labels():
    labels = np.random.default_rng(1).integers(0, 4, (9, 11, 7)).astype(np.uint8)
    affine = affine_of((1, 1, 1), labels.shape, (0, 0, 0))
    shown = extent(np.zeros_like(labels), affine, EYE)
    flat = fractions(labels, affine, plane_of("axial", shown, EYE, 1.0), 3)
    assert np.array_equal(flat.argmax(axis=0), labels[::-1, ::-1, 3].T)
    assert set(np.unique(flat)) == {0.0, 1.0}
    turned = fractions(labels, affine, plane_of("axial", shown, rotation(33, 0), 0.8), 3)
    assert turned.sum(axis=0) == pytest.approx(1, abs=1e-5)


def test_border_of_a_ball_is_round():
    _, affine, labels = ball(radius_mm=15.0)
    plane = plane_of("axial", extent(labels, affine, EYE), EYE, 1.0)
    (lines,) = borders(fractions(labels, affine, plane, 1))
    (line,) = lines
    away = np.linalg.norm(line - plane.pixels([CENTER_MM]), axis=1)
    assert away == pytest.approx(15, abs=1.0)
    assert line[0] == pytest.approx(line[-1])


def test_labels_that_touch_share_their_border():
    shares = np.zeros((3, 10, 12), np.float32)
    shares[1, :, :6] = 1
    shares[2, :, 6:] = 1
    first, second = borders(shares)
    shared = [line[np.abs(line[:, 1] - 5.5) < 1e-3] for line in (first[0], second[0])]
    assert len(shared[0]) >= 9 and len(shared[1]) >= 9


def test_window_is_that_of_the_labels():
    image, _, labels = ball()
    image[labels > 0] = np.linspace(200, 400, int(labels.sum()))
    low, high = window(image, labels)
    assert (low, high) == pytest.approx((201, 399), abs=3)
    assert window(np.full((5, 5, 5), 7), np.zeros((5, 5, 5), np.uint8)) == (7, 8)


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((2, 0, 0), "R"),
        ((0, -1, 0), "P"),
        ((0.2, 0, 0.9), "S"),
        ((0.5, 0, -0.8), "IR"),
        ((-0.7, 0.7, 0), "LA"),
    ],
)
def test_letters_of_a_direction(direction, letters):
    assert direction_letters(direction, EYE) == letters


def test_letters_follow_the_frame():
    turned = rotation(90, 2)  # the brain's right is the file's posterior
    assert direction_letters(turned[0], turned) == "R"
    assert direction_letters(turned[1], turned) == "A"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 4))}, r"image is \(4, 4\)"),
        ({"labels": np.zeros((4, 4, 5), np.uint8)}, r"labels \(4, 4, 5\)"),
        ({"labels": np.full((4, 4, 4), 9, np.uint8)}, "go from 9 to 9; 7 are known"),
        ({"affine": np.zeros((4, 4))}, "inverted"),
        ({"axes": np.ones((3, 3))}, "right angles"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {
        "image": np.zeros((4, 4, 4)),
        "affine": np.eye(4),
        "labels": np.zeros((4, 4, 4), np.uint8),
        "count": 7,
    }
    with pytest.raises(ValueError, match=message):
        checked(**{**given, **change})
