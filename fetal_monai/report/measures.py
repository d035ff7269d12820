"""Measures of volumes on the page: in groups, each with how far it lies from what is expected at its age."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from fetal_monai.record import Record
from fetal_monai.report.labels import label, number_text, unit, value_text

__all__ = ["deviation_note", "folded", "group_of", "grouped", "measure_groups"]

GROUPS = ("Volumes", "Lengths", "Surface and shape", "Tumour", "Age and other")
SHAPE = {"ventricle_asymmetry", "gyrification_index"}
TUMOUR = {"oedema_ratio", "necrosis_ratio", "n_lesions", "tumour_uncertainty", "n_sequences"}
RELATIVE = ("_z", "_centile")
CENTILE_3_Z = 1.8808  # the 97th centile lies as far above the median
SCALE_Z = 4.0  # ends of the strip


def folded(columns: Iterable[str]) -> set[str]:
    """The columns that say how another one deviates (`<measure>_z`, `<measure>_centile`, their bounds)."""
    names = list(columns)
    endings = [f"{kind}{bound}" for kind in RELATIVE for bound in ("", "_low", "_high")]
    return {f"{name}{ending}" for name in names for ending in endings} & set(names)


def group_of(name: str) -> str:
    """The group of `GROUPS` that a measure stands in."""
    if name in SHAPE or unit(name) in ("mm²", "per mm"):
        return GROUPS[2]
    if name in TUMOUR:
        return GROUPS[3]
    return {"mL": GROUPS[0], "mm": GROUPS[1]}.get(unit(name), GROUPS[4])


def grouped(columns: Iterable[str]) -> list[str]:
    """The columns with those of a group side by side; within a group their order is kept."""
    return sorted(columns, key=lambda name: GROUPS.index(group_of(name)))


def deviation_note(record: Record, name: str) -> str:
    """z-score of a measure as HTML, marked where it lies beyond the 3rd or 97th centile; "" if unknown."""
    z = _z(record, name)
    if not math.isfinite(z):
        return ""
    text = f"{z:+.1f} SD".replace("-", "−")
    beyond = ' class="beyond"' if abs(z) > CENTILE_3_Z else ""
    return f'<small{beyond} title="{escape(_words(record, name))}">{text}</small>'


def measure_groups(record: Record, columns: Sequence[str]) -> str:
    """The measures that a record has, in groups: name, value, a strip from -4 to 4 SD and the z-score."""
    hidden = folded(columns)
    notes = {name: deviation_note(record, name) for name in columns}
    parts = []
    for group in GROUPS:
        rows = []
        for name in columns:
            text = value_text(name, record.measures.get(name))
            bound = name.endswith(("_low", "_high")) and name.rpartition("_")[0] in columns
            if text and name not in hidden and not bound and group_of(name) == group:
                wide = "" if notes[name] or not any(notes.values()) else ' colspan="3"'
                cells = f'<th scope="row">{escape(label(name))}</th><td{wide}>{escape(text)}</td>'
                cells += f"<td>{_strip(record, name)}</td><td>{notes[name]}</td>" if notes[name] else ""
                rows.append(f"<tr>{cells}</tr>")
        if rows:
            parts.append(f'<tbody><tr class="head"><th colspan="4">{group}</th></tr>{"".join(rows)}</tbody>')
    return f'<table class="values">{"".join(parts)}</table>' if parts else ""


def _strip(record: Record, name: str) -> str:
    """Where the measure lies between the centiles of its age: the band is the 3rd to the 97th, the tick the median."""
    width, height = 96.0, 14.0
    z = _z(record, name)

    def x(value: float) -> float:
        return width / 2 + max(-SCALE_Z, min(SCALE_Z, value)) / SCALE_Z * (width / 2 - 5)

    low, high = _z(record, name, "_low"), _z(record, name, "_high")
    bar = ""
    if math.isfinite(low) and math.isfinite(high):
        bar = f'<path d="M{x(low):.1f} 7H{x(high):.1f}" stroke="#1a2330" stroke-width="1.5"/>'
    beyond = abs(z) > CENTILE_3_Z
    colours = 'fill="#ffd27a" stroke="#855000"' if beyond else 'fill="#0b6470" stroke="#0b6470"'
    place = x(z)
    shape = f'<circle cx="{place:.1f}" cy="7" r="3.6" {colours}/>'
    if beyond:
        shape = f'<path d="M{place:.1f} 1.5l5 9h-10z" {colours} stroke-width="1.5"/>'
    band = x(CENTILE_3_Z) - x(-CENTILE_3_Z)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(_words(record, name))}">'
        f'<path d="M4 7H{width - 4:g}" stroke="#b9c2cc"/>'
        f'<rect x="{x(-CENTILE_3_Z):.1f}" y="3" width="{band:.1f}" height="8" fill="#cfe0e3"/>'
        f'<path d="M{width / 2:g} 2V12" stroke="#6d8f96" stroke-width="1.5"/>{bar}{shape}</svg>'
    )


def _words(record: Record, name: str) -> str:
    z = number_text(f"{name}_z", _z(record, name))
    words = f"z-score {z.replace('-', '−')}"
    low, high = (number_text(f"{name}_z", _z(record, name, bound)) for bound in ("_low", "_high"))
    words += f" (90 % {low} to {high})".replace("-", "−") if low and high else ""
    centile = value_text(f"{name}_centile", record.measures.get(f"{name}_centile"))
    return words + (f", {centile} centile for the age" if centile else "")


def _z(record: Record, name: str, bound: str = "") -> float:
    value = record.measures.get(f"{name}_z{bound}")
    return float(value) if isinstance(value, int | float) else math.nan
