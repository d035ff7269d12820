"""Lines of letters in an ultrasound picture, gray ones too: small sharp pieces of one height and gray, side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_words"]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# gray values above which letters stand apart from tissue
LEVELS = (60, 80, 100, 120, 140, 160, 180, 205, 230)
CONTRAST = 20.0  # gray values that a letter stands out by
SHARPNESS = 0.7  # share of its contrast that a letter falls by from a pixel to the next; echoes are blurred
EVENNESS = 0.45  # of its contrast, that the gray values of a letter may spread
HEIGHTS = (6, 0.07)  # of letters: pixels at least, share of the picture's longer side at most
BESIDE, GAP = 1.1, 1.2  # of a letter's height, that letters and words of one line are apart at most
LETTERS = 3  # side by side that make a word


def find_words(image: NDArray) -> Mask:
    """Mask (H, W) of the boxes round lines of letters in a picture (H, W), gray values 0 to 255.

    Letters are looked for at several gray levels, each brighter than what is around it; three of one height and one
    gray that stand on one line make a word. Words down a column, hand-written or dark ones are not found.
    """
    from scipy import ndimage

    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim != 2:
        raise ValueError(f"image is {pixels.shape}; a gray picture (H, W) is needed")
    found = np.zeros(pixels.shape, bool)
    thick = max(5, 2 * round(max(pixels.shape) / 200) + 1)
    thin = np.maximum(
        pixels - ndimage.grey_opening(pixels, (thick, 1)), pixels - ndimage.grey_opening(pixels, (1, thick))
    )
    sharp = pixels - ndimage.minimum_filter(pixels, 3)
    for level in LEVELS:
        letters, pieces = _letters((pixels >= level) & (thin > CONTRAST), pixels, thin, sharp)
        for line in _lines(letters):
            top, bottom, left, right = _longer(line, pieces)
            edge = max(2, round(0.2 * (bottom - top)))
            found[max(0, top - edge) : bottom + edge, max(0, left - edge) : right + edge] = True
    return found


def _letters(lit: Mask, pixels: NDArray, thin: NDArray, sharp: NDArray) -> tuple[Floats, Floats]:
    """Pieces (N, 5) that may be letters, and (M, 5) with dots: top, bottom, left, right, gray value."""
    from scipy import ndimage

    labels, count = ndimage.label(lit, np.ones((3, 3)))
    if not count:
        return np.zeros((0, 5)), np.zeros((0, 5))
    boxes = np.array(
        [(r.start, r.stop, c.start, c.stop) for r, c in ndimage.find_objects(labels)], dtype=float
    )
    high, wide = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    numbers = np.arange(1, count + 1)
    rim = np.where(ndimage.binary_erosion(lit, np.ones((3, 3))), 0, labels)
    gray, spread, contrast, steep = (
        np.asarray(function(values, where, numbers), dtype=float)
        for function, values, where in (
            (ndimage.mean, pixels, labels),
            (ndimage.standard_deviation, pixels, labels),
            (ndimage.mean, thin, labels),
            (ndimage.mean, sharp, rim),
        )
    )
    even = (steep >= SHARPNESS * contrast) & (spread <= EVENNESS * contrast)
    even &= (high <= HEIGHTS[1] * max(lit.shape)) & (wide <= 6 * np.maximum(high, HEIGHTS[0]))
    letters = even & (high >= HEIGHTS[0]) & (area <= 0.9 * high * np.maximum(wide, 3))
    pieces = np.column_stack([boxes, gray])
    return pieces[letters], pieces[even]


def _lines(letters: Floats) -> list[tuple[float, ...]]:
    """Top, bottom, left, right and gray value of letters that stand side by side on one line."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if len(letters) < LETTERS:
        return []
    top, bottom, left, right, gray = letters[np.argsort(letters[:, 1])].T
    high = bottom - top
    # those whose lower edge lies at most a letter's height below
    ends = np.searchsorted(bottom, bottom + high + 1, side="right")
    counts = ends - np.arange(len(bottom)) - 1
    a = np.repeat(np.arange(len(bottom)), counts)
    b = a + 1 + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    tallest, lowest = np.maximum(high[a], high[b]), np.minimum(high[a], high[b])
    gap = np.maximum(left[a], left[b]) - np.minimum(right[a], right[b])
    beside = (gap < BESIDE * tallest) & (gap > -0.2 * tallest) & (lowest > 0.6 * tallest)
    uneven = np.minimum(abs(bottom[a] - bottom[b]), abs(top[a] - top[b]))
    beside &= (uneven <= np.maximum(1, 0.1 * tallest)) & (abs(gray[a] - gray[b]) < 15)
    links = coo_matrix((np.ones(beside.sum()), (a[beside], b[beside])), shape=(len(bottom),) * 2)
    count, group = connected_components(links, directed=False)
    narrow = np.bincount(
        group, right - left <= 1.5 * high, minlength=count
    )  # others may be letters that touch
    sizes = np.bincount(group, np.maximum(1, np.rint((right - left) / (0.7 * high))), minlength=count)
    lines = []
    for one in np.flatnonzero((sizes >= LETTERS) & (narrow >= 2)):
        own = group == one
        box = top[own].min(), bottom[own].max(), left[own].min(), right[own].max()
        if box[1] - box[0] <= 2 * np.median(high[own]):
            lines.append((*map(float, box), float(np.median(gray[own]))))
    return lines


def _longer(line: tuple[float, ...], pieces: Floats) -> tuple[int, int, int, int]:
    """The box of a line with the pieces of its gray before and after it: single letters, dots, broken ones."""
    top, bottom, left, right, gray = line
    high = bottom - top
    in_line = (pieces[:, 0] >= top - 0.3 * high) & (pieces[:, 1] <= bottom + 0.3 * high)
    first, last = pieces[in_line & (abs(pieces[:, 4] - gray) < 25), 2:4].T
    while True:
        reach = GAP * high
        near = (last >= left - reach) & (first <= right + reach)
        wider = min([left, *first[near]]), max([right, *last[near]])
        if wider == (left, right):
            return int(top), int(bottom), int(left), int(right)
        left, right = wider
