"""Boxes against the truth: what a detector finds in pictures where people have drawn structures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.evaluation.table import Evaluation, column, spread
from fetal_monai.measure.structures import STRUCTURES, Structure
from fetal_monai.metrics_detection import (
    COCO_IOUS,
    Detections,
    average_precision,
    box_iou,
    detection_rates,
    match_boxes,
)

if TYPE_CHECKING:
    from fetal_monai.measure.detected import Found
    from fetal_monai.run import ScanRun

__all__ = ["EvaluateStructures", "describe_structures", "summarise_structures"]

IOU = 0.5
SCORES = ("score", "iou", "center_error_percent_bpd", "center_error_mm")
WIDTHS = ("width_truth_percent_bpd", "width_difference_percent_bpd", "width_difference_mm")
DRAWN = ("head", "cavum_septi_pellucidi", "lateral_ventricle")
WITH_WIDTH = DRAWN[1:]


class EvaluateStructures(Evaluation):
    """Compares boxes with the truth; last of the ``output`` transforms, and a handler of the evaluator.

    As a transform it adds a row for each scan; attached after the ``ScanWriter`` it writes ``evaluation.csv`` and
    ``evaluation.json`` to ``output_dir`` when the run is over. A structure without a true box in a picture is not known
    there, and what is found of it counts neither for nor against.

    Args:
        truth: items as :func:`fetal_monai.datasets.structure_items` gives them.
        thresholds: score by label, from which a box counts for precision, recall and F1.
        run: the run whose failed scans count; it must not be a resumed one.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        thresholds: Mapping[str, float],
        run: ScanRun,
        output_dir: str,
    ) -> None:
        super().__init__(run, output_dir)
        self.truth = {Path(item["image"]).name: item for item in truth}
        self.thresholds = dict(thresholds)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        record, found = data["record"], data["structures"].found
        item = self.truth[Path(record.filename).name]
        bpd_px = _bpd_px(item)
        row: dict[str, Any] = {"filename": record.filename, "patient": item["subject"], "role": item["role"]}
        row |= {"flags": ";".join(record.all_flags), "boxes": {}}
        for label in STRUCTURES:
            objects = [one for one in item["objects"] if one["label"] == label]
            mine = [one for one in found if one.label == label]
            row |= _compare(label, objects, mine, bpd_px, record.spacing_mm)
            if objects:
                boxes, scores = [one.box for one in mine], [one.score for one in mine]
                row["boxes"][label] = Detections(boxes, scores, [one["bbox"] for one in objects])
        self.rows.append(row)
        return dict(data)

    def finish(self) -> dict[str, Any]:
        """Write the files and return what ``evaluation.json`` holds."""
        names = [column(score, label) for label in DRAWN for score in SCORES]
        names += [column(score, label) for label in WITH_WIDTH for score in WIDTHS]
        self.write_rows(["filename", "patient", "role", *names, "flags"])
        summary = self.write_summary(lambda rows: summarise_structures(rows, self.thresholds), {})
        print(describe_structures(summary["all"], summary["unreadable"]))  # noqa: T201  what the evaluation is run for
        return summary


