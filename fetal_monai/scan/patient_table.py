"""Patients that a CSV file lists: a row each, with the path of every sequence."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.patient_source import COLUMNS, SEQUENCES, PatientSource, patient_of
from fetal_monai.scan.source import ScanSource
from fetal_monai.scan.table import read_cells
from fetal_monai.scan.volume_source import find_volumes

__all__ = ["read_patient_table"]


def read_patient_table(path: Path) -> list[PatientSource]:
    """The patients of a CSV with the columns patient, t1, t1c, t2, flair, in the order of its rows.

    Paths are relative to the CSV's folder, of files or of folders with one DICOM series; an empty cell, or a column
    that is not there, is a sequence that the patient lacks. Cells may be separated by commas, semicolons or tabs,
    further columns are not looked at. What is wrong with a row is its patient's error.
    Raises ScanError if it is no such CSV.
    """
    try:
        lines = read_cells(path)
    except OSError as error:
        raise ScanError(f"{path}: cannot be opened ({error.strerror})") from error
    except csv.Error as error:
        raise ScanError(f"{path}: is no CSV that can be read ({error})") from error
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    known = [column for column in header if column in ("patient", *SEQUENCES)]
    if "patient" not in known or len(known) < 2:
        raise ScanError(f"{path}: has no column patient, or none of a sequence; {COLUMNS} are read")
    if doubled := [column for column, count in Counter(known).items() if count > 1]:
        raise ScanError(f"{path}: has the column {doubled[0]} twice; keep one")
    patients = []
    for number, cells in enumerate(lines[1:], start=2):
        row = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if column in known}
        if any(row.values()):
            patients.append(_patient(path, row, f"{path.name} line {number}"))
    if not patients:
        raise ScanError(f"{path}: lists no patient; give a row for each ({COLUMNS})")
    counts = Counter(patient.stem for patient in patients)
    return [
        replace(
            patient,
            filename=f"{patient.filename} (row {place})",
            error=f"{path.name}: {counts[patient.stem]} rows are of patient {patient.stem}; name each differently",
        )
        if counts[patient.stem] > 1
        else patient
        for place, patient in enumerate(patients, start=1)
    ]


def _patient(table: Path, row: Mapping[str, str], line: str) -> PatientSource:
    name = row.get("patient", "")
    try:
        _check_name(name)
        volumes = [
            (sequence, _volume(table.parent, row[sequence], sequence))
            for sequence in SEQUENCES
            if row.get(sequence)
        ]
        if not volumes:
            raise ScanError(f"the patient {name} has no file; give one of {', '.join(SEQUENCES)}")
        names = Counter(source.filename for _, source in volumes)
        if twice := [filename for filename, count in names.items() if count > 1]:
            raise ScanError(f"{twice[0]} stands for two sequences")
    except ScanError as error:
        stem = name if _is_safe(name) else line
        return PatientSource(table, stem, stem, error=f"{line}: {error}")
    return patient_of(table, name, volumes)


def _volume(folder: Path, cell: str, sequence: str) -> ScanSource:
    """The one volume of a cell; its filename is the cell's path."""
    path = folder / cell.replace("\\", "/")
    found, _ = find_volumes(path, pictures=True)
    if len(found) > 1:
        raise ScanError(f"{sequence} is {cell}, which holds {len(found)} volumes; give one")
    return replace(found[0], filename=cell, error=found[0].error and f"{sequence}: {found[0].error}")


def _check_name(name: str) -> None:
    if not name:
        raise ScanError("the patient has no name")
    if not _is_safe(name):
        raise ScanError(f"{name!r} is no name for outputs; use letters, digits, _ and -")


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and "\\" not in name and not path.is_absolute() and ".." not in path.parts
