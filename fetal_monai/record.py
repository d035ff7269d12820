"""What is known of one scan, and the files that a run leaves behind it.

A `Record` travels with its scan from reading to report. `Journal` keeps finished records so that a run can be
resumed, `write_measurements` and `write_run` make the tables. Every file is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fetal_monai.files import atomic_path, atomic_write, plain, remove_leftovers, write_csv, write_json

__all__ = [
    "Journal",
    "Record",
    "atomic_path",
    "atomic_write",
    "file_key",
    "format_value",
    "load_run",
    "write_json",
    "write_measurements",
    "write_run",
]

JOURNAL_FOLDER = ".fetal_monai"
_SIDES = {2: ("spacing_row_mm", "spacing_column_mm"), 3: ("spacing_i_mm", "spacing_j_mm", "spacing_k_mm")}
SPACING_COLUMNS = {axes: ("spacing_mm", *sides, "spacing_source") for axes, sides in _SIDES.items()}
_SPACING = {name for columns in SPACING_COLUMNS.values() for name in columns}
_FIXED_COLUMNS = {"filename", "frame", *_SPACING, "flags"}
_LENGTH = re.compile(r"_(mm2?|ml)(_|$)")
_TWO_DECIMALS = re.compile(r"(_mm2?|_ml|_weeks|_centile|_index|_z)(_|$)")


@dataclass
class Record:
    """One scan, or one frame (0-based) of a multi-frame file, and what became of it.

    `measures` has units in its names and NaN where undefined; `spacing_mm` is (row, column), or (i, j, k) of a
    volume, with NaN for how thick a picture's slice is; `outputs` are relative to the output folder; `seconds` is the
    time of each stage; `thumbnail` is a data URI.
    """

    filename: str
    stem: str
    frame: int | None = None
    status: str = "ok"
    reason: str = ""
    measures: dict[str, float | str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    spacing_mm: tuple[float, ...] | None = None
    spacing_source: str = "none"
    outputs: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    thumbnail: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return self.status != "ok"

    @property
    def frame_number(self) -> int | None:
        """The frame as people and output names count it, from 1."""
        return None if self.frame is None else self.frame + 1

    @property
    def spacing_isotropic_mm(self) -> float:
        """Spacing in mm, the geometric mean if the axes differ by over 0.1 %; NaN if unknown."""
        if self.spacing_mm is None:
            return math.nan
        return self.spacing_mm[0] if self._is_isotropic() else statistics.geometric_mean(self.spacing_mm)

    @property
    def is_volume(self) -> bool:
        return self.spacing_mm is not None and len(self.spacing_mm) == 3

    @property
    def has_lengths(self) -> bool:
        """Whether any measure is a length, area or volume, known or not."""
        return any(_LENGTH.search(name) for name in self.measures)

    @property
    def all_flags(self) -> list[str]:
        """The flags without repeats, with those that follow from status and spacing."""
        derived = ["failed"] if self.failed else []
        if not self.failed and self.spacing_mm is None and self.has_lengths:
            derived.append("no_spacing")
        if not self._is_isotropic() and not self.is_volume:  # thick slices are usual
            derived.append("anisotropic_spacing")
        return list(dict.fromkeys([*self.flags, *derived]))

    def _is_isotropic(self) -> bool:
        if self.spacing_mm is None:
            return True
        return max(self.spacing_mm) - min(self.spacing_mm) < 1e-3 * max(self.spacing_mm)

    def to_json(self) -> dict[str, Any]:
        """A dict for `json.dumps`: NaN and infinity become None, arrays and tuples lists."""
        return plain(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The record that `to_json` gave; keys it does not know are left out."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["measures"] = {k: math.nan if v is None else v for k, v in values.get("measures", {}).items()}
        if values.get("spacing_mm") is not None:
            sizes = values["spacing_mm"]
            values["spacing_mm"] = tuple(math.nan if size is None else float(size) for size in sizes)
        return cls(**values)


class Journal:
    """Finished records in `<out_dir>/.fetal_monai/`, one JSON file each, so that a run can be taken up again.

    `key` stands for what makes the answer (weights, settings); `input_key` of `save` and `load` for the scan
    itself, see `file_key`. A record counts only under the keys it was saved with.
    """

    def __init__(self, out_dir: str | Path, key: str) -> None:
        self.out_dir = Path(out_dir)
        self.key = key
        remove_leftovers(self.out_dir)

    def save(self, record: Record, input_key: str = "") -> None:
        content = {"key": self.key, "input_key": input_key, "record": record.to_json()}
        write_json(self._path(record.stem), content, indent=None)

    def load(self, stem: str, input_key: str = "") -> Record | None:
        """The record if it was ok, has the same keys and all its outputs exist, else None."""
        content = _read_json(self._path(stem))
        keys = {"key": self.key, "input_key": input_key}
        if not isinstance(content, dict) or not keys.items() <= content.items():
            return None
        record = _record_of(content)
        if record is None or record.failed or record.stem != stem:
            return None
        return record if all((self.out_dir / name).is_file() for name in record.outputs) else None

    def discard(self, stem: str, outputs: Iterable[str] = ()) -> None:
        """Remove the record of an earlier run, whatever its keys, its outputs and these, as far as that can be done."""
        record = _record_of(_read_json(self._path(stem)))
        known = record.outputs if record is not None and record.stem == stem else []
        for path in (self._path(stem), *(self.out_dir / name for name in (*known, *outputs))):
            with suppress(OSError):
                path.unlink()

    def _path(self, stem: str) -> Path:
        return self.out_dir / JOURNAL_FOLDER / _journal_name(stem)


def file_key(path: str | Path) -> str:
    """Size and modification time of a file, for the `input_key` of a journal."""
    status = Path(path).stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def write_measurements(
    out_dir: str | Path, records: Sequence[Record], columns: Iterable[str] = (), axes: int | None = None
) -> list[str]:
    """Write `measurements.csv` and `.json`, a row for each record, and return the names of the columns.

    `columns` are the measures promised, in order; others that records hold follow them. `axes` is 2 for pictures
    and 3 for volumes, whose spacing has three columns; by default it is what the records are. A failed scan has
    empty cells and the flag `failed`. The CSV is rounded, the JSON is not; `frame` counts from 1.
    """
    header = ["filename", *(["frame"] if any(r.frame is not None for r in records) else [])]
    measured = (name for record in records if not record.failed for name in record.measures)
    header += [name for name in dict.fromkeys([*columns, *measured]) if name not in _FIXED_COLUMNS]
    axes = axes or (3 if any(record.is_volume for record in records) else 2)
    header += [*SPACING_COLUMNS[axes], "flags"]
    rows = [_row(record, header) for record in records]
    cells = ([format_value(name, row[name]) for name in header] for row in rows)
    write_csv(Path(out_dir) / "measurements.csv", header, cells)
    write_json(Path(out_dir) / "measurements.json", rows)
    return header


def write_run(
    out_dir: str | Path,
    info: Mapping[str, Any],
    records: Sequence[Record],
    skipped: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write `run.json`: `info`, what became of every input, the files passed over, and counts."""
    failed = sum(record.failed for record in records)
    told = ("filename", "stem", "frame", "status", "reason", "outputs", "seconds")
    inputs = [{n: getattr(record, n) for n in told} | {"frame": record.frame_number} for record in records]
    counts = {"ok": len(records) - failed, "failed": failed, "skipped": len(skipped)}
    content = {**info, "counts": counts, "inputs": inputs, "skipped": list(skipped)}
    write_json(Path(out_dir) / "run.json", content)


