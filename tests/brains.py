"""Label maps of brains made of ellipsoids, whose measures can be worked out by hand."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from scipy.spatial.transform import Rotation

ATRIUM_LEFT_MM, ATRIUM_RIGHT_MM, TCD_MM, BPD_MM, OFD_MM = 10.0, 14.0, 36.0, 72.0, 92.0
CEREBELLUM_ML = 4 / 3 * np.pi * 18 * 10 * 9 / 1000
PARTS = (  # label, centre, semi-axes (right, anterior, superior), turn in degrees about the vertical
    (1, (0, -2, 8), (41, 52, 42), 0),
    (2, (0, -2, 10), (36, 46, 34), 0),
    (3, (0, -2, 10), (32, 42, 30), 0),
    (6, (0, 4, 0), (14, 16, 10), 0),
    (4, (0, 4, 0), (1.5, 12, 8), 0),  # third ventricle
    (4, (0, 10, 16), (4, 12, 4), 0),  # cavum septi pellucidi
    (4, (-18, -20, -4), (5, 14, 8), 15),
    (4, (18, -20, -4), (7, 14, 8), -15),
    (5, (0, -24, -30), (18, 10, 9), 0),
    (7, (0, -8, -28), (6, 6, 12), 0),
)
STRONG_TILT = Rotation.from_euler("xyz", [35, -20, 50], degrees=True).as_matrix()


def brain_labels(spacing=(1.2, 1.2, 1.2), rotation=None, scale=1.0, without=(), shift=(0.0, 0.0, 0.0)):
    """Labels (I, J, K) and affine of a brain of about 30 weeks that lies turned by `rotation` (3, 3).

    Atria 10 mm (left) and 14 mm (right) wide, each turned by 15 degrees from the long axis; a third ventricle and a
    cavum that must not count. `shift` in mm moves the grid, not the brain.
    """
    rotation = np.eye(3) if rotation is None else rotation
    half = 62.0 * scale
    shape = tuple(int(2 * half / step) for step in spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.asarray(shift) + 0.37 - half
    labels = np.zeros(shape, dtype=np.uint8)
    for label, center, axes, degrees in PARTS:
        if label in without:
            continue
        middle = rotation @ np.multiply(center, scale)
        low = np.maximum(np.floor((middle - max(axes) * scale - affine[:3, 3]) / spacing).astype(int), 0)
        high = np.ceil((middle + max(axes) * scale - affine[:3, 3]) / spacing).astype(int) + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.stack(
            np.mgrid[tuple(slice(a, min(b, n)) for a, b, n in zip(low, high, shape, strict=True))], axis=-1
        )
        turn = rotation @ Rotation.from_euler("z", degrees, degrees=True).as_matrix()
        local = (grid * spacing + affine[:3, 3] - middle) @ turn / np.multiply(axes, scale)
        labels[box][(local**2).sum(axis=-1) < 1] = label
    return labels, affine


def stored_otherwise(labels, affine):
    """The same volume in all 48 orders and directions of its axes, each with its affine."""
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        turned, columns, corner = labels.transpose(order), affine[:3, :3][:, order], affine[:3, 3].copy()
        for axis, sign in enumerate(signs):
            if sign < 0:
                corner += columns[:, axis] * (turned.shape[axis] - 1)
                columns = columns * np.where(np.arange(3) == axis, -1, 1)
                turned = np.flip(turned, axis)
        stored = np.eye(4)
        stored[:3, :3], stored[:3, 3] = columns, corner
        yield turned, stored
