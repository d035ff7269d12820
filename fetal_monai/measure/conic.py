"""Direct least squares fits of ellipses as conics, many at once, and the choice of one to refine.

A conic (6,) is the zero set of c0 x^2 + c1 xy + c2 y^2 + c3 x + c4 y + c5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SECTORS = 8  # places of the sector that a start leaves out
SECTOR_WIDTHS = (np.pi / 3, 2 * np.pi / 3, np.pi)
RANDOM_STARTS = 40
RANDOM_POINTS = 9
TOLERANCE = 0.04  # distance that still counts as near, as a share of the points' spread
MAJORITY = 0.65  # of the points by which two starts are compared
BETTER = 0.55  # of the full fit's distance at that share; a start on fewer points must fall below


def direct_conics(points: Floats, weights: Floats) -> Floats:
    """Direct fits (K, 6) to points (N, 2) under weights (K, N); rows of NaN where there is no ellipse.

    Halir and Flusser, Numerically stable direct least squares fitting of ellipses (1998). The points should
    be centred and of unit spread.
    """
    x, y = points.T
    design = np.column_stack([x * x, x * y, y * y, x, y, np.ones_like(x)])
    scatter = (weights @ (design[:, :, None] * design[:, None, :]).reshape(len(points), 36)).reshape(-1, 6, 6)
    scatter /= np.maximum(weights.sum(axis=1), 1e-12)[:, None, None]
    quadratic, mixed, linear = scatter[:, :3, :3], scatter[:, :3, 3:], scatter[:, 3:, 3:]
    to_linear = -np.linalg.solve(linear + 1e-10 * np.eye(3), mixed.transpose(0, 2, 1))
    reduced = quadratic + mixed @ to_linear
    constrained = np.stack([reduced[:, 2] / 2, -reduced[:, 1], reduced[:, 0] / 2], axis=1)
    vectors = np.linalg.eig(constrained)[1].real
    is_ellipse = 4 * vectors[:, 0] * vectors[:, 2] - vectors[:, 1] ** 2
    column = is_ellipse.argmax(axis=1)
    row = np.arange(len(vectors))
    head = vectors[row, :, column]
    conics = np.concatenate([head, (to_linear @ head[:, :, None])[:, :, 0]], axis=1)
    conics[~(is_ellipse[row, column] > 1e-12)] = np.nan
    return np.asarray(conics)


def sampson_distances(conics: Floats, points: Floats) -> Floats:
    """First-order distances (K, N) of points (N, 2) to each conic (K, 6)."""
    x, y = points.T
    design = np.column_stack([x * x, x * y, y * y, x, y, np.ones_like(x)])
    c0, c1, c2, c3, c4 = conics[:, :5].T[:, :, None]
    slope = np.hypot(2 * c0 * x + c1 * y + c3, c1 * x + 2 * c2 * y + c4)
    return np.asarray(np.abs(conics @ design.T) / np.maximum(slope, 1e-12))


def starting_conic(points: Floats, robust: bool) -> Floats | None:
    """The conic (6,) that most of the points (N, 2; centred, of unit spread) lie near, or None.

    That of all points, unless `robust` and a fit without a sector, or through a few points, lies clearly
    nearer to the most of them. Among those the one counts whose distances, cut at a tolerance, are least.
    """
    everything = np.ones((1, len(points)))
    weights = np.concatenate([everything, *_subsets(points)]) if robust else everything
    conics = direct_conics(points, weights)
    conics = conics[np.isfinite(conics).all(axis=1)]
    if not len(conics):
        return None
    distances = sampson_distances(conics, points)
    tolerance = max(TOLERANCE, 2 * float(np.median(distances, axis=1).min()))
    costs = np.mean(np.minimum(distances, tolerance) ** 2, axis=1)
    best = int(costs.argmin())
    most = np.quantile(distances[[0, best]], MAJORITY, axis=1)
    return np.asarray(conics[best if most[1] < BETTER * most[0] else 0])


def conic_matrix(conic: Floats) -> tuple[Floats, Floats] | None:
    """Centre (2,) and symmetric matrix (2, 2) that makes the ellipse of the unit circle; None if none."""
    form = np.array([[conic[0], conic[1] / 2], [conic[1] / 2, conic[2]]])
    if np.linalg.det(form) <= 0:
        return None
    center = -np.linalg.solve(form, conic[3:5]) / 2
    level = -(conic[5] + conic[3:5] @ center / 2)
    if level == 0:
        return None
    values, vectors = np.linalg.eigh(form / level)
    if values[0] <= 0:
        return None
    return center, vectors / np.sqrt(values) @ vectors.T


def _subsets(points: Floats) -> tuple[Floats, Floats]:
    """Weights (K, N), 0 or 1, that leave out sectors about the middle, and that keep only a few points."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    angle = np.arctan2(*(points - middle).T)
    places = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False)
    off = np.abs((angle - places[:, None] + np.pi) % (2 * np.pi) - np.pi)
    sectors = np.concatenate([off > width / 2 for width in SECTOR_WIDTHS]).astype(float)
    order = np.random.default_rng(0).random((RANDOM_STARTS, len(points))).argsort(axis=1)
    few = (order < RANDOM_POINTS).astype(float)
    return sectors[sectors.sum(axis=1) > RANDOM_POINTS], few