def load_run(out_dir: str | Path) -> tuple[list[Record], dict[str, Any]]:
    """The records and `run.json` of a finished run; FileNotFoundError or ValueError if there is none.

    Where the journal is gone, the measures come from `measurements.json`; thumbnails are gone with it.
    """
    out_dir = Path(out_dir)
    if not (out_dir / "run.json").is_file():
        raise FileNotFoundError(f"{out_dir} holds no run.json: give the output folder of a run")
    info = _read_json(out_dir / "run.json")
    if not isinstance(info, dict) or not isinstance(info.get("inputs"), list):
        raise ValueError(f"{out_dir / 'run.json'} is damaged: run again")
    table = _read_json(out_dir / "measurements.json") or []
    rows = {(row["filename"], row.get("frame")): row for row in table}
    records = []
    for entry in info["inputs"]:
        record = _record_of(_read_json(out_dir / JOURNAL_FOLDER / _journal_name(entry["stem"])))
        if record is None or record.status != entry["status"]:
            record = _record_of_row(entry, rows.get((entry["filename"], entry["frame"]), {}))
        records.append(record)
    return records, info


def format_value(name: str, value: Any) -> str:
    """A cell of a table: lengths, volumes, weeks, centiles and indices with 2 decimals, else 6 figures."""
    if value is None or value == "":
        return ""
    if isinstance(value, str | bool):
        return str(value)
    if not math.isfinite(value):
        return ""
    if name in _SPACING or not _TWO_DECIMALS.search(name):
        return f"{value:.6g}"
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00")


def _row(record: Record, header: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(header)
    row["filename"] = record.filename
    if "frame" in row:
        row["frame"] = record.frame_number
    if not record.failed:
        row.update({name: value for name, value in record.measures.items() if name not in _FIXED_COLUMNS})
        row["spacing_mm"] = record.spacing_isotropic_mm
        sides = next(sides for sides in _SIDES.values() if sides[0] in header)
        row.update(zip(sides, record.spacing_mm or (None,) * len(sides), strict=True))
        row["spacing_source"] = record.spacing_source
    row["flags"] = ";".join(record.all_flags)
    return row


def _read_json(path: Path) -> Any:
    """The content, or None if there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _record_of(content: Any) -> Record | None:
    try:
        return Record.from_json(content["record"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _record_of_row(entry: Mapping[str, Any], row: Mapping[str, Any]) -> Record:
    """A record from what `run.json` and `measurements.json` say of it."""
    record = Record.from_json({**entry, "frame": None if entry["frame"] is None else entry["frame"] - 1})
    for sides in _SIDES.values():
        spacing = tuple(row.get(name) for name in sides)
        if None not in spacing[:2]:
            record.spacing_mm = tuple(math.nan if size is None else float(size) for size in spacing)
            record.spacing_source = row["spacing_source"]
    record.flags = [flag for flag in (row.get("flags") or "").split(";") if flag]
    if not record.failed:
        measures = {name: value for name, value in row.items() if name not in _FIXED_COLUMNS}
        record.measures = {name: math.nan if value is None else value for name, value in measures.items()}
    return record


def _journal_name(stem: str) -> str:
    """A file name for any stem: readable, and distinct also where the readable part is not."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[-80:].lstrip(".")
    digest = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{readable}-{digest}.json"
