"""Who of a dataset's patients trains, validates, calibrates or tests."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from fetal_monai.settings import as_optional

__all__ = ["ROLES", "patient_role", "read_roles", "read_rows"]

ROLES = ("train", "validation", "calibration", "test")


def patient_role(patient: str, seed: int, fractions: Sequence[float]) -> str:
    """Role of a patient, drawn from a hash of ``seed`` and its name: the same whichever patients are there.

    ``fractions`` are the parts that validate and calibrate; the rest trains.
    """
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    validation, calibration = fractions
    if draw < validation:
        return "validation"
    return "calibration" if draw < validation + calibration else "train"


def read_roles(path: str | Path | None) -> dict[str, str]:
    """Roles by patient from a CSV with the columns ``patient`` and ``role``; none of None.

    Raises ``ValueError`` when there is no such file, or it holds something else.
    """
    if as_optional(path) is None:
        return {}
    table = Path(str(path))
    if not table.is_file():
        raise ValueError(f"{table}: no such list of patients; give null to draw all from the seed")
    roles = {row["patient"]: row["role"] for row in read_rows(table, ("patient", "role"))}
    unknown = set(roles.values()) - set(ROLES)
    if unknown:
        raise ValueError(f"{table}: role {sorted(unknown)[0]!r} is not one of {', '.join(ROLES)}")
    return roles


def read_rows(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV that must have the columns."""
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{table}: no column {missing[0]!r}; a comma-separated table with {', '.join(columns)}"
            )
        return list(reader)
