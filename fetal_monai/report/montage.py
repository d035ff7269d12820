"""A thick-slice stack as its slices, side by side, with the border of a mask: each slice as it was acquired."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from fetal_monai.report.caption import draw_strip
from fetal_monai.report.flags import level_of
from fetal_monai.report.overlay import COLOURS, data_uri
from fetal_monai.report.panels import Panel, draw_labels, draw_marks, stack_panels, tile
from fetal_monai.report.slices import (
    VIEWS,
    Plane,
    borders,
    checked,
    cut,
    direction_letters,
    fractions,
    window,
)

__all__ = ["draw_montage", "montage_thumbnail"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MOST, COLUMNS = 20, 5  # pictures in all: the whole middle slice, then those that the mask is on
MARGIN_MM = 22.0  # shown around the mask
HIGHEST = 1.3  # height of a slice over its width
WIDTH, THUMBNAIL_WIDTH, GAP = 1260, 480, 6


def draw_montage(
    image: ArrayLike,
    affine: ArrayLike,
    mask: ArrayLike,
    *,
    caption: Sequence[str] = (),
    flags: Sequence[str] = (),
    name: str = "Brain mask",
    most: int = MOST,
) -> NDArray[np.uint8]:
    """Draw slices of a stack (I, J, K) with the border of a mask (I, J, K) and return a picture (H, W, 3).

    Slices are cut across the direction of the largest spacing and turned as radiologists have them (right on the left,
    front or top above). First the whole slice through the mask's middle, then up to `most` - 1 slices from the one
    before the mask to the one after it, of the mask's surroundings; without a mask, whole slices. `affine` (4, 4) leads
    to RAS mm. Voxels are shown in their true shape. ValueError where shapes don't fit.
    """
    voxels, matrix, found, _ = checked(image, affine, mask, 1)
    axis = int(np.argmax(np.linalg.norm(matrix[:3, :3], axis=0)))
    count = voxels.shape[axis]
    there = np.flatnonzero(found.any(axis=tuple(n for n in range(3) if n != axis)))
    wanted, middle = _wanted(there, count, most - 1)
    whole, near = _plane(voxels.shape, matrix, axis, None), _plane(voxels.shape, matrix, axis, found)
    gray, box = window(voxels, found), _box(near, (WIDTH + GAP) / COLUMNS - GAP)
    panels = [_panel(voxels, matrix, found, axis, middle, whole, box, gray, flags, "Whole slice")]
    panels += [
        _panel(voxels, matrix, found, axis, index, near, box, gray, flags, "Slice") for index in wanted
    ]
    rows = [tile(panels[n : n + COLUMNS], WIDTH, GAP, COLUMNS) for n in range(0, len(panels), COLUMNS)]
    keys = [(name, COLOURS[level_of(flags)])] if len(there) else []
    shown = f"{len(wanted)} of {count} slices  ·  letters as the file's affine has them: of the one who was scanned"
    strip = draw_strip(WIDTH, keys, [*(caption or [""]), f"{shown}  ·  bars 20 mm"], flags)
    return np.vstack([stack_panels(rows, GAP), np.asarray(strip)])


def montage_thumbnail(
    image: ArrayLike,
    affine: ArrayLike,
    mask: ArrayLike,
    width: int = THUMBNAIL_WIDTH,
    *,
    flags: Sequence[str] = (),
) -> str:
    """Three slices through the mask with its border, small, as a data URI (JPEG); see `draw_montage`."""
    voxels, matrix, found, _ = checked(image, affine, mask, 1)
    axis = int(np.argmax(np.linalg.norm(matrix[:3, :3], axis=0)))
    there = np.flatnonzero(found.any(axis=tuple(n for n in range(3) if n != axis)))
    inside = there if len(there) else np.arange(voxels.shape[axis])
    chosen = [int(inside[round(share * (len(inside) - 1))]) for share in (0.25, 0.5, 0.75)]
    near, gray = _plane(voxels.shape, matrix, axis, found), window(voxels, found)
    box = _box(near, (width - GAP) / 3)
    panels = [_panel(voxels, matrix, found, axis, index, near, box, gray, flags, "") for index in chosen]
    return data_uri(Image.fromarray(tile(panels, width, GAP // 2, 3)))


def _wanted(there: Indices, count: int, most: int) -> tuple[list[int], int]:
    """The slices to draw, from before the mask to after it, and the mask's middle one."""
    first, last = (max(0, there[0] - 1), min(count - 1, there[-1] + 1)) if len(there) else (0, count - 1)
    wanted = np.unique(np.round(np.linspace(first, last, min(most, last - first + 1))).astype(int))
    return wanted.tolist(), int(there[len(there) // 2]) if len(there) else count // 2


def _plane(shape: Sequence[int], affine: Floats, axis: int, mask: NDArray[np.integer] | None) -> Plane:
    """The cut of slice 0, turned for a radiologist: all of it, or what lies around the mask."""
    first, second = (affine[:3, n] for n in range(3) if n != axis)
    across = np.cross(first, second)
    view = ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(across)))]
    ways = affine[:3, [n for n in range(3) if n != axis]].T
    ways = np.concatenate([ways, -ways]) / np.linalg.norm(np.concatenate([ways, ways]), axis=1)[:, None]
    right = ways[np.argmax(ways @ VIEWS[view][0])]
    down = ways[np.argmax(ways @ VIEWS[view][1])]
    down = down - (down @ right) * right
    down /= np.linalg.norm(down)
    step = min(np.linalg.norm(affine[:3, n]) for n in range(3) if n != axis)
    ends = [[0.0, 0.0] if n == axis else [-0.5, size - 0.5] for n, size in enumerate(shape)]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3) @ affine[:3, :3].T
    low, high = _span(corners, right, down)
    if mask is not None and mask.any():
        flat = np.argwhere(mask.any(axis=axis)).astype(float)
        points = np.insert(flat, axis, 0, axis=1) @ affine[:3, :3].T
        inner, outer = _span(points, right, down)
        low, high = np.maximum(low, inner - MARGIN_MM), np.minimum(high, outer + MARGIN_MM)
    start = (np.ceil(low / step - 0.5 - 1e-6) + 0.0) * step  # pixels lie on voxels
    size = np.maximum(1, np.floor((high - start) / step + 0.5 + 1e-6)).astype(int)
    origin = affine[:3, 3] + start[0] * down + start[1] * right
    return Plane(origin, right, down, float(step), (int(size[0]), int(size[1])))


