import base64
import io
import itertools

import numpy as np
import pytest
from balls import CENTER_MM, affine_of, ball, distance_mm, rotation, stored
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from fetal_monai.measure.tissues import TISSUES
from fetal_monai.report.planes import TISSUE_COLOURS, draw_planes, label_colours, thumbnail

TEAL, AMBER, YELLOW = (45, 212, 191), (255, 176, 32), (255, 214, 10)
WITHOUT = {  # light that reaches the eye without one of the cones, linear RGB (Machado 2009, severity 1)
    "": np.eye(3),
    "long": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "medium": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "short": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
MASK = {"names": ("brain",)}


def near(picture, colour, tolerance=40):
    return np.argwhere(np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance)


def panels(picture, rows):
    """The rows of panels, found by the strips of titles and caption (17, 24, 39) that stand between them."""
    strip = np.flatnonzero((picture[:, -1] == (17, 24, 39)).all(axis=1))
    starts = np.split(strip, np.flatnonzero(np.diff(strip) > 1) + 1)
    tops = [int(group[-1]) + 1 for group in starts][:rows]
    ends = [int(group[0]) for group in starts][1 : rows + 1]
    high = min(end - top for top, end in zip(tops, ends, strict=True))
    return [picture[top : top + high] for top in tops]


def test_border_of_a_ball_is_a_circle_of_its_size_in_all_three_planes():
    picture = draw_planes(*ball(radius_mm=20.0), **MASK)
    assert picture.shape[1:] == (1260, 3) and picture.dtype == np.uint8
    marked, plain = panels(picture, 2)
    zoom = (1260 - 12 - 3) / (3 * 61)  # the ball and 10 mm on each side are 61 voxels of 1 mm
    teal = near(marked, TEAL)
    for column in range(3):
        inside = teal[(teal[:, 1] // 420) == column]
        middle = (inside.max(axis=0) + inside.min(axis=0)) / 2
        away = np.linalg.norm(inside - middle, axis=1)
        assert away.mean() == pytest.approx(20.4 * zoom, abs=0.5 * zoom)
        assert np.ptp(inside, axis=0) == pytest.approx([40.8 * zoom] * 2, abs=zoom)
    assert len(near(plain, TEAL, 60)) == 0
    assert np.ptp(plain.astype(int), axis=2).max() <= 3  # gray; letters are a little blue


def test_thick_voxels_are_shown_in_their_true_shape():
    marked, _ = panels(draw_planes(*ball((1.0, 1.0, 3.0)), **MASK), 2)
    teal = near(marked, TEAL)
    coronal = teal[(teal[:, 1] // 420) == 1]
    tall, wide = np.ptp(coronal, axis=0)
    assert tall == pytest.approx(wide, rel=0.06)


def test_sides_are_where_radiologists_expect_them():
    image, affine, labels = ball()
    for way, value in (((12.0, 0, 0), 220), ((0, 12.0, 0), 160)):  # to the right; to the front
        image[distance_mm(image.shape, affine, CENTER_MM + way) <= 4] = value
    _, plain = panels(draw_planes(image, affine, labels, **MASK), 2)
    middle, zoom = 205, (1260 - 12 - 3) / (3 * 61)

    def gray(column, right_mm, down_mm):
        row, place = middle + round(down_mm * zoom), 421 * column + middle + round(right_mm * zoom)
        return int(np.median(plain[row - 5 : row + 6, place - 5 : place + 6, 0]))

    first, second = 255, pytest.approx(128, abs=4)
    assert [gray(0, -12, 0), gray(0, 12, 0), gray(0, 0, -12), gray(0, 0, 12)] == [first, 0, second, 0]
    assert [gray(1, -12, 0), gray(1, 12, 0)] == [first, 0]
    assert [gray(2, -12, 0), gray(2, 12, 0)] == [second, 0]


@pytest.mark.parametrize(
    ("order", "flips"), [((2, 0, 1), (0, 1, 0)), ((1, 0, 2), (1, 1, 1)), ((0, 2, 1), (1, 0, 1))]
)
def test_storage_changes_nothing(order, flips):
    given = ball((1.0, 1.2, 2.0))
    given[0][:, :9] = 7
    given[0][40:] = 60
    first, second = draw_planes(*given, **MASK), draw_planes(*stored(*given, order, flips), **MASK)
    assert first.shape == second.shape
    assert np.abs(first.astype(int) - second).max() <= 1


def test_brain_axes_turn_a_tilted_brain_upright():
    image, affine, labels = ball(radius_mm=20.0, side_mm=80.0)
    turn = rotation(25, 0) @ rotation(15, 2)
    points = np.moveaxis(np.indices(image.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3] - CENTER_MM
    straight, tilted = image.copy(), image.copy()
    straight[(np.abs(points) < (15, 8, 4)).all(axis=-1)] = 220
    tilted[(np.abs(points @ turn.T) < (15, 8, 4)).all(axis=-1)] = 220
    upright, _ = panels(draw_planes(straight, affine, labels, **MASK), 2)
    righted, _ = panels(draw_planes(tilted, affine, labels, axes=turn, **MASK), 2)
    skewed, _ = panels(draw_planes(tilted, affine, labels, **MASK), 2)
    upright, righted, skewed = (picture[:, :410, 0] > 170 for picture in (upright, righted, skewed))

    def overlap(found):
        rows, columns = (min(a, b) for a, b in zip(upright.shape, found.shape, strict=True))
        cropped = [
            array[(array.shape[0] - rows) // 2 :][:rows, (array.shape[1] - columns) // 2 :][:, :columns]
            for array in (upright, found)
        ]
        return 2 * (cropped[0] & cropped[1]).sum() / (cropped[0].sum() + cropped[1].sum())

    assert overlap(righted) > 0.93
    assert overlap(skewed) < 0.9


def test_lengths_are_drawn_as_long_as_they_are_on_the_slice_they_were_taken_on():
    image, affine, labels = ball()
    image[:, :, 38] = 200  # 6 mm above the centre
    ends = CENTER_MM + np.array([[-9.0, 0, 6], [9.0, 0, 6]])
    picture = draw_planes(image, affine, labels, lines={"tcd": ends}, **MASK)
    marked, plain, lengths = panels(picture, 3)
    drawn = near(lengths, YELLOW, 30)
    zoom = (1260 - 12 - 3) / (3 * 61)
    assert np.ptp(drawn[:, 1]) == pytest.approx(18 * zoom, abs=4)
    assert np.ptp(drawn[:, 0]) <= 16
    assert lengths[60:70, 200:220].mean() > 250  # the bright slice
    assert plain[60:70, 200:220].mean() < 5
    assert not len(near(marked, YELLOW, 30))


@pytest.mark.parametrize(("heights", "count"), [((6.0, 6.5), 1), ((6.0, 12.0), 2)])
def test_lengths_in_one_plane_share_it(heights, count):
    lines = {
        name: CENTER_MM + np.array([[8.0 * side, 0, height], [4.0 * side, 3, height]])
        for name, side, height in zip(
            ("atrial_width_left", "atrial_width_right"), (-1, 1), heights, strict=True
        )
    }
    lines["tcd"] = np.full((2, 3), np.nan)
    lengths = panels(draw_planes(*ball(), lines=lines, **MASK), 3)[2]
    used = [lengths[:, 422 * n : 422 * n + 400].max() > 100 for n in range(3)]
    assert used == [n < count for n in range(3)]
    assert len(near(lengths, YELLOW, 30)) > 30
    assert (len(near(lengths, (94, 234, 212), 30)) > 30) == (count == 1)


def test_upright_length_is_drawn_on_a_coronal_cut():
    line = {"height": CENTER_MM + np.array([[0.0, 0, -15], [0.0, 0, 15]])}
    drawn = near(panels(draw_planes(*ball(), lines=line, **MASK), 3)[2], YELLOW, 30)
    assert np.ptp(drawn[:, 0]) == pytest.approx(30 * (1260 - 15) / 183, abs=4)


def test_each_tissue_has_its_colour_and_ends_of_lines_must_be_two():
    shape = (41, 41, 41)
    affine = affine_of((1, 1, 1), shape)
    labels = np.zeros(shape, np.uint8)
    for number in range(1, 8):
        labels[4 + 4 * number : 8 + 4 * number, 10:31, 10:31] = number
    picture = draw_planes(np.full(shape, 50.0), affine, labels)
    marked = panels(picture, 2)[0]
    for colour in TISSUE_COLOURS:
        assert len(near(marked, colour, 30)) > 20
    with pytest.raises(ValueError, match=r"line tcd is \(3,\)"):
        draw_planes(np.full(shape, 50.0), affine, labels, lines={"tcd": [1, 2, 3]})


@pytest.mark.parametrize("cone", WITHOUT)
def test_colours_are_told_apart_without_one_of_the_cones(cone):
    rgb = np.array(TISSUE_COLOURS) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(WITHOUT[cone]).T, 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]
    assert min(deltaE_ciede2000(a, b) for a, b in itertools.combinations(lab, 2)) > 12  # 2 is just seen


def test_one_label_has_the_colour_of_its_flags():
    assert label_colours(1) == [TEAL]
    assert label_colours(1, ["low_contrast"]) == [AMBER]
    assert label_colours(7, ["low_contrast"]) == list(TISSUE_COLOURS)
    assert len(TISSUE_COLOURS) == len(TISSUES)


def test_without_labels_the_whole_volume_is_shown():
    image, affine, labels = ball(side_mm=40.0)
    picture = draw_planes(image, affine, np.zeros_like(labels), caption=["No brain"])
    marked, plain = panels(picture, 2)
    assert np.array_equal(marked, plain)
    assert not len(near(picture, TEAL))


def test_caption_and_flags_stand_below():
    plain = draw_planes(*ball(), **MASK)
    written = draw_planes(*ball(), caption=["Brain 210 mL", "Age 30 weeks"], flags=["low_contrast"], **MASK)
    assert len(written) > len(plain) + 40
    assert len(near(written[-200:], AMBER)) > 200


def test_input_is_left_alone_and_any_number_type_taken():
    image, affine, labels = ball()
    before = image.copy(), affine.copy(), labels.copy()
    draw_planes(image, affine, labels, **MASK)
    assert all(np.array_equal(a, b) for a, b in zip(before, (image, affine, labels), strict=True))
    first = draw_planes(image.astype(np.float32) * 100, affine, labels > 0, **MASK)
    assert np.abs(first.astype(int) - draw_planes(image, affine, labels, **MASK)).max() <= 1


def test_thumbnail_is_small_and_has_the_border():
    uri = thumbnail(*ball(), **MASK)
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as file:
        picture = np.asarray(file.convert("RGB")).astype(int)
    assert picture.shape[1] == 480 and picture.shape[0] < 240
    assert all(
        ((picture[:, 160 * n : 160 * n + 160, 1] - picture[:, 160 * n : 160 * n + 160, 0]) > 60).any()
        for n in range(3)
    )
