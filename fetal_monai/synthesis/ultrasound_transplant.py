"""A made view put into the surroundings of a real picture, so that neither scanner nor surroundings tell what it shows.

Pictures are float32 (H, W) in 0..1; ellipses are in their pixels. The idea of pasting what is to be learned into other
surroundings: Dwibedi 2017, doi 10.1109/ICCV.2017.146.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from fetal_monai.measure.shape import Ellipse

__all__ = ["beside", "transplant"]

Image = NDArray[np.float32]

MARGIN = 1.1  # of what is put in, around the ellipse of what was there: scalp and halo go, too
LEAST_SIDE = 0.16  # of a picture's side, that a strip must have to be shown alone


def beside(picture: Image, head: Ellipse, random: RandomState | None = None) -> Image | None:
    """What lies beside a head, enlarged to the size of the picture; None where there is too little of it.

    The largest strip above, below, left or right of the head is shown; with ``random`` a part of it.
    """
    height, width = picture.shape
    points = head.points(90)
    (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
    strips = [(0, height, 0, left), (0, height, right, width), (0, top, 0, width), (bottom, height, 0, width)]
    sides = [[round(float(np.clip(side, 0, max(height, width)))) for side in strip] for strip in strips]
    a, b, c, d = max(sides, key=lambda s: max(s[1] - s[0], 0) * max(s[3] - s[2], 0))
    if b - a < LEAST_SIDE * height or d - c < LEAST_SIDE * width:
        return None
    strip = picture[a:b, c:d]
    if random is not None:  # of a shape closer to the picture's, so that it is not stretched too far
        rows, columns = strip.shape
        rows = min(rows, max(round(1.6 * columns * height / width), 8))
        columns = min(columns, max(round(1.6 * rows * width / height), 8))
        a = random.randint(strip.shape[0] - rows + 1)
        c = random.randint(strip.shape[1] - columns + 1)
        strip = strip[a : a + rows, c : c + columns]
    if (strip > 0.02).mean() < 0.25:  # mostly what lies outside of the sector
        return None
    return _resize(strip, (height, width))


def transplant(
    made: Image,
    shown: Ellipse,
    real: Image,
    head: Ellipse | None,
    random: RandomState,
    stretched: bool = True,
) -> Image:
    """``made`` within its ellipse ``shown``, in the place of the ``head`` in ``real``, with that part's brightness.

    Where ``stretched``, the ellipse takes the head's place exactly; else it keeps its shape, turned at random, and is
    large enough to cover the head. Without a ``head`` it comes to any place, as large as it is in its own picture.
    """
    height, width = real.shape
    flip = np.diag([1.0, float(random.choice([-1, 1]))])
    if head is None:
        scale = float(np.hypot(height, width) / np.hypot(*made.shape)) * random.uniform(0.85, 1.15)
        target = np.array([random.uniform(0.35, 0.65) * height, random.uniform(0.35, 0.65) * width])
        forward = scale * _turn(random.normal(0, 0.3)) @ flip
    elif stretched:
        target, half_turn = np.array(head.center), random.choice([0, math.pi])
        sides = np.array(head.semi_axes) / np.array(shown.semi_axes)
        forward = _turn(head.angle + half_turn) @ np.diag(sides[::-1]) @ flip @ _turn(-shown.angle)
    else:
        target = np.array(head.center)
        scale = MARGIN * max(head.semi_axes) / min(shown.semi_axes)
        forward = scale * _turn(random.uniform(-math.pi, math.pi)) @ flip
    back = np.linalg.inv(forward)
    offset = np.array(shown.center) - back @ target
    pasted = ndimage.affine_transform(made, back, offset, output_shape=real.shape, order=1)
    rows, columns = np.indices(real.shape)
    at = np.stack([rows, columns], axis=-1).reshape(-1, 2) @ back.T + offset
    level = _level(at, shown).reshape(real.shape)
    share = np.clip((MARGIN - level) / 0.08, 0, 1).astype(np.float32)
    inside = level < 1
    if inside.sum() < 50:
        return real.copy()
    told = (
        real
        if head is None
        else real[_level(np.argwhere(np.ones_like(inside)), head).reshape(real.shape) < 1]
    )
    told = told[told > 0.02] if (told > 0.02).any() else real
    source = pasted[inside & (pasted > 0.02)] if (inside & (pasted > 0.02)).any() else pasted
    gain = float(told.std() / max(float(source.std()), 1e-3)) ** random.uniform(0.6, 1)
    level_of = float(told.mean()) * random.uniform(0.85, 1.2)
    matched = np.clip((pasted - source.mean()) * np.clip(gain, 0.5, 1.6) + level_of, 0, 1)
    matched = matched * np.clip(pasted / 0.04, 0, 1)  # what is black stays black
    sector = convex_hull_image(ndimage.binary_opening(real > 0.03, iterations=2))
    share *= ndimage.gaussian_filter(sector.astype(np.float32), 1.0)
    return (share * matched + (1 - share) * real).astype(np.float32)


def _turn(angle: float) -> NDArray[np.float64]:
    """Of (row, column), as an angle of :class:`fetal_monai.measure.shape.Ellipse` turns its long axis."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def _level(points: NDArray, ellipse: Ellipse) -> NDArray[np.float64]:
    """1 on the ellipse, in proportion to the distance from its middle."""
    local = (points - np.array(ellipse.center)) @ _turn(ellipse.angle)
    return np.hypot(local[:, 1] / ellipse.semi_axes[0], local[:, 0] / ellipse.semi_axes[1])


def _resize(picture: Image, shape: tuple[int, int]) -> Image:
    from PIL import Image as PilImage

    sized = PilImage.fromarray(picture).resize((shape[1], shape[0]), PilImage.Resampling.BICUBIC)
    return np.clip(np.asarray(sized, dtype=np.float32), 0, 1)
