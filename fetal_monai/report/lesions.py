"""The lesions of a patient on the page: a row each."""

from __future__ import annotations

from html import escape

from fetal_monai.record import Record
from fetal_monai.report.labels import number_text

__all__ = ["lesion_rows"]

MOST = 10  # rows; lesions.csv has all
HEADS = {
    "lesion": "",
    "side": "Side",
    "volume_ml": "Volume, mL",
    "enhancing_ml": "Enhancing, mL",
    "longest_diameter_mm": "Longest, mm",
    "centre": "Centre, RAS mm",
}


def lesion_rows(record: Record) -> str:
    """A table of the lesions, the largest first, as HTML; "" where the record has none."""
    lesions = record.extra.get("lesions") or []
    if not lesions:
        return ""
    heads = "".join(f'<th scope="col">{words}</th>' for words in HEADS.values())
    rows = []
    for lesion in lesions[:MOST]:
        cells = [escape(_text(lesion, name)) for name in HEADS if name != "lesion"]
        first = f'<th scope="row">{lesion.get("lesion", "")}</th>'
        rows.append(f"<tr>{first}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    more = len(lesions) - MOST
    note = f'<p class="quiet">{more} smaller ones stand in lesions.csv.</p>' if more > 0 else ""
    return (
        '<table class="lesions"><caption>Lesions: a connected part of the whole tumour each</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>{note}"
    )


def _text(lesion: dict[str, object], name: str) -> str:
    if name != "centre":
        return number_text(name, lesion.get(name)) or "-"
    place = [number_text(f"centre_ras_{axis}_mm", lesion.get(f"centre_ras_{axis}_mm")) for axis in "xyz"]
    return ", ".join(place).replace("-", "−") if all(place) else "-"
