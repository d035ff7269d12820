"""A volume in three planes with the borders of its labels, the lengths on the slices they were taken on, and a caption.

The same three cuts stand there twice, once without a line on them, so that nothing is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from fetal_monai.measure.tissues import TISSUES
from fetal_monai.report.caption import Colour, draw_strip
from fetal_monai.report.flags import level_of
from fetal_monai.report.labels import label
from fetal_monai.report.overlay import COLOURS, data_uri
from fetal_monai.report.panels import Panel, draw_labels, draw_lengths, draw_marks, stack_panels, tile
from fetal_monai.report.slices import (
    LETTERS,
    VIEWS,
    Extent,
    Plane,
    borders,
    checked,
    cut,
    direction_letters,
    extent,
    fractions,
    plane_of,
    window,
)

__all__ = ["TISSUE_COLOURS", "draw_planes", "label_colours", "thumbnail"]

Floats = NDArray[np.float64]

TISSUE_COLOURS: tuple[Colour, ...] = (  # told apart also without one of the three cones
    (153, 204, 255),  # extra-axial CSF
    (255, 60, 60),  # cortical gray matter
    (255, 204, 153),  # white matter
    (51, 102, 255),  # ventricles
    (0, 170, 110),  # cerebellum
    (255, 240, 51),  # deep gray matter
    (214, 112, 163),  # brainstem
)
LENGTH_COLOURS: tuple[Colour, ...] = ((255, 214, 10), (94, 234, 212), (255, 170, 214), (125, 196, 255))
DRAWN_FIRST = ("white_matter", "extra_axial_csf")  # their borders are those of what lies beside them
TOLERANCE_MM = 1.0  # a length that lies that close to a cut is drawn on it
WIDTH, THUMBNAIL_WIDTH, MAX_HEIGHT, GAP = 1260, 480, 620, 6


@dataclass
class _Cut:
    """A plane with the lengths that lie on it."""

    view: str
    plane: Plane
    lengths: dict[str, Floats] = field(default_factory=dict)


def draw_planes(
    image: ArrayLike,
    affine: ArrayLike,
    labels: ArrayLike,
    *,
    lines: Mapping[str, ArrayLike] | None = None,
    caption: Sequence[str] = (),
    flags: Sequence[str] = (),
    names: Sequence[str] = TISSUES,
    axes: ArrayLike | None = None,
    is_picture: bool = False,
    has_mm: bool = True,
) -> NDArray[np.uint8]:
    """Draw a volume (I, J, K) and its labels (I, J, K) in three planes and return a picture (H, W, 3).

    `affine` (4, 4) leads from voxels to RAS mm; label 1 is `names[0]` and so on, 0 is outside. `lines` has the ends
    (2, 3), RAS mm, of each length by name; each is drawn on a cut that holds it. `axes` (3, 3) has the unit vectors
    to the right, the front and the top of a brain that lies tilted, as rows; without it the planes are those of the
    affine. All cuts have one scale in mm, voxels of any spacing are shown in their true shape; the bar of 20 mm is
    left out without `has_mm`, and with `is_picture`, whose affine is made up, the place of a cut is. A single slice
    is shown alone. The weight of `flags` colours the title, and the border where there is one label. ValueError
    where shapes or labels don't fit.
    """
    voxels, matrix, tissue, frame = checked(image, affine, labels, len(names), axes)
    shown, step = extent(_to_show(voxels, tissue), matrix, frame), _finest(matrix)
    cuts = [_Cut(view, plane_of(view, shown, frame, step)) for view in _views(voxels.shape, matrix, frame)]
    taken = _taken(lines or {}, shown, frame, step)
    is_slice = len(cuts) == 1
    zoom = _zoom(cuts * (2 + len(taken)) if is_slice else cuts, WIDTH)
    gray = window(voxels, tissue)
    colours, order = label_colours(len(names), flags), _order(names)
    plain = [_panel(item, voxels, matrix, frame, zoom, gray, has_mm and item is cuts[0]) for item in cuts]
    if is_picture:
        for item, panel in zip(cuts, plain, strict=True):
            panel.titles = [(item.view.capitalize(), None)]
    marked = [Panel(panel.picture.copy(), panel.titles[:1]) for panel in plain]
    for item, panel in zip(cuts, marked, strict=True):
        shares = fractions(tissue, matrix, item.plane, len(names))
        draw_labels(panel.picture, shares, borders(shares), colours, order, item.plane.step_mm * zoom)
    rows = [[*marked, *plain]] if is_slice else [marked, plain]
    for start in range(0, len(taken), len(cuts)):
        row = [
            _panel(item, voxels, matrix, frame, zoom, gray, False)
            for item in taken[start : start + len(cuts)]
        ]
        for item, panel in zip(taken[start:], row, strict=False):
            keyed = {name: LENGTH_COLOURS[n % len(LENGTH_COLOURS)] for n, name in enumerate(item.lengths)}
            draw_lengths(panel.picture, [*item.lengths.values()], item.plane, zoom, [*keyed.values()])
            panel.titles += [
                (_length_text(name, item.lengths[name]), colour) for name, colour in keyed.items()
            ]
        if is_picture:
            for item, panel in zip(taken[start:], row, strict=False):
                panel.titles[0] = (item.view.capitalize(), None)
        if is_slice:
            rows[0] += row
        else:
            rows.append(row)
    picture = stack_panels([tile(row, WIDTH, GAP) for row in rows], GAP)
    found = [n for n in range(len(names)) if (tissue == n + 1).any()]
    keys = [(label(f"{names[n]}_ml"), colours[n]) for n in found]
    own = not np.array_equal(frame, np.eye(3))
    where = (
        "Planes and sides are the brain's own" if own else "R, L, A, P, S, I: as the file's affine has them"
    )
    if is_picture:
        where = "R, L, A, P: as radiologists show a slice; the picture itself does not tell"
    said = f"{where}  ·  bar 20 mm" if has_mm else where
    strip = draw_strip(picture.shape[1], keys, [*(caption or [""]), said], flags)
    return np.vstack([picture, np.asarray(strip)])


def thumbnail(
    image: ArrayLike,
    affine: ArrayLike,
    labels: ArrayLike,
    width: int = THUMBNAIL_WIDTH,
    *,
    flags: Sequence[str] = (),
    names: Sequence[str] = TISSUES,
    axes: ArrayLike | None = None,
    is_picture: bool = False,
    has_mm: bool = True,
) -> str:
    """The three planes with their borders, small, as a data URI (JPEG); see `draw_planes`. No mm are written on it."""
    voxels, matrix, tissue, frame = checked(image, affine, labels, len(names), axes)
    shown, step = extent(_to_show(voxels, tissue), matrix, frame), _finest(matrix)
    cuts = [_Cut(view, plane_of(view, shown, frame, step)) for view in _views(voxels.shape, matrix, frame)]
    zoom, gray, panels = _zoom(cuts, width), window(voxels, tissue), []
    colours, order = label_colours(len(names), flags), _order(names)
    for item in cuts:
        panel = _panel(item, voxels, matrix, frame, zoom, gray, False, marks=False)
        shares = fractions(tissue, matrix, item.plane, len(names))
        draw_labels(panel.picture, shares, borders(shares), colours, order, item.plane.step_mm * zoom)
        panels.append(Panel(panel.picture, []))
    return data_uri(Image.fromarray(tile(panels, width, GAP // 2)))


def label_colours(count: int, flags: Sequence[str] = ()) -> list[Colour]:
    """A colour for each label; a single one has that of its flags' weight, as outlines in 2D have."""
    if count == 1:
        return [COLOURS[level_of(flags)]]
    return [TISSUE_COLOURS[n % len(TISSUE_COLOURS)] for n in range(count)]


