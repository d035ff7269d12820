"""The page of a run: what failed, what was measured, what to look at, and what made it. One file, no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fetal_monai.record import Record, atomic_write
from fetal_monai.report.chart import growth_section
from fetal_monai.report.curves import curves_of, curves_section
from fetal_monai.report.flags import level_of
from fetal_monai.report.labels import number_text
from fetal_monai.report.measures import folded
from fetal_monai.report.scans import card_groups, failed_block, flag_bars, measures_table, relative_url
from fetal_monai.report.style import CSS, SCRIPT

__all__ = ["RESEARCH_USE", "write_report"]

RESEARCH_USE = "For research use only. Not for clinical use."
STRIPS = (
    "Strips go from 4 SD below to 4 SD above what is expected at the age; the band is the 3rd to the 97th centile, "
    "the tick the median, the line through the mark its 90 % interval."
)
NAMES = {
    "bundle": "Bundle",
    "bundle_version": "Version of the bundle",
    "weights": "Weights",
    "weights_sha256": "SHA-256 of the weights",
    "versions": "Software",
    "input": "Input",
    "output": "Output",
    "date": "Date",
    "command": "Command",
    "device": "Device",
    "engine": "Engine",
    "settings": "Settings",
    "seconds": "Time",
    "resumed": "Kept from an earlier run",
    "warnings": "Warnings",
}
_MONO = {"weights_sha256", "command", "input", "output", "weights"}
_ELSEWHERE = {"inputs", "skipped", "counts", "warnings", "curves"}
REFERENCES = {  # measure: what it stands on
    "ga_weeks_hadlock": "Age by HC, Hadlock 1984 (Radiology 152:497)",
    "ga_weeks_intergrowth": 'Age by HC, INTERGROWTH-21st (<a href="https://doi.org/10.1002/uog.15894">'
    "doi 10.1002/uog.15894</a>)",
    "hc_centile": 'HC centile, INTERGROWTH-21st (<a href="https://doi.org/10.1016/S0140-6736(14)61490-2">'
    "doi 10.1016/S0140-6736(14)61490-2</a>)",
}


def write_report(
    out_dir: str | Path,
    records: Sequence[Record],
    run_info: Mapping[str, Any],
    *,
    title: str,
    curves: bool = True,
    columns: Iterable[str] | None = None,
    lead: str | None = None,
) -> Path:
    """Write `report.html` and return its path; it needs no other file and no network.

    `columns` are the measures shown, in order, by default all that the records hold; `lead` is the one that each
    card shows large, by default the first of them. Measures that no scan has are left out. `curves` adds HC over
    age where `hc_mm` is among the measures. `run_info` is what `run.json` says of the run; what it calls
    `skipped` and `warnings` is listed.
    """
    named = [(f"scan-{number}", record) for number, record in enumerate(records, 1)]
    ok = [(anchor, record) for anchor, record in named if not record.failed]
    failed = [(anchor, record) for anchor, record in named if record.failed]
    held = dict.fromkeys(name for _, record in ok for name in record.measures)
    named_measures = [name for name in (held if columns is None else columns) if name in held]
    lead = lead or next(iter(named_measures), "")
    shown = [name for name in named_measures if name == lead or any(_has(record, name) for _, record in ok)]
    stacked = " stacked" if len({flag for record in records for flag in record.all_flags}) > 5 else ""
    overview = growth_section(ok) if curves and "hc_mm" in held else ""
    overview += f'<section id="flags"><h2>Flags</h2>{flag_bars(records)}</section>' if records else ""
    table = curves_of(run_info, records) if curves else {}
    body = [
        _header(title, run_info),
        "<main>",
        _tiles(records),
        failed_block(failed),
        _warnings(run_info),
        f'<div class="overview{stacked}">{overview}</div>',
        curves_section(ok, table) if table and ok else "",
        _measurements(named, ok, shown, lead),
        _provenance(out_dir, run_info, held),
        "</main>",
        f"<footer><b>{RESEARCH_USE}</b> Check each outline against its scan before any number is used.</footer>",
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: file: 'self'"
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
    path = Path(out_dir) / "report.html"
    atomic_write(path, page)
    return path


def _has(record: Record, name: str) -> bool:
    return bool(number_text(name, record.measures.get(name)))


def _header(title: str, info: Mapping[str, Any]) -> str:
    made_by = " ".join(str(info[name]) for name in ("bundle", "bundle_version") if info.get(name))
    when = str(info.get("date", "")).replace("T", " ").replace("+00:00", " UTC")
    where = f'<span class="mono">{escape(str(info["input"]))}</span>' if info.get("input") else ""
    line = " · ".join(part for part in (escape(when), where) if part)
    return (
        f'<header><p class="eyebrow">{escape(made_by or "fetal_monai")}</p><h1>{escape(title)}</h1>'
        f'<p class="quiet">{line}</p><p class="research">{RESEARCH_USE}</p></header>'
    )


def _tiles(records: Sequence[Record]) -> str:
    levels = [level_of(record.all_flags) for record in records if not record.failed]
    tiles = [
        (len(levels) - levels.count("check") - levels.count("stop"), "measured without concern", ""),
        (levels.count("check"), "measured, look before use", "check"),
        (levels.count("stop"), "measured, not to be used", "stop"),
        (len(records) - len(levels), "failed", "stop"),
    ]
    items = (
        f'<li class="{kind if count else "none"}"><b>{count}</b>{name}</li>' for count, name, kind in tiles
    )
    return f'<ul class="tiles">{"".join(items)}</ul>'


def _warnings(info: Mapping[str, Any]) -> str:
    lines = [str(line) for line in info.get("warnings") or []]
    lines += [
        f"{entry['filename']} was passed over: {entry['reason']}" for entry in info.get("skipped") or []
    ]
    if not lines:
        return ""
    items = "".join(f'<li class="name">{escape(line)}</li>' for line in lines)
    summary = f"{len(lines)} file{'s' if len(lines) != 1 else ''} or table rows were not used"
    is_open = " open" if len(lines) <= 10 else ""
    details = f"<details{is_open}><summary>{summary}</summary><ul>{items}</ul></details>"
    return f'<section id="passed-over">{details}</section>'


def _measurements(
    named: Sequence[tuple[str, Record]], ok: Sequence[tuple[str, Record]], columns: Sequence[str], lead: str
) -> str:
    if not named:
        return (
            '<section id="measurements"><h2>Measurements</h2><p>There was no scan to measure.</p></section>'
        )
    tools = (
        '<div class="tools"><label>Find a file<input id="search" type="search" autocomplete="off"></label>'
        '<label>Show<select id="which"><option value="all">all scans</option>'
        '<option value="check stop">flagged scans</option><option value="failed">failed scans</option>'
        '<option value="none note">scans without such flags</option></select></label>'
        f'<output id="shown" aria-live="polite">{len(named)} of {len(named)} shown</output></div>'
    )
    strips = f'<p class="quiet">{STRIPS}</p>' if folded(columns) and any(r.is_volume for _, r in ok) else ""
    cards = (
        f'<section id="scans"><h2>Scans</h2>{strips}{card_groups(ok, columns, lead)}</section>' if ok else ""
    )
    return (
        '<section id="measurements"><h2>Measurements</h2><p class="quiet">'
        '<span class="screen">Click on a heading to sort. </span>An empty cell '
        f"is undefined. Struck-out numbers are not to be used.</p>{tools}"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Measurements">{measures_table(named, columns)}'
        f"</div></section>{cards}"
    )


def _provenance(out_dir: str | Path, info: Mapping[str, Any], held: Iterable[str]) -> str:
    names = [name for name in NAMES if name in info] + [name for name in info if name not in NAMES]
    rows = []
    for name in names:
        if name in _ELSEWHERE or info[name] in (None, "", {}, []):
            continue
        style = ' class="mono"' if name in _MONO else ""
        words = NAMES.get(name, name.replace("_", " ").capitalize())
        rows.append(f"<dt>{escape(words)}</dt><dd{style}>{escape(_words(name, info[name]))}</dd>")
    references = [text for name, text in REFERENCES.items() if name in set(held)]
    if references:
        rows.append(f"<dt>Formulas</dt><dd>{'<br>'.join(references)}</dd>")
    there = [
        name
        for name in ("measurements.csv", "measurements.json", "lesions.csv", "run.json")
        if (Path(out_dir) / name).is_file()
    ]
    links = "".join(f'<a href="{relative_url(name)}">{name}</a>' for name in there)
    return (
        '<section id="provenance"><h2>How this was made</h2>'
        f'<dl class="about">{"".join(rows)}</dl><p class="files">{links}</p></section>'
    )


def _words(name: str, value: Any) -> str:
    """A value of `run.json` in one line."""
    if isinstance(value, Mapping):
        between = " " if name in ("versions", "seconds") else ": "
        return " · ".join(
            f"{key.replace('_', ' ')}{between}{_words(name, item)}" for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(_words(name, item) for item in value)
    if isinstance(value, float):
        return f"{value:.1f} s" if name == "seconds" else f"{value:g}"
    return "not given" if value is None else str(value)
