"""Measures as items of a Structured Report: numbers with codes, units, intervals, centiles, and words for the rest."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from fetal_monai.dicom_out.terms import (
    MEASURES,
    VOLUME,
    Kind,
    MeasureTerm,
    Segment,
    finding_code,
    own_code,
    unit_of,
)
from fetal_monai.record import Record, format_value

__all__ = ["comments", "evaluations", "measured", "measurement"]

PROPERTY = re.compile(r"_((z|centile)(_low|_high)?|low|high)$")  # told with the measure before it
Z_SCORE, PERCENTILE = ("121416", "Z-Score of measurement"), ("121415", "Percentile Ranking of measurement")
UPPER = ("371886008", "+, range of upper measurement uncertainty")
LOWER = ("371885007", "-, range of lower measurement uncertainty")


def measured(record: Record) -> list[str]:
    """The measures that are told of: those with a number that is no pixel count and no property of another.

    None where a flag says not to use them: archives take coded numbers over without their comments.
    """
    from fetal_monai.report.flags import level_of

    if level_of(record.all_flags) == "stop":
        return []
    return [
        name
        for name, value in record.measures.items()
        if isinstance(value, int | float)
        and math.isfinite(value)
        and not name.endswith("_px")
        and not _is_property(record, name)
    ]


def measurement(
    record: Record, name: str, kind: Kind, segment: Segment | None = None, line: Any = None
) -> Any:
    """One measure as TID 300 has it, rounded as `measurements.csv` rounds it.

    In a group that is about one `segment` alone its volume is just that. `line` (`CoordinatesForMeasurement`) is what
    a length was taken along.
    """
    from highdicom import sr
    from pydicom.sr.coding import Code

    is_volume = segment is not None and name.endswith("_ml")
    term = MEASURES.get(name) or MeasureTerm(VOLUME if is_volume else own_code(name))
    unit = unit_of(name)
    sites = [sr.FindingSite(term.site, laterality=term.laterality)] if term.site is not None else None
    item = sr.Measurement(
        name=term.code,
        value=_number(record, name),
        unit=unit,
        finding_sites=sites,
        method=term.method,
        properties=_properties(record, name, kind, unit),
        referenced_coordinates=None if line is None else [line],
    )
    inner = item[0].ContentSequence if "ContentSequence" in item[0] else []
    kind_of_value = sr.RelationshipTypeValues.INFERRED_FROM
    if term.equation is not None:
        inner.append(sr.CodeContentItem(Code("121420", "DCM", "Equation"), term.equation, kind_of_value))
    if term.citation:
        citation = Code("121423", "DCM", "Method Citation")
        inner.append(sr.TextContentItem(citation, term.citation, kind_of_value))
    if inner:
        item[0].ContentSequence = inner
    return item


def evaluations(record: Record, kind: Kind) -> list[Any]:
    """The measures of the kind that are words, as qualitative evaluations; none where a flag says not to use them."""
    from highdicom import sr

    from fetal_monai.report.flags import level_of

    if level_of(record.all_flags) == "stop":
        return []
    words = ((concept, record.measures.get(name)) for name, concept in kind.evaluations.items())
    return [
        sr.QualitativeEvaluation(concept, finding_code(word))
        for concept, word in words
        if isinstance(word, str) and word
    ]


def comments(record: Record, kind: Kind, algorithm: str) -> Iterator[str]:
    """What a reader must know beside the numbers: intervals in words, spacing, and every flag explained."""
    from fetal_monai.report.flags import explain
    from fetal_monai.report.labels import describe_spacing, interval_text, label

    yield f"Research use only, not for clinical use. Made by {algorithm} without a reader."
    yield from kind.notes
    if not measured(record) and any(_is_finite(record, name) for name in record.measures):
        yield "Measures were left out: a flag below says not to use them."
    for name in measured(record):
        if text := interval_text(record, name):
            yield f"{label(name)}: 90 % interval {text}."
    if record.has_lengths:
        yield f"Spacing: {describe_spacing(record)}."
    for flag in map(explain, record.all_flags):
        yield f"{flag.label.capitalize()}: {flag.sentence}"


def _properties(record: Record, name: str, kind: Kind, unit: Any) -> Any:
    from highdicom import sr
    from pydicom.sr.coding import Code

    ranked = (name, name.removesuffix("_mm"))  # brain_ml_z, hc_centile
    no_unit, percent = Code("1", "UCUM", "no units"), Code("%", "UCUM", "Percent")
    relation = sr.RelationshipTypeValues.HAS_PROPERTIES
    ranks = []
    for ending, (code, meaning), its_unit in (("centile", PERCENTILE, percent), ("z", Z_SCORE, no_unit)):
        known = [
            f"{stem}_{ending}" for stem in dict.fromkeys(ranked) if _is_finite(record, f"{stem}_{ending}")
        ]
        ranks += [
            sr.NumContentItem(
                Code(code, "DCM", meaning), _number(record, one), its_unit, relationship_type=relation
            )
            for one in known[:1]
        ]
    statistics = sr.MeasurementStatisticalProperties(ranks, kind.population or None) if ranks else None
    low, high = (f"{name}_{bound}" for bound in ("low", "high"))
    bounds = []
    if _is_finite(record, low) and _is_finite(record, high):
        value = _number(record, name)
        for (code, meaning), width in (
            (UPPER, _number(record, high) - value),
            (LOWER, value - _number(record, low)),
        ):
            bounds.append(
                sr.NumContentItem(
                    Code(code, "SCT", meaning), round(width, 2), unit, relationship_type=relation
                )
            )
    if not ranks and not bounds:
        return None
    properties = sr.MeasurementProperties(measurement_statistical_properties=statistics)
    properties.extend(bounds)
    return properties


def _is_property(record: Record, name: str) -> bool:
    rest = PROPERTY.sub("", name)
    return rest != name and (rest in record.measures or f"{rest}_mm" in record.measures)


def _is_finite(record: Record, name: str) -> bool:
    value = record.measures.get(name)
    return isinstance(value, int | float) and math.isfinite(value)


def _number(record: Record, name: str) -> float:
    return float(format_value(name, record.measures[name]))
