"""Content items of a Structured Report, found by the meaning of their names."""

from __future__ import annotations

from typing import Any


def items(dataset: Any, meaning: str) -> list[Any]:
    """All content items of a name, with those inside of others."""
    found = []
    for item in dataset.get("ContentSequence") or []:
        if item.ConceptNameCodeSequence[0].CodeMeaning == meaning:
            found.append(item)
        found += items(item, meaning)
    return found


def numbers(dataset: Any) -> list[Any]:
    """All content items that hold a number."""
    inner = list(dataset.get("ContentSequence") or [])
    return [item for item in inner if item.ValueType == "NUM"] + [
        one for item in inner for one in numbers(item)
    ]


def number(item: Any) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def units(item: Any) -> str:
    return str(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue)
