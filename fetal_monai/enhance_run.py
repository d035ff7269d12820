"""A folder of ultrasound pictures enhanced: pictures, before and after side by side, and what became of each."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai.enhance import STEPS, Enhanced, enhance
from fetal_monai.files import atomic_write
from fetal_monai.record import Record, write_run
from fetal_monai.run import check_writable, reason_of, software_versions

if TYPE_CHECKING:
    from fetal_monai.scan import Scan, ScanSource

__all__ = ["enhance_folder"]

OWN_SUFFIX = "_enhanced"
COLUMNS = (
    *("filename", "pixel size(mm)", "input", "frame", "status", "reason"),
    *("spacing_row_mm", "spacing_column_mm", "spacing_source", "sector", "marks_percent", "flags"),
)


def enhance_folder(
    input_dir: str | Path,
    output_dir: str | Path,
    steps: Sequence[str] = STEPS,
    speckle: str = "srad",
    spacing_mm: float | Sequence[float] | None = None,
    allow_ruler: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Enhance a picture, or all in a folder, and return what `run.json` says.

    Writes `<stem>_enhanced` on the grid of each picture (PNG; NIfTI for NIfTI, MHA and NRRD), `<stem>_compare.png`,
    `enhance.csv` and `run.json`. A PNG holds no spacing: `enhance.csv` has it in the columns that `fetal-monai run`
    reads, so that the folder can be measured as it is. What can't be read is `failed` there and stops no other.
    Raises ScanError if there is no picture at all, ValueError if `output_dir` can't be written to or a step is unknown.
    """
    from fetal_monai.scan import ScanError, find_scans, read_colours, read_scan, read_spacing_csv

    start, path, out = time.perf_counter(), Path(input_dir), Path(output_dir)
    enhance(np.zeros((32, 32), np.uint8), steps, speckle=speckle)  # refuses unknown words before any work
    found, skipped = find_scans(path)
    own = [source for source in found if source.stem.endswith(OWN_SUFFIX)]
    sources = [source for source in found if source not in own]
    skipped += [{"filename": source.filename, "reason": "an output of an earlier run"} for source in own]
    if not sources:
        raise ScanError(f"{path}: holds only pictures that were enhanced already")
    table = read_spacing_csv(path if path.is_dir() else path.parent)
    check_writable(out)
    records, rows = [], []
    for source in _with_bar(sources, progress):
        record = Record(source.filename, source.stem, source.frame)
        row: dict[str, Any] = {}
        clock = time.perf_counter()
        try:
            scan = read_scan(source, spacing_mm=spacing_mm, spacing_table=table, allow_ruler=allow_ruler)
            record.spacing_mm, record.spacing_source, record.flags = (
                scan.spacing_mm,
                scan.spacing_source,
                [*scan.flags],
            )
            done = enhance(scan.image, steps, rgb=read_colours(scan), speckle=speckle)
            _write(done, scan, steps, out, record)
            row = _row(done, record)
        except Exception as error:
            for name in record.outputs:
                (out / name).unlink(missing_ok=True)
            record = replace(
                record, status="failed", reason=reason_of(error, source.filename), outputs=[], flags=[]
            )
        record.seconds = {"total": time.perf_counter() - clock}
        records.append(record)
        told = {
            "input": record.filename,
            "frame": record.frame_number,
            "status": record.status,
            "reason": record.reason,
        }
        rows.append({**told, **row, "flags": ";".join(record.all_flags)})
    _write_csv(out / "enhance.csv", rows)
    info = {
        "title": "Enhanced pictures",
        "versions": software_versions(),
        "input": str(path),
        "command": " ".join(sys.argv),
        "settings": {
            "steps": [step for step in STEPS if step in steps],
            "speckle": speckle,
            "allow_ruler": allow_ruler,
        },
        "seconds": {"total": time.perf_counter() - start},
    }
    write_run(out, info, records, skipped)
    failed = sum(record.failed for record in records)
    counts = {"ok": len(records) - failed, "failed": failed, "skipped": len(skipped)}
    return {**info, "counts": counts, "failed": {r.filename: r.reason for r in records if r.failed}}


def _write(done: Enhanced, scan: Scan, steps: Sequence[str], out: Path, record: Record) -> None:
    from fetal_monai.report.comparison import draw_comparison
    from fetal_monai.report.overlay import save_overlay
    from fetal_monai.scan import write_picture

    path = write_picture(done.image, scan, out, OWN_SUFFIX)
    record.outputs.append(path.relative_to(out).as_posix())
    name = f"{record.stem}_compare.png"
    words = ", ".join(step for step in STEPS if step in steps) or "nothing"
    picture = draw_comparison(
        scan.image,
        done.image,
        outlines=done.sector.outline if done.sector.kind != "whole" else [],
        marks=done.marks & done.sector.mask,
        caption=[f"{record.filename}: before and after", f"Steps: {words}  ·  Sector: {done.sector.kind}"],
        flags=record.all_flags,
        spacing_mm=scan.spacing_mm,
    )
    save_overlay(out / name, picture)
    record.outputs.append(name)


def _row(done: Enhanced, record: Record) -> dict[str, Any]:
    row, column = record.spacing_mm or (None, None)
    isotropic = row is not None and "anisotropic_spacing" not in record.all_flags
    return {
        "filename": record.outputs[0],
        "pixel size(mm)": row if isotropic else None,  # one number can't say more
        "spacing_row_mm": row,
        "spacing_column_mm": column,
        "spacing_source": record.spacing_source,
        "sector": done.sector.kind,
        "marks_percent": round(100 * float((done.marks & done.sector.mask).mean()), 3),
    }


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, text.getvalue())


def _with_bar(sources: list[ScanSource], progress: bool) -> Any:
    if not progress:
        return sources
    from tqdm import tqdm

    return tqdm(sources, unit="scan", file=sys.stderr)
