"""What a probe makes of a map of tissues: speckle, reflection, shadow, gain and gray values.

Pictures are made on the beams' own grid (depth, angle), as a scanner does, and then brought to rows and columns.
Speckle is the envelope of a complex field of scatterers after a separable point spread function, narrow in depth and
wide across (Wagner 1983, doi 10.1109/T-SU.1983.31404; Bamber and Dickinson 1980, doi 10.1088/0031-9155/25/3/006);
walls reflect by the step of impedance that a beam meets.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

from fetal_monai.synthesis.ultrasound_sector import Sector
from fetal_monai.synthesis.ultrasound_shapes import TISSUES

__all__ = ["compress", "envelope", "expose", "render", "scatter"]

Image = NDArray[np.float32]

BACKSCATTER_DB = {  # against brain
    "skull": 4.0,
    "brain": 0.0,
    "midline_falx": 11.0,
    "cavum_septi_pellucidi": -10.0,
    "lateral_ventricle": -15.0,
    "choroid_plexus": 12.0,
    "cerebellum": 3.0,
    "thalamus": -3.0,
    "cisterna_magna": -13.0,
    "subarachnoid": -6.0,
    "sylvian_fissure": -7.0,
    "third_ventricle": -4.0,
    "sulcus": 6.0,
    "white_matter": -5.0,
    "skin": 8.0,
    "muscle": 1.0,
    "liver": -0.5,
    "lung": 4.0,
    "myocardium": -2.0,
    "blood": -15.0,
    "vessel_wall": 9.0,
    "fluid": -24.0,
    "stroma": 3.0,
    "canal": -7.0,
}
IMPEDANCE = {  # in arbitrary units: what counts is the step across a wall; the skull has its own rule
    "midline_falx": 5.0,
    "cavum_septi_pellucidi": -7.0,
    "lateral_ventricle": -6.0,
    "choroid_plexus": -1.5,
    "cerebellum": 4.0,
    "thalamus": -0.8,
    "cisterna_magna": -1.0,
    "sylvian_fissure": -1.2,
    "third_ventricle": -3.0,
    "sulcus": 5.0,
    "skin": 4.0,
    "muscle": 0.6,
    "lung": 1.2,
    "myocardium": -0.6,
    "blood": -3.0,
    "vessel_wall": 3.0,
    "fluid": -5.0,
    "stroma": 0.5,
    "canal": -2.5,
}
_SCATTER = np.ones(len(TISSUES) + 1, np.float32)
_STEP = np.zeros(len(TISSUES) + 1, np.float32)
for _name, _code in TISSUES.items():
    _SCATTER[_code] = 10 ** (BACKSCATTER_DB.get(_name, 0.0) / 20)
    _STEP[_code] = IMPEDANCE.get(_name, 0.0)


def scatter(
    amplitude: Image, random: RandomState, sigma: tuple[float, float], focus: float = 0.5
) -> NDArray[np.complex64]:
    """Echo (D, B) of many random scatterers of that root-mean-square amplitude.

    `sigma` (samples; depth, angle) is of the Gaussian point spread function, which is narrowest across at the share
    `focus` of the depth and half as wide again at the far ends. The envelope of a homogeneous region is Rayleigh.
    """
    depth, beams = amplitude.shape
    noise = random.standard_normal((2, depth, beams)).astype(np.float32) * amplitude
    noise = _kernel(depth, sigma[0]) @ noise
    wide_sigma = 1.6 * sigma[1]
    narrow, wide = noise @ _kernel(beams, sigma[1]).T, noise @ _kernel(beams, wide_sigma).T
    share = (np.abs(np.linspace(0, 1, depth, dtype=np.float32) - focus) / max(focus, 1 - focus))[:, None]
    field = (1 - share) * narrow + share * wide
    # mean square of white noise after both filters, so that the mean square of the echo is the amplitude's
    cross = 1 / math.sqrt(2 * math.pi * (sigma[1] ** 2 + wide_sigma**2))
    power = ((1 - share) ** 2 / sigma[1] + share**2 / wide_sigma) / (2 * math.sqrt(math.pi)) + 2 * share * (
        1 - share
    ) * cross
    power = power / (2 * math.sqrt(math.pi) * sigma[0])
    field /= np.sqrt(2 * power)
    return field[0] + 1j * field[1]


def envelope(
    backscatter: Image, reflection: Image, random: RandomState, sigma: tuple[float, float], looks: int = 1
) -> Image:
    """Amplitude (D, B) of the echo before gain: speckle of `backscatter`, and a smooth `reflection` in phase with it.

    With `looks` above 1 as many pictures of other speckle are averaged, as compounding does.
    """
    total = np.abs(scatter(backscatter, random, sigma) + reflection)
    for _ in range(looks - 1):
        total += np.abs(scatter(backscatter, random, sigma) + reflection)
    return total / np.float32(looks)


def render(
    tissues: NDArray[np.uint8], facing: Image, sector: Sector, random: RandomState, sigma: tuple[float, float],
    fineness: float = 1.0,
) -> Image:  # fmt: skip
    """Amplitude (D, B) of the echo after gain, brain at about 1, of a map of tissues on the beams' grid.

    `facing` (D, B) is the cosine between beam and skull, used where there is skull; `fineness` multiplies the number
    of small bright echoes in the brain.
    """
    shape = tissues.shape
    skull = tissues == TISSUES["skull"]
    within = (tissues > 0) & (tissues != TISSUES["scalp"])
    texture = random.uniform(1.5, 5) * _smooth(random, shape, (9, 9)) + random.uniform(1, 4) * _smooth(
        random, shape, (45, 26)
    )
    backscatter = _SCATTER[tissues] * _ratio(texture)
    outside = ~within & ~skull
    backscatter[outside] = _surroundings(random, sector, shape)[outside]
    backscatter = np.where(within & ~skull, np.hypot(backscatter, _haze(random, sector, within)), backscatter)
    walls = np.abs(np.diff(_STEP[tissues], axis=0, prepend=_STEP[tissues[:1]])) * _ratio(
        random.uniform(4, 8) * _smooth(random, shape, (20, 24))
    )
    walls *= np.float32(math.sqrt(2 * math.pi) * sigma[0] * random.uniform(0.6, 1.2))
    _add_glints(walls, tissues, random, int(random.uniform(10, 90) * fineness), sigma)
    strength, power = random.uniform(16, 42), random.uniform(1.0, 3.0)
    bone = (
        strength * (random.uniform(0.02, 0.2) + facing**power) * _ratio(3 * _smooth(random, shape, (5, 18)))
    )
    depth, beams = shape
    reflection = _kernel(depth, sigma[0]) @ walls + _kernel(depth, 2.2 * sigma[0]) @ np.where(skull, bone, 0)
    reflection = reflection @ _kernel(beams, sigma[1]).T
    looks = 1 + (random.rand() < 0.4)
    echo = envelope(backscatter.astype(np.float32), reflection.astype(np.float32), random, sigma, looks)
    return echo * _ratio(_gain_db(random, sector, tissues, skull) @ _kernel(beams, 1.2 * sigma[1]).T)


def _ratio(decibels: Image) -> Image:
    """Of amplitudes."""
    return np.exp(decibels * np.float32(math.log(10) / 20), dtype=np.float32)


def _haze(random: RandomState, sector: Sector, within: NDArray[np.bool_]) -> Image:
    """Reverberation behind the near wall of the skull, as amplitude (D, B)."""
    depth = sector.depths[: len(within), None]
    start = np.where(within.any(axis=0), depth[within.argmax(axis=0), 0], np.float32(np.inf))
    behind = depth - start
    strength, reach = random.uniform(0, 1.6), np.float32(random.uniform(6, 24))
    return np.float32(strength) * np.exp(-np.maximum(behind, 0) / reach) * (behind > 0)


def _add_glints(
    walls: Image, tissues: NDArray[np.uint8], random: RandomState, count: int, sigma: tuple[float, float]
) -> None:
    """Put short bright echoes of sulci and vessels into the brain, most of them square to the beam."""
    places = np.flatnonzero(tissues == TISSUES["brain"])
    if not len(places) or not count:
        return
    rows, beams = np.divmod(places[random.randint(len(places), size=count)], tissues.shape[1])
    long = np.maximum(1, random.gamma(2.0, 2.2 * sigma[1], count)).astype(int)
    slope, strength = random.normal(0, 0.25, count), random.gamma(2.0, 1.6, count) * 2.5 * sigma[0]
    bend = random.normal(0, 0.02, count)
    for row, beam, n, tilt, curve, bright in zip(rows, beams, long, slope, bend, strength, strict=True):
        step = np.arange(n)
        r = np.rint(row + tilt * step + curve * step**2).astype(int)
        keep = (r >= 0) & (r < tissues.shape[0]) & (beam + step < tissues.shape[1])
        r, b = r[keep], (beam + step)[keep]
        inside = tissues[r, b] == TISSUES["brain"]
        walls[r[inside], b[inside]] += np.float32(bright)


def _gain_db(
    random: RandomState, sector: Sector, tissues: NDArray[np.uint8], skull: NDArray[np.bool_]
) -> Image:
    """Gain along depth, less what bone takes and the scanner does not make up for, and shadows."""
    loss = skull * np.float32(random.uniform(0.5, 1.7)) - np.isin(tissues, _FLUIDS) * np.float32(0.06)
    loss_db = np.cumsum(loss, axis=0, dtype=np.float32) * np.float32(sector.steps[0])
    drop_db = np.minimum(np.maximum(loss_db - random.uniform(3, 7), 0), random.uniform(12, 30))
    nodes = np.interp(np.linspace(0, 1, tissues.shape[0]), np.linspace(0, 1, 5), random.normal(0, 2.5, 5))
    return nodes[:, None].astype(np.float32) - drop_db - _shadows(random, sector, tissues)


_FLUIDS = [
    TISSUES[n] for n in ("lateral_ventricle", "cavum_septi_pellucidi", "cisterna_magna", "blood", "fluid")
]


def _kernel(n: int, sigma: float) -> Image:
    """Matrix (n, n) that blurs n samples; for a few hundred of them a product is quicker than a filter."""
    at = np.arange(n, dtype=np.float32)
    weight = np.exp(-0.5 * ((at[:, None] - at) / np.float32(sigma)) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


def _smooth(random: RandomState, shape: tuple[int, ...], nodes: tuple[int, int]) -> Image:
    """Standard normal values at nodes, interpolated linearly."""
    values = random.standard_normal(nodes).astype(np.float32)
    hats = []
    for n, count in zip(shape, nodes, strict=True):
        at = np.linspace(0, count - 1, n, dtype=np.float32)[:, None]
        hats.append(np.maximum(1 - np.abs(at - np.arange(count, dtype=np.float32)), 0))
    return hats[0] @ values @ hats[1].T


def _surroundings(random: RandomState, sector: Sector, shape: tuple[int, ...]) -> Image:
    """Layers of the mother's wall over tissue of two scales with pockets of fluid, as amplitude (D, B)."""
    level = random.uniform(-4, 10) + random.uniform(2, 7) * _smooth(random, shape, (8, 8))
    level += random.uniform(1, 5) * _smooth(random, shape, (70, 12)) + 2.5 * _smooth(random, shape, (60, 40))
    pocket = (
        _smooth(random, shape, (6, 6)) + 0.3 * _smooth(random, shape, (18, 18)) - random.uniform(-0.4, 1.6)
    )
    fluid = np.clip(random.uniform(2, 8) * pocket, 0, 1)
    level = level * (1 - fluid) + random.uniform(-26, -12) * fluid
    level += 14 * random.rand() * np.exp(-((6 * pocket) ** 2))
    wall_mm = random.uniform(4, 22)
    depth = sector.depths[: shape[0], None] - np.float32(sector.near)
    layers = (
        random.uniform(0, 9)
        + random.uniform(2, 5) * _smooth(random, shape, (90, 3))
        + 2 * _smooth(random, shape, (60, 40))
    )
    return _ratio(np.where(depth < wall_mm * (1 + 0.2 * _smooth(random, shape, (2, 6))), layers, level))


