"""What is drawn into an ultrasound picture and is no echo: text, calipers, logos, ticks, colours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_marks", "find_marks"]

Mask = NDArray[np.bool_]

CHROMA = 48  # of 255 between the channels of a coloured pixel
MOST_COLOURED = 0.1  # share of a picture from which colours are its tint, or blood flow, and no marks
SEED, REST = 90.0, 35.0  # gray values that a mark stands out by, at its core and as far as it goes
LETTER = 15.0  # gray values that the strokes of a word stand out by
SHARP = 100.0  # gray values that it falls by from a pixel to the next; echoes are blurred
LARGEST = 0.12  # of the picture's sides, that a mark inside the sector may span


def find_marks(
    image: NDArray,
    sector: Mask | None = None,
    rgb: NDArray[np.uint8] | None = None,
    *,
    whole_words: bool = False,
) -> Mask:
    """Mask (H, W) of burned-in marks in a picture (H, W), gray values 0 to 255.

    Inside the `sector` marks are thin, sharp and much brighter than what is around them, or letters in a line; outside
    of it all that is lit. With `rgb` (H, W, 3) coloured pixels count too. `whole_words` takes the boxes round lines of
    letters, to hide what they say, and not the letters alone. Raises ValueError where shapes differ.
    """
    from scipy import ndimage

    from fetal_monai.enhance.words import find_words

    pixels = np.asarray(image, dtype=np.float32)
    for name, other in (("sector", sector), ("rgb", rgb)):
        if other is not None and other.shape[:2] != pixels.shape:
            raise ValueError(f"{name} is {other.shape}, the picture {pixels.shape}")
    thick = max(5, 2 * round(max(pixels.shape) / 260) + 1)
    thin = np.maximum(
        pixels - ndimage.grey_opening(pixels, (thick, 1)), pixels - ndimage.grey_opening(pixels, (1, thick))
    )
    sharp = ndimage.maximum_filter(pixels, 3) - ndimage.minimum_filter(pixels, 3)
    labels, count = ndimage.label(thin > REST, np.ones((3, 3)))
    keep = np.zeros(count + 1, bool)
    limits = LARGEST * np.asarray(pixels.shape)
    white = (thin > SEED) & (sharp > SHARP) & (pixels > 0.55 * pixels.max())
    cores = np.unique(labels[white])
    edge = ndimage.mean(sharp, labels, np.arange(count + 1))
    boxes = ndimage.find_objects(labels)
    for label in cores[cores > 0]:
        spans = [part.stop - part.start for part in boxes[label - 1]]
        keep[label] = spans[0] <= limits[0] and spans[1] <= limits[1] and edge[label] > 0.75 * SHARP
    marks = keep[labels]
    if rgb is not None:
        coloured = np.ptp(rgb.astype(np.int16), axis=2) > CHROMA
        marks |= coloured & (coloured.mean() < MOST_COLOURED)
    words = find_words(pixels)
    marks |= words & (thin > LETTER)
    marks = ndimage.binary_dilation(marks, np.ones((3, 3)), iterations=max(1, thick // 3))
    marks |= words & whole_words
    if sector is not None:
        marks = np.where(sector, marks, pixels > 8)
    return np.asarray(marks)


def fill_marks(image: NDArray, marks: Mask, sector: Mask | None = None) -> NDArray[np.float32]:
    """The picture with its marks filled from around them (biharmonic), and black outside the `sector`.

    A patch too large to be guessed, over 1/8 of the picture's longer side, takes the mean of its surroundings.
    """
    from scipy import ndimage
    from skimage.restoration import inpaint_biharmonic

    pixels = np.array(image, dtype=np.float32)
    inside = marks if sector is None else marks & sector
    labels, _ = ndimage.label(inside, np.ones((3, 3)))
    side = max(pixels.shape) / 8
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = ((max(0, part.start - 6), part.stop + 6) for part in box)
        window = (slice(*rows), slice(*columns))
        hole = inside[window]
        known = ~hole if sector is None else ~hole & sector[window]
        own = labels[window] == label
        if not known.any():
            pixels[window][own] = 0.0
            continue
        ground = np.where(hole, pixels[window][known].mean(), pixels[window])
        if math.hypot(*hole.shape) <= side:
            ground = inpaint_biharmonic(ground, hole)
            ground = np.clip(ground, pixels[window][known].min(), pixels[window][known].max())
        pixels[window][own] = ground[own]
    if sector is not None:
        pixels[~sector] = 0.0
    return pixels