def _to_show(image: NDArray, labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """What the cuts are to hold: the labels, of a single slice all but the background."""
    return (image > image.min()).view(np.uint8) if 1 in image.shape else labels


def _views(shape: tuple[int, ...], affine: Floats, frame: Floats) -> list[str]:
    """All views, or that in which a single slice lies."""
    if 1 not in shape:
        return list(VIEWS)
    across = np.linalg.inv(affine)[shape.index(1), :3]  # a slice's normal
    return [max(VIEWS, key=lambda view: abs(float(np.cross(*VIEWS[view]) @ frame @ across)))]


def _panel(
    item: _Cut,
    image: NDArray,
    affine: Floats,
    frame: Floats,
    zoom: float,
    gray: tuple[float, float],
    bar: bool,
    marks: bool = True,
) -> Panel:
    """The bare cut, with the letters of its sides."""
    plane = item.plane
    values = np.nan_to_num((cut(image, affine, plane) - gray[0]) / (gray[1] - gray[0]))
    picture = Image.fromarray((255 * np.clip(values, 0, 1) + 0.5).astype(np.uint8))
    size = [max(1, round(n * plane.step_mm * zoom)) for n in plane.shape[::-1]]
    picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC).convert("RGB")
    if marks:
        ways = (-plane.right, plane.right, -plane.down, plane.down)
        draw_marks(picture, [direction_letters(way, frame) for way in ways], zoom if bar else None)
    return Panel(picture, [(_title(item, frame), None)])


