"""Scores of cavum and ventricle by where they lie in a head of 200 x 120 pixels round (150, 100)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.midline import WITHIN, Midline
from fetal_monai.measure.places import LEAST, weigh_places
from fetal_monai.measure.structures import Found

SHORT, LONG = 120.0, 200.0


def at(label: str, along: float, off: float, score: float = 0.8, angle: float = 0.0) -> Found:
    """A box of 20 x 10 at a place in parts of both axes."""
    direction = np.array([math.cos(angle), math.sin(angle)])
    center = (
        np.array([150, 100])
        + along * LONG * direction
        + off * SHORT * np.array([-direction[1], direction[0]])
    )
    return Found(label, score, np.array([*(center - [10, 5]), 20, 10]), angle, np.array([0.0, 10.0]))


def weighed(*found: Found, angle: float = 0.0) -> list[tuple[str, float]]:
    midline = Midline((99.5, 149.5), angle, WITHIN * LONG, 0.1)
    return [(one.label, round(one.score, 3)) for one in weigh_places(found, midline, SHORT)]


@pytest.mark.parametrize("angle", [0.0, 0.6, -1.2])
@pytest.mark.parametrize("side", [1, -1])
def test_usual_places_keep_their_score(angle, side):
    cavum = at("cavum_septi_pellucidi", 0.16 * side, 0.02, 0.8, angle)
    ventricle = at("lateral_ventricle", -0.25 * side, 0.18, 0.7, angle)
    head = at("head", 0, 0, 0.9, angle)
    assert weighed(head, cavum, ventricle, angle=angle) == [
        ("head", 0.9),
        ("cavum_septi_pellucidi", 0.8),
        ("lateral_ventricle", 0.7),
    ]


def test_off_the_midline_there_is_no_cavum():
    """0.04 further off than usual leaves exp(-1/2); far off the least."""
    assert weighed(at("cavum_septi_pellucidi", 0.16, 0.104)) == [
        ("cavum_septi_pellucidi", round(0.8 * math.exp(-0.5), 3))
    ]
    assert weighed(at("cavum_septi_pellucidi", 0.16, -0.4)) == [
        ("cavum_septi_pellucidi", round(0.8 * LEAST, 3))
    ]


def test_two_ends_agree_on_the_front():
    """A cavum before and one behind: the ventricle at the back says which it is, and the order changes."""
    wrong = at("cavum_septi_pellucidi", -0.16, 0.0, 0.8)
    right = at("cavum_septi_pellucidi", 0.16, 0.0, 0.7)
    ventricle = at("lateral_ventricle", -0.25, 0.18, 0.6)
    assert weighed(wrong, right, ventricle) == [
        ("cavum_septi_pellucidi", 0.7),
        ("lateral_ventricle", 0.6),
        ("cavum_septi_pellucidi", round(0.8 * 0.8 / 1.3, 3)),
    ]


def test_others_are_left_alone():
    assert weighed(at("choroid_plexus", 0.5, 0.5)) == [("choroid_plexus", 0.8)]
