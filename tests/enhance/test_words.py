"""Words on speckle: letters in a line are found whatever their gray, what is no word is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fetal_monai.enhance.marks import find_marks
from fetal_monai.enhance.words import find_words

SHAPE = (240, 320)


def tissue(seed: int = 0) -> NDArray[np.float32]:
    """Log-compressed speckle as wide as a scanner shows it, 20 to 110."""
    noise = np.random.default_rng(seed).normal(size=(2, *SHAPE))
    envelope = np.hypot(*(ndimage.gaussian_filter(part, (1.5, 3.0)) for part in noise))
    decibel = 20 * np.log10(np.maximum(envelope, 1e-6) / envelope.max())
    return np.clip(110 + 3 * decibel, 20, 110).astype(np.float32)


def written(text: str, gray: int, size: int = 14) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A picture with a text over tissue, and the text's pixels."""
    from PIL import Image, ImageDraw, ImageFont

    mask = Image.new("L", SHAPE[::-1])
    ImageDraw.Draw(mask).text((60, 100), text, font=ImageFont.load_default(size), fill=255)
    cover = np.asarray(mask, np.float32) / 255
    return tissue() * (1 - cover) + gray * cover, cover > 0.5


@pytest.mark.parametrize("gray", [150, 180, 220, 255])
@pytest.mark.parametrize("size", [12, 18])
def test_words_of_any_gray_are_found_whole(gray: int, size: int) -> None:
    picture, text = written("MUELLER 12.03.87", gray, size)
    found = find_words(picture)
    assert found[text].mean() > 0.97
    assert found.mean() < 3 * np.ptp(np.nonzero(text), axis=1).prod() / text.size


def test_speckle_is_no_word() -> None:
    assert not any(find_words(tissue(seed)).any() for seed in range(4))


def test_lines_and_single_letters_are_no_words() -> None:
    picture = tissue()
    picture[50, 40:280] = picture[60:200, 30] = 200
    assert not find_words(picture).any()
    assert not find_words(written("A", 200)[0]).any()


def test_marks_hold_the_letters_and_for_hiding_the_whole_line() -> None:
    picture, text = written("MUELLER ANNA", 150)
    letters, line = find_marks(picture), find_marks(picture, whole_words=True)
    assert letters[text].mean() > 0.95
    assert line[text].mean() > 0.97
    assert line.sum() > letters.sum() and line[letters].all()


def test_nothing_at_all_and_the_wrong_shape() -> None:
    assert not find_words(np.zeros((64, 64))).any()
    with pytest.raises(ValueError, match="gray picture"):
        find_words(np.zeros((64, 64, 3)))