def _title(item: _Cut, frame: Floats) -> str:
    """The view, and where it lies in RAS mm if it is cut along the file's own axes; by how much it leans if it does."""
    normal, place = item.plane.normal, item.plane.origin
    axis = int(np.argmax(np.abs(normal)))
    if abs(normal[axis]) > 0.9999 and np.array_equal(frame, np.eye(3)):
        return f"{item.view.capitalize()}  {LETTERS[axis][0 if place[axis] >= 0 else 1]} {abs(place[axis]):.1f} mm"
    within = abs(float(np.cross(*VIEWS[item.view]) @ frame @ normal))
    degrees = math.degrees(math.acos(min(1.0, within)))
    return item.view.capitalize() + (f", tilted by {degrees:.0f}°" if degrees >= 1 else "")


def _taken(lines: Mapping[str, ArrayLike], shown: Extent, frame: Floats, step: float) -> list[_Cut]:
    """The cuts on which lengths were taken; lengths that lie in one plane share it."""
    cuts: list[_Cut] = []
    for name, line in lines.items():
        ends = np.asarray(line, dtype=float)
        if ends.shape != (2, 3):
            raise ValueError(f"the line {name} is {ends.shape}; it must have two ends (2, 3)")
        if not np.isfinite(ends).all() or np.allclose(*ends):
            continue
        for item in cuts:
            if np.abs((ends - item.plane.origin) @ item.plane.normal).max() <= TOLERANCE_MM:
                item.lengths[name] = ends
                break
        else:
            way = frame @ (ends[1] - ends[0])
            view = "axial" if abs(way[2]) < 0.7 * np.linalg.norm(way) else "coronal"
            tilt = ends[1] - ends[0] if abs(way[2]) > 0.01 * np.linalg.norm(way) else None
            cuts.append(_Cut(view, plane_of(view, shown, frame, step, ends.mean(axis=0), tilt), {name: ends}))
    return cuts


def _order(names: Sequence[str]) -> list[int]:
    """Labels from 0 as they are drawn: borders of what comes later are seen where two touch."""
    return sorted(
        range(len(names)), key=lambda n: DRAWN_FIRST.index(names[n]) if names[n] in DRAWN_FIRST else 9
    )


def _length_text(name: str, ends: Floats) -> str:
    from fetal_monai.measure.volume import LINE_MEASURES

    return f"{label(LINE_MEASURES.get(name, f'{name}_mm'))} {np.linalg.norm(ends[1] - ends[0]):.1f} mm"


def _finest(affine: Floats) -> float:
    return float(np.linalg.norm(affine[:3, :3], axis=0).min())


def _zoom(cuts: Sequence[_Cut], width: int) -> float:
    """Pixels per mm at which the cuts fit side by side."""
    sides = np.array([np.array(item.plane.shape) * item.plane.step_mm for item in cuts])
    return float(min((width - GAP * (len(cuts) - 1) - 3) / sides[:, 1].sum(), MAX_HEIGHT / sides[:, 0].max()))
