"""Label maps against the truth: tissues of the brain, or a mask of it, as the FeTA challenge scores them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai import metrics
from fetal_monai.datasets.labels import read_labels
from fetal_monai.evaluation.table import Evaluation, column, mean, spread
from fetal_monai.measure.tissues import TISSUES

if TYPE_CHECKING:
    from fetal_monai.run import ScanRun

__all__ = ["EvaluateLabels", "describe_labels", "summarise_labels"]

SCORES = {
    "dice": np.min,
    "hd95_mm": np.max,
    "volume_similarity": np.min,
    "euler_difference": np.max,
}  # and worst
AGES = {"under_25_weeks": 25.0, "25_to_29_weeks": 30.0, "from_30_weeks": math.inf}  # and where each ends


class EvaluateLabels(Evaluation):
    """Compares every label map with its truth; last of the ``output`` transforms, and a handler of the evaluator.

    As a transform it adds a row for each scan, from ``scan``, ``labels`` (I, J, K) on the scan's grid and ``record``;
    attached after the ``ScanWriter`` it writes ``evaluation.csv``, ``evaluation.json`` and ``dice.png`` to
    ``output_dir`` when the run is over.

    Args:
        truth: items as :func:`fetal_monai.datasets.fetal_atlas_items` and its like give them: ``image``, ``label`` and
            ``label_key``, and where known ``subject``, ``dataset``, ``role`` and ``ga_weeks``.
        run: the run whose failed scans count as failures; it must not be a resumed one.
        names: of the labels 1, 2, …; ``("brain",)`` for a mask.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        run: ScanRun,
        output_dir: str,
        names: Sequence[str] = TISSUES,
    ) -> None:
        super().__init__(run, output_dir)
        self.truth = {Path(item["image"]).resolve(): item for item in truth}
        self.names = tuple(names)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        out = dict(data)
        record, scan = out["record"], out["scan"]
        labels = np.asarray(out["labels"])
        item = self.truth[Path(scan.source.path).resolve()]
        truth = read_labels(item["label"], item["label_key"], labels.shape, scan.affine)
        scores = metrics.label_scores(labels, truth, self.names, scan.spacing_mm)
        given, known = float(item.get("ga_weeks", math.nan)), float(scan.ga_weeks)
        ga_weeks = known if math.isnan(given) else given
        row = {
            "filename": record.filename,
            **{name: item.get(name, "") for name in ("subject", "dataset", "role")},
            "ga_weeks": ga_weeks,
            "age": next((name for name, end in AGES.items() if ga_weeks < end), ""),
            **{score: mean([scores[name][score] for name in self.names]) for score in SCORES},
            "flags": ";".join(record.all_flags),
        }
        row |= {column(score, name): scores[name][score] for score in SCORES for name in self.names}
        self.rows.append(row)
        return out

    def finish(self) -> dict[str, Any]:
        from fetal_monai.report.plots import scores_by_age

        several = len(self.names) > 1
        columns = ["filename", "subject", "dataset", "role", "ga_weeks"]
        columns += list(SCORES) if several else []
        columns += [column(score, name) for score in SCORES for name in self.names]
        self.write_rows([*columns, "flags"])
        datasets = list(dict.fromkeys(row["dataset"] for row in self.rows if row["dataset"]))
        summary = self.write_summary(
            lambda rows: summarise_labels(rows, self.names), {"dataset": datasets, "age": AGES}
        )
        if self.rows:
            dice = {name: [row[column("dice", name)] for row in self.rows] for name in self.names}
            if several:
                dice["mean"] = [row["dice"] for row in self.rows]
            ages, groups = ([row[name] for row in self.rows] for name in ("ga_weeks", "dataset"))
            scores_by_age(ages, dice, self.output_dir / "dice.png", name="Dice", groups=groups)
        print(describe_labels(summary["all"], summary["unreadable"]))  # noqa: T201  what the evaluation is run for
        return summary


def summarise_labels(rows: Sequence[Mapping[str, Any]], names: Sequence[str] = TISSUES) -> dict[str, Any]:
    """Means, spreads and worst cases over rows of an evaluation: of each label, and of the mean over labels.

    ``missing`` counts the scans in which the label is found in only one of prediction and truth; there a distance and
    a difference of topology are not defined, and are left out of their means.
    """
    found: dict[str, Any] = {"n": len(rows)}
    dice = np.array([row["dice"] for row in rows], dtype=float)
    if np.isfinite(dice).any():
        worst = rows[int(np.nanargmin(dice))]
        found["worst_scan"] = {"filename": worst["filename"], "dice": worst["dice"]}
    found["mean"] = {score: spread([row[score] for row in rows], SCORES[score]) for score in SCORES}
    found["labels"] = {
        name: {
            "missing": sum(
                math.isnan(row[column("hd95_mm", name)]) and not math.isnan(row[column("dice", name)])
                for row in rows
            ),
            **{score: spread([row[column(score, name)] for row in rows], SCORES[score]) for score in SCORES},
        }
        for name in names
    }
    return found


def describe_labels(summary: Mapping[str, Any], unreadable: int) -> str:
    """What :func:`summarise_labels` gave, as a table for people."""
    labels = dict(summary["labels"])
    if len(labels) > 1:
        labels["mean"] = {"missing": 0, **summary["mean"]}
    lines = [
        f"{summary['n']} scans, {unreadable} unreadable",
        f"{'':22}{'Dice':>15} {'worst':>6} {'HD95, mm':>14} {'volume sim.':>13} {'Euler diff.':>14} {'missing':>8}",
    ]
    for name, found in labels.items():
        dice, hd95 = found["dice"], found["hd95_mm"]
        volume, euler = found["volume_similarity"], found["euler_difference"]
        lines.append(
            f"{name.replace('_', ' '):22}{dice['mean']:7.3f} ± {dice['sd']:.3f} {dice['worst']:6.3f} "
            f"{hd95['mean']:6.2f} ± {hd95['sd']:5.2f} {volume['mean']:.3f} ± {volume['sd']:.3f} "
            f"{euler['mean']:6.1f} ± {euler['sd']:5.1f} {found['missing']:8}"
        )
    return "\n".join(lines)