def _shadows(random: RandomState, sector: Sector, tissues: NDArray[np.uint8]) -> Image:
    """Loss in dB (D, B) behind limbs, gas, or where the probe does not touch."""
    angles, out = sector.angles[None], np.zeros(tissues.shape, np.float32)
    for _ in range(random.choice([0, 1, 2], p=[0.5, 0.35, 0.15])):
        at, width = random.uniform(-1, 1) * sector.half_angle, random.uniform(0.03, 0.14)
        across = np.exp(-(((angles - np.float32(at)) / np.float32(width)) ** 4))
        begin = random.uniform(0, 0.4) * tissues.shape[0] * (random.rand() < 0.5)
        below = np.clip((np.arange(tissues.shape[0], dtype=np.float32)[:, None] - begin) / 20, 0, 1)
        out += np.float32(random.uniform(5, 22)) * across * below
    if random.rand() < 0.4:
        edge = np.abs(angles + np.float32(random.normal(0, 0.1))) / np.float32(sector.half_angle)
        out = (
            out
            + np.float32(random.uniform(5, 25)) * np.clip((edge - random.uniform(0.6, 0.9)) / 0.3, 0, 1) ** 2
        )
    return out


def compress(echo: Image, floor_db: float, range_db: float, gamma: float) -> Image:
    """Gray values 0..1 of an amplitude: logarithm from `floor_db` over `range_db`, then a power."""
    decibels = 20 * np.log10(np.maximum(echo, np.float32(1e-6)))
    return np.clip((decibels - np.float32(floor_db)) / np.float32(range_db), 0, 1) ** np.float32(gamma)


def expose(
    tissues: NDArray[np.uint8], facing: Image, sector: Sector, random: RandomState, shape: tuple[int, int],
    sigma: tuple[float, float], fineness: float = 1.0,
) -> tuple[Image, NDArray[np.bool_]]:  # fmt: skip
    """The picture (H, W), 0..1 in 256 steps, that a scanner shows of what `render` gives, and its sector."""
    echo = render(tissues, facing, sector, random, sigma, fineness)
    range_db = random.uniform(44, 60)
    gray = compress(echo, -random.uniform(0.26, 0.42) * range_db, range_db, random.uniform(1.3, 1.9))
    picture, seen = sector.scan_convert(gray, shape)
    if random.rand() < 0.4:  # what scanners call speckle reduction
        picture = ndimage.gaussian_filter(picture, random.uniform(0.4, 0.9)) * seen
    return np.round(picture * 255).astype(np.float32) / np.float32(255), seen
