"""Measured against the truth: what a bundle's inference gives on scans whose answer is known."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai import metrics
from fetal_monai.record import atomic_write, format_value, write_json

if TYPE_CHECKING:
    from ignite.engine import Engine

    from fetal_monai.run import ScanRun

__all__ = ["CalibrateHead", "EvaluateHead"]

FAILURE_MM = 15.0
FIGURES = ["hc_truth_mm", "hc_mm", "hc_difference_mm", "hc_mm_low", "hc_mm_high"]
FIGURES += ["dice", "hd95_mm", "average_surface_distance_mm"]
COLUMNS = ["filename", "patient", "role", "trimester", *FIGURES, "flags"]


class EvaluateHead:
    """Compares every measured head with its truth; last of the ``output`` transforms, and a handler of the evaluator.

    As a transform it adds a row for each scan; attached after the ``ScanWriter`` it writes ``evaluation.csv``,
    ``evaluation.json`` and ``bland_altman.png`` to ``output_dir`` when the run is over.

    Args:
        truth: items as :func:`fetal_monai.datasets.hc18_items` gives them: ``image`` and ``label`` (a drawn outline or
            a filled mask), and where known ``hc_mm``, ``patient`` and ``role``.
        run: the run whose failed scans count as failures; it must not be a resumed one.
    """

    def __init__(self, truth: Sequence[Mapping[str, Any]], run: ScanRun, output_dir: str) -> None:
        if run.resumed:
            raise ValueError("an evaluation looks at every scan: run it without resume")
        self.truth = {Path(item["image"]).name: item for item in truth}
        self.run, self.output_dir = run, Path(output_dir)
        self.rows: list[dict[str, Any]] = []

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        from fetal_monai.measure.growth import ga_weeks_hadlock, trimester

        out = dict(data)
        record, head = out["record"], out["head"]
        item = self.truth[Path(record.filename).name]
        mask, hc_mm = _truth_of(item, head.mask.shape, record.spacing_mm)
        distances = metrics.surface_distances(head.mask, mask, record.spacing_mm or 1.0)
        surface_mm, known = metrics.average_surface_distance(distances), record.spacing_mm is not None
        measures = record.measures
        self.rows.append(
            {
                "filename": record.filename,
                "patient": item.get("patient", ""),
                "role": item.get("role", ""),
                "trimester": trimester(ga_weeks_hadlock(hc_mm)),
                "hc_truth_mm": hc_mm,
                "hc_mm": measures["hc_mm"],
                "hc_difference_mm": measures["hc_mm"] - hc_mm,
                "hc_mm_low": measures["hc_mm_low"],
                "hc_mm_high": measures["hc_mm_high"],
                "dice": metrics.dice(head.mask, mask),
                "hd95_mm": metrics.hd95(distances) if known else math.nan,
                "average_surface_distance_mm": surface_mm if known else math.nan,
                "flags": ";".join(record.all_flags),
                "difficulty": head.extra.get("difficulty", {}),
            }
        )
        return out

    def attach(self, engine: Engine) -> None:
        from ignite.engine import Events

        engine.add_event_handler(Events.COMPLETED, lambda _: self.finish())

    def finish(self) -> dict[str, Any]:
        """Write the files and return what ``evaluation.json`` holds."""
        from fetal_monai.report.plots import bland_altman

        self.rows.sort(key=lambda row: row["filename"])
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([format_value(name, row[name]) for name in COLUMNS] for row in self.rows)
        atomic_write(self.output_dir / "evaluation.csv", table.getvalue())
        groups = {
            name: [row for row in self.rows if row["trimester"] == name]
            for name in ("first", "second", "third")
        }
        summary: dict[str, Any] = {"unreadable": len(self.run.failures), "all": summarise(self.rows)}
        summary["by_trimester"] = {name: summarise(rows) for name, rows in groups.items() if rows}
        write_json(self.output_dir / "evaluation.json", summary)
        pred, truth = (np.array([row[name] for row in self.rows]) for name in ("hc_mm", "hc_truth_mm"))
        if np.isfinite(truth).any():
            names = [f"{row['trimester']} trimester" for row in self.rows]
            bland_altman(pred, truth, self.output_dir / "bland_altman.png", groups=names)
        print(describe(summary["all"], summary["unreadable"]))  # noqa: T201  what the evaluation is run for
        return summary


class CalibrateHead(EvaluateHead):
    """Writes the calibration of the HC interval from patients that trained nothing.

    Weights of what makes a scan hard are fitted on the patients of the role ``validation``, the quantile is taken on
    those of the role ``calibration``.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        run: ScanRun,
        output_dir: str,
        calibration_path: str,
        features: Sequence[str],
        alpha: float = 0.1,
        source: str = "",
    ) -> None:
        super().__init__(truth, run, output_dir)
        self.calibration_path, self.features = calibration_path, features
        self.alpha, self.source = alpha, source

    def finish(self) -> dict[str, Any]:
        from fetal_monai.measure.interval import fit_calibration

        summary = super().finish()
        rows = [row for row in self.rows if row["difficulty"] and abs(row["hc_difference_mm"]) < math.inf]
        calibration = fit_calibration(
            np.array([-row["hc_difference_mm"] for row in rows]),
            {name: np.array([row["difficulty"][name] for row in rows]) for name in self.features},
            self.alpha,
            groups=np.array([row["patient"] for row in rows]),
            for_weights=np.array([row["role"] == "validation" for row in rows]),
            source=self.source,
        )
        calibration.save(self.calibration_path)
        return summary


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means, spreads and counts over rows of an evaluation; lengths in mm."""
    from fetal_monai.measure.interval import coverage

    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in FIGURES}
    difference = columns["hc_difference_mm"]
    with_truth = np.isfinite(columns["hc_truth_mm"])
    off = with_truth & ~(np.abs(difference) <= FAILURE_MM)
    no_head = np.array(["no_head" in row["flags"].split(";") for row in rows], dtype=bool)
    width = columns["hc_mm_high"] - columns["hc_mm_low"]
    return {
        "n": len(rows),
        "failures": int((off | no_head).sum()),
        "hc_mm": metrics.agreement(columns["hc_mm"], columns["hc_truth_mm"]),
        "interval_coverage": coverage(columns["hc_mm_low"], columns["hc_mm_high"], columns["hc_truth_mm"]),
        "interval_width_mm": {"median": _median(width), "mean": _mean(width)},
        **{
            name: {
                "mean": _mean(columns[name]),
                "sd": _sd(columns[name]),
                "median": _median(columns[name]),
                "worst": worst,
            }
            for name, worst in (
                ("dice", _extreme(columns["dice"], np.min)),
                ("hd95_mm", _extreme(columns["hd95_mm"], np.max)),
                ("average_surface_distance_mm", _extreme(columns["average_surface_distance_mm"], np.max)),
            )
        },
    }


def describe(summary: Mapping[str, Any], unreadable: int) -> str:
    """What :func:`summarise` gave, in some lines for people."""
    hc, dice, width = summary["hc_mm"], summary["dice"], summary["interval_width_mm"]
    surface = summary["average_surface_distance_mm"]
    lines = [
        f"{summary['n']} scans, {summary['failures']} failures, {unreadable} unreadable",
        f"Dice {dice['mean']:.4f} ± {dice['sd']:.4f}, worst {dice['worst']:.4f}",
    ]
    if hc["n"]:
        lines += [
            f"HC: absolute difference {hc['mae']:.2f} ± {hc['mae_sd']:.2f} mm",
            f"    difference {hc['mean']:+.2f} ± {hc['sd']:.2f} mm",
            f"    95 % limits of agreement {hc['loa_low']:+.2f} to {hc['loa_high']:+.2f} mm, RMSE {hc['rmse']:.2f} mm",
            f"    HD95 {summary['hd95_mm']['mean']:.2f} mm, average surface distance {surface['mean']:.2f} mm",
        ]
    if math.isfinite(summary["interval_coverage"]):
        share = 100 * summary["interval_coverage"]
        lines.append(f"    interval holds {share:.1f} % of the truth, median width {width['median']:.1f} mm")
    return "\n".join(lines)


def _truth_of(
    item: Mapping[str, Any], shape: tuple[int, int], spacing_mm: tuple[float, float] | None
) -> tuple[NDArray[np.bool_], float]:
    """The true head as a mask, and its HC: given, or that of the ellipse; NaN without spacing."""
    from PIL import Image

    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask

    gray = np.asarray(Image.open(item["label"]).convert("L"))
    drawn = gray > gray.max() / 2  # 0 and 255, or 0 and 1
    points = outline_from_mask(drawn)
    fit = None if points is None else fit_ellipse(points * (spacing_mm or (1.0, 1.0)))
    if fit is None or drawn.shape != shape:
        raise ValueError(
            f"{item['label']}: no outline of a head on the grid of its scan, {shape[0]}x{shape[1]} pixels"
        )
    hc_mm = item.get("hc_mm", fit.ellipse.perimeter if spacing_mm else math.nan)
    is_line = drawn.sum() < 0.3 * fit.ellipse.area / math.prod(spacing_mm or (1.0, 1.0))
    if not is_line:
        return drawn, hc_mm
    return fit.ellipse.scaled(tuple(1 / s for s in spacing_mm or (1.0, 1.0))).mask(shape), hc_mm  # type: ignore[arg-type]


def _extreme(values: NDArray[np.float64], function: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(function(finite)) if len(finite) else math.nan


def _mean(values: ArrayLike) -> float:
    return _extreme(np.asarray(values), np.mean)


def _median(values: ArrayLike) -> float:
    return _extreme(np.asarray(values), np.median)


def _sd(values: ArrayLike) -> float:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.std(ddof=1)) if len(finite) > 1 else math.nan
