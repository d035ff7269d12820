"""A fetal head drawn at random in one of the three standard planes, by gestational age, in mm.

Sizes of the head and of the cerebellum are drawn from the INTERGROWTH-21st charts (`fetal_monai.measure.growth`), the
cephalic index from Hadlock 1981, places and sizes of cavum and ventricle from the boxes drawn on trans-ventricular
planes of FETAL_PLANES_DB (doi 10.1038/s41598-020-67076-5), as a share of the skull's length.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState

from fetal_monai.measure.biometry import CEPHALIC_INDEX_MEAN
from fetal_monai.measure.growth import growth_mean_sd
from fetal_monai.measure.shape import Ellipse
from fetal_monai.synthesis.ultrasound_shapes import Blob, Bump, HeadAnatomy

__all__ = ["ABNORMALITIES", "PLANES", "draw_anatomy", "draw_bumps", "draw_ventricle"]

PLANES = ("trans_ventricular", "trans_thalamic", "trans_cerebellar")
ABNORMALITIES = {  # and the plane in which each is looked for first
    "ventriculomegaly": "trans_ventricular",
    "absent_cavum": "trans_thalamic",
    "large_cisterna_magna": "trans_cerebellar",
    "deformed_skull": "trans_thalamic",
}
CEPHALIC_INDEX_SD = 4.4  # %; 74 and 83 are 1 SD from the mean of 78.3 in Hadlock 1981, AJR 137:83
# Mean, SD, least, most. Atrium: 6.6 ± 1.4 mm in Alagappan 1994 (doi 10.1148/radiology.193.2.7972753), 6.4 ± 1.2 in the
# studies that Almog 2003 pooled (doi 10.7863/jum.2003.22.1.39); the upper limit of both is 10 mm
ATRIAL_WIDTH_MM = (6.6, 1.2, 4.0, 9.5)
CISTERNA_MAGNA_MM = (5.5, 1.5, 2.5, 9.5)  # normal is 2 to 10 mm (ISUOG 2007, doi 10.1002/uog.3909)
CAVUM_OF_OFD = (0.058, 0.010, 0.035, 0.08)  # width
DEFAULT_SEVERITY_MM = {
    "ventriculomegaly": (10.5, 20.0),
    "large_cisterna_magna": (10.5, 16.0),
    "deformed_skull": (3.0, 9.0),
}


def draw_anatomy(
    random: RandomState,
    plane: str,
    ga_weeks: float,
    abnormality: str | None = None,
    severity: float | None = None,
) -> HeadAnatomy:
    """A head of that age (weeks, 14 to 40) in that plane; `severity` in mm is the width of the atrium, the depth of
    the cisterna magna or how far the skull departs from an ellipse.

    What can't be drawn (an unknown plane, an age without chart, a structure that does not fit) is a ValueError.
    """
    _check(plane, ga_weeks, abnormality)
    if severity is None and abnormality in DEFAULT_SEVERITY_MM:
        severity = random.uniform(*DEFAULT_SEVERITY_MM[abnormality])
        if abnormality == "ventriculomegaly":  # no wider than a small head of that age has room for
            severity = max(10.1, min(severity, 0.21 * growth_mean_sd("bpd_mm", ga_weeks)[0] + 4.5))
        if abnormality == "large_cisterna_magna":
            severity = max(10.1, min(severity, 0.25 * growth_mean_sd("ofd_mm", ga_weeks)[0]))
    mean, sd = growth_mean_sd("hc_mm", ga_weeks)
    hc_mm = mean + sd * _normal(random, 0, 1, -2, 2)
    ratio = _normal(random, CEPHALIC_INDEX_MEAN, CEPHALIC_INDEX_SD, 69, 88) / 100
    a = hc_mm / Ellipse((0, 0), (1.0, ratio), 0.0).perimeter
    b = ratio * a
    thickness = random.uniform(0.028, 0.042) * b + 0.5
    bumps = draw_bumps(random, b, severity) if abnormality == "deformed_skull" and severity else ()
    measures = dict.fromkeys(("atrial_width_mm", "cavum_width_mm", "tcd_mm", "cisterna_magna_mm"), math.nan)
    parts: list[tuple[str, Blob]] = _hemispheres(random, a, b)
    parts += _midline(random, a, b, thickness)
    if plane != "trans_ventricular":
        parts += _thalami(random, a, b, plane)
    if plane == "trans_cerebellar":
        depth = severity if abnormality == "large_cisterna_magna" else None
        parts += _cerebellum(random, a, b, thickness, ga_weeks, depth, measures)
    if abnormality != "absent_cavum":
        parts += _cavum(random, a, measures)
    ventricles, plexuses = [], []
    if plane == "trans_ventricular" or abnormality == "ventriculomegaly":
        width = min(_normal(random, *ATRIAL_WIDTH_MM), 0.36 * b)
        if abnormality == "ventriculomegaly" and severity is not None:
            width = severity
        measures["atrial_width_mm"] = width
        for side in (1,) if random.rand() < 0.65 else (1, -1):
            ventricle, plexus = draw_ventricle(random, a, b, thickness, width, side)
            ventricles.append(ventricle)
            plexuses.append(plexus)
    head = HeadAnatomy(
        plane, ga_weeks, abnormality, a, b, thickness, measures, bumps, tuple(ventricles), tuple(plexuses),
        tuple(parts),
    )  # fmt: skip
    points = head.outline()
    steps = np.diff(np.vstack([points, points[:1]]), axis=0)
    head.measures.update(
        hc_mm=float(np.hypot(*steps.T).sum()) if bumps else hc_mm,
        bpd_mm=float(np.ptp(points[:, 1])) if bumps else 2 * b,
        ofd_mm=float(np.ptp(points[:, 0])) if bumps else 2 * a,
        deformation_mm=float(severity) if bumps and severity else 0.0,
    )
    return head


def _check(plane: str, ga_weeks: float, abnormality: str | None) -> None:
    if plane not in PLANES:
        raise ValueError(f"there is no plane {plane!r}; there are {', '.join(PLANES)}")
    if abnormality is not None and abnormality not in ABNORMALITIES:
        raise ValueError(f"there is no abnormality {abnormality!r}; there are {', '.join(ABNORMALITIES)}")
    if abnormality == "large_cisterna_magna" and plane != "trans_cerebellar":
        raise ValueError("the cisterna magna is seen in the trans_cerebellar plane only; ask for that")
    if math.isnan(growth_mean_sd("hc_mm", ga_weeks)[0]):
        raise ValueError(f"an age of {ga_weeks} weeks has no chart; give 14 to 40")


def _normal(random: RandomState, mean: float, sd: float, low: float, high: float) -> float:
    return float(np.clip(mean + sd * random.standard_normal(), low, high))


def draw_bumps(random: RandomState, b: float, severity: float) -> tuple[Bump, ...]:
    """A lemon's pinched temples, a flat or dented side, or a pointed vertex."""
    height = severity / b
    kind = random.randint(3)
    if kind == 0:
        at = random.uniform(0.7, 1.0)
        return ((at, 0.35, -height), (-at, 0.35, -height))
    if kind == 1:
        return ((random.uniform(0, 2 * np.pi), random.uniform(0.25, 0.5), -height),)
    return ((random.choice([0.0, np.pi]) + random.normal(0, 0.3), random.uniform(0.25, 0.4), height),)


