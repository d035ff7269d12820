"""Fetal abdomen, thorax and thigh, the mother's cervix and other views, drawn at random in mm.

Sizes follow the INTERGROWTH-21st means of abdominal circumference and femur length (Papageorghiou 2014, doi
10.1016/S0140-6736(14)61490-2), spread by 5 % (SD); what lies inside is placed as the standard planes ask for (ISUOG
2019, doi 10.1002/uog.20272), and the cervix is 20 to 45 mm long. Shapes are ellipses and bars: simple, and no one's
anatomy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import RandomState

from fetal_monai.synthesis.ultrasound_body_parts import (
    SPREAD,
    BodyPlane,
    Part,
    abdominal_circumference_mm,
    bounded,
    femur_length_mm,
    ribs,
    spine,
    trunk,
    vessel,
    wall,
)
from fetal_monai.synthesis.ultrasound_shapes import Blob

__all__ = ["BODY_PLANES", "draw_body"]


def draw_body(random: RandomState, plane: str, ga_weeks: float) -> BodyPlane:
    """One of `BODY_PLANES` at an age in weeks; ValueError for another."""
    if plane not in BODY_PLANES:
        raise ValueError(f"there is no plane {plane!r}; there are {', '.join(BODY_PLANES)}")
    return BODY_PLANES[plane](random, ga_weeks)


def _abdomen(random: RandomState, ga_weeks: float) -> BodyPlane:
    """Liver with the umbilical vein's turn, stomach, spine with the aorta, and rib ends on the outline."""
    a, b, around = trunk(random, abdominal_circumference_mm(ga_weeks))
    side = float(random.choice([-1.0, 1.0]))
    thick = random.uniform(0.04, 0.07) * b
    parts = wall(a, b, thick, "liver")
    if random.rand() < 0.9:
        long = random.uniform(0.14, 0.32) * a
        at = random.uniform(-0.25, 0.1) * a, side * random.uniform(0.35, 0.6) * b
        parts.append(
            (
                "fluid",
                Blob(*at, long, random.uniform(0.4, 0.85) * min(long, 0.4 * b), random.uniform(-0.8, 0.8)),
            )
        )
    vein = random.uniform(0.022, 0.04) * a
    start, bend = random.uniform(0.45, 0.62) * a, random.uniform(0.12, 0.25) * a
    tilt = random.normal(0, 0.15)
    parts += vessel((start + bend) / 2, 0.0, (start - bend) / 2, vein, tilt)
    parts += vessel(bend - 0.06 * a, -side * 0.14 * b, 0.2 * a, 0.9 * vein, -side * random.uniform(0.8, 1.3))
    for _ in range(random.randint(2, 7)):
        place = random.uniform(-0.5, 0.6) * a, -side * random.uniform(0.1, 0.75) * b
        long = random.uniform(0.05, 0.15) * a
        parts.append(
            ("blood", Blob(*place, long, random.uniform(0.6, 1.4) + 0.01 * a, random.uniform(-1.5, 1.5)))
        )
    parts += spine(random, a, b)
    parts += [("blood", Blob(-0.56 * a, side * random.uniform(0.0, 0.1) * b, 0.05 * a, 0.05 * a))]
    parts += ribs(random, a, b, thick, random.randint(0, 5), 0.2)
    return BodyPlane("abdomen", a, b, tuple(parts), {"ac_mm": around}, random.uniform(-math.pi, math.pi))


def _thorax(random: RandomState, ga_weeks: float) -> BodyPlane:
    """Lungs, a heart of four chambers turned to the left, ribs along the wall, spine with the aorta."""
    a, b, around = trunk(random, 0.9 * abdominal_circumference_mm(ga_weeks))
    side = float(random.choice([-1.0, 1.0]))
    thick = random.uniform(0.06, 0.1) * b
    parts = wall(a, b, thick, "lung")
    turn = side * math.radians(random.uniform(25, 65))
    long = random.uniform(0.4, 0.52) * a
    wide = long * random.uniform(0.62, 0.8)
    heart = random.uniform(0.0, 0.15) * a, side * random.uniform(0.08, 0.22) * b
    cos, sin = math.cos(turn), math.sin(turn)

    def at(along: float, across: float) -> tuple[float, float]:
        x, y = along * long, across * wide
        return heart[0] + cos * x - sin * y, heart[1] + sin * x + cos * y

    parts.append(("vessel_wall", Blob(*heart, 1.04 * long, 1.04 * wide, turn)))
    parts.append(("myocardium", Blob(*heart, long, wide, turn)))
    for across in (-0.42, 0.42):
        beat = random.uniform(0.75, 1.15)
        parts.append(("blood", Blob(*at(0.32, 0.95 * across), 0.4 * long * beat, 0.25 * wide * beat, turn)))
        parts.append(("blood", Blob(*at(-0.5, across), 0.27 * long, 0.3 * wide, turn)))
    valves = random.uniform(-0.2, -0.05)
    parts.append(("vessel_wall", Blob(*at(valves, 0.0), 0.025 * a, 0.7 * wide, turn, power=4)))
    parts += spine(random, a, b)
    parts += vessel(-0.5 * a, side * random.uniform(0.02, 0.14) * b, 0.06 * a, 0.06 * a, 0.0)
    parts += ribs(random, a, b, thick, random.randint(2, 7), 0.45)
    return BodyPlane("thorax", a, b, tuple(parts), {"tc_mm": around}, random.uniform(-math.pi, math.pi))


