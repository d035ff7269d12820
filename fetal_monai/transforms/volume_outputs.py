"""From the network's answer back to the volume: labels, measures, files and pictures, as MONAI transforms.

An item holds ``pred`` (logits on the network's grid), ``scan`` and ``grid``, and a list ``outputs`` for the names of
files; the transforms add ``labels`` on the volume's own grid and ``record``, and write the files that it lists.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

from fetal_monai.measure.tissues import TISSUES
from fetal_monai.record import Record
from fetal_monai.settings import as_optional
from fetal_monai.transforms.outputs import add_overlay

__all__ = [
    "BRAIN_COLUMNS",
    "LabelsOnInputd",
    "MeasureBraind",
    "SaveLabelsd",
    "SavePlanesd",
    "brain_output",
    "curves_by_age",
    "save_planes",
    "volume_record",
]

Item = dict[Hashable, Any]

BRAIN_COLUMNS = [  # the promised ones, in order
    "ga_weeks",
    *(f"{tissue}_ml" for tissue in TISSUES),
    *("brain_ml", "intracranial_ml", "atrial_width_left_mm", "atrial_width_right_mm"),
    *("brain_bpd_mm", "brain_ofd_mm", "transcerebellar_diameter_mm", "deviation_score"),
]


class LabelsOnInputd(Transform):
    """Turn logits ``pred`` (C, X, Y, Z) into ``labels`` (I, J, K) on the scan's grid; only the main part counts."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.brain_inference import main_part
        from fetal_monai.transforms.volume_grid import labels_on_input

        out = dict(data)
        logits = torch.as_tensor(out.pop("pred")).float()
        out["labels"] = labels_on_input(logits, out["grid"], main_part(logits.argmax(0) > 0))
        return out


class MeasureBraind(Transform):
    """Measure the brain in ``labels``: adds ``record``, and ``brain`` with the lines that lengths were taken on.

    ``normative`` is the file of the curves by age; without it there are no z-scores.
    """

    def __init__(self, normative: str | None = None) -> None:
        from fetal_monai.anomaly.deviation import NormativeModel

        path = as_optional(normative)
        self.normative = None if path is None else NormativeModel.load(path)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.anomaly.deviation import deviation_measures
        from fetal_monai.measure.volume import measure_brain

        out = dict(data)
        scan = out["scan"]
        found = measure_brain(out["labels"], scan.affine, scan.image)
        measures = {"ga_weeks": float(scan.ga_weeks), **found.measures}
        flags = [*scan.flags, *found.flags]
        if self.normative is not None:
            more, raised = deviation_measures(self.normative, found.measures, float(scan.ga_weeks))
            measures |= more
            flags += raised
        out["brain"] = found
        out["record"] = volume_record(scan, measures, flags, out.get("outputs", []), found.extra)
        return out


class SaveLabelsd(Transform):
    """Write ``labels`` as ``<stem>_seg.nii.gz`` with the shape and affine of the input."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.scan import write_labels

        path = write_labels(data["labels"], data["scan"], self.output_dir)
        data["record"].outputs.append(path.relative_to(self.output_dir).as_posix())
        return dict(data)


class SavePlanesd(Transform):
    """Write ``<stem>_overlay.png``, three planes with tissues and lengths, and put its thumbnail into the record."""

    def __init__(self, output_dir: str, names: Sequence[str] = TISSUES) -> None:
        self.output_dir, self.names = output_dir, tuple(names)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report.caption import brain_caption

        brain = data["brain"]
        frame = brain.extra.get("brain_frame", {}).get("axes")
        caption = brain_caption(data["record"])
        save_planes(data, data["labels"], brain.lines, caption, self.names, self.output_dir, frame)
        return dict(data)


def save_planes(
    data: Mapping[Hashable, Any],
    labels: Any,
    lines: Mapping[str, Any],
    caption: Sequence[str],
    names: Sequence[str],
    output_dir: str,
    axes: Any = None,
) -> None:
    """Write the overlay of ``scan`` in three planes, and put it and its thumbnail into ``record``.

    All but ``data`` and ``output_dir`` are what :func:`fetal_monai.report.planes.draw_planes` takes.
    """
    from fetal_monai.report import planes

    record, scan = data["record"], data["scan"]
    shown = {"flags": record.all_flags, "names": names, "axes": axes}
    if scan.picture is not None:
        shown |= {"is_picture": True, "has_mm": record.spacing_mm is not None}
    picture = planes.draw_planes(scan.image, scan.affine, labels, lines=lines, caption=caption, **shown)
    add_overlay(record, output_dir, picture, planes.thumbnail(scan.image, scan.affine, labels, **shown))


def brain_output(output_dir: str, normative: str | None = None) -> list[Callable[[Item], Item]]:
    """What becomes of the logits of tissues: labels on the scan's grid, measures, files and overlay."""
    return [LabelsOnInputd(), MeasureBraind(normative), SaveLabelsd(output_dir), SavePlanesd(output_dir)]


def curves_by_age(normative: str | None) -> dict[str, Any]:
    """What a normative model expects by age, for the charts of a run's report; empty without one."""
    from fetal_monai.anomaly.deviation import NormativeModel
    from fetal_monai.report.curves import curve_table

    path = as_optional(normative)
    if path is None:
        return {}
    model = NormativeModel.load(path)
    first, last = model.ga_range
    weeks = [first + n / 2 for n in range(int(2 * (last - first)) + 1)]
    return {"curves": curve_table(model, model.curves, weeks, model.source)}


def volume_record(
    scan: Any,
    measures: Mapping[str, float],
    flags: Sequence[str],
    outputs: list[str],
    extra: Mapping[str, Any] | None = None,
) -> Record:
    """The record of a ``VolumeScan``, without spacing where none is known.

    ``outputs`` is kept as it is, so that names put into it are the record's.
    """
    source = scan.source
    return Record(
        source.filename,
        source.stem,
        source.frame,
        measures=dict(measures),
        flags=list(flags),
        spacing_mm=None if scan.spacing_source == "none" else scan.spacing_mm,
        spacing_source=scan.spacing_source,
        outputs=outputs,
        extra=dict(extra or {}),
    )
