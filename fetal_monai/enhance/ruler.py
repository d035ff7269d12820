"""The depth ruler beside an ultrasound picture: regular ticks down a column, and what they stand for in cm.

Only the pattern of small and large ticks tells the step, so a ruler without large ticks, or one that two scales
explain, is not read. Pixels are taken for square: a ruler says nothing of the other axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_CONFIDENCE", "Ruler", "read_ruler"]

Floats = NDArray[np.float64]

MIN_CONFIDENCE = 0.8  # below this a reading is refused
EDGE_SHARE = 0.22  # of the width on each side, where rulers stand
MIN_TICKS, MIN_STEP_PX = 9, 6.0
VISIBLE_CM = (4.0, 30.0)  # how much of the depth a ruler on an abdominal scan may span
MIN_STRENGTH = 25.0  # gray values of 255 that a tick stands out from what is above and below
MIN_FILLED = 0.75  # share of the comb's positions where a tick was seen
MAX_RESIDUAL = 0.04  # of the step, root mean square
MIN_SHARE = 0.85  # of the ticks whose size fits the pattern, from which the pattern with more levels is right
REACH_PX = 14  # a tick is shorter to either side
MIN_SIZE_RATIO = 1.3  # between the median ticks of neighbouring levels
# How ticks are grouped: every n-th tick is of the next level; and the steps in cm that scanners give such a ruler.
PATTERNS: dict[tuple[int, ...], tuple[float, ...]] = {
    (2, 10): (0.5, 0.1),  # 5 mm, 1 cm, 5 cm
    (5, 10): (0.1, 1.0),  # 1 mm, 5 mm, 1 cm
    (5,): (1.0, 0.2, 0.1),  # 1 cm, 5 cm
    (10,): (0.1, 0.5, 1.0),
}


@dataclass(frozen=True)
class Ruler:
    """Ticks at `rows_px` near `column_px`, `step_px` apart, which is `step_cm`; `confidence` lies in 0 to 1.

    `groups` says which ticks are larger: (5,) for every fifth, (2, 10) for every second and, larger still, every tenth.
    """

    column_px: int
    rows_px: Floats
    step_px: float
    step_cm: float
    groups: tuple[int, ...]
    confidence: float

    @property
    def spacing_mm(self) -> float:
        """mm per pixel along rows, and along columns where pixels are square."""
        return 10 * self.step_cm / self.step_px


@dataclass(frozen=True)
class _Comb:
    """Ticks found on a regular grid: `index` counts the grid's positions, `size` is the tick's area in brightness."""

    column: int
    index: NDArray[np.intp]
    rows: Floats
    size: Floats
    step: float
    residual: float
    stray: int

    @property
    def filled(self) -> float:
        return len(self.index) / (self.index[-1] - self.index[0] + 1)

    @property
    def score(self) -> float:
        return len(self.index) * self.filled - self.stray


def read_ruler(image: NDArray, min_confidence: float = MIN_CONFIDENCE) -> Ruler | None:
    """Read the depth ruler of a picture (H, W), gray values 0 to 255; None where there is none that can be relied on.

    `confidence` is the share of the ruler's positions where a tick was seen, times the share of ticks whose size fits
    the pattern, less what the ticks stray from even distances. None also where the ticks' pattern fits two scales.
    Raises ValueError unless the picture has two axes.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim != 2:
        raise ValueError(f"image is {pixels.shape}; a gray picture (H, W) is needed")
    readings = [
        ruler
        for comb in _combs(_stand_out(pixels))
        if (ruler := _interpret(comb)) is not None and ruler.confidence >= min_confidence
    ]
    if not readings:
        return None
    best = max(readings, key=lambda ruler: ruler.confidence * len(ruler.rows_px))
    agree = all(abs(ruler.spacing_mm / best.spacing_mm - 1) < 0.01 for ruler in readings)
    return best if agree else None


