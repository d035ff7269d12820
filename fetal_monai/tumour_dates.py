"""Brain tumours of two dates compared: finished runs or label files in, a row for each patient out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetal_monai.files import write_csv
from fetal_monai.measure.tumour import TumourMeasurement
from fetal_monai.measure.tumour_change import CHANGE_MEASURES, CHANGE_VOLUMES, compare_tumours
from fetal_monai.record import Record, format_value, load_run
from fetal_monai.report.flags import explain
from fetal_monai.scan.errors import ScanError, naming

__all__ = ["COMPARISON_COLUMNS", "NOT_A_VERDICT", "compare_dates", "describe_comparison", "write_comparison"]

SUFFIX = "_seg.nii.gz"
NOT_THE_METHOD = {
    "device",
    "amp",
    "probabilities",
    "uncertain_above",
    "sequences",
    "time_point",
    "spacing_mm",
}
DATES = ("first", "second")
NOT_A_VERDICT = (
    "Thresholds are those that RANO sets its categories by. They are no verdict: new lesions, earlier dates, steroids, "
    "treatment and the patient's state are not looked at."
)
COMPARISON_COLUMNS = (
    "patient",
    *(f"{date}_labels" for date in DATES),
    *(f"{name}_{date}_ml" for name in CHANGE_VOLUMES for date in DATES),
    *CHANGE_MEASURES,
    "thresholds",
    *(f"{date}_flags" for date in DATES),
    "flags",
)


@dataclass(frozen=True)
class _Date:
    """One patient at one date: its labels, their convention if known, and what the run that made them said of it."""

    name: str
    path: Path
    convention: str | None = None
    flags: tuple[str, ...] = ()
    sequences: tuple[str, ...] | None = None
    made_by: str = ""
    error: str = ""


def compare_dates(
    first: str | Path,
    second: str | Path,
    *,
    patients: Sequence[str] = (),
    pair: Sequence[str] | None = None,
    days: float | None = None,
    convention: str | None = None,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Compare the patients of two runs, or two label files; the labels are measured as they are now.

    `first` and `second`, the earlier and the later date, are output folders of runs of the tumour bundle, or label
    files (`<patient>_seg.nii.gz`). Patients are matched by name, all in common or the `patients` named; a `pair` names
    the one at the first and the one at the second date, which may lie in one folder. `convention` is that of label
    files whose run is not known (see `labels_to_regions`).

    Returns rows of `COMPARISON_COLUMNS` (NaN where undefined, `thresholds` a dict with their words), and for patients
    that could not be compared why. Flags are those of `TumourChange`, and where the runs are known sequences_differ and
    runs_differ (other weights or settings).

    Raises ScanError where nothing can be compared: no run, a run of another bundle, no common patient, or a name that
    is not there.
    """
    found = [_dates(Path(path), convention) for path in (first, second)]
    rows, failed = [], {}
    for name, before, after in _pairs((Path(first), Path(second)), found, patients, pair):
        try:
            rows.append(_row(name, before, after, days))
        except ScanError as error:
            failed[name] = str(error)
    return rows, failed


def _pairs(
    paths: tuple[Path, Path],
    found: Sequence[Mapping[str, _Date]],
    patients: Sequence[str],
    pair: Sequence[str] | None,
) -> list[tuple[str, _Date, _Date]]:
    earlier, later = found
    if pair is not None:
        one, other = (_named(name, dates, path) for name, dates, path in zip(pair, found, paths, strict=True))
        return [(" to ".join(dict.fromkeys((one.name, other.name))), one, other)]
    if patients:
        return [(name, _named(name, earlier, paths[0]), _named(name, later, paths[1])) for name in patients]
    if paths[0].is_file() and paths[1].is_file():  # whoever names two files means them
        one, other = next(iter(earlier.values())), next(iter(later.values()))
        return [(" to ".join(dict.fromkeys((one.name, other.name))), one, other)]
    common = [name for name in earlier if name in later]
    if not common:
        raise ScanError(
            f"{paths[0]} and {paths[1]} have no patient in common ({_listed(earlier)}; {_listed(later)}); name the "
            "patient at either date, as --patients p1_2024 p1_2025"
        )
    return [(name, earlier[name], later[name]) for name in common]


def _named(name: str, dates: Mapping[str, _Date], path: Path) -> _Date:
    if name not in dates:
        raise ScanError(f"{path}: has no patient {name}; it has {_listed(dates)}")
    return dates[name]


def _listed(names: Iterable[str]) -> str:
    known = [*names]
    return ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")


def _dates(path: Path, convention: str | None) -> dict[str, _Date]:
    """The patients of a run by name, or the one of a label file."""
    if path.is_dir():
        try:
            records, info = load_run(path)
        except (FileNotFoundError, ValueError) as error:
            raise ScanError(f"{error}, or a {SUFFIX[1:]} file") from error
        if "convention" not in info.get("settings", {}):
            raise ScanError(
                f"{path}: is a run of {info.get('bundle', 'another bundle')}, which finds no brain tumours; give runs "
                "of brain_tumour_mri_segmentation"
            )
        if not records:
            raise ScanError(f"{path}: is a run without a patient")
        return {record.stem: _of_record(path, record, info) for record in records}
    if not path.is_file():
        raise ScanError(f"{path} does not exist; give the output folder of a run, or a label file")
    for folder in list(path.absolute().parents)[:3]:  # names of patients may hold folders
        if (folder / "run.json").is_file():
            known = _dates(folder, convention)
            found = [date for date in known.values() if date.path.absolute() == path.absolute()]
            if found:
                return {found[0].name: found[0]}
    name = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix("_seg")
    return {name: _Date(name, path, convention)}


