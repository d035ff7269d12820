"""HC against the INTERGROWTH-21st centile curves, as SVG that is written into the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fetal_monai.record import Record
from fetal_monai.report.flags import level_of
from fetal_monai.report.labels import describe_spacing, interval_text, number_text

__all__ = ["CENTILES", "MARK_NAMES", "flag_level", "growth_section", "known", "mark", "mark_key", "not_shown"]

CENTILES = (3, 10, 50, 90, 97)
FIRST_WEEK, LAST_WEEK = 14, 40
MARKS = {  # shape and colours by the level of the flags
    "": ("#0b6470", "#0b6470"),
    "check": ("#855000", "#ffd27a"),
    "stop": ("#a01c1c", "#ffffff"),
}
MARK_NAMES = {
    "": "no flag that bears on use",
    "check": "flagged: look before use",
    "stop": "flagged: do not use",
}
INTERGROWTH = "https://doi.org/10.1016/S0140-6736(14)61490-2"


def growth_section(records: Sequence[tuple[str, Record]]) -> str:
    """The chart with its legend for the (id, record) that have `ga_weeks` and `hc_mm`; a hint if none has."""
    measured = [(anchor, record) for anchor, record in records if known(record, "hc_mm")]
    aged = [(anchor, record) for anchor, record in measured if known(record, "ga_weeks")]
    drawn = [item for item in aged if FIRST_WEEK <= float(item[1].measures["ga_weeks"]) <= LAST_WEEK]
    title = "<h2>Head circumference for gestational age</h2>"
    if not drawn:
        what = "No scan with a head circumference has an age"
        what = f"{len(aged)} scans have an age, none from 14 to 40 weeks" if aged else what
        return (
            f'<section id="growth">{title}<p class="quiet">{what}, so there is nothing to compare with the growth '
            'charts. Ages come from a column <span class="mono">ga_weeks</span> in the CSV beside the images, or '
            'from <span class="mono">--ga_weeks</span>.</p></section>'
        )
    left_out = not_shown(len(measured) - len(aged), len(aged) - len(drawn), FIRST_WEEK, LAST_WEEK)
    return (
        f'<section id="growth" class="chart">{title}'
        f'<p class="quiet">{len(drawn)} scan{"s" if len(drawn) != 1 else ""} with a known age.{left_out} '
        "Vertical lines are the 90 % interval of the measurement.</p>"
        f"{_svg(drawn, _Frame(720, 440, 'wide'))}{_svg(drawn, _Frame(358, 400, 'narrow', week_step=4))}"
        f"{mark_key([record for _, record in drawn])}<p><small>Curves: 3rd, 10th, 50th, 90th and 97th centile of "
        f'INTERGROWTH-21st (<a href="{INTERGROWTH}">Papageorghiou 2014</a>). Ages as given with the scans, not '
        "estimated from them.</small></p></section>"
    )


def not_shown(ageless: int, outside: int, first: float, last: float) -> str:
    """How many scans a chart of `first` to `last` weeks leaves out, and why; empty if none."""
    missing = [f"{ageless} without an age"] if ageless else []
    if outside:
        missing.append(f"{outside} outside {first:g} to {last:g} weeks")
    return f" Not shown: {', '.join(missing)}." if missing else ""


@dataclass
class _Frame:
    """Where millimetres and weeks lie in a picture of `width` x `height`."""

    width: float
    height: float
    name: str
    week_step: int = 2
    low_mm: float = 50
    high_mm: float = 400
    left: float = 48
    right: float = 40
    top: float = 12
    bottom: float = 46

    def x(self, weeks: float) -> float:
        share = (weeks - FIRST_WEEK) / (LAST_WEEK - FIRST_WEEK)
        return self.left + share * (self.width - self.left - self.right)

    def y(self, mm: float) -> float:
        share = (mm - self.low_mm) / (self.high_mm - self.low_mm)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def _svg(drawn: Sequence[tuple[str, Record]], frame: _Frame) -> str:
    from fetal_monai.measure.growth import centile_curve

    values = [float(record.measures["hc_mm"]) for _, record in drawn]
    frame.low_mm = min(50.0, 50 * math.floor(min(values) / 50))
    frame.high_mm = max(400.0, 50 * math.ceil(max(values) / 50))
    weeks = [FIRST_WEEK + step / 4 for step in range(4 * (LAST_WEEK - FIRST_WEEK) + 1)]
    curves = [[float(mm) for mm in curve] for curve in centile_curve("hc_mm", weeks, CENTILES)]
    paths = [
        [(frame.x(week), frame.y(mm)) for week, mm in zip(weeks, curve, strict=True)] for curve in curves
    ]
    band = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*paths[1], *reversed(paths[3])])
    parts = [*_grid(frame), f'<polygon points="{band}" fill="#0b6470" opacity="0.07"/>']
    lowest = math.inf
    for percent, path in zip(CENTILES, paths, strict=True):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        style = {50: 'stroke-width="2"', 3: 'stroke-dasharray="5 4"', 97: 'stroke-dasharray="5 4"'}.get(
            percent, ""
        )
        parts.append(
            f'<polyline data-centile="{percent}" points="{points}" fill="none" stroke="#6d8f96" {style}/>'
        )
        lowest = min(path[-1][1] + 4, lowest - 12)  # names of curves must not touch
        parts.append(
            f'<text x="{path[-1][0] + 5:.1f}" y="{lowest:.1f}">{percent}{"rd" if percent == 3 else "th"}</text>'
        )
    order = ["", "check", "stop"]
    parts += [
        _point(*item, frame) for item in sorted(drawn, key=lambda item: order.index(flag_level(item[1])))
    ]
    words = f"Head circumference in mm over gestational age in weeks, {len(drawn)} scans, with centile curves"
    return (
        f'<svg class="{frame.name}" viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" '
        f'aria-label="{words}">{"".join(parts)}</svg>'
    )


def _grid(frame: _Frame) -> list[str]:
    parts = []
    base = frame.y(frame.low_mm)
    for mm in range(int(frame.low_mm), int(frame.high_mm) + 1, 50):
        y = frame.y(mm)
        ends = f'x1="{frame.left:g}" x2="{frame.width - frame.right:g}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line {ends} stroke="{"#8793a1" if mm == frame.low_mm else "#e6eaee"}"/>')
        parts.append(f'<text x="{frame.left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{mm}</text>')
    for week in range(FIRST_WEEK, LAST_WEEK + 1, frame.week_step):
        x = frame.x(week)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base:.1f}" y2="{base + 4:.1f}" stroke="#8793a1"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{base + 18:.1f}" text-anchor="middle">{week}</text>')
    middle = (frame.x(FIRST_WEEK) + frame.x(LAST_WEEK)) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{frame.height - 8:g}" text-anchor="middle">'
        "Gestational age, weeks</text>"
    )
    parts.append(
        f'<text class="axis" transform="translate(13 {(frame.y(frame.low_mm) + frame.top) / 2:.1f}) rotate(-90)" '
        'text-anchor="middle">Head circumference, mm</text>'
    )
    return parts


def _point(anchor: str, record: Record, frame: _Frame) -> str:
    value, weeks = float(record.measures["hc_mm"]), float(record.measures["ga_weeks"])
    x, y = frame.x(weeks), frame.y(value)
    level = flag_level(record)
    between = interval_text(record, "hc_mm")
    bar = ""
    if between:
        low, high = (float(record.measures[f"hc_mm_{bound}"]) for bound in ("low", "high"))
        top, bottom = frame.y(min(high, frame.high_mm)), frame.y(max(low, frame.low_mm))
        bar = f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" stroke="{MARKS[level][0]}" stroke-width="1.2"/>'
    words = f"{record.filename}: HC {number_text('hc_mm', value)} mm"
    words += f" (90 % {between})" if between else ""
    words += f" at {number_text('ga_weeks', weeks)} weeks; spacing {describe_spacing(record)}"
    return f'<a href="#{anchor}"><title>{escape(words)}</title>{bar}{mark(x, y, level)}</a>'


def mark_key(records: Sequence[Record]) -> str:
    """What the marks of these records stand for."""
    levels = {flag_level(record) for record in records}
    keys = "".join(
        f'<li><svg viewBox="0 0 18 14" aria-hidden="true">{mark(9, 7, level)}</svg>{name}</li>'
        for level, name in MARK_NAMES.items()
        if level in levels
    )
    return f'<ul class="key quiet">{keys}</ul>'


def mark(x: float, y: float, level: str) -> str:
    """A point of a chart: a disc, a triangle or a diamond by the weight of its flags."""
    stroke, fill = MARKS[level]
    style = f'fill="{fill}" stroke="{stroke}" stroke-width="1.5"'
    if not level:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {style} fill-opacity="0.75"/>'
    if level == "check":
        return f'<path d="M{x:.1f} {y - 5.5:.1f}l5 9h-10z" {style}/>'
    return f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" {style}/>'


def flag_level(record: Record) -> str:
    """`check`, `stop` or "": how a scan is marked."""
    level = level_of(record.all_flags)
    return level if level in ("check", "stop") else ""


def known(record: Record, name: str) -> bool:
    """Whether a scan has a number for a measure."""
    value = record.measures.get(name)
    return not record.failed and isinstance(value, int | float) and math.isfinite(value)