def _femur(random: RandomState, ga_weeks: float) -> BodyPlane:
    """A thigh with its shaft, which lies across the beams or a little turned; at times a knee, or the other leg."""
    length = femur_length_mm(ga_weeks) * (1 + SPREAD * bounded(random))
    thick = 0.045 * length + random.uniform(0.9, 1.6)
    half_v = random.uniform(0.24, 0.4) * length + 2
    half_u = length * random.uniform(0.62, 0.85)
    off = random.uniform(-0.25, 0.15) * half_v
    parts: list[Part] = [
        ("skin", Blob(0, 0, half_u + 1.2, half_v + 1.2, power=4)),
        ("muscle", Blob(0, 0, half_u, half_v, power=4)),
        ("brain", Blob(0, 0.3 * half_v, 0.8 * half_u, 0.4 * half_v)),
    ]
    bow = random.uniform(0.0, 0.05) * length
    parts += [  # two halves: the shaft is bowed
        ("skull", Blob(place * length, off, 0.26 * length, thick / 2, 4 * place * bow / length, power=8))
        for place in (-0.25, 0.25)
    ]
    for end in (-0.5, 0.5):
        parts.append(("skull", Blob(end * length, off + bow, 0.04 * length + 0.5, 0.75 * thick)))
        if random.rand() < 0.5:  # cartilage
            parts.append(("canal", Blob(1.22 * end * length, off + bow, 0.07 * length, 0.09 * length)))
    if random.rand() < 0.5:  # the lower leg
        turn = random.uniform(0.4, 1.4)
        reach = 0.45 * length
        place = 0.62 * length + reach * math.cos(turn), off + reach * math.sin(turn)
        parts.append(("muscle", Blob(*place, 0.5 * length, 0.16 * length, turn, power=4)))
        parts.append(("skull", Blob(*place, 0.4 * length, 0.4 * thick, turn, power=8)))
    angle = random.normal(0, math.radians(18)) + (math.pi if random.rand() < 0.5 else 0)
    return BodyPlane("femur", half_u, half_v, tuple(parts), {"fl_mm": length}, angle)


def _cervix(random: RandomState, ga_weeks: float) -> BodyPlane:
    """Seen through the vagina: stroma with the canal, at whose inner end lie fluid and the fetal head; the bladder."""
    length = random.uniform(20, 45)
    width = random.uniform(0.35, 0.55) * length
    inner = -length / 2
    head_mm = random.uniform(35, 55)
    down = random.uniform(-10, 14)
    parts: list[Part] = []
    if random.rand() < 0.85:  # the uterus' cavity with its fluid and the head in it
        parts.append(("fluid", Blob(inner - 22, down, 24 + random.uniform(0, 4), random.uniform(14, 30))))
        if random.rand() < 0.85:
            place = inner - head_mm - random.uniform(1, 12), down + random.uniform(-14, 18)
            parts.append(("skull", Blob(*place, head_mm, 0.95 * head_mm)))
            parts.append(("brain", Blob(*place, head_mm - 2.2, 0.95 * head_mm - 2.2)))
    parts.append(("stroma", Blob(0, 0, 0.62 * length, width, power=4)))
    parts.append(("brain", Blob(0, 0, 0.56 * length, 0.75 * width)))
    bow = random.uniform(-0.35, 0.35)
    gland, slit = random.uniform(1.8, 4.2), random.uniform(0.3, 0.9)
    for half, thick, tissue in ((0.27, gland, "canal"), (0.26, slit, "vessel_wall")):
        for off in (-0.24, 0.24):
            turn = math.copysign(bow, off)
            y = 0.12 * abs(bow) * length
            parts.append((tissue, Blob(off * length, y, half * length, thick, turn, power=4)))
    if random.rand() < 0.3:  # funnel
        parts.append(
            (
                "fluid",
                Blob(inner + 1, 0.1 * abs(bow) * length, random.uniform(3, 8), random.uniform(2.5, 6)),
            )
        )
    if random.rand() < 0.5:  # bladder
        place = inner + random.uniform(-12, 8), -width - random.uniform(4, 12)
        parts.append(
            ("fluid", Blob(*place, random.uniform(6, 16), random.uniform(3, 8), random.uniform(-0.4, 0.4)))
        )
    angle = random.normal(0, math.radians(18))
    return BodyPlane("cervix", 0.75 * length, width, tuple(parts), {"cervix_mm": length}, angle, "muscle")


