"""One run over a folder of scans: what is to do, what became of each scan, and what is left behind at the end."""

from __future__ import annotations

import datetime
import errno
import hashlib
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetal_monai.record import Journal, Record, file_key, write_measurements, write_run
from fetal_monai.settings import as_bool, as_optional

if TYPE_CHECKING:
    from fetal_monai.scan import ScanSource

__all__ = ["ScanRun", "check_writable", "file_sha256", "reason_of", "software_versions"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class ScanRun:
    """Finds the scans of ``dataset_dir``, keeps a record of each and writes tables and report to ``output_dir``.

    Args:
        dataset_dir: a folder of scans, or one.
        output_dir: made if missing; must be writable.
        bundle_root: the bundle, whose name and version go into ``run.json``.
        weights: file whose SHA-256 goes into ``run.json``.
        columns: the promised columns of ``measurements.csv``, in order.
        title: heading of the report.
        spacing_mm: mm per pixel for all scans: a number, row and column, or "row,column"; None to take it from files
            or a CSV.
        ga_weeks: gestational age for all scans where the CSV gives none, in weeks.
        resume: keep results of an earlier run with the same weights and settings.
        progress: show a progress bar.
        settings: whatever else changes the numbers; a resumed run must have the same.
        only: paths of the scans to take from ``dataset_dir``; None for all.
        about: more for ``run.json``, such as the ``curves`` that the report draws.
        allow_ruler: take the spacing of pictures that have none from their depth ruler.
        series: DICOM series to take, see :func:`fetal_monai.scan.series_choice.asked_series`.
        deidentify: hide words in pictures before anything is measured or drawn (`fetal_monai.deidentify`).

    Raises:
        ScanError: there is no scan at all, the spacing makes no sense, or it must be asked which series is meant.
        ValueError: ``output_dir`` can't be written to, or an argument is not of its kind.
    """

    axes = 2  # of a scan; see `fetal_monai.volume_run` for three

    def __init__(
        self,
        dataset_dir: str,
        output_dir: str,
        bundle_root: str,
        weights: str,
        columns: Sequence[str],
        title: str,
        spacing_mm: float | str | Sequence[float] | None = None,
        ga_weeks: float | None = None,
        resume: bool | str = False,
        progress: bool | str = False,
        settings: Mapping[str, Any] | None = None,
        only: Sequence[str] | None = None,
        about: Mapping[str, Any] | None = None,
        allow_ruler: bool | str = False,
        series: str | int | Sequence[str | int] | None = None,
        deidentify: bool | str = False,
    ) -> None:
        from fetal_monai.scan import ScanError, read_spacing_csv
        from fetal_monai.scan.series_choice import asked_series

        self.clock = time.perf_counter()
        self.input, self.output_dir = Path(dataset_dir), Path(output_dir)
        self.columns, self.title, self.progress = list(columns), title, as_bool(progress, "progress")
        self.ga_weeks = None if as_optional(ga_weeks) is None else _number(ga_weeks, "ga_weeks")
        self.spacing_mm = _spacing(spacing_mm, self.axes)
        self.allow_ruler = as_bool(allow_ruler, "allow_ruler")
        self.series = asked_series(series)
        self.deidentify = as_bool(deidentify, "deidentify")
        self.sources, self.skipped = self._find()
        self.table = read_spacing_csv(self.input if self.input.is_dir() else self.input.parent)
        filenames = [name for source in self.sources for name in self._filenames(source)]
        self.unmatched = self.table.unmatched(filenames) if self.input.is_dir() else []
        if only is not None:
            wanted = {Path(path).resolve() for path in only}
            self.sources = [source for source in self.sources if not wanted.isdisjoint(_paths(source))]
            if not self.sources:
                raise ScanError(f"{self.input}: holds none of the {len(wanted)} scans that are asked for")
        check_writable(self.output_dir)
        metadata = json.loads((Path(bundle_root) / "configs" / "metadata.json").read_text(encoding="utf-8"))
        self.info: dict[str, Any] = {
            "bundle": Path(bundle_root).resolve().name,
            "bundle_version": metadata["version"],
            "weights": Path(weights).name,
            "weights_sha256": file_sha256(weights),
            "versions": software_versions(),
            "title": title,
            "input": str(self.input),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "settings": {**self._spacing_settings(), "ga_weeks": self.ga_weeks, **(settings or {})},
            **(about or {}),
        }
        parts = [self.info[name] for name in ("bundle_version", "weights_sha256", "settings")]
        key = hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()
        self.journal = Journal(self.output_dir, key)
        self.records: dict[str, Record] = {}
        self.failures: list[Record] = []
        self.lock = threading.Lock()
        self.bar: Any = None
        self.resumed = 0
        for source in self.sources if as_bool(resume, "resume") else ():
            if not source.error and (record := self.journal.load(source.stem, self._input_key(source))):
                self.records[source.stem] = record
                self.resumed += 1

    @property
    def items(self) -> list[dict[str, Any]]:
        """What is still to do: a dict with ``image`` (its ``ScanSource``) and how to ``read`` it for each scan."""
        left = (source for source in self.sources if source.stem not in self.records)
        return [{"image": source, "read": self.read} for source in left]

    def read(self, source: ScanSource) -> Any:
        """The ``Scan`` with its spacing from argument, file or CSV; raises ``ScanError``."""
        from dataclasses import replace

        scan = self._read(source)
        if self.ga_weeks is not None and scan.ga_weeks != scan.ga_weeks:
            scan = replace(scan, ga_weeks=self.ga_weeks)
        return scan

    def _find(self) -> tuple[list[ScanSource], list[dict[str, str]]]:
        from fetal_monai.scan import find_scans
        from fetal_monai.scan.series_choice import choose_pictures

        return choose_pictures(find_scans(self.input), self.series)

    def _read(self, source: ScanSource) -> Any:
        from fetal_monai.scan import read_scan

        scan = read_scan(
            source, spacing_mm=self.spacing_mm, spacing_table=self.table, allow_ruler=self.allow_ruler
        )
        if not self.deidentify:
            return scan
        from fetal_monai.deidentify import without_words

        return without_words(scan)

    def _spacing_settings(self) -> dict[str, Any]:
        return {"spacing_mm": self.spacing_mm, **({"allow_ruler": True} if self.allow_ruler else {})}

    def _filenames(self, source: ScanSource) -> list[str]:
        """What a CSV of spacings may call it."""
        return [source.filename]

    def done(self, source: ScanSource, record: Record) -> None:
        """Keep the record of a scan whose outputs are written."""
        self.journal.save(record, self._input_key(source))
        with self.lock:
            self.records[source.stem] = record
        self._advance()

    def failed(self, source: ScanSource, error: Exception, outputs: Iterable[str] = ()) -> None:
        """Note why a scan gives no result; its ``outputs`` so far, and those of an earlier run, are removed."""
        self.journal.discard(source.stem, outputs)
        self._note(source, error)

    def _note(self, source: ScanSource, error: Exception) -> None:
        reason = reason_of(error, source.filename)
        record = Record(source.filename, source.stem, source.frame, status="failed", reason=reason)
        with self.lock:
            self.failures.append(record)
        self._advance()

    def finish(self, error: BaseException | None = None) -> None:
        """Write ``measurements.csv``, ``measurements.json``, ``run.json`` and ``report.html``.

        ``error`` is what ended the run before its time. A scan of which nothing was heard counts as failed.
        """
        from fetal_monai.report.page import write_report

        told = {(record.filename, record.frame) for record in [*self.records.values(), *self.failures]}
        cause = "see the messages above" if error is None else reason_of(error)
        for source in self.sources:
            if (source.filename, source.frame) not in told:
                self._note(source, ValueError(f"the run ended before this scan was done: {cause}"))
        if self.bar is not None:
            self.bar.close()
        order = {(source.filename, source.frame): place for place, source in enumerate(self.sources)}
        everything = [*self.records.values(), *self.failures]
        records = sorted(everything, key=lambda record: order[record.filename, record.frame])
        stages: dict[str, float] = {}
        for record in records:
            for stage, seconds in record.seconds.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        info = self.info | {"resumed": self.resumed, "seconds": stages}
        info["seconds"]["total"] = time.perf_counter() - self.clock
        if self.unmatched:
            info["warnings"] = [f"the CSV names {name}, which is not there" for name in self.unmatched]
        self._write_tables(records)
        write_run(self.output_dir, info, records, self.skipped)
        write_report(self.output_dir, records, info, title=self.title)

    def _write_tables(self, records: Sequence[Record]) -> None:
        write_measurements(self.output_dir, records, self.columns, self.axes)

    def _input_key(self, source: ScanSource) -> str:
        """Changes with the file, or the files of a series, and with what a CSV says of it."""
        key = " ".join(map(file_key, source.files)) if source.files else file_key(source.path)
        return f"{hashlib.sha256(key.encode()).hexdigest() if source.files else key} {self.table.row(source)}"

    def _advance(self) -> None:
        if not self.progress:
            return
        with self.lock:
            if self.bar is None:
                from tqdm import tqdm

                self.bar = tqdm(total=len(self.sources), initial=self.resumed, unit="scan", file=sys.stderr)
            self.bar.update()


def check_writable(output_dir: Path) -> None:
    """Make the folder if it is missing; raise ValueError if nothing can be written to it."""
    probe = output_dir / f".fetal_monai_{os.getpid()}"
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0")
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"{output_dir}: can't write results there ({error.strerror}); choose another --output_dir"
        ) from error


