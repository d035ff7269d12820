"""The outline of a head below pixel precision, from a probability map, a filled mask, or a drawn line.

Outlines are (N, 2), (row, column), pixel centres at integers, in order around the head, the first not
repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LINE_HALF_WIDTH = 5.0  # pixels; a mask that is nowhere thicker may be a drawn line
LINE_RATIO = 0.25  # of its half width to the size of what it encloses; a filled head's is over 0.5
LINE_STEP = 2.0  # pixels along a line between the points of its centre
RING_RATIO = 2.5  # area with its holes filled over its own, from which a thicker mask is a line too


def outline_from_probability(prob: ArrayLike, level: float = 0.5) -> Floats | None:
    """The contour (N, 2) of a map (H, W) at `level`, around the largest region above it, holes filled.

    Outside the image the map counts as 0, so that a head cut by the border has a closed outline along it.
    None if nothing lies above the level.
    """
    array = np.asarray(prob)
    if array.ndim != 2:
        raise ValueError(f"the map has shape {array.shape}; give (H, W)")
    found = _largest_region(array > level)
    if found is None:
        return None
    region, (row, column) = found
    height, width = region.shape
    around = np.pad(array, 1)[row : row + height + 2, column : column + width + 2].astype(float)
    around[np.isnan(around)] = 0
    region = np.pad(region, 1)
    # No edge between neighbours joins two regions, so the others can go without moving this one's contour.
    around = np.where(region, np.where(around > level, around, 1.0), np.minimum(around, level))
    return np.asarray(_longest_contour(around, level) + np.array([row - 1, column - 1]))


def outline_from_mask(mask: ArrayLike) -> Floats | None:
    """The outline (N, 2) of a filled mask or of a drawn closed line, in a mask (H, W) of any type.

    Pixels above half of the maximum count. A thin line about an empty middle, up to 10 pixels wide and
    perhaps with gaps, gives its centre line (it must be star-shaped about its middle, as a head is); anything
    else gives the edge of its largest region, holes filled. None for an empty mask.
    """
    array = np.asarray(mask)
    if array.ndim != 2:
        raise ValueError(f"the mask has shape {array.shape}; give (H, W)")
    filled = array if array.dtype == bool else array > max(float(np.nanmax(array, initial=0)) / 2, 0)
    if not filled.any():
        return None
    rows, columns = np.nonzero(filled.any(axis=1))[0], np.nonzero(filled.any(axis=0))[0]
    corner = (rows[0], columns[0])
    cropped = filled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if _is_line(cropped):
        outline: Floats | None = _centre_line(np.column_stack(np.nonzero(cropped)).astype(float))
    else:
        outline = outline_from_probability(cropped)
    return None if outline is None else np.asarray(outline + corner)


def border_points(points: ArrayLike, shape: tuple[int, int], margin: float = 1.0) -> NDArray[np.bool_]:
    """Which points (N, 2) lie within `margin` pixels of the image's edge, at -0.5 and H - 0.5 or W - 0.5."""
    row, column = np.asarray(points, dtype=float).reshape(-1, 2).T
    near = np.minimum(
        np.minimum(row, column) + 0.5, np.minimum(shape[0] - 0.5 - row, shape[1] - 0.5 - column)
    )
    return np.asarray(near < margin)


def _largest_region(above: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """The largest 4-connected region, cropped, holes filled, and the (row, column) of the crop's corner."""
    from scipy import ndimage

    labels, count = ndimage.label(above)
    if count == 0:
        return None
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    rows, columns = ndimage.find_objects(labels, max_label=largest)[largest - 1]
    region = np.pad(labels[rows, columns] == largest, 1)
    outside, _ = ndimage.label(~region, structure=np.ones((3, 3)))
    return (outside != outside[0, 0])[1:-1, 1:-1], (rows.start, columns.start)


def _longest_contour(array: Floats, level: float) -> Floats:
    """The longest contour at `level`, without the repeated last point."""
    from skimage.measure import find_contours

    return np.asarray(max(find_contours(array, level), key=len)[:-1])


def _is_line(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask, cropped to what it holds, is a thin line about an empty middle."""
    from scipy import ndimage

    size = np.sqrt(mask.shape[0] * mask.shape[1]) / 2
    half_width = float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())
    if half_width <= LINE_HALF_WIDTH and half_width < LINE_RATIO * size:
        return True
    found = _largest_region(mask)
    return found is not None and bool(found[0].sum() > RING_RATIO * mask.sum())


def _centre_line(pixels: Floats) -> Floats:
    """Mean radius of the pixels (N, 2) about their middle, in steps of some pixels along the line.

    The mean is the harmonic one, as a ray crosses fewer pixels near the middle than far from it.
    """
    middle = (pixels.min(axis=0) + pixels.max(axis=0)) / 2
    rows, columns = (pixels - middle).T
    angle, radius = np.arctan2(rows, columns), np.maximum(np.hypot(rows, columns), 0.5)
    steps = max(8, int(2 * np.pi * np.median(radius) / LINE_STEP))
    step = np.minimum(((angle + np.pi) / (2 * np.pi) * steps).astype(int), steps - 1)
    count = np.bincount(step, minlength=steps)
    held = count > 0
    angle = np.bincount(step, angle, steps)[held] / count[held]
    radius = count[held] / np.bincount(step, 1 / radius, steps)[held]
    return np.asarray(middle + radius[:, None] * np.column_stack([np.sin(angle), np.cos(angle)]))