def _other(random: RandomState, ga_weeks: float) -> BodyPlane:
    """None of the standard planes: a face, a spine along its length, kidneys, limbs, a placenta, or an early sac."""
    size = abdominal_circumference_mm(ga_weeks) / math.pi
    kind = random.randint(6)
    parts: list[Part] = []
    half_u, half_v = 0.5 * size, 0.45 * size
    if kind == 0:  # both orbits, nose and jaw
        parts += wall(half_u, half_v, 2.0, "muscle")
        for v in (-0.4, 0.4):
            eye = random.uniform(0.15, 0.2) * size
            parts += [
                ("skull", Blob(0, v * half_v, 1.25 * eye, 1.25 * eye)),
                ("fluid", Blob(0, v * half_v, eye, eye)),
            ]
        parts += [
            ("skull", Blob(0.5 * half_u, s * 0.25 * half_v, 0.2 * half_u, 1.0, s * 0.6)) for s in (-1, 1)
        ]
    elif kind == 1:  # spine
        half_u, half_v = 0.85 * size, 0.3 * size
        parts += wall(half_u, half_v, 2.0, "muscle")
        step = random.uniform(0.07, 0.1) * size
        bend = random.uniform(-0.3, 0.3) / size
        for x in np.arange(-0.75 * half_u, 0.75 * half_u, step):
            y = bend * x * x
            parts += [
                ("skull", Blob(float(x), y + s * 0.1 * size, 0.3 * step, 0.022 * size)) for s in (-1, 1)
            ]
    elif kind == 2:  # kidneys beside the spine
        parts += [
            *wall(half_u, half_v, 0.05 * half_v, "muscle"),
            *spine(random, 0.55 * half_u, half_v),
        ]
        for s in (-1, 1):
            place = random.uniform(-0.2, 0.1) * half_u, s * 0.42 * half_v
            parts += [
                ("vessel_wall", Blob(*place, 0.27 * half_u, 0.25 * half_v)),
                ("liver", Blob(*place, 0.25 * half_u, 0.22 * half_v)),
            ]
            parts.append(("fluid", Blob(*place, 0.1 * half_u, random.uniform(0.02, 0.1) * half_v)))
    elif kind == 3:  # arms, legs, fingers in all directions
        for _ in range(random.randint(3, 8)):
            place = random.uniform(-0.8, 0.8) * half_u, random.uniform(-0.8, 0.8) * half_v
            turn = random.uniform(-1.6, 1.6)
            long = random.uniform(0.08, 0.3) * size
            parts.append(("muscle", Blob(*place, 1.2 * long, 0.35 * long + 1, turn, power=4)))
            parts.append(("skull", Blob(*place, long, random.uniform(0.5, 1.2), turn, power=8)))
    elif kind == 4:  # placenta over fluid with loops of the cord
        parts.append(("fluid", Blob(0, 0.3 * half_v, 1.6 * half_u, 1.2 * half_v)))
        parts.append(("lung", Blob(0, -0.8 * half_v, 1.7 * half_u, random.uniform(0.3, 0.6) * half_v)))
        for _ in range(random.randint(1, 8)):
            place = random.uniform(-1, 1) * half_u, random.uniform(-0.2, 1.1) * half_v
            parts += vessel(*place, random.uniform(3, 9), random.uniform(1.5, 3), random.uniform(-1.5, 1.5))
    else:  # a sac with something small in it
        parts.append(("fluid", Blob(0, 0, 1.1 * half_u, 0.8 * half_v)))
        place = random.uniform(-0.5, 0.5) * half_u, random.uniform(0, 0.4) * half_v
        long = random.uniform(0.2, 0.45) * size
        parts.append(("muscle", Blob(*place, long, 0.45 * long, random.uniform(-1, 1))))
        parts.append(("liver", Blob(place[0] + 0.7 * long, place[1] - 0.2 * long, 0.4 * long, 0.36 * long)))
    return BodyPlane("other", half_u, half_v, tuple(parts), {}, random.uniform(-math.pi, math.pi))


BODY_PLANES: dict[str, Callable[[RandomState, float], BodyPlane]] = {
    "abdomen": _abdomen,
    "thorax": _thorax,
    "femur": _femur,
    "cervix": _cervix,
    "other": _other,
}
