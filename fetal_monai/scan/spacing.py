"""Spacing that stands beside the images, as in HC18's CSV, and which values are believed."""

from __future__ import annotations

import csv
import glob
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.picture import Spacing
from fetal_monai.scan.source import ScanSource, posix_below, walk
from fetal_monai.scan.table import read_cells

__all__ = ["SpacingRow", "SpacingTable", "check_spacing", "read_spacing_csv"]

MIN_SPACING_MM, MAX_SPACING_MM = 0.005, 2.0
OWN_TABLE = "measurements.csv"  # of an earlier run
COMMA_HELP = (
    "decimal commas in a comma-separated file cannot be told apart, write 0.12 or separate by semicolons"
)
COLUMNS = {  # without blanks, underscores and case
    "filename": "filename",
    "pixelsize(mm)": "spacing_mm",
    "pixelsizemm": "spacing_mm",
    "gaweeks": "ga_weeks",
    "headcircumference(mm)": "hc_mm",
}


def check_spacing(value: float | Sequence[float], name: str = "spacing") -> Spacing:
    """Return (row, column) mm per pixel of one value or a pair; raise ScanError outside 0.005 to 2 mm."""
    values = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if len(values) != 2:
        raise ScanError(f"{name} needs one value or (row, column), got {len(values)}")
    row, column = (float(item) for item in values)
    for item in (row, column):
        if not MIN_SPACING_MM <= item <= MAX_SPACING_MM:
            raise ScanError(
                f"{name} is {item:g} mm per pixel; between {MIN_SPACING_MM} and {MAX_SPACING_MM} makes sense, "
                "give the right one with --spacing_mm"
            )
    return row, column


@dataclass(frozen=True)
class SpacingRow:
    """What a CSV says of one image; NaN where it says nothing, `error` if its spacing cannot be used."""

    spacing_mm: float = math.nan
    ga_weeks: float = math.nan
    hc_mm: float = math.nan
    error: str = ""


@dataclass
class SpacingTable:
    """Rows of the CSV files that belong to a folder.

    `by_path` has them by the image's POSIX path below the input folder, `by_name` by its name alone.
    """

    by_path: dict[str, SpacingRow] = field(default_factory=dict)
    by_name: dict[str, SpacingRow] = field(default_factory=dict)

    def row(self, source: ScanSource) -> SpacingRow | None:
        """The row of a scan: that of its path, else of its name."""
        return self.by_path.get(source.filename, self.by_name.get(source.filename.rpartition("/")[2]))

    def unmatched(self, filenames: Iterable[str]) -> list[str]:
        """The rows' filenames that name no image among these paths below the input folder, sorted."""
        paths = set(filenames)
        names = {path.rpartition("/")[2] for path in paths}
        return sorted(
            path for path in self.by_path if path not in paths and path.rpartition("/")[2] not in names
        )


def read_spacing_csv(path: str | Path) -> SpacingTable:
    """Read a CSV, or all in a folder (or beside an image) with a `filename` and a pixel size or age.

    HC18's own place, `<folder>_pixel_size….csv` beside the folder, is looked at too. Cells may be separated
    by commas, semicolons or tabs. A decimal comma is taken where it cannot be misread; else the row carries
    an error. Raises ScanError if a CSV named by itself cannot be used.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    images: list[str] = []
    if path.suffix.lower() == ".csv" and path.is_file():
        rows = _read_rows(path)
        if rows is None:
            raise ScanError(f"{path}: has no columns `filename` and `pixel size(mm)` that can be read")
        tables = [(path, rows)]
    else:
        files = list(walk(folder)) if path.is_dir() else sorted(folder.glob("*.*"))
        images = [posix_below(file, folder) for file in files if file.suffix.lower() != ".csv"]
        beside = folder.resolve().parent.glob(f"{glob.escape(folder.resolve().name)}_pixel_size*.csv")
        own = (file for file in files if file.suffix.lower() == ".csv" and file.name != OWN_TABLE)
        found = [*(sorted(beside) if path.is_dir() else ()), *sorted(own)]
        tables = [(file, rows) for file in found if (rows := _read_rows(file)) is not None]
    table = SpacingTable()
    for file, rows in tables:
        beneath = posix_below(file.parent, folder) if file.parent.is_relative_to(folder) else "."
        for filename, row in rows:
            _add(table.by_path, filename if beneath == "." else f"{beneath}/{filename}", row)
            _add(table.by_name, filename.rpartition("/")[2], row)
    names = Counter(image.rpartition("/")[2] for image in images if image not in table.by_path)
    for name, row in table.by_name.items():
        if names[name] > 1:
            error = f"{names[name]} images are named {name}; the CSV must give their paths below the folder"
            table.by_name[name] = replace(row, error=error)
    return table


def _add(rows: dict[str, SpacingRow], name: str, row: SpacingRow) -> None:
    known = rows.get(name, row)
    if known != row:
        row = replace(row, error=f"the CSV has rows that differ for {name}; keep the right one")
    rows[name] = row


def _read_rows(path: Path) -> list[tuple[str, SpacingRow]] | None:
    """The rows of a CSV, None if it is of another kind."""
    try:
        lines = read_cells(path)
    except (OSError, csv.Error):
        return None
    columns = [COLUMNS.get(re.sub(r"[\s_]", "", cell).lower(), "") for cell in lines[0]] if lines else []
    if "filename" not in columns or not {"spacing_mm", "ga_weeks"} & set(columns):
        return None
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        values = {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if column}
        if values.get("filename"):
            filename = values["filename"].replace("\\", "/").removeprefix("./")
            row = _row(values, f"{path.name} line {number}: the pixel size")
            if any(cell.strip() for cell in cells[len(columns) :]):
                row = SpacingRow(
                    error=f"{path.name} line {number}: {len(cells)} cells for {len(columns)} columns; {COMMA_HELP}"
                )
            rows.append((filename, row))
    return rows


def _row(values: dict[str, str], name: str) -> SpacingRow:
    spacing, error = math.nan, ""
    if values.get("spacing_mm"):
        try:
            spacing = check_spacing(_number(values["spacing_mm"]), name)[0]
        except ScanError as problem:
            error = str(problem)
        except ValueError:
            error = f"{name} is {values['spacing_mm']!r}, no number; write it as 0.12"
    return SpacingRow(
        spacing, _number_or_nan(values.get("ga_weeks", "")), _number_or_nan(values.get("hc_mm", "")), error
    )


def _number(cell: str) -> float:
    """A comma here is decimal: the cell was quoted, or the file is separated by something else."""
    return float(cell.replace(",", ".") if "." not in cell else cell)


def _number_or_nan(cell: str) -> float:
    try:
        return _number(cell)
    except ValueError:
        return math.nan
