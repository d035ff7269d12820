"""Heads against the truth: what a bundle measures on images whose head circumference is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai import metrics
from fetal_monai.evaluation.table import Evaluation, extreme, mean, median, sd

if TYPE_CHECKING:
    from fetal_monai.run import ScanRun

__all__ = ["CalibrateHead", "EvaluateHead", "describe", "summarise"]

FAILURE_MM = 15.0
FIGURES = ["hc_truth_mm", "hc_mm", "hc_difference_mm", "hc_mm_low", "hc_mm_high"]
FIGURES += ["dice", "hd95_mm", "average_surface_distance_mm"]
COLUMNS = ["filename", "patient", "role", "trimester", *FIGURES, "flags"]


class EvaluateHead(Evaluation):
    """Compares every measured head with its truth; last of the ``output`` transforms, and a handler of the evaluator.

    As a transform it adds a row for each scan; attached after the ``ScanWriter`` it writes ``evaluation.csv``,
    ``evaluation.json`` and ``bland_altman.png`` to ``output_dir`` when the run is over.

    Args:
        truth: items as :func:`fetal_monai.datasets.hc18_items` gives them: ``image`` and ``label`` (a drawn outline or
            a filled mask), and where known ``hc_mm``, ``patient`` and ``role``.
        run: the run whose failed scans count as failures; it must not be a resumed one.
    """

    def __init__(self, truth: Sequence[Mapping[str, Any]], run: ScanRun, output_dir: str) -> None:
        super().__init__(run, output_dir)
        self.truth = {Path(item["image"]).name: item for item in truth}

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

    def finish(self) -> dict[str, Any]:
        """Write the files and return what ``evaluation.json`` holds."""
        from fetal_monai.report.plots import bland_altman

        self.write_rows(COLUMNS)
        summary = self.write_summary(summarise, {"trimester": ("first", "second", "third")})
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
        "interval_width_mm": {"median": median(width), "mean": mean(width)},
        **{
            name: {
                "mean": mean(columns[name]),
                "sd": sd(columns[name]),
                "median": median(columns[name]),
                "worst": worst,
            }
            for name, worst in (
                ("dice", extreme(columns["dice"], np.min)),
                ("hd95_mm", extreme(columns["hd95_mm"], np.max)),
                ("average_surface_distance_mm", extreme(columns["average_surface_distance_mm"], np.max)),
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