def _hemispheres(random: RandomState, a: float, b: float) -> list[tuple[str, Blob]]:
    """Darker white matter on both sides, Sylvian fissures, and the walls of the frontal horns beside the cavum."""
    parts = []
    for side in (-1, 1):
        v = side * random.uniform(0.5, 0.62) * b
        parts += [
            ("white_matter", Blob(random.uniform(0.4, 0.55) * a, 0.7 * v, 0.3 * a, 0.3 * b, side * -0.4)),
            ("white_matter", Blob(-random.uniform(0.45, 0.6) * a, 0.9 * v, 0.27 * a, 0.26 * b, side * 0.4)),
        ]
        u, v = random.uniform(0.0, 0.25) * a, side * random.uniform(0.62, 0.74) * b
        tilt = -side * random.uniform(0, 0.35)
        parts.append(
            (
                "sylvian_fissure",
                Blob(u, v, random.uniform(0.18, 0.3) * a, random.uniform(0.05, 0.11) * b, tilt),
            )
        )
        if random.rand() < 0.75:
            u, v = random.uniform(0.36, 0.5) * a, side * random.uniform(0.2, 0.33) * b
            parts.append(("sulcus", Blob(u, v, random.uniform(0.05, 0.11) * a, 0.012 * b + 0.1, side * 0.1)))
    return parts


def _midline(random: RandomState, a: float, b: float, thickness: float) -> list[tuple[str, Blob]]:
    """The falx, before and behind the middle structures, which a share of heads shows in one piece."""
    half = random.uniform(0.3, 0.55)
    front, back = a - thickness, -(a - thickness)
    gap_front, gap_back = random.uniform(0.42, 0.5) * a, -random.uniform(0.25, 0.5) * a
    if random.rand() < 0.3:
        gap_back = random.uniform(-0.05, 0.1) * a
    spans = ((gap_front, front), (back, gap_back))
    return [("midline_falx", Blob((p + q) / 2, 0.0, (q - p) / 2, half, power=8)) for p, q in spans]


