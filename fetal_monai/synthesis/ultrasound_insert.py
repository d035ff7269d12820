"""A simulated abnormality put into a picture of a head that has none, in that picture's own gray values and speckle."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fetal_monai.measure.shape import Ellipse
from fetal_monai.synthesis.ultrasound_anatomy import draw_bumps, draw_ventricle
from fetal_monai.synthesis.ultrasound_shapes import Blob, stretch

__all__ = ["INSERTED", "HeadFrame", "HeadLook", "draw_walls", "insert_abnormality"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

INSERTED = ("ventriculomegaly", "absent_cavum", "mass", "cyst", "deformed_skull")
EDGE_PX = (1.1, 2.5)  # sigma of the blend, along rows and columns: walls are sharper along the beam
INSIDE = 0.92  # of the skull's radius: what surely lies within it


def insert_abnormality(
    image: ArrayLike,
    head: Ellipse,
    kind: str,
    severity_mm: float,
    pixel_mm: float,
    random: RandomState,
    cavum: Box | None = None,
    forehead: ArrayLike | None = None,
) -> tuple[Image, Mask]:
    """The picture (H, W), 0..1, with the abnormality, and where it differs; elsewhere it is the same to the bit.

    `head` is the outer skull in pixels. `kind` is one of `INSERTED` and `severity_mm` the width of the ventricle's
    atrium, the diameter of the mass (bright) or cyst (dark), or how far the skull is bent; for an absent cavum it is
    not used, and `cavum` (x, y, w, h in pixels) is needed. `forehead` (row, column) points to the front; without it,
    it is the end where `cavum` lies, or drawn. The beam is taken to come from above. What does not fit is a ValueError.
    """
    picture = np.asarray(image, dtype=np.float32)
    if picture.ndim != 2:
        raise ValueError(f"the picture has shape {picture.shape}; give (rows, columns)")
    if kind not in INSERTED:
        raise ValueError(f"there is no abnormality {kind!r} to insert; there are {', '.join(INSERTED)}")
    if not (pixel_mm > 0 and (kind == "absent_cavum" or severity_mm > 0)):
        raise ValueError(f"pixel_mm is {pixel_mm} and severity_mm {severity_mm}; both must be above 0")
    frame = HeadFrame(picture.shape, head, pixel_mm, _front(head, cavum, forehead, random))
    if kind == "deformed_skull":
        return _bend(picture, frame, severity_mm, random)
    look = HeadLook(picture, frame, random)
    if kind == "absent_cavum":
        if cavum is None:
            raise ValueError(
                "an absent cavum needs the box of the one that is there; give cavum=(x, y, w, h)"
            )
        return look.blend(*_without_cavum(picture, cavum, look))
    if kind == "ventriculomegaly":
        return look.blend(*_wide_ventricle(frame, look, severity_mm, random))
    return look.blend(*_lump(frame, look, severity_mm, random, bright=kind == "mass"))


class HeadFrame:
    """Where each pixel lies in the head, in mm: u to the forehead, v across, positive on the lower side."""

    def __init__(
        self, shape: tuple[int, ...], head: Ellipse, pixel_mm: float, front: NDArray[np.float64]
    ) -> None:
        self.semi_u, self.semi_v = (pixel_mm * axis for axis in head.semi_axes)
        self.across = np.array([front[1], -front[0]]) * (1 if front[1] >= 0 else -1)
        self.front, self.pixel_mm, self.center = front, pixel_mm, np.asarray(head.center)
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        dr, dc = (rows - head.center[0]) * pixel_mm, (columns - head.center[1]) * pixel_mm
        self.u = (front[0] * dr + front[1] * dc).astype(np.float32)
        self.v = (self.across[0] * dr + self.across[1] * dc).astype(np.float32)
        self.x, self.y = self.u / np.float32(self.semi_u), self.v / np.float32(self.semi_v)
        self.radius = np.hypot(self.x, self.y)
        self.inside = self.radius < INSIDE


class HeadLook:
    """Gray values and grain of the picture within the head."""

    def __init__(self, picture: Image, frame: HeadFrame, random: RandomState) -> None:
        self.picture, self.inside = picture, frame.inside
        if frame.inside.sum() < 100:
            raise ValueError(
                "the head covers less than 100 pixels of the picture; give its ellipse in pixels"
            )
        sigma = max(3.0, 1.2 / frame.pixel_mm)
        self.mean = ndimage.gaussian_filter(picture, sigma)
        self.sd = np.sqrt(np.maximum(ndimage.gaussian_filter((picture - self.mean) ** 2, sigma), 1e-6))
        self.grain = np.clip((picture - self.mean) / self.sd, -2.5, 3.0)
        self.wide = ndimage.gaussian_filter(picture, 3 * sigma)
        self.random = random

    def level(self, percent: float) -> tuple[float, float]:
        """A mean that this share of the head lies below, and the grain's SD at such a mean."""
        means, sds = self.mean[self.inside], self.sd[self.inside]
        mean = float(np.percentile(means, percent))
        like = np.abs(means - mean) <= 0.1 * mean + 0.01
        usual = float(np.median(sds / np.maximum(means, 0.01)))
        return mean, max(float(np.median(sds[like])), 0.6 * usual * mean)

    def donor(self, where: Mask) -> Image:
        """Grain for the pixels `where`, taken from a plain part of the head beside them."""
        rows, columns = np.nonzero(where)
        height, width = where.shape
        best, least = self.grain, math.inf
        for _ in range(24):
            down = int(self.random.uniform(-0.25, 0.25) * height)
            right = int(self.random.uniform(-0.5, 0.5) * width)
            r, c = rows + down, columns + right
            valid = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            r, c = np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)
            odd = np.mean(~(valid & self.inside[r, c])) + np.mean(np.abs(self.grain[r, c]) > 2.4)
            if odd < least:
                least = float(odd)
                best = np.zeros_like(self.grain)
                best[rows, columns] = self.grain[r, c]
        return best

    def blend(
        self,
        structure: Mask,
        drawn: Image,
        walls: Image | None = None,
        edge_px: tuple[float, float] = EDGE_PX,
    ) -> tuple[Image, Mask]:
        """The picture with `drawn` where the structure is and `walls` laid over, and the pixels that changed."""
        share = ndimage.gaussian_filter(structure.astype(np.float32), edge_px)
        out = share * drawn + (1 - share) * self.picture
        if walls is not None:
            out = out + walls * np.maximum(1 - out, 0)
        changed = (share > 0.01) | (False if walls is None else walls > 0.01)
        return np.where(changed, np.clip(out, 0, 1), self.picture).astype(np.float32), changed


