"""Where cavum and ventricle lie in a head: candidates in unlikely places get a lower score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fetal_monai.measure.midline import WITHIN, Midline
from fetal_monai.measure.structures import Found

__all__ = ["PLACES", "weigh_places"]

# Distance of the middle from the midline, in short axes of the head, and along it from the head's middle, in long axes:
# the 2nd to the 98th centile of 207 drawn heads of trans-ventricular planes. The cavum lay before the middle and the
# ventricle behind it in all 145 that have both.
PLACES = {
    "cavum_septi_pellucidi": ((0.0, 0.064), (0.117, 0.208)),
    "lateral_ventricle": ((0.138, 0.248), (0.132, 0.303)),
}
SLACK = 0.04  # how far outside a candidate has 0.61 of its score left
LEAST = 0.3  # of a score is left in the least likely place, so that an unusual head is not blind


def weigh_places(found: Sequence[Found], midline: Midline, short_axis: float) -> list[Found]:
    """The boxes, best first, with the scores of cavum and ventricle lowered where they hardly ever are.

    `midline` is the head's, `short_axis` that of its ellipse in pixels. Off the usual distances the score falls,
    at most to 0.3 of itself; so it does at the end of the head that all candidates make less likely the front, or back.
    """
    along = np.array([math.cos(midline.angle), math.sin(midline.angle)])
    across = np.array([-along[1], along[0]])
    middle = np.array(midline.center[::-1]) + 0.5
    long_axis = midline.length / WITHIN
    weighed, ends = [], []
    for one in found:
        factor, end = 1.0, 0.0
        if one.label in PLACES:
            off, far = (one.center - middle) @ across / short_axis, (one.center - middle) @ along / long_axis
            for value, (low, high) in zip((abs(off), abs(far)), PLACES[one.label], strict=True):
                excess = max(low - value, value - high, 0.0) / SLACK
                factor *= math.exp(-(excess**2) / 2)
            end = math.copysign(1.0, far) * (1 if one.label == "cavum_septi_pellucidi" else -1)
        weighed.append(replace(one, score=one.score * max(factor, LEAST)))
        ends.append(end)
    evidence = {
        side: sum(
            max(
                (w.score for w, end in zip(weighed, ends, strict=True) if w.label == label and end == side),
                default=0.0,
            )
            for label in PLACES
        )
        for side in (1.0, -1.0)
    }
    for place, (one, end) in enumerate(zip(weighed, ends, strict=True)):
        if end and evidence[end] < evidence[-end]:
            weighed[place] = replace(one, score=one.score * max(LEAST, evidence[end] / evidence[-end]))
    return sorted(weighed, key=lambda one: -one.score)