def reason_of(error: BaseException, filename: str = "") -> str:
    """What went wrong, without MONAI's 'applying transform …' around it, naming the file."""
    while error.__cause__ is not None and str(error).startswith("applying transform"):
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        text = f"{filename}: {error.strerror}; make room, and run again with --resume true"
    if not isinstance(error, ValueError | OSError):
        text = f"{type(error).__name__}: {text}"
    return text if Path(filename).name in text else f"{filename}: {text}"


def file_sha256(path: str | Path | None) -> str:
    """SHA-256 of a file in hex; empty where there is none."""
    if as_optional(path) is None or not Path(str(path)).is_file():
        return ""
    digest = hashlib.sha256()
    with open(str(path), "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _paths(source: ScanSource) -> list[Path]:
    return [path.resolve() for path in (source.path, *source.files)]


def _spacing(value: Any, axes: int) -> tuple[float, ...] | None:
    """mm along each of 2 or 3 axes of a number, as many of them, or a text of either; None of none."""
    from fetal_monai.scan import check_spacing, check_voxel_size

    if as_optional(value) is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    numbers = [_number(part, "spacing_mm") for part in parts]
    check = check_spacing if axes == 2 else check_voxel_size
    return check(numbers * axes if len(numbers) == 1 else numbers, "spacing_mm")


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; give a number, such as 0.12") from None


def software_versions() -> dict[str, str]:
    """Of this package, Python and the packages that change numbers."""
    from importlib.metadata import version

    import fetal_monai

    names = ("torch", "monai", "numpy", "scipy", "scikit-image", "pillow", "pydicom", "nibabel", "SimpleITK")
    return {"fetal_monai": fetal_monai.__version__, "python": platform.python_version()} | {
        n: version(n) for n in names
    }
