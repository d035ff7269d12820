"""The scans on the page: those that failed, a card for each other one, a table of all, and how often each flag came."""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from fetal_monai.record import Record
from fetal_monai.report.flags import LEVELS, explain, level_of
from fetal_monai.report.labels import (
    SPACING_SOURCES,
    describe_spacing,
    heading,
    interval_text,
    label,
    number_text,
    unit,
    value_text,
)
from fetal_monai.report.lesions import lesion_rows
from fetal_monai.report.measures import deviation_note, folded, group_of, grouped, measure_groups

__all__ = ["card_groups", "failed_block", "flag_bars", "measures_table", "relative_url", "shown_name"]

CARD_MEASURES = 8  # further ones fold away


def shown_name(record: Record) -> str:
    """The file, and which frame of it."""
    return record.filename + (f", frame {record.frame_number}" if record.frame is not None else "")


def relative_url(name: str) -> str:
    """A link to a file below the page, whatever characters its name has."""
    return "./" + quote(os.fsencode(name))


def failed_block(records: Sequence[tuple[str, Record]]) -> str:
    """The scans without a result, why, and what would help; "" if there are none. Takes (id, record)."""
    if not records:
        return ""
    items = []
    for anchor, record in records:
        reason = record.reason.strip() or "No reason was given."
        for name in (shown_name(record), record.filename, record.filename.rsplit("/", 1)[-1]):
            if reason.startswith((f"{name}:", f"{name} ")):
                reason = reason[len(name) + 1 :].strip()
        reason = reason[:1].upper() + reason[1:]
        advice = [explain(flag).advice for flag in record.flags if flag != "failed"]
        if reason.partition(":")[0].endswith(("Error", "Exception")):
            advice.append(
                "This was not foreseen: see whether a viewer opens the file, and report it if it does."
            )
        helps = f'<p class="quiet">{escape(" ".join(advice))}</p>' if advice else ""
        name = escape(shown_name(record))
        items.append(f'<li id="{anchor}"><b class="name">{name}</b><p>{escape(reason)}</p>{helps}</li>')
    count = f"{len(items)} scan{'s' if len(items) > 1 else ''} could not be measured"
    return (
        f'<section class="failed" id="failed"><h2>{count}</h2><p>They have no numbers anywhere in this report.</p>'
        f"<ul>{''.join(items)}</ul><p><small>After the files are mended, the same command with "
        '<span class="mono">--resume true</span> does only what is missing.</small></p></section>'
    )


def flag_bars(records: Sequence[Record]) -> str:
    """How often each flag came, heaviest first, each with its meaning."""
    counts = Counter(flag for record in records for flag in record.all_flags)
    unflagged = sum(not record.all_flags for record in records)
    rows = [("", "No flag", unflagged, "")]
    for flag, count in sorted(
        counts.items(), key=lambda item: (-LEVELS.index(explain(item[0]).level), -item[1])
    ):
        rows.append((explain(flag).level, explain(flag).label, count, explain(flag).meaning))
    items = (
        f'<li class="{level}"><div class="row"><span>{escape(name[:1].upper() + name[1:])}</span>'
        f"<span>{count} of {len(records)}</span></div>"
        f'<div class="track"><div class="fill" style="width:{100 * count / max(1, len(records)):.1f}%"></div></div>'
        f"<small>{escape(meaning)}</small></li>"
        for level, name, count, meaning in rows
        if count
    )
    return f'<ul class="bars">{"".join(items)}</ul>'


def measures_table(records: Sequence[tuple[str, Record]], columns: Sequence[str]) -> str:
    """A row for each (id, record), sorted by clicking on a header; empty cells are undefined."""
    volumes = any(record.is_volume for _, record in records)
    hidden = folded(columns) if volumes else set()
    columns = grouped(name for name in columns if name not in hidden) if volumes else columns
    texts = {name for _, record in records for name in columns if isinstance(record.measures.get(name), str)}
    heads = [_head("filename", "text")]
    heads += [_head(name, "text" if name in texts else "number") for name in columns]
    heads += [_head("spacing_mm", "number"), _head("spacing_source", "text"), _head("flags", "text")]
    rows = []
    for anchor, record in records:
        level = level_of(record.all_flags)
        link = f'<a href="#{anchor}">{escape(shown_name(record))}</a>'
        cells = [f'<td class="text">{link}</td>']
        values = {"spacing_mm": record.spacing_isotropic_mm, **record.measures} if not record.failed else {}
        kinds = {"spacing_mm": "size"} | dict.fromkeys(texts, "text")
        cells += [
            _cell(
                name,
                values.get(name, math.nan),
                kinds.get(name, "number"),
                deviation_note(record, name) if f"{name}_z" in hidden and not record.failed else "",
            )
            for name in [*columns, "spacing_mm"]
        ]
        source = "" if record.failed else record.spacing_source
        meaning = SPACING_SOURCES.get(source, "")
        cells.append(f'<td class="text" title="{escape(meaning)}">{escape(source.replace("_", " "))}</td>')
        badges = "".join(_badge(flag) for flag in record.all_flags)
        cells.append(f'<td class="text">{badges}</td>')
        rows.append(f'<tr class="{level}" {_data(record, level)}>{"".join(cells)}</tr>')
    top = _group_heads(columns) if volumes else ""
    return (
        f"<table><thead>{top}<tr>{''.join(heads)}</tr></thead><tbody>\n{chr(10).join(rows)}\n</tbody></table>"
    )


