"""Training pictures beside their labels."""

import numpy as np
import pytest
from PIL import Image

from fetal_monai.report.gallery import HEIGHT, draw_gallery
from fetal_monai.report.planes import label_colours


def item(rows: int = 10) -> dict:
    image, label = np.zeros((1, 10, rows, 6), np.float32), np.zeros((1, 10, rows, 6))
    image[0, :5, :, 3] = 0.75
    label[0, 5:, rows // 2 :, 3] = 2
    return {"image": image, "label": label}


def test_shows_the_slice_with_most_labels(tmp_path):
    draw_gallery([item()], tmp_path / "gallery.png")
    with Image.open(tmp_path / "gallery.png") as file:
        picture = np.asarray(file)
    assert picture[HEIGHT // 2, HEIGHT // 4].tolist() == [127] * 3  # the left half of the image is gray
    assert picture[HEIGHT // 2, 3 * HEIGHT // 4].tolist() == [0] * 3
    right = HEIGHT + 3 * HEIGHT // 4  # label 2 lies right, and up
    assert tuple(picture[HEIGHT // 4, right].tolist()) == label_colours(7)[1]
    assert picture[3 * HEIGHT // 4, right].tolist() == [0] * 3


def test_seven_stand_in_two_rows(tmp_path):
    draw_gallery([item()] * 7, tmp_path / "gallery.png")
    with Image.open(tmp_path / "gallery.png") as picture:
        assert picture.height == 2 * (HEIGHT + 4)


def test_nothing_to_show(tmp_path):
    with pytest.raises(ValueError, match="no items"):
        draw_gallery([], tmp_path / "gallery.png")
    assert not (tmp_path / "gallery.png").exists()