def _front(
    head: Ellipse, cavum: Box | None, forehead: ArrayLike | None, random: RandomState
) -> NDArray[np.float64]:
    major = head.directions[0]
    if forehead is not None:
        toward = float(np.dot(major, np.asarray(forehead, dtype=float)))
    elif cavum is not None:
        x, y, w, h = cavum
        toward = float(np.dot(major, np.array([y + h / 2, x + w / 2]) - head.center))
    else:
        toward = random.uniform(-1, 1)
    return np.asarray(major if toward >= 0 else -major)


def draw_walls(blob: Blob, frame: HeadFrame, bright: float, random: RandomState) -> Image:
    """Brightness of the blob's rim, strongest where it is square to the beam and uneven along it."""
    level = blob.level(frame.u, frame.v)
    down, right = np.gradient(level)
    steep = np.hypot(down, right) + np.float32(1e-6)
    distance = (level - 1) / steep  # pixels, near the rim
    square = (np.abs(down) / steep) ** 1.5
    uneven = ndimage.gaussian_filter(random.standard_normal(level.shape).astype(np.float32), (2, 7))
    uneven = np.clip(0.7 + 0.4 * uneven / uneven.std(), 0.1, 1.3)
    sigma = max(1.0, 0.3 / frame.pixel_mm)
    rim = np.exp(-0.5 * (distance / sigma) ** 2) * square * uneven
    return np.where(np.abs(distance) < 4 * sigma, np.float32(bright) * rim, 0).astype(np.float32)


def _wide_ventricle(
    frame: HeadFrame, look: HeadLook, width: float, random: RandomState
) -> tuple[Mask, Image, Image]:
    side = 1 if random.rand() < 0.85 else -1
    ventricle, plexus = draw_ventricle(random, frame.semi_u, frame.semi_v, 0.05 * frame.semi_v, width, side)
    structure = (ventricle.level(frame.u, frame.v) < 1) & frame.inside
    drawn = _fluid(look, structure)
    hangs = (plexus.level(frame.u, frame.v) < 1) & structure
    if random.rand() < 0.7 and hangs.any():
        mean, sd = look.level(88)
        soft = ndimage.gaussian_filter(hangs.astype(np.float32), EDGE_PX)
        drawn = soft * (mean + sd * look.donor(hangs)) + (1 - soft) * drawn
    bright = 1.4 * look.level(97)[0]
    walls = np.where(frame.inside, draw_walls(ventricle, frame, min(bright, 0.9), random), 0)
    return structure, drawn.astype(np.float32), walls.astype(np.float32)


