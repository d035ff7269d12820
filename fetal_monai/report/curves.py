"""Measures against age: small charts with the centile curves of a normative model, as SVG written into the page.

The curves come as a table, which `curve_table` makes and JSON keeps, so that the page can be made again:
`{"source": text, "weeks": [W], "measures": {name: {"mean": [W], "sd": [W]}}}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import NormalDist
from typing import Any, Protocol, SupportsFloat

from fetal_monai.record import Record
from fetal_monai.report.chart import flag_level, known, mark, mark_key, not_shown
from fetal_monai.report.labels import label, number_text, unit, value_text

__all__ = ["CURVE_CENTILES", "Normative", "curve_table", "curves_of", "curves_section"]

CURVE_CENTILES = (3, 50, 97)
Z = {percent: NormalDist().inv_cdf(percent / 100) for percent in CURVE_CENTILES}
LIMITS = {  # lines that a grade begins at
    "atrial_width_left_mm": (10.0, 15.0),
    "atrial_width_right_mm": (10.0, 15.0),
}
WIDTH, HEIGHT = 356.0, 220.0


class Normative(Protocol):
    """What is expected of a measure at an age."""

    def expected(self, name: str, ga_weeks: float, /) -> tuple[SupportsFloat, SupportsFloat]:
        """Mean and standard deviation, NaN where there is none."""


def curve_table(
    model: Normative, names: Iterable[str], weeks: Iterable[float], source: str = ""
) -> dict[str, Any]:
    """What a model expects of measures at ages in weeks, as a table for `run.json` or `Record.extra["curves"]`.

    Undefined values are None; a measure of which nothing is expected is left out. `source` says what the model
    stands on.
    """
    ages = [float(week) for week in weeks]
    measures = {}
    for name in names:
        pairs = [[float(value) for value in model.expected(name, week)] for week in ages]
        pairs = [pair if all(map(math.isfinite, pair)) else [] for pair in pairs]
        if any(pairs):
            mean, sd = ([pair[n] if pair else None for pair in pairs] for n in (0, 1))
            measures[name] = {"mean": mean, "sd": sd}
    return {"source": source, "weeks": ages, "measures": measures}


def curves_of(info: Mapping[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """The table of curves that a run holds under `curves`, or else one of its records under `extra`; {} if none."""
    tables = [info.get("curves"), *(record.extra.get("curves") for record in records)]
    return next((table for table in tables if isinstance(table, dict) and table.get("measures")), {})


def curves_section(records: Sequence[tuple[str, Record]], table: Mapping[str, Any]) -> str:
    """A chart for each measure of the table that any (id, record) has with an age; a hint if none can be drawn."""
    title = "<h2>Measures for gestational age</h2>"
    weeks = [float(week) for week in table.get("weeks", [])]
    names = [name for name in table.get("measures", {}) if any(known(record, name) for _, record in records)]
    aged = [item for item in records if known(item[1], "ga_weeks")]
    drawn = [item for item in aged if weeks and weeks[0] <= float(item[1].measures["ga_weeks"]) <= weeks[-1]]
    if not (names and drawn):
        what = "No volume has an age"
        if not names:
            what = "There are no curves for these measures"
        elif aged:
            what = f"No age lies between {weeks[0]:g} and {weeks[-1]:g} weeks, where the curves hold"
        return (
            f'<section id="curves">{title}<p class="quiet">{what}, so there is nothing to compare with. Ages come from '
            'a column <span class="mono">ga_weeks</span> in the CSV beside the volumes, or from '
            '<span class="mono">--ga_weeks</span>.</p></section>'
        )
    left_out = not_shown(len(records) - len(aged), len(aged) - len(drawn), weeks[0], weeks[-1])
    charts = "".join(_chart(name, drawn, weeks, table["measures"][name]) for name in names)
    source = f" {escape(str(table['source']))}" if table.get("source") else ""
    return (
        f'<section id="curves">{title}<p class="quiet">{len(drawn)} volume{"s" if len(drawn) != 1 else ""} with a '
        f"known age.{left_out} Click on a mark to see its scan.</p>{mark_key([record for _, record in drawn])}"
        f'<div class="charts">{charts}</div><p><small>Curves: 3rd centile, median and 97th centile.{source}</small></p>'
        "</section>"
    )


@dataclass
class _Frame:
    """Where weeks and values lie in a chart."""

    weeks: tuple[float, float]
    values: tuple[float, float]
    left: float = 44
    right: float = 34
    top: float = 10
    bottom: float = 30

    def x(self, weeks: float) -> float:
        share = (weeks - self.weeks[0]) / (self.weeks[1] - self.weeks[0])
        return self.left + share * (WIDTH - self.left - self.right)

    def y(self, value: float) -> float:
        share = (value - self.values[0]) / (self.values[1] - self.values[0])
        return HEIGHT - self.bottom - share * (HEIGHT - self.top - self.bottom)


def _chart(
    name: str, records: Sequence[tuple[str, Record]], weeks: Sequence[float], expected: Mapping[str, Any]
) -> str:
    rows = [
        (week, mean, sd)
        for week, mean, sd in zip(weeks, expected["mean"], expected["sd"], strict=True)
        if mean is not None and sd is not None
    ]
    curves = {percent: [(week, mean + z * sd) for week, mean, sd in rows] for percent, z in Z.items()}
    shown = [item for item in records if known(item[1], name)]
    values = [float(record.measures[name]) for _, record in shown]
    values += [value for curve in curves.values() for _, value in curve]
    ticks = _ticks(min(values), max(values))
    last = weeks[-1] if weeks[-1] > weeks[0] else weeks[0] + 1
    frame = _Frame((weeks[0], last), (ticks[0], ticks[-1]))
    parts = _grid(name, frame, ticks)
    paths = {percent: [(frame.x(w), frame.y(v)) for w, v in curve] for percent, curve in curves.items()}
    parts.append(
        f'<polygon points="{_points([*paths[3], *reversed(paths[97])])}" fill="#0b6470" opacity="0.08"/>'
    )
    lowest = math.inf
    for percent, path in paths.items():
        style = 'stroke-width="2"' if percent == 50 else 'stroke-dasharray="5 4"'
        parts.append(
            f'<polyline data-centile="{percent}" points="{_points(path)}" fill="none" stroke="#6d8f96" {style}/>'
        )
        lowest = min(path[-1][1] + 4, lowest - 12)  # names of curves must not touch
        ending = "rd" if percent == 3 else "th"
        parts.append(f'<text x="{path[-1][0] + 4:.1f}" y="{lowest:.1f}">{percent}{ending}</text>')
    order = ["", "check", "stop"]
    for anchor, record in sorted(shown, key=lambda item: order.index(flag_level(item[1]))):
        x, y = frame.x(float(record.measures["ga_weeks"])), frame.y(float(record.measures[name]))
        words = f"{record.filename}: {label(name)} {value_text(name, record.measures[name])}"
        words += f" at {number_text('ga_weeks', record.measures['ga_weeks'])} weeks"
        z = number_text(f"{name}_z", record.measures.get(f"{name}_z"))
        words += f", z {z}" if z else ""
        parts.append(
            f'<a href="#{anchor}"><title>{escape(words)}</title>{mark(x, y, flag_level(record))}</a>'
        )
    measured = f", {unit(name)}" if unit(name) else ""
    about = f"{label(name)}{measured} over gestational age in weeks, {len(shown)} scans, with centile curves"
    return (
        f"<figure><figcaption>{escape(label(name))}<small>{escape(measured)}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(about)}" '
        f'data-measure="{escape(name)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _grid(name: str, frame: _Frame, ticks: Sequence[float]) -> list[str]:
    parts = []
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for tick in ticks:
        y = frame.y(tick)
        ends = f'x1="{frame.left:g}" x2="{WIDTH - frame.right:g}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line {ends} stroke="{"#8793a1" if tick == ticks[0] else "#e6eaee"}"/>')
        text = f"{tick:.{decimals}f}".replace("-", "−")
        parts.append(f'<text x="{frame.left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for limit in LIMITS.get(name, ()):
        if ticks[0] < limit < ticks[-1]:
            y = frame.y(limit)
            ends = f'x1="{frame.left:g}" x2="{WIDTH - frame.right:g}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line class="limit" {ends} stroke="#a01c1c" stroke-dasharray="2 3"/>')
            parts.append(f'<text x="{frame.left + 4:g}" y="{y - 4:.1f}">{limit:g} {unit(name)}</text>')
    base = HEIGHT - frame.bottom
    span = frame.weeks[1] - frame.weeks[0]
    step = 1 if span <= 6 else 2 if span <= 12 else 4
    for week in range(math.ceil(frame.weeks[0]), math.floor(frame.weeks[1]) + 1):
        if week % step == 0:
            x = frame.x(week)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base:g}" y2="{base + 4:g}" stroke="#8793a1"/>'
            )
            words = f"{week} weeks" if week == math.ceil(frame.weeks[0] / step) * step else f"{week}"
            parts.append(f'<text x="{x:.1f}" y="{base + 18:g}" text-anchor="middle">{words}</text>')
    return parts


def _ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from below `low` to above `high`, from 0 where that is near."""
    if 0 < low < 0.5 * high:
        low = 0.0
    rough = max(high - low, 1e-6 * max(abs(high), 1.0)) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 9) for n in range(first, max(last, first + 1) + 1)]


def _points(path: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