def _stand_out(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far a pixel is brighter than what is around it both ways: large on thin, short marks."""
    from scipy import ndimage

    height, width = pixels.shape
    thick = max(5, 2 * round(height / 170) + 1)
    long = max(11, 2 * round(width / 80) + 1)
    across = pixels - ndimage.grey_opening(pixels, (thick, 1))
    along = pixels - ndimage.grey_opening(pixels, (1, long))
    return np.minimum(across, along)


def _combs(marks: NDArray[np.float32]) -> list[_Comb]:
    """The regular rows of ticks at the left and right of a picture; of several in neighbouring columns the best."""
    width = marks.shape[1]
    reach = max(8, round(EDGE_SHARE * width))
    found: list[_Comb] = []
    for column in [*range(1, reach), *range(width - reach, width - 1)]:
        comb = _comb(marks, column)
        if comb is None:
            continue
        if found and column - found[-1].column <= 12:
            found[-1] = max(found[-1], comb, key=lambda c: (round(c.score, 3), float(c.size.sum())))
        else:
            found.append(comb)
    return found


def _comb(marks: NDArray[np.float32], column: int) -> _Comb | None:
    from scipy import signal

    profile = marks[:, column - 1 : column + 2].max(axis=1)
    if np.count_nonzero(profile >= MIN_STRENGTH) < MIN_TICKS:
        return None
    peaks = signal.find_peaks(np.pad(profile, 1), height=MIN_STRENGTH, distance=3, plateau_size=(1, 6))[0] - 1
    if len(peaks) < MIN_TICKS:
        return None
    near = np.clip(peaks[:, None] + np.arange(-3, 4), 0, len(profile) - 1)
    weight = np.where(profile[near] >= 0.3 * profile[peaks, None], profile[near], 0)
    rows = (weight * near).sum(axis=1) / weight.sum(axis=1)
    fit = _regular(rows)
    if fit is None:
        return None
    on, index, step, residual = fit
    strength = profile[peaks]
    inside = (rows >= rows[on][0]) & (rows <= rows[on][-1])
    stray = int(np.count_nonzero(inside & ~on & (strength > 0.5 * np.median(strength[on]))))
    return _Comb(column, index, rows[on], _sizes(marks, column, peaks[on]), step, residual, stray)


def _regular(rows: Floats) -> tuple[NDArray[np.bool_], NDArray[np.intp], float, float] | None:
    """The ticks (mask, their indices, step, residual) of the longest evenly spaced run; None if there is none."""
    most = (rows[-1] - rows[0]) / (MIN_TICKS - 1) + 1
    starts = np.concatenate([rows[:-n] for n in (1, 2)])
    steps = np.concatenate([rows[n:] - rows[:-n] for n in (1, 2)])
    usable = (steps >= MIN_STEP_PX) & (steps <= most)
    offset, step = starts[usable], steps[usable]
    for reach in (3, 8, 20, 1000, 1000):  # each pair of ticks as the seed of a comb that grows both ways
        index = np.rint((rows - offset[:, None]) / step[:, None])
        off = np.abs(rows - offset[:, None] - index * step[:, None])
        on = (off < np.minimum(0.15 * step, 1.5)[:, None]) & (np.abs(index) <= reach)
        count, first, second = (np.where(on, index**n, 0).sum(axis=1) for n in (0, 1, 2))
        total, moment = np.where(on, rows, 0).sum(axis=1), np.where(on, rows * index, 0).sum(axis=1)
        spread = count * second - first**2
        grows = spread > 0
        if not grows.any():
            return None
        slope = (count * moment - first * total)[grows] / spread[grows]
        offset, step = (total[grows] - slope * first[grows]) / count[grows], slope
        keep = step >= MIN_STEP_PX
        offset, step = offset[keep], step[keep]
    index = np.rint((rows - offset[:, None]) / step[:, None])
    off = np.abs(rows - offset[:, None] - index * step[:, None])
    on = off < np.minimum(0.12 * step, 1.5)[:, None]
    best: tuple[float, NDArray[np.bool_], NDArray[np.intp], float, float] | None = None
    for candidate in np.argsort(-on.sum(axis=1), kind="stable")[:12]:
        mask = on[candidate]
        kept = index[candidate][mask].astype(np.intp)
        if len(kept) < MIN_TICKS or len(np.unique(kept)) < len(kept):
            continue
        filled = len(kept) / (kept[-1] - kept[0] + 1)
        stray = np.count_nonzero(~mask & (rows > rows[mask][0]) & (rows < rows[mask][-1]))
        score = len(kept) * filled**2 - stray
        if filled >= MIN_FILLED and (best is None or score > best[0]):
            residual = float(np.sqrt((off[candidate][mask] ** 2).mean()))
            best = score, mask, kept, float(step[candidate]), residual
    return None if best is None else best[1:]


def _sizes(marks: NDArray[np.float32], column: int, rows: NDArray[np.intp]) -> Floats:
    """Brightness summed over each tick, as far to both sides as it goes on; speckle beside it is darker."""
    padded = np.pad(marks, ((2, 2), (REACH_PX + 1, REACH_PX + 1)))
    windows = np.stack([padded[row : row + 5, column : column + 2 * REACH_PX + 3] for row in rows])
    lines = windows[:, 1:4].max(axis=1)
    middle = REACH_PX + 1
    peaks = lines[:, middle - 1 : middle + 2].max(axis=1)
    lit = lines >= np.maximum(0.5 * peaks, 0.4 * np.median(peaks))[:, None]
    sizes = []
    for window, line, bright in zip(windows, lines, lit, strict=True):
        start = middle - 1 + int(np.argmax(line[middle - 1 : middle + 2]))
        dark = np.flatnonzero(~bright)
        left = int(dark[dark < start].max(initial=0))
        right = int(dark[dark > start].min(initial=len(line) - 1))
        sizes.append(float(window[:, left : right + 1].sum()))  # one darker pixel at both ends
    return np.asarray(sizes)


def _interpret(comb: _Comb) -> Ruler | None:
    """The comb with its step in cm, None where its ticks show no pattern, or one that two scales explain."""
    if comb.residual > MAX_RESIDUAL * comb.step or comb.stray > 0.25 * len(comb.index):
        return None
    fits = [
        (share, groups)
        for groups in PATTERNS
        for o in range(groups[-1])
        if (share := _share(comb, groups, o))
    ]
    if not fits:
        return None
    share, groups = max(
        fits, key=lambda fit: (fit[0] >= MIN_SHARE, len(fit[1]) if fit[0] >= MIN_SHARE else 0, fit[0])
    )
    spans = (comb.index[-1] - comb.index[0]) * np.asarray(PATTERNS[groups])
    plausible = [
        s for s, cm in zip(PATTERNS[groups], spans, strict=True) if VISIBLE_CM[0] <= cm <= VISIBLE_CM[1]
    ]
    if len(plausible) != 1:
        return None
    confidence = comb.filled * share * (1 - comb.residual / comb.step)
    return Ruler(comb.column, comb.rows, comb.step, plausible[0], groups, float(confidence))


def _share(comb: _Comb, groups: tuple[int, ...], offset: int) -> float:
    """Share of ticks whose size fits the groups from `offset`; 0 where levels do not differ or are too few."""
    level = sum(((comb.index - offset) % every == 0).astype(int) for every in groups)
    level = np.asarray(level)
    counts = np.bincount(level, minlength=len(groups) + 1)
    wanted = 2 if len(groups) == 1 else 1
    top_positions = comb.index[level == len(groups)]
    # one large tick alone must have had room for another if they were closer
    if counts[-1] < wanted or counts[:-1].min() < 3:
        return 0.0
    if counts[-1] == 1:
        lone = top_positions[0]
        if max(lone - comb.index[0], comb.index[-1] - lone) <= groups[-1] // 2:
            return 0.0
    size = comb.size
    middles = [float(np.median(size[level == n])) for n in range(len(groups) + 1)]
    if any(b < MIN_SIZE_RATIO * a for a, b in pairwise(middles)):
        return 0.0
    borders = np.sqrt(np.multiply(middles[1:], middles[:-1]))
    seen = np.searchsorted(borders, size)
    if ((seen == len(groups)) != (level == len(groups))).any():
        return 0.0  # a large tick where none belongs, or the other way round, is another ruler
    return float((seen == level).mean())