def _of_record(folder: Path, record: Record, info: Mapping[str, Any]) -> _Date:
    labels = next((name for name in record.outputs if name.endswith(SUFFIX)), "")
    error = ""
    if record.failed:
        error = f"{record.filename}: failed in {folder} ({record.reason})"
    elif not labels:
        error = f"{record.filename}: {folder} has no labels of it; run again"
    settings = {name: value for name, value in info["settings"].items() if name not in NOT_THE_METHOD}
    convention = str(settings.pop("convention"))
    sequences = record.extra.get("sequences")
    return _Date(
        record.stem,
        folder / labels,
        convention,
        tuple(record.all_flags),
        None if sequences is None else tuple(sequences),
        f"{info.get('bundle_version')} {info.get('weights_sha256')} {sorted(settings.items())}",
        error,
    )


def _row(name: str, first: _Date, second: _Date, days: float | None) -> dict[str, Any]:
    if first.path.absolute() == second.path.absolute():
        raise ScanError(
            f"{first.path}: stands for both dates; give two runs, or name two patients with --patients"
        )
    measured = [_measure(date) for date in (first, second)]
    change = compare_tumours(measured[0], measured[1], days)
    flags = list(change.flags)
    if None not in (first.sequences, second.sequences) and first.sequences != second.sequences:
        flags.append("sequences_differ")
    if first.made_by and second.made_by and first.made_by != second.made_by:
        flags.append("runs_differ")
    row: dict[str, Any] = {"patient": name}
    for date, one, found in zip(DATES, (first, second), measured, strict=True):
        row |= {f"{date}_labels": str(one.path), f"{date}_flags": list(one.flags)}
        row |= {f"{volume}_{date}_ml": found.measures[f"{volume}_ml"] for volume in CHANGE_VOLUMES}
    row |= {**change.measures, "thresholds": change.thresholds, "flags": flags}
    return {column: row[column] for column in COMPARISON_COLUMNS}


def _measure(date: _Date) -> TumourMeasurement:
    from fetal_monai.measure.tumour import measure_tumour
    from fetal_monai.measure.tumour_regions import check_not_ambiguous
    from fetal_monai.scan.nifti import read_nifti

    if date.error:
        raise ScanError(date.error)
    with naming(str(date.path)):
        if not date.path.name.lower().endswith((".nii", ".nii.gz")):
            raise ScanError("is no NIfTI file; give labels as .nii or .nii.gz")
        volume = read_nifti(date.path, min_size=1)
        if volume.spacing_mm is None:
            raise ScanError("does not say how large its voxels are; save it with its affine")
        try:
            check_not_ambiguous(volume.voxels, date.convention, "--convention brats2023 or brats2013")
            return measure_tumour(volume.voxels, volume.affine, convention=date.convention)
        except ValueError as error:
            raise ScanError(f"cannot be measured: {error}") from error


def write_comparison(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of `compare_dates` as a CSV; thresholds and flags are `;`-separated words."""
    write_csv(
        path, COMPARISON_COLUMNS, ([_cell(name, row[name]) for name in COMPARISON_COLUMNS] for row in rows)
    )


def _cell(name: str, value: Any) -> str:
    return ";".join(value) if isinstance(value, list | dict) else format_value(name, value)


def describe_comparison(row: Mapping[str, Any]) -> str:
    """A row of `compare_dates` as a table for people."""
    lines = [f"{row['patient']}", f"  first   {row['first_labels']}", f"  second  {row['second_labels']}"]
    lines.append(f"  {'':<44}{'first':>10}{'second':>10}{'change':>10}")
    for name, words in CHANGE_VOLUMES.items():
        before, after = (row[f"{name}_{date}_ml"] for date in DATES)
        change, percent = row[f"{name}_change_ml"], row[f"{name}_change_percent"]
        lines.append(
            f"  {words + ', mL':<44}{before:>10.1f}{after:>10.1f}{change:>+10.1f}{_percent(percent)}"
        )
    before, after = (row[f"rano_product_{date}_mm2"] for date in DATES)
    numbers = "".join(f"{'-' if math.isnan(value) else f'{value:.0f}':>10}" for value in (before, after))
    percent = _percent(row["rano_product_change_percent"])
    lines.append(f"  {'product of the RANO diameters, mm²':<44}{numbers}{'':>10}{percent}")
    for words, flags in (("", row["flags"]), *((f"{date}: ", row[f"{date}_flags"]) for date in DATES)):
        lines += [f"  {words}{flag}: {explain(flag).sentence}" for flag in flags]
    lines += [f"  threshold passed: {words}" for words in row["thresholds"].values()]
    if not row["thresholds"]:
        lines.append("  no threshold passed")
    return "\n".join(lines)


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:>+8.0f} %"
