"""From a detector's maps back to the scan: boxes, widths and pictures, as MONAI transforms that walk keys.

An item holds ``pred`` (the maps), ``scan`` and ``grid``, and a list ``outputs`` for the names of files; the transforms
add ``record`` and write the files that it lists.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from fetal_monai.measure.detected import Found, drop_repeats, grid_to_input, measure_structures
from fetal_monai.measure.structures import STRUCTURES
from fetal_monai.record import write_json
from fetal_monai.transforms.outputs import add_overlay, picture_record, ruler_ticks

__all__ = ["DecodeBoxesd", "MeasureStructuresd", "SaveBoxesd", "SaveStructureOverlayd", "detection_output"]

Item = dict[Hashable, Any]


class DecodeBoxesd(Transform):
    """Find the boxes in ``pred``: ``found``, and for MONAI Label ``box``, ``label`` and ``label_scores``.

    ``box`` (N, 4) is x, y, width and height in input pixels, as COCO and MONAI's ``xywh``, ``label`` (N,) the place in
    ``fetal_monai.measure.structures.STRUCTURES``, ``label_scores`` (N,) from 0 to 1, best first. Boxes end where the
    picture ends; those with a score below ``min_score`` are left out.
    """

    def __init__(self, min_score: float = 0.05) -> None:
        self.min_score = min_score

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.networks.heatmap import find_peaks

        out = dict(data)
        grid, (height, width) = out["grid"], out["scan"].image.shape
        peaks = find_peaks(out["pred"], threshold=self.min_score)
        parts = (peaks.label, peaks.score, peaks.box, peaks.angle, peaks.short_side)
        found = []
        for label, score, box, angle, short in zip(*(part.tolist() for part in parts), strict=True):
            place = grid_to_input(box, angle, short, grid.offset, grid.scale)
            low = np.clip(place[0][:2], 0, (width, height))
            high = np.clip(place[0][:2] + place[0][2:], 0, (width, height))
            if (high > low).all():
                found.append(Found(STRUCTURES[label], score, np.concatenate([low, high - low]), *place[1:]))
        out["found"] = found = drop_repeats(found)
        out["box"] = torch.tensor(np.array([one.box for one in found]).reshape(-1, 4), dtype=torch.float32)
        out["label"] = torch.tensor([STRUCTURES.index(one.label) for one in found], dtype=torch.long)
        out["label_scores"] = torch.tensor([one.score for one in found], dtype=torch.float32)
        return out


class MeasureStructuresd(Transform):
    """Measure what was ``found``: adds ``record``, and ``structures``. ``thresholds`` are scores by label."""

    def __init__(self, thresholds: Mapping[str, float]) -> None:
        missing = [label for label in STRUCTURES if label not in thresholds]
        if missing:
            raise ValueError(
                f"thresholds has no {missing[0]!r}; give a score for each of {', '.join(STRUCTURES)}"
            )
        self.thresholds = dict(thresholds)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        scan = out["scan"]
        measured = measure_structures(out["found"], scan.image, self.thresholds, scan.spacing_at)
        out["record"] = picture_record(scan, measured, measured.measures, measured.flags, out, measured.extra)
        out["structures"] = measured
        return out


class SaveBoxesd(Transform):
    """Write ``<stem>_boxes.json``: every box with its label and score, in input pixels, and in mm where that is known.

    ``shown`` says which count; the others have a low score, lie outside of the head, or beside a better one. In mm the
    origin is the picture's upper left corner.
    """

    def __init__(self, output_dir: str, thresholds: Mapping[str, float]) -> None:
        self.output_dir, self.thresholds = output_dir, dict(thresholds)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        record, scan, measured = data["record"], data["scan"], data["structures"]
        height, width = scan.image.shape
        content: dict[str, Any] = {
            "image": record.filename,
            "frame": record.frame_number,
            "width": width,
            "height": height,
            "boxes": [_entry(one, record.spacing_mm) for one in measured.found],
            "spacing_mm": record.spacing_mm,
            "thresholds": self.thresholds,
        }
        if measured.midline is not None:
            content["midline"] = np.round(measured.midline.ends[:, ::-1] + 0.5, 2)
        name = f"{record.stem}_boxes.json"
        write_json(Path(self.output_dir) / name, content)
        record.outputs.append(name)
        return dict(data)


def _entry(one: Found, spacing_mm: tuple[float, ...] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "label": one.label,
        "score": round(one.score, 4),
        "bbox": np.round(one.box, 2),
        "shown": one.shown,
    }
    if spacing_mm is not None:
        row_mm, column_mm = spacing_mm
        entry["bbox_mm"] = np.round(one.box * [column_mm, row_mm, column_mm, row_mm], 3)
    return entry


class SaveStructureOverlayd(Transform):
    """Write ``<stem>_overlay.png`` with boxes, midline and widths, and put its thumbnail into the record."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report.boxes import draw_structures, structure_thumbnail

        record, measured = data["record"], data["structures"]
        picture = draw_structures(data["scan"].image, measured, record, ruler_ticks(data["scan"].ruler))
        add_overlay(
            record, self.output_dir, picture, structure_thumbnail(data["scan"].image, measured, record)
        )
        return dict(data)


def detection_output(
    output_dir: str, thresholds: Mapping[str, float], min_score: float = 0.05
) -> list[Callable[[Item], Item]]:
    """What becomes of a detector's maps: boxes, measures, files and overlay."""
    return [
        DecodeBoxesd(min_score),
        MeasureStructuresd(thresholds),
        SaveBoxesd(output_dir, thresholds),
        SaveStructureOverlayd(output_dir),
    ]
