"""Tumour regions against the truth, whole and lesion by lesion, as the BraTS challenge scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai.datasets.tumour import read_tumour_labels
from fetal_monai.evaluation.table import Evaluation, column, spread
from fetal_monai.measure.tumour_regions import REGIONS, labels_to_regions

if TYPE_CHECKING:
    from fetal_monai.run import ScanRun

__all__ = ["EvaluateTumours", "describe_tumours", "summarise_tumours"]

SCORES = {  # and their worst
    "dice": np.min,
    "hd95_mm": np.max,
    "sensitivity": np.min,
    "specificity": np.min,
    "lesion_dice": np.min,
    "lesion_hd95_mm": np.max,
    "n_lesions": np.max,
    "n_missed": np.max,
    "n_false": np.max,
}


class EvaluateTumours(Evaluation):
    """Compares the regions of every patient with their truth; last of the ``output`` transforms, and a handler.

    As a transform it adds a row for each patient, from ``patient``, ``scan``, ``labels`` (I, J, K) and ``record``;
    attached after the ``ScanWriter`` it writes ``evaluation.csv`` and ``evaluation.json`` to ``output_dir`` when the
    run is over. Scores are those of :func:`fetal_monai.metrics_lesions.lesion_scores`.

    Args:
        truth: items as :func:`fetal_monai.datasets.tumour_items` gives them.
        run: the run whose failed patients count as failures; it must not be a resumed one.
        convention: that of ``labels``.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        run: ScanRun,
        output_dir: str,
        convention: str = "brats2018",
    ) -> None:
        super().__init__(run, output_dir)
        self.truth = {_key(item["image"]): item for item in truth}
        self.convention = convention

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        from fetal_monai.metrics_lesions import lesion_scores

        out = dict(data)
        record, scan = out["record"], out["scan"]
        item = self.truth[_key(scan.source)]
        truth = read_tumour_labels(item["label"], item["convention"], scan.image.shape, scan.affine)
        found = labels_to_regions(out["labels"], self.convention)
        row = {
            "filename": record.filename,
            **{name: item.get(name, "") for name in ("subject", "dataset", "role")},
            "sequences": " ".join(out["patient"].images),
            "flags": ";".join(record.all_flags),
        }
        for region, ours, theirs in zip(REGIONS, found, labels_to_regions(truth, "brats2023"), strict=True):
            scores = lesion_scores(ours, theirs, scan.spacing_mm)
            row |= {column(score, region): scores[score] for score in SCORES}
        self.rows.append(row)
        return out

    def finish(self) -> dict[str, Any]:
        columns = ["filename", "subject", "dataset", "role", "sequences"]
        columns += [column(score, region) for score in SCORES for region in REGIONS]
        self.write_rows([*columns, "flags"])
        kinds = list(dict.fromkeys(row["sequences"] for row in self.rows))
        summary = self.write_summary(summarise_tumours, {"sequences": kinds})
        print(describe_tumours(summary["all"], summary["unreadable"]))  # noqa: T201  what the evaluation is run for
        return summary


def summarise_tumours(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means, spreads and worst cases of each region over rows of an evaluation; NaNs are left out."""
    found: dict[str, Any] = {"n": len(rows), "regions": {}}
    for region in REGIONS:
        found["regions"][region] = {
            score: spread([row[column(score, region)] for row in rows], worst)
            for score, worst in SCORES.items()
        }
    return found


def describe_tumours(summary: Mapping[str, Any], unreadable: int) -> str:
    """What :func:`summarise_tumours` gave, as a table for people."""
    heads = ("sensitivity", "specificity", "lesion Dice", "lesion HD95")
    lines = [
        f"{summary['n']} patients, {unreadable} unreadable",
        f"{'':14}{'Dice':>15} {'worst':>6} {'HD95, mm':>14} {' '.join(heads)}",
    ]
    for region, found in summary["regions"].items():
        dice, hd95 = found["dice"], found["hd95_mm"]
        lines.append(
            f"{region.replace('_', ' '):14}{dice['mean']:7.3f} ± {dice['sd']:.3f} {dice['worst']:6.3f} "
            f"{hd95['mean']:6.2f} ± {hd95['sd']:5.2f} {found['sensitivity']['mean']:11.3f} "
            f"{found['specificity']['mean']:11.4f} {found['lesion_dice']['mean']:11.3f} "
            f"{found['lesion_hd95_mm']['mean']:11.1f}"
        )
    return "\n".join(lines)


def _key(source: Any) -> tuple[Path, str]:
    """A patient by its files, which for the Decathlon and flat folders share a folder."""
    files = tuple(sorted(str(Path(path).resolve()) for path in (source.files or (source.path,))))
    return Path(source.path).resolve(), "|".join(files)