def _fluid(look: HeadLook, structure: Mask) -> Image:
    mean, sd = look.level(4)
    level = np.minimum(min(mean, 0.5 * look.level(50)[0]), 0.6 * look.wide)
    return np.maximum(level + sd * look.donor(structure), 0).astype(np.float32)


def _without_cavum(picture: Image, cavum: Box, look: HeadLook) -> tuple[Mask, Image]:
    """The box and its walls filled with what surrounds it."""
    x, y, w, h = cavum
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    reach_rows, reach_columns = 0.5 * h + 4, 0.5 * w + 5
    level = ((rows - y - h / 2) / reach_rows) ** 4 + ((columns - x - w / 2) / reach_columns) ** 4
    structure = level < 1
    if not (structure & look.inside).any():
        raise ValueError(f"the cavum's box {cavum} lies outside of the head; give x, y, w, h in pixels")
    weight = (look.inside & ~structure).astype(np.float32)
    sigma = (0.6 * reach_rows + 2, 0.6 * reach_columns + 2)
    share = ndimage.gaussian_filter(weight, sigma) + np.float32(1e-6)
    mean, sd = (
        ndimage.gaussian_filter(np.minimum(field, np.percentile(field[look.inside], 85)) * weight, sigma)
        / share
        for field in (look.mean, look.sd)
    )
    return structure, np.maximum(mean + sd * look.donor(structure), 0).astype(np.float32)


def _lump(
    frame: HeadFrame, look: HeadLook, diameter: float, random: RandomState, bright: bool
) -> tuple[Mask, Image, Image | None]:
    """A rounded mass of uneven outline and brightness, or a cyst with thin walls and enhancement behind."""
    room = INSIDE - diameter / (2 * frame.semi_v)
    if room < 0:
        raise ValueError(f"{diameter:.0f} mm do not fit a head of {2 * frame.semi_v:.0f} mm; ask for less")
    angle, far = random.uniform(0, 2 * np.pi), room * math.sqrt(random.rand())
    ratio = random.uniform(0.75, 1.0)
    blob = Blob(far * frame.semi_u * math.cos(angle), far * frame.semi_v * math.sin(angle), diameter / 2,
                ratio * diameter / 2, random.uniform(0, np.pi))  # fmt: skip
    if not bright:
        structure = (blob.level(frame.u, frame.v) < 1) & frame.inside
        walls = np.where(frame.inside, draw_walls(blob, frame, look.level(95)[0], random), 0).astype(
            np.float32
        )
        return structure, _fluid(look, structure), walls
    along, across = blob.local(frame.u, frame.v)
    turn = np.arctan2(across, along)
    outline = sum(
        random.normal(0, 0.07) * np.cos(k * turn + random.uniform(0, 2 * np.pi)) for k in range(2, 6)
    )
    structure = (np.sqrt(blob.level(frame.u, frame.v)) < 1 + np.minimum(outline, 0)) & frame.inside
    mean, sd = look.level(random.uniform(88, 97))
    mean = max(mean, 1.6 * look.level(50)[0])
    patches = ndimage.gaussian_filter(
        random.standard_normal(structure.shape), 0.12 * diameter / frame.pixel_mm
    )
    patches = 1 + 0.2 * patches / patches.std()
    return structure, np.maximum((mean + sd * look.donor(structure)) * patches, 0).astype(np.float32), None


def _bend(picture: Image, frame: HeadFrame, severity: float, random: RandomState) -> tuple[Image, Mask]:
    """Skull and what is next to it moved towards or away from the middle."""
    if severity > 0.35 * frame.semi_v:
        raise ValueError(
            f"a skull of {2 * frame.semi_v:.0f} mm can't be bent by {severity:.0f} mm; ask for less"
        )
    bumps = draw_bumps(random, frame.semi_v, severity)
    height = stretch(np.arctan2(frame.y, frame.x), bumps) - 1
    fade = np.where(
        frame.radius < 1, np.float32(0.35), np.where(height > 0, np.float32(0.2), np.float32(0.6))
    )
    factor = 1 / (1 + height * np.exp(-(((frame.radius - 1) / fade) ** 2)))
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    at_rows = frame.center[0] + (rows - frame.center[0]) * factor
    at_columns = frame.center[1] + (columns - frame.center[1]) * factor
    moved = np.hypot(at_rows - rows, at_columns - columns) > 0.3
    out = ndimage.map_coordinates(picture, [at_rows, at_columns], order=3, mode="constant")
    return np.where(moved, np.clip(out, 0, 1), picture).astype(np.float32), moved
