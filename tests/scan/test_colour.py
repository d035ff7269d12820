"""Which colours are blood flow, and which are marks, menus or a tint."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scan_files import speckle

from fetal_monai.scan import Scan, ScanError
from fetal_monai.scan.pixels import colour_use

HEIGHT, WIDTH = 400, 600


@pytest.fixture
def rgb():
    return np.repeat(speckle(HEIGHT, WIDTH)[..., None], 3, axis=-1)


def flow(height: int, width: int, power: bool = False) -> np.ndarray:
    """A field of velocities in the colours of a scanner: red to yellow towards, blue to cyan away."""
    rows, columns = np.mgrid[:height, :width]
    speed = np.sin(rows / 9) * np.cos(columns / 13)
    strength = np.abs(speed)
    toward = np.stack([80 + 175 * strength, 220 * strength**2, 0 * strength], axis=-1)
    away = toward[..., ::-1]
    return np.where(((speed > 0) | power)[..., None], toward, away).astype(np.uint8)


def save(tmp_path, rgb, name="a.png", **options):
    Image.fromarray(rgb).save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_doppler_is_refused(tmp_path, rgb, read, power, name):
    rgb[150:230, 200:300] = flow(80, 100, power)  # 3.3 %
    with pytest.raises(
        ScanError, match=r"colours cover \d\.\d % of it: a colour Doppler frame or .* needs B-mode"
    ):
        read(save(tmp_path, rgb, name))


def test_doppler_in_scattered_vessels_is_refused(tmp_path, rgb, read):
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    for index in range(12):
        ends = [(150 + 25 * index, 120), (120 + 30 * index, 290)]
        draw.line(ends, fill=[(200, 40, 0), (255, 200, 0), (0, 40, 200)][index % 3], width=9)
    with pytest.raises(ScanError, match="colour Doppler"):
        read(save(tmp_path, np.array(picture)))


def test_a_box_of_one_colour_is_refused(tmp_path, rgb, read):
    rgb[150:240, 200:300] = (200, 20, 20)
    with pytest.raises(ScanError, match="colour Doppler"):
        read(save(tmp_path, rgb))


@pytest.mark.parametrize("colour", [(255, 255, 0), (0, 255, 0), (0, 200, 255)])
def test_calipers_and_text_are_marks(tmp_path, rgb, read, colour):
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    for row in range(20, 380, 14):
        draw.text((20, row), "HC 172.4 mm  GA 20w1d  BPD 47 mm", fill=colour)
    draw.ellipse([200, 100, 420, 300], outline=colour, width=2)
    draw.line([(200, 200), (420, 200)], fill=colour, width=1)
    scan = read(save(tmp_path, np.array(picture)))
    assert scan.flags == ("colour_marks",)


def test_a_little_colour_is_a_mark(tmp_path, rgb, read):
    rgb[180:220, 280:340] = flow(40, 60)  # 1 %
    assert read(save(tmp_path, rgb)).flags == ("colour_marks",)


def test_logo_and_colour_bar_in_the_margin_are_marks(tmp_path, rgb, read):
    rgb[5:45, 5:75] = (230, 40, 40)
    rgb[5:45, 75:110] = (40, 60, 230)
    rgb[100:300, 575:590] = flow(200, 15)
    assert read(save(tmp_path, rgb)).flags == ("colour_marks",)


@pytest.mark.parametrize("edge", [np.s_[:70], np.s_[-70:], np.s_[:, :90], np.s_[:, -90:]])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_menu_bar_is_no_flow(tmp_path, rgb, read, edge, name):
    rgb[edge] = (36, 60, 95)
    picture = Image.fromarray(rgb)
    ImageDraw.Draw(picture).text((8, 8), "PHILIPS\nOB", fill=(255, 255, 255))
    assert set(read(save(tmp_path, np.array(picture), name)).flags) <= {"colour_marks"}


@pytest.mark.parametrize("white", [(255, 220, 160), (255, 190, 60), (150, 200, 255), (140, 255, 160)])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_tint_is_gray(tmp_path, rgb, read, white, name):
    tinted = (rgb * (np.array(white) / 255)).astype(np.uint8)
    scan = read(save(tmp_path, tinted, name))
    assert set(scan.flags) <= {"tinted"}
    assert np.corrcoef(scan.image.ravel(), rgb[..., 0].ravel())[0, 1] > 0.98


def test_doppler_over_a_tint_is_refused(tmp_path, rgb, read):
    tinted = (rgb * np.array([1.0, 0.86, 0.63])).astype(np.uint8)
    tinted[150:250, 200:320] = flow(100, 120)
    with pytest.raises(ScanError, match="colour Doppler"):
        read(save(tmp_path, tinted))


def test_jpeg_of_gray_has_no_colour(tmp_path, rgb, read):
    assert read(save(tmp_path, rgb, "a.jpg", quality=60)).flags == ()


def test_colour_photograph_is_refused(tmp_path, read):
    rows, columns = np.mgrid[:300, :400] / 400
    photograph = np.stack([255 * rows, 255 * columns, 255 * (1 - rows)], axis=-1).astype(np.uint8)
    with pytest.raises(ScanError, match="another colour picture; needs B-mode"):
        read(save(tmp_path, photograph))


def test_gray_of_colour_is_luma(tmp_path, rgb, read):
    rgb[200:210, 300:310] = (255, 255, 0)
    scan: Scan = read(save(tmp_path, rgb))
    assert scan.image[205, 305] == 226  # 0.299 * 255 + 0.587 * 255
    np.testing.assert_array_equal(scan.image[:150], rgb[:150, :, 0])


def test_colour_use_leaves_its_input(rgb):
    rgb[150:230, 200:300] = flow(80, 100)
    before = rgb.copy()
    assert colour_use(rgb).solid > 0.02
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("scale", [0.5, 2, 4])
def test_the_size_of_the_picture_does_not_matter(scale):
    rgb = np.repeat(speckle(HEIGHT, WIDTH)[..., None], 3, axis=-1)
    rgb[150:230, 200:300] = flow(80, 100)
    size = round(WIDTH * scale), round(HEIGHT * scale)
    scaled = np.array(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))
    assert 0.02 < colour_use(scaled).solid < 0.04