def summarise_structures(
    rows: Sequence[Mapping[str, Any]], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Average precision, rates at the thresholds, errors of centres and widths by label, over rows of an evaluation."""
    summary: dict[str, Any] = {"n": len(rows)}
    for label in STRUCTURES:
        pictures = [row["boxes"][label] for row in rows if label in row["boxes"]]
        if not pictures:
            continue
        told: dict[str, Any] = {
            "ap50": average_precision(pictures, IOU),
            "ap50_95": average_precision(pictures, COCO_IOUS),
            "threshold": thresholds[label],
            **detection_rates(pictures, thresholds[label], IOU),
        }
        for score in ("center_error_percent_bpd", "center_error_mm"):
            told[score] = spread([row[column(score, label)] for row in rows], np.max)
        if label in WITH_WIDTH:
            for score in WIDTHS[1:]:
                differences = [row[column(score, label)] for row in rows]
                told[score] = spread(differences, np.max)
                told[f"absolute_{score}"] = spread(np.abs(differences).tolist(), np.max)
        summary[label] = told
    return summary


def describe_structures(summary: Mapping[str, Any], unreadable: int) -> str:
    """What :func:`summarise_structures` gave, in some lines for people."""
    lines = [f"{summary['n']} scans, {unreadable} unreadable"]
    for label in STRUCTURES:
        if label in summary:
            told = summary[label]
            error = told["center_error_percent_bpd"]
            lines.append(
                f"{label}: AP50 {told['ap50']:.3f}, AP50:95 {told['ap50_95']:.3f}; at {told['threshold']:g} precision "
                f"{told['precision']:.3f}, recall {told['recall']:.3f}, F1 {told['f1']:.3f} ({told['n_truth']} boxes); "
                f"centre off by {error['median']:.1f} % of BPD (median; mean {error['mean']:.1f})"
            )
            if label in WITH_WIDTH:
                off, bias = (told[f"{kind}width_difference_percent_bpd"] for kind in ("absolute_", ""))
                lines.append(
                    f"    width off by {off['median']:.1f} % of BPD (median), {bias['mean']:+.1f} ± {bias['sd']:.1f} %"
                )
    return "\n".join(lines)


def _compare(
    label: str,
    objects: Sequence[Mapping[str, Any]],
    found: Sequence[Found],
    bpd_px: float,
    spacing_mm: tuple[float, ...] | None,
) -> dict[str, Any]:
    """The best box that counts beside the true one that it overlaps most; NaN where either is missing."""
    shown = [one for one in found if one.shown]
    row = {column(score, label): math.nan for score in (*SCORES, *(WIDTHS if label in WITH_WIDTH else ()))}
    if not (objects and shown):
        return row
    best, truth = shown[0], np.array([one["bbox"] for one in objects], dtype=float)
    overlap = box_iou([best.box], truth)[0]
    place = int(overlap.argmax())
    off = best.center - (truth[place, :2] + truth[place, 2:] / 2)
    mm = np.array((spacing_mm or (math.nan, math.nan))[::-1])
    row[column("score", label)], row[column("iou", label)] = best.score, float(overlap[place])
    row[column("center_error_percent_bpd", label)] = 100 * float(np.hypot(*off)) / bpd_px
    row[column("center_error_mm", label)] = float(np.hypot(*(off * mm)))
    corners = objects[place].get("corners")
    hit = match_boxes([best.box], truth[place : place + 1], IOU)[0] == 0
    if label in WITH_WIDTH and corners is not None and hit:
        angle, long, short = Structure(label, np.asarray(corners, dtype=float)).axes()
        width_px = short if abs(math.cos(best.angle - angle)) > math.sqrt(0.5) else long
        width_mm = float(np.hypot(*(best.across * mm)))
        difference = float(np.hypot(*best.across)) - width_px
        row[column("width_truth_percent_bpd", label)] = 100 * width_px / bpd_px
        row[column("width_difference_percent_bpd", label)] = 100 * difference / bpd_px
        row[column("width_difference_mm", label)] = width_mm * difference / (width_px + difference)
    return row


def _bpd_px(item: Mapping[str, Any]) -> float:
    """The head's short axis in pixels: of its mask, else of its box, else NaN."""
    from PIL import Image

    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask

    if "mask" in item:
        drawn: NDArray[np.bool_] = np.asarray(Image.open(item["mask"]).convert("L")) > 0
        points = outline_from_mask(drawn)
        fit = None if points is None else fit_ellipse(points)
        if fit is not None:
            return 2 * fit.ellipse.semi_axes[1]
    heads = [one["bbox"] for one in item["objects"] if one["label"] == "head"]
    return float(min(heads[0][2:])) if heads else math.nan
