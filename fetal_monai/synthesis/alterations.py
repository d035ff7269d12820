"""Heads altered in ways that no healthy one is, to learn from: fluid, masses, foreign and missing tissue, dents.

The shapes are random blobs that know no anatomy, so that what learns from them learns what is usual, not one disease.
Ideas: foreign patches (Tan 2022, doi 10.59275/j.melba.2022-e651), training a detector on simulated anomalies alone
(Zavrtanik 2021, doi 10.1109/ICCV48922.2021.00822).

Every function takes a picture (H, W) with values in 0..1 and a ``numpy.random.RandomState``, and returns a new float32
picture and the altered part, float32 (H, W) in 0..1. The same state gives the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

__all__ = [
    "ALTERATIONS",
    "SHARES",
    "alter",
    "blob",
    "dented",
    "erased",
    "fluid",
    "foreign",
    "mass",
    "no_head",
    "rounded",
]

Image = NDArray[np.float32]
Altered = tuple[Image, Image]

LEAST_CHANGE = 0.04  # mean change of gray within a blob, below which nobody could see it


def blob(inside: Image, rng: RandomState, least: float = 0.05, most: float = 0.28) -> Image:
    """A random smooth shape, 0 to 1 with a soft edge, whose middle lies in ``inside`` (H, W; on from 0.5).

    Its radii are between the parts ``least`` and ``most`` of the picture's height; it may reach over the edge of
    ``inside``, where it ends.
    """
    axes = _axes(inside, rng)
    if axes is None:
        return np.zeros_like(inside)
    along, across = axes
    first = np.exp(rng.uniform(*np.log([least, most]))) * len(inside)
    second = first * rng.uniform(0.35, 1.0)
    turn = np.arctan2(across / second, along / first)
    waves = sum(rng.uniform(0, 0.18) / k * np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4))
    radius = np.hypot(along / first, across / second) * (1 + waves)
    softness = rng.uniform(0.5, 2.0) / second
    return np.clip(0.5 + (1 - radius) / (2 * softness), 0, 1).astype(np.float32) * (inside > 0.5)


def rounded(inside: Image, rng: RandomState, least: float = 0.07, most: float = 0.3) -> Image:
    """A random ellipse or bar with rounded corners, as :func:`blob` has it."""
    axes = _axes(inside, rng)
    if axes is None:
        return np.zeros_like(inside)
    first = np.exp(rng.uniform(*np.log([least, most]))) * len(inside)
    second, power = first * rng.uniform(0.3, 1.0), rng.uniform(2, 5)
    along, across = (np.abs(axis / half) ** power for axis, half in zip(axes, (first, second), strict=True))
    softness = rng.uniform(0.3, 1.2) / second
    shape = np.clip(0.5 + (1 - (along + across) ** (1 / power)) / (2 * softness), 0, 1)
    return shape.astype(np.float32) * (inside > 0.5)


def _axes(inside: Image, rng: RandomState) -> tuple[NDArray, NDArray] | None:
    """Places (H, W) along and across a random direction about a random place well inside; None where there is none."""
    rows, columns = np.nonzero(
        ndimage.binary_erosion(inside > 0.5, iterations=max(1, round(0.04 * len(inside))))
    )
    if not len(rows):
        return None
    at, angle = rng.randint(len(rows)), rng.uniform(0, np.pi)
    row, column = np.ogrid[: inside.shape[0], : inside.shape[1]]
    down, right = row - rows[at], column - columns[at]
    return right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)


def _speckled(level: float, shape: tuple[int, ...], rng: RandomState, strength: float) -> Image:
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.6, 1.6))
    return np.clip(level * (1 + strength * grain / max(grain.std(), 1e-6)), 0, 1).astype(np.float32)


def _mixed(image: Image, other: Image, share: Image) -> Image:
    return np.clip(image + (other - image) * share, 0, 1).astype(np.float32)


def _told(before: Image, after: Image, shape: Image) -> Altered:
    """The altered picture, and its shape if the change can be seen, else the picture as it was."""
    within = shape > 0.5
    if not within.any() or np.abs(after - before)[within].mean() < LEAST_CHANGE:
        return before.astype(np.float32), np.zeros_like(shape)
    return after, shape


def fluid(image: Image, inside: Image, rng: RandomState) -> Altered:
    """A dark space, with or without a bright wall (brightest where the beam from above meets it squarely) and a bright
    body that hangs in it."""
    shape = blob(inside, rng, 0.06, 0.32) if rng.rand() < 0.4 else rounded(inside, rng)
    dark = float(np.quantile(image[inside > 0.5], rng.uniform(0.0, 0.12)))
    filling = _speckled(dark, image.shape, rng, 0.4)
    if rng.rand() < 0.5 and (shape > 0.5).any():
        bright = float(np.quantile(image[inside > 0.5], rng.uniform(0.6, 0.97)))
        filling = _mixed(filling, _speckled(bright, image.shape, rng, 0.3), _body(shape, rng))
    after = _mixed(image, filling, shape * rng.uniform(0.75, 1.0))
    if rng.rand() < 0.7:
        wall = np.clip(1 - np.abs(shape - 0.5) * 2, 0, 1) * (
            0.4 + 0.6 * ndimage.gaussian_filter(rng.rand(*image.shape), 4)
        )
        if rng.rand() < 0.6:
            down, right = np.gradient(ndimage.gaussian_filter(shape, 1))
            wall = wall * (np.abs(down) / (np.hypot(down, right) + 1e-6)) ** 1.5
        after = np.clip(after + wall * rng.uniform(0.1, 0.7), 0, 1) * (inside > 0.5)
    return _told(image, after.astype(np.float32), shape)


def _body(shape: Image, rng: RandomState) -> Image:
    """A disc, seen at a slant, about a random place of the shape."""
    rows, columns = np.nonzero(shape > 0.5)
    at, reach = rng.randint(len(rows)), np.sqrt(len(rows) / np.pi) * rng.uniform(0.3, 0.7)
    row, column = np.ogrid[: shape.shape[0], : shape.shape[1]]
    away = np.hypot((row - rows[at]) / rng.uniform(0.4, 1), column - columns[at])
    return np.clip((reach - away) / 1.5, 0, 1).astype(np.float32)


def mass(image: Image, inside: Image, rng: RandomState) -> Altered:
    """A bright space with a texture of its own."""
    shape = blob(inside, rng, 0.05, 0.25)
    bright = float(np.quantile(image[inside > 0.5], rng.uniform(0.75, 0.99)))
    return _told(
        image, _mixed(image, _speckled(bright, image.shape, rng, rng.uniform(0.1, 0.5)), shape), shape
    )


def foreign(image: Image, inside: Image, rng: RandomState) -> Altered:
    """What lies elsewhere in the head, turned and mirrored, put where it does not belong."""
    shape = blob(inside, rng, 0.08, 0.3)
    other = np.roll(
        image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])], rng.randint(0, image.shape, 2), (0, 1)
    )
    return _told(image, _mixed(image, other, shape * rng.uniform(0.6, 1.0)), shape)


def erased(image: Image, inside: Image, rng: RandomState) -> Altered:
    """A part without structure: as bright as it was, all of one texture."""
    shape = blob(inside, rng, 0.08, 0.3)
    width = rng.uniform(4, 9)
    share = ndimage.gaussian_filter(inside, width)
    smooth = ndimage.gaussian_filter(image * inside, width) / np.maximum(share, 1e-3)
    after = _mixed(
        image, np.clip(smooth * _speckled(1.0, image.shape, rng, 0.25), 0, 1).astype(np.float32), shape
    )
    return _told(image, after, shape)


def dented(image: Image, inside: Image, rng: RandomState) -> Altered:
    """A part pulled together or blown up, as by pressure; the skull where it is hit."""
    height, width = image.shape
    rows, columns = np.nonzero(inside > 0.5)
    at = rng.randint(len(rows))
    row, column = np.mgrid[:height, :width].astype(np.float32)
    down, right = row - rows[at], column - columns[at]
    reach = rng.uniform(0.12, 0.3) * height
    pull = rng.uniform(0.35, 0.75) * rng.choice([-1, 1])
    fall = np.clip(1 - (down**2 + right**2) / reach**2, 0, 1) ** 2
    factor = 1 + pull * fall
    places = [rows[at] + down * factor, columns[at] + right * factor]
    after = ndimage.map_coordinates(image, places, order=1).astype(np.float32) * (inside > 0.5)
    return _told(image, after, (np.clip(3 * fall, 0, 1) * (inside > 0.5)).astype(np.float32))


def no_head(image: Image, inside: Image, rng: RandomState) -> Altered:
    """Anything but a head in its frame: upside down, turned, a part of it enlarged, shuffled, or noise; all altered."""
    kind, within = rng.randint(5), (inside > 0.5).astype(np.float32)
    after: NDArray
    if kind == 0:
        after = image[::-1]
    elif kind == 1:
        turned = np.rot90(image, rng.choice([1, 3]))
        after = ndimage.zoom(turned, [n / m for n, m in zip(image.shape, turned.shape, strict=True)], order=1)
    elif kind == 2:
        part = rng.uniform(0.25, 0.5)
        start = rng.uniform(0, 1 - part, 2)
        place = [np.linspace(s, s + part, n) * (n - 1) for s, n in zip(start, image.shape, strict=True)]
        after = ndimage.map_coordinates(image, np.meshgrid(*place, indexing="ij"), order=1)
    elif kind == 3:
        after = np.roll(image, [rng.randint(n // 4, n - n // 4) for n in image.shape], (0, 1))
        after = after[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    else:
        grain = ndimage.gaussian_filter(rng.rand(*image.shape), rng.uniform(0, 3))
        coarse = ndimage.gaussian_filter(rng.rand(*image.shape), rng.uniform(6, 25))
        after = _unit(grain) ** rng.uniform(0.5, 3) * (0.2 + _unit(coarse)) / 1.2
    return (after * within).astype(np.float32), within


def _unit(values: NDArray) -> NDArray:
    return (values - values.min()) / max(float(np.ptp(values)), 1e-6)


ALTERATIONS: dict[str, Callable[[Image, Image, RandomState], Altered]] = {
    "fluid": fluid,
    "mass": mass,
    "foreign": foreign,
    "erased": erased,
    "dented": dented,
    "no_head": no_head,
}
SHARES = {"fluid": 0.4, "mass": 0.2, "foreign": 0.15, "erased": 0.05, "dented": 0.15, "no_head": 0.05}


def alter(
    image: Image, inside: Image, rng: RandomState, shares: Mapping[str, float] | None = None
) -> Altered:
    """The picture altered in one kind, drawn by its share; nothing is altered where it could not be seen."""
    shares = SHARES if shares is None else shares
    kind = rng.choice(list(shares), p=np.array([*shares.values()]) / sum(shares.values()))
    return ALTERATIONS[kind](image, inside, rng)
