import base64
import io
import itertools

import numpy as np
import pytest
from balls import affine_of, stored
from PIL import Image

from fetal_monai.report.montage import draw_montage, montage_thumbnail

TEAL, AMBER = (45, 212, 191), (255, 176, 32)
CELL = (1260 + 6) / 5


def stack(slices=9, spacing=(1.0, 1.0, 4.0), masked=(3, 7)):
    """Slice n has gray 20 n, the mask is a box on some slices: image, affine, mask."""
    shape = (80, 90, slices)
    image = np.broadcast_to(20 * np.arange(slices), shape).astype(np.uint16).copy()
    mask = np.zeros(shape, bool)
    mask[30:50, 30:60, masked[0] : masked[1]] = True
    return image, affine_of(spacing, shape), mask


def near(picture, colour, tolerance=40):
    return np.argwhere(np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance)


def cells(picture, rows=1):
    strip = np.flatnonzero((picture[:, -1] == (17, 24, 39)).all(axis=1))
    starts = np.split(strip, np.flatnonzero(np.diff(strip) > 1) + 1)
    found = []
    for group, following in itertools.pairwise(starts[: rows + 1]):
        row = picture[group[-1] + 1 : following[0]]
        found += [row[:, round(CELL * n) : round(CELL * n + CELL - 6)] for n in range(5)]
    return found


def test_slices_from_before_the_mask_to_after_it_stand_in_their_order():
    found = cells(draw_montage(*stack()), 2)
    gray = [int(cell[60, 60, 0]) for cell in found[1:7]]  # 2 to 7, the mask is on 3 to 6
    assert gray == sorted(gray)
    assert len(set(gray)) >= 4
    assert [len(near(cell, TEAL)) > 100 for cell in found[:8]] == [True, False, *[True] * 4, False, False]
    assert found[7].max() == 0


def test_first_is_the_whole_slice_and_the_others_what_lies_around_the_mask():
    whole, _, first = cells(draw_montage(*stack()))[:3]
    # the mask is 20 of 80 mm wide in the whole slice, and 20 of 64 (22 on either side) in the others
    wide = [np.ptp(near(cell, TEAL)[:, 1]) for cell in (whole, first)]
    tall = [np.ptp(near(cell, TEAL)[:, 0]) for cell in (whole, first)]
    assert wide[1] == pytest.approx(20 / 64 * (CELL - 6), abs=4)
    assert wide[0] < 0.9 * wide[1]
    assert tall[1] / wide[1] == pytest.approx(1.5, abs=0.08)
    assert tall[0] / wide[0] == pytest.approx(1.5, abs=0.08)


@pytest.mark.parametrize(
    ("order", "flips"), [((2, 0, 1), (0, 0, 0)), ((1, 2, 0), (1, 0, 1)), ((0, 1, 2), (1, 1, 0))]
)
def test_storage_changes_nothing_where_slices_keep_their_order(order, flips):
    image, affine, mask = stack()
    image[20:30, 40:50] = 150
    image[:, 70:] += 30
    first = draw_montage(image, affine, mask)
    assert np.abs(first.astype(int) - draw_montage(*stored(image, affine, mask, order, flips))).max() <= 1


def test_right_stands_on_the_left_and_front_above():
    image, affine, mask = stack()
    image[:] = 20
    image[52:60] = 100  # to the right of the mask
    image[:, 62:70] = 180  # in front of it
    mask[30:50, 30:60, 3:7] = True
    cell = cells(draw_montage(image, affine, mask))[2]
    high, wide = cell.shape[:2]
    # the window is that of the mask: white is 21; what is brighter lies to the right and in front of it
    assert (cell[high // 2, int(0.2 * wide) : int(0.28 * wide)] == 255).all()
    assert (cell[high // 2, int(0.72 * wide) : int(0.9 * wide)] == 0).all()
    assert (cell[int(0.18 * high) : int(0.25 * high), int(0.75 * wide) : int(0.9 * wide)] == 255).all()
    assert (cell[int(0.75 * high) : int(0.82 * high), int(0.75 * wide) : int(0.9 * wide)] == 0).all()


def test_uneven_pixels_are_shown_in_their_true_shape():
    cell = cells(draw_montage(*stack(spacing=(2.0, 1.0, 6.0))))[2]  # 40 x 30 mm
    tall, wide = np.ptp(near(cell, TEAL), axis=0)
    assert wide / tall == pytest.approx(40 / 30, abs=0.08)


def test_many_slices_are_thinned_out_and_flags_colour_the_border():
    picture = draw_montage(*stack(60, masked=(5, 55)), most=5, flags=["low_contrast"])
    found = cells(picture)
    assert len(near(found[2], AMBER)) > 100
    assert not len(near(picture, TEAL))
    gray = [int(cell[60, 60, 0]) for cell in found[1:]]
    assert gray[0] < gray[1] < gray[2] <= gray[3]


def test_without_a_mask_whole_slices_are_shown():
    image, affine, mask = stack()
    picture = draw_montage(image, affine, mask & False, caption=["No brain found"])
    assert picture.shape[1] == 1260
    assert not len(near(picture, TEAL))
    assert cells(picture)[2].max() > 0


def test_thumbnail_has_three_slices():
    uri = montage_thumbnail(*stack())
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as file:
        picture = np.asarray(file.convert("RGB")).astype(int)
    assert picture.shape[1] == 480
    for n in range(3):
        part = picture[:, 160 * n : 160 * n + 160]
        assert ((part[..., 1] - part[..., 0]) > 60).any()
