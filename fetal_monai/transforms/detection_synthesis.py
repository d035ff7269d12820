"""Synthetic heads for a detector: pictures in which every structure is known, choroid plexus and all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.structures import Structure, ellipse_points, midline_points, rectangle_points

__all__ = ["synthetic_items", "synthetic_structures"]

SHARES = {"trans_ventricular": 0.8, "trans_thalamic": 0.1, "trans_cerebellar": 0.1}  # of the planes
ABNORMAL = {"ventriculomegaly": 0.2, "absent_cavum": 0.1}  # share of the trans-ventricular heads
PAIRED = ("choroid_plexus", "lateral_ventricle")


def synthetic_items(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Items that stand for `count` synthetic heads, the same for the same `seed`; all that is there has its box."""
    seeds = np.random.SeedSequence([seed, 77]).generate_state(max(count, 1))[:count]
    return [{"synthetic": int(one), "complete": True} for one in seeds]


def synthetic_structures(seed: int) -> tuple[NDArray[np.float32], list[Structure]]:
    """A picture (H, W) in 0..255 and the structures in it, the same for the same `seed`."""
    from fetal_monai.measure.midline import WITHIN, Midline
    from fetal_monai.synthesis.ultrasound import CLASSES, synthesise_head

    random = np.random.RandomState(seed)
    plane = str(random.choice([*SHARES], p=[*SHARES.values()]))
    kind = str(random.choice([*ABNORMAL, ""], p=[*ABNORMAL.values(), 1 - sum(ABNORMAL.values())]))
    abnormality = kind if kind and plane == "trans_ventricular" else None
    head = synthesise_head(random, plane, abnormality=abnormality)
    ellipse = head.ellipse
    long, short = (2 * axis for axis in ellipse.semi_axes)
    midline = Midline(ellipse.center, ellipse.angle, WITHIN * long, 1.0)
    found = [
        Structure("head", ellipse_points(ellipse)),
        Structure("midline_falx", midline_points(midline, short)),
    ]
    row, column = np.indices(head.labels.shape)
    far = (row - ellipse.center[0]) * math.cos(ellipse.angle) > (column - ellipse.center[1]) * math.sin(
        ellipse.angle
    )
    for label in ("cavum_septi_pellucidi", *PAIRED):
        mask = head.labels == CLASSES[label]
        for part in (mask & far, mask & ~far) if label in PAIRED else (mask,):
            corners = _rectangle(part)
            found += [] if corners is None else [Structure(label, corners)]
    return head.image * 255, found


def _rectangle(mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """The corners of the rectangle round a mask that lies as the mask does; None where there is next to nothing."""
    points = np.argwhere(mask)[:, ::-1] + 0.5
    if len(points) < 20:
        return None
    middle = points.mean(axis=0)
    along = np.linalg.eigh(np.cov((points - middle).T))[1][:, 1]
    across = np.array([-along[1], along[0]])
    u, v = (points - middle) @ along, (points - middle) @ across
    center = middle + along * (u.min() + u.max()) / 2 + across * (v.min() + v.max()) / 2
    return rectangle_points(center, math.atan2(along[1], along[0]), np.ptp(u) + 1, np.ptp(v) + 1)
