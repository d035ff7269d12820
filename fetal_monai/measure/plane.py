"""Standard planes of an ultrasound examination, and what is made of a classifier's answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NONE_OF_THESE", "PLANES", "plane_measures", "probabilities"]

PLANES = (
    "trans_thalamic",
    "trans_cerebellar",
    "trans_ventricular",
    "abdomen",
    "thorax",
    "femur",
    "cervix",
    "other",
)
NONE_OF_THESE = "none_of_these"
UNSURE = 0.5  # probability of the first below which it is unsure


def probabilities(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of logits (..., C) over a temperature, (..., C); ValueError for a temperature that is not above 0.

    Source: Guo 2017, On calibration of modern neural networks, arXiv 1706.04599.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be above 0")
    scaled = np.asarray(logits, dtype=float) / temperature
    weight = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def plane_measures(
    chances: Sequence[float], is_none: bool = False, planes: Sequence[str] = PLANES
) -> tuple[dict[str, float | str], list[str]]:
    """Columns `plane`, `plane_second` and `probability_<plane>` of probabilities (C,), and flags.

    Where it is none of these, `plane` says so and `plane_second` is the likeliest. ValueError if a plane has no
    probability.
    """
    values = [float(value) for value in chances]
    if len(values) != len(planes):
        raise ValueError(f"{len(values)} probabilities for {len(planes)} planes")
    first, second = (planes[place] for place in np.argsort(values, kind="stable")[::-1][:2])
    flags = [] if max(values) >= UNSURE else ["unsure_plane"]
    if is_none:
        first, second, flags = NONE_OF_THESE, first, [NONE_OF_THESE]
    told = {f"probability_{plane}": value for plane, value in zip(planes, values, strict=True)}
    return {"plane": first, "plane_second": second, **told}, flags
