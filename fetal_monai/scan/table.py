"""Cells of CSV files as spreadsheets write them: any of three separators, any of three encodings."""

from __future__ import annotations

import csv
import io
from pathlib import Path

__all__ = ["read_cells"]


def read_cells(path: Path) -> list[list[str]]:
    """The lines of a CSV, whose first line tells whether commas, semicolons or tabs separate the cells.

    Raises OSError if it cannot be read, csv.Error if it is no CSV.
    """
    text = _decode(path.read_bytes())
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").lstrip("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