def _box(plane: Plane, width: float) -> tuple[float, float]:
    """Height and width in pixels of the slices: as wide as given unless they would be too high."""
    return min(plane.shape[0] / plane.shape[1], HIGHEST) * width, width


def _span(points: Floats, right: Floats, down: Floats) -> tuple[Floats, Floats]:
    seen = np.stack([points @ down, points @ right], axis=1)
    return seen.min(axis=0), seen.max(axis=0)


def _panel(
    image: NDArray,
    affine: Floats,
    mask: NDArray[np.integer],
    axis: int,
    index: int,
    base: Plane,
    box: tuple[float, float],
    gray: tuple[float, float],
    flags: Sequence[str],
    words: str,
) -> Panel:
    """One slice, as large as fits into a box (height, width) in pixels."""
    plane = Plane(base.origin + index * affine[:3, axis], base.right, base.down, base.step_mm, base.shape)
    values = cut(image, affine, plane)
    shares = fractions(mask, affine, plane, 1)
    values = np.clip(np.nan_to_num((values - gray[0]) / (gray[1] - gray[0])), 0, 1)
    scale = min(side / count for side, count in zip(box, plane.shape, strict=True))
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    picture = (
        Image.fromarray((255 * values + 0.5).astype(np.uint8))
        .resize(size, Image.Resampling.BICUBIC)
        .convert("RGB")
    )
    draw_labels(picture, shares, borders(shares), [COLOURS[level_of(flags)]], [0], scale)
    if words:
        ways = (-plane.right, plane.right, -plane.down, plane.down)
        zoom = scale / plane.step_mm
        draw_marks(picture, [direction_letters(way, np.eye(3)) for way in ways], zoom, size=14)
    return Panel(picture, [(f"{words} {index + 1} of {image.shape[axis]}", None)] if words else [])
