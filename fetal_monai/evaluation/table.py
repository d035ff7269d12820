"""What every evaluation has: rows of scans compared with their truth, and the tables made of them at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.files import write_csv
from fetal_monai.record import format_value, write_json

if TYPE_CHECKING:
    from ignite.engine import Engine

    from fetal_monai.run import ScanRun

__all__ = ["Evaluation", "column", "extreme", "mean", "median", "sd", "spread"]


class Evaluation:
    """Collects `rows`, one dict for each scan; a handler that finishes when the run is over.

    `run` is the run whose failed scans count as failures; raises ``ValueError`` if it is a resumed one.
    """

    def __init__(self, run: ScanRun, output_dir: str) -> None:
        if run.resumed:
            raise ValueError("an evaluation looks at every scan: run it without resume")
        self.run, self.output_dir = run, Path(output_dir)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        from ignite.engine import Events

        engine.add_event_handler(Events.COMPLETED, self.completed)

    def completed(self, engine: Engine) -> None:
        self.rows.sort(key=lambda row: row["filename"])  # scans are written several at a time, in any order
        self.finish()

    def finish(self) -> dict[str, Any]:
        """Write the files and return what ``evaluation.json`` holds."""
        raise NotImplementedError

    def write_rows(self, columns: Sequence[str]) -> None:
        """Write ``evaluation.csv``, sorted by file name."""
        self.rows.sort(key=lambda row: row["filename"])
        cells = ([format_value(name, row[name]) for name in columns] for row in self.rows)
        write_csv(self.output_dir / "evaluation.csv", columns, cells)

    def write_summary(
        self, summarise: Callable[[Sequence[dict[str, Any]]], dict[str, Any]], by: dict[str, Iterable[Any]]
    ) -> dict[str, Any]:
        """Write ``evaluation.json``: all rows, and by the values of columns that `by` gives, in their order."""
        summary: dict[str, Any] = {"unreadable": len(self.run.failures), "all": summarise(self.rows)}
        for column, values in by.items():
            groups = {value: [row for row in self.rows if row[column] == value] for value in values}
            summary[f"by_{column}"] = {value: summarise(rows) for value, rows in groups.items() if rows}
        write_json(self.output_dir / "evaluation.json", summary)
        return summary


def extreme(values: ArrayLike, function: Callable[[NDArray[np.float64]], Any]) -> float:
    """The function of those values that are finite, NaN if none is."""
    array = np.asarray(values, dtype=float)
    finite = array[np.isfinite(array)]
    return float(function(finite)) if len(finite) else math.nan


def mean(values: ArrayLike) -> float:
    return extreme(values, np.mean)


def median(values: ArrayLike) -> float:
    return extreme(values, np.median)


def sd(values: ArrayLike) -> float:
    """Standard deviation (n - 1) of the finite values, NaN of fewer than two."""
    return extreme(values, lambda finite: finite.std(ddof=1) if len(finite) > 1 else math.nan)


def column(score: str, name: str) -> str:
    """The column of a score of one label: ``dice_ventricles``; a unit stays last: ``hd95_ventricles_mm``."""
    return f"{score.removesuffix('_mm')}_{name}{'_mm' if score.endswith('_mm') else ''}"


def spread(values: Sequence[float], worst: Any) -> dict[str, float]:
    """Mean, SD, median and ``worst`` of the finite values."""
    return {"mean": mean(values), "sd": sd(values), "median": median(values), "worst": extreme(values, worst)}