def _cavum(random: RandomState, a: float, measures: dict[str, float]) -> list[tuple[str, Blob]]:
    width, length = _normal(random, *CAVUM_OF_OFD) * 2 * a, random.uniform(0.11, 0.17) * 2 * a
    measures["cavum_width_mm"] = width
    blob = Blob(random.uniform(0.27, 0.37) * a, 0.0, length / 2, width / 2, power=6)
    return [("cavum_septi_pellucidi", blob)]


def _thalami(random: RandomState, a: float, b: float, plane: str) -> list[tuple[str, Blob]]:
    """Two halves of a diamond beside the third ventricle."""
    u = random.uniform(-0.22, -0.08) * a + (0.05 * a if plane == "trans_cerebellar" else 0)
    long, wide, tilt = random.uniform(0.2, 0.26) * a, random.uniform(0.14, 0.19) * b, random.uniform(0.2, 0.5)
    halves = [("thalamus", Blob(u, side * (wide + 0.02 * b), long, wide, -side * tilt)) for side in (-1, 1)]
    slit = Blob(u, 0.0, 0.8 * long, random.uniform(0.008, 0.02) * b + 0.25, power=4)
    return [*halves, ("third_ventricle", slit)]


def _cerebellum(
    random: RandomState, a: float, b: float, thickness: float, ga_weeks: float, depth: float | None,
    measures: dict[str, float],
) -> list[tuple[str, Blob]]:  # fmt: skip
    """Two lobes and the vermis, with the cisterna magna between them and the occipital bone."""
    mean, sd = growth_mean_sd("tcd_mm", ga_weeks)
    tcd = min(mean + sd * _normal(random, 0, 1, -2, 2), 1.5 * b)
    cisterna = _normal(random, *CISTERNA_MAGNA_MM) if depth is None else depth
    if depth is None:
        cisterna = min(cisterna, 0.16 * a)
    lobe_u, lobe_v, vermis_u = random.uniform(0.24, 0.29) * tcd, 0.27 * tcd, random.uniform(0.15, 0.2) * tcd
    bone = -(a - thickness)
    u = bone + cisterna + vermis_u
    if u + lobe_u > 0:
        raise ValueError(
            f"a cisterna magna of {cisterna:.1f} mm does not fit a head of {2 * a:.0f} mm; ask for less"
        )
    measures.update(tcd_mm=tcd, cisterna_magna_mm=cisterna)
    lobes = [
        ("cerebellum", Blob(u + 0.15 * lobe_u, side * (tcd / 2 - lobe_v), lobe_u, lobe_v)) for side in (-1, 1)
    ]
    fluid = Blob(bone, 0.0, cisterna + vermis_u, 0.42 * tcd, power=4)
    return [("cisterna_magna", fluid), *lobes, ("cerebellum", Blob(u, 0.0, vermis_u, 0.14 * tcd))]


def draw_ventricle(
    random: RandomState, a: float, b: float, thickness: float, width: float, side: int
) -> tuple[Blob, Blob]:
    """A rounded bar as wide as the atrium, and the plexus, which fills its front unless it is wide."""
    length = random.uniform(0.25, 0.31) * 2 * a + max(0.0, width - 10)
    u = -random.uniform(0.28, 0.36) * a
    room = (b - thickness) * math.sqrt(1 - (u / (a - thickness)) ** 2) - 1.0
    if width > room - 0.5:
        raise ValueError(f"an atrium of {width:.1f} mm does not fit a head of {2 * b:.0f} mm; ask for less")
    centre = random.uniform(0.33, 0.42) * b + 0.35 * max(0.0, width - 9)
    centre = min(max(centre, width / 2 + 0.5), room - width / 2)
    slack = min(1.0, (room - width) / 8)
    tilt = side * slack * random.normal(0.1, 0.12)
    ventricle = Blob(u, side * centre, length / 2, width / 2, tilt, power=4)
    plexus_width = width * random.uniform(0.98, 1.25) if width < 10 else random.uniform(5.5, 8.0)
    plexus_long = random.uniform(0.16, 0.2) * 2 * a
    front = ventricle.half_u - plexus_long / 2 + 0.04 * a
    drop = 0.0 if width < 10 else random.uniform(-0.35, 0.35) * (width - plexus_width)
    cos, sin = math.cos(tilt), math.sin(tilt)
    plexus = Blob(u + cos * front - sin * drop, side * centre + sin * front + cos * drop, plexus_long / 2,
                  plexus_width / 2, tilt + random.normal(0, 0.05), power=4 if width < 10 else 2)  # fmt: skip
    return ventricle, plexus
