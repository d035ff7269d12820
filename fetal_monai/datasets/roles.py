"""Who of a dataset's patients trains, validates, calibrates or tests."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.settings import as_optional

__all__ = ["ROLES", "patient_role", "read_roles", "read_rows", "with_roles"]

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


def with_roles(
    items: list[dict[str, Any]],
    roles: str | Iterable[str],
    seed: int,
    fractions: Sequence[float],
    roles_file: str | Path | None,
    where: str,
) -> list[dict[str, Any]]:
    """The items whose ``subject`` has one of the roles, with their ``role``: as listed, else drawn.

    Raises ``ValueError``, with ``where`` they lie, if there are none.
    """
    listed, wanted = read_roles(roles_file), {roles} if isinstance(roles, str) else set(roles)
    for item in items:
        item["role"] = listed.get(item["subject"]) or patient_role(item["subject"], seed, fractions)
    chosen = [item for item in items if item["role"] in wanted]
    if not chosen:
        raise ValueError(
            f"{where}: none of {len(items)} cases has the role {' or '.join(sorted(wanted))}; give fractions or a "
            "roles_file that has some"
        )
    return chosen


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