def _group_heads(columns: Sequence[str]) -> str:
    """A row above the headings that says which columns belong together."""
    cells = [(group, len(list(names))) for group, names in itertools.groupby(columns, group_of)]
    heads = "".join(f'<th scope="colgroup" colspan="{count}">{group}</th>' for group, count in cells)
    return f'<tr class="groups"><th></th>{heads}<th colspan="3"></th></tr>' if len(cells) > 1 else ""


def card_groups(records: Sequence[tuple[str, Record]], columns: Sequence[str], lead: str) -> str:
    """Cards of the scans with a result: first what must not be used, then what to look at, then the rest."""
    groups: dict[str, list[str]] = {
        "Flagged: do not use the numbers": [],
        "Flagged: look before use": [],
        "Without such flags": [],
    }
    names = dict(zip(("stop", "check"), groups, strict=False))
    for anchor, record in records:
        group = names.get(level_of(record.all_flags), "Without such flags")
        groups[group].append(_card(anchor, record, columns, lead))
    alone = len(groups["Without such flags"]) == len(records)
    style = "cards volumes" if any(record.is_volume for _, record in records) else "cards"
    return "".join(
        f'<div class="group">{"" if alone else f"<h3>{name} ({len(cards)})</h3>"}<div class="{style}">'
        + "\n".join(cards)
        + "</div></div>"
        for name, cards in groups.items()
        if cards
    )


def _card(anchor: str, record: Record, columns: Sequence[str], lead: str) -> str:
    level = level_of(record.all_flags)
    measures = record.measures
    parts = [f"<h4>{escape(shown_name(record))}</h4>"]
    if lead:
        value, between = value_text(lead, measures.get(lead)), interval_text(record, lead)
        warning = (
            {"stop": "Do not use this number.", "check": "Look before use."}.get(level, "") if value else ""
        )
        why_not = "no millimetres" if lead.endswith("_mm") and record.spacing_mm is None else "not measured"
        shown = f"<b>{escape(value)}</b>" if value else f'<b class="none">{why_not}</b>'
        between = f"<span>90 % interval {escape(between)}</span>" if between else ""
        warning = f"<em>{warning}</em>" if warning else ""
        parts.append(f'<p class="lead"><span>{escape(label(lead))}</span>{shown}{between}{warning}</p>')
    flags = sorted(record.all_flags, key=lambda flag: -LEVELS.index(explain(flag).level))
    if flags:
        reasons = (
            f'<li class="{flag.level}"><b>{escape(flag.label)}</b>{escape(flag.sentence)}</li>'
            for flag in map(explain, flags)
        )
        parts.append(f'<ul class="why">{"".join(reasons)}</ul>')
    pairs = []
    if record.is_volume:
        parts.append(measure_groups(record, [n for n in columns if n != lead or f"{lead}_z" in columns]))
        parts.append(lesion_rows(record))
    for name in () if record.is_volume else columns:
        text = value_text(name, measures.get(name))
        bound = name.endswith(("_low", "_high")) and name.rpartition("_")[0] in columns
        if text and name != lead and not bound:
            between = interval_text(record, name)
            between = f"<small>90 %: {escape(between)}</small>" if between else ""
            pairs.append(f"<dt>{escape(label(name))}</dt><dd>{escape(text)}{between}</dd>")
    if pairs:
        parts.append(f"<dl>{''.join(pairs[:CARD_MEASURES])}</dl>")
    if pairs[CARD_MEASURES:]:
        more = "".join(pairs[CARD_MEASURES:])
        parts.append(f"<details><summary>More measures</summary><dl>{more}</dl></details>")
    if record.has_lengths or record.spacing_mm is not None:
        parts.append(f'<p class="source">Spacing: {escape(describe_spacing(record))}.</p>')
    body = f'{_picture(record)}<div class="body">{"".join(parts)}</div>'
    return f'<article class="card {level}" id="{anchor}" {_data(record, level)}>{body}</article>'


def _picture(record: Record) -> str:
    overlay = next((name for name in record.outputs if name.endswith("_overlay.png")), "")
    source = record.thumbnail if record.thumbnail.startswith("data:image/") else ""
    source = source or (relative_url(overlay) if overlay else "")
    inner = "<span>no picture</span>"
    if source:
        words = f"{shown_name(record)} with what was found drawn on it"
        inner = f'<img src="{escape(source)}" alt="{escape(words)}" loading="lazy" decoding="async">'
    if not overlay:
        return f'<div class="picture">{inner}</div>'
    return f'<a class="picture" href="{escape(relative_url(overlay))}">{inner}</a>'


def _head(name: str, kind: str) -> str:
    measured = f"<small>{escape(unit(name))}</small>" if unit(name) not in ("", "centile") else ""
    kind_class = ' class="text"' if kind == "text" else ""
    return (
        f'<th scope="col" data-type="{kind}"{kind_class}><button type="button" title="{escape(name)}">'
        f"{escape(heading(name))}<i></i>{measured}</button></th>"
    )


def _cell(name: str, value: float | str, kind: str, note: str = "") -> str:
    text = number_text(name, value)
    exact = f' data-v="{value:.8g}"' if text and not isinstance(value, str) else ""
    return f'<td class="{kind}"{exact}>{escape(text)}{note if text else ""}</td>'


def _badge(flag: str) -> str:
    known = explain(flag)
    return f'<span class="badge {known.level}" title="{escape(known.sentence)}">{escape(known.label)}</span>'


def _data(record: Record, level: str) -> str:
    return f'data-name="{escape(shown_name(record))}" data-level="{"failed" if record.failed else level or "none"}"'
