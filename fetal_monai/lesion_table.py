"""The lesions of a run's patients as a table of their own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fetal_monai.files import write_csv
from fetal_monai.measure.tumour import LESION_FIELDS
from fetal_monai.record import Record, format_value

__all__ = ["LESION_COLUMNS", "write_lesions"]

LESION_COLUMNS = ("filename", *LESION_FIELDS, "flags")


def write_lesions(out_dir: str | Path, records: Iterable[Record]) -> Path:
    """Write `lesions.csv`, a row of `LESION_COLUMNS` for each lesion, and return its path.

    Patients come as in `measurements.csv`, the largest lesion of each first; `flags` are the patient's. Who failed or
    has no lesion has no row. Empty cells are undefined.
    """
    rows = (
        {"filename": record.filename, **lesion, "flags": ";".join(record.all_flags)}
        for record in records
        if not record.failed
        for lesion in record.extra.get("lesions", ())
    )
    path = Path(out_dir) / "lesions.csv"
    write_csv(
        path, LESION_COLUMNS, ([format_value(name, row.get(name)) for name in LESION_COLUMNS] for row in rows)
    )
    return path
