import io

import numpy as np
import pytest
from PIL import Image

from fetal_monai.png import encode_png

ORIENTATION = 0x0112


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1), (37, 53, 3), (20, 30)])
def test_it_decodes_to_the_same_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), pixels)
        assert not picture.getexif()


def test_pixels_may_lie_in_any_order_in_memory():
    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)[::-1, ::2]
    with Image.open(io.BytesIO(encode_png(pixels))) as picture:
        assert np.array_equal(np.asarray(picture), pixels)


def test_it_says_how_the_picture_was_held():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encode_png(np.zeros((3, 4), np.uint8), exif.tobytes().removeprefix(b"Exif\0\0"))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif()[ORIENTATION] == 6
