"""From the network's answer back to the scan: measures, masks and pictures, as MONAI transforms that walk keys.

An item holds ``pred`` (probability on the network's grid), ``scan`` and ``grid``, and a list ``outputs`` for the names
of files; the transforms add ``record`` and write the files that it lists.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.transforms import Transform
from numpy.typing import NDArray

from fetal_monai.record import Record
from fetal_monai.settings import as_optional

if TYPE_CHECKING:
    from fetal_monai.enhance import Ruler
    from fetal_monai.scan import Scan

__all__ = [
    "MeasureHeadd",
    "SaveMaskd",
    "SaveOverlayd",
    "add_overlay",
    "head_output",
    "picture_record",
    "ruler_measures",
    "ruler_ticks",
]

Item = dict[Hashable, Any]


class MeasureHeadd(Transform):
    """Find the head in ``pred`` and measure it: adds ``record``, and ``head`` in input pixels.

    ``calibration`` is the file of the HC interval; without it there is no interval.
    """

    def __init__(self, calibration: str | None = None) -> None:
        from fetal_monai.measure.interval import Calibration

        path = as_optional(calibration)
        self.calibration = None if path is None else Calibration.load(path)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.head import measure_head

        out = dict(data)
        scan, grid = out["scan"], out["grid"]
        probability = grid.crop(np.asarray(out["pred"][0], dtype=np.float32))
        found = measure_head(
            probability, scan.image, grid.scale, scan.spacing_at, scan.ga_weeks, calibration=self.calibration
        )
        out["record"] = picture_record(scan, found, found.measures, found.flags, out, found.extra)
        out["head"] = found
        return out


class SaveMaskd(Transform):
    """Write ``head.mask`` as ``<stem>_seg`` on the scan's own grid."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.scan import write_mask

        out = dict(data)
        path = write_mask(out["head"].mask.astype(np.uint8), out["scan"], self.output_dir)
        out["record"].outputs.append(path.relative_to(self.output_dir).as_posix())
        return out


class SaveOverlayd(Transform):
    """Write ``<stem>_overlay.png`` with outline, ellipse and axes, and put its thumbnail into the record."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report import overlay

        out = dict(data)
        record, head = out["record"], out["head"]
        image, drawn = out["scan"].image, {"outline": head.outline, "ellipse": head.ellipse}
        drawn |= {"flags": record.all_flags, "spacing_mm": record.spacing_mm}
        picture = overlay.draw_overlay(
            image,
            axis_labels=overlay.axis_labels(record),
            caption=overlay.head_caption(record),
            ticks=ruler_ticks(out["scan"].ruler),
            **drawn,
        )
        add_overlay(record, self.output_dir, picture, overlay.thumbnail(image, **drawn))
        return out


def picture_record(
    scan: Scan,
    spaced: Any,
    measures: Mapping[str, Any],
    flags: Sequence[str],
    item: Mapping[Hashable, Any],
    extra: Mapping[str, Any],
) -> Record:
    """The record of a ``Scan``: what was measured, what its ruler says, its own flags before ``flags``.

    ``spaced`` has the ``spacing_mm`` and ``spacing_source`` that it was measured with. The list ``outputs`` of ``item``
    is kept as it is, so that names put into it are the record's.
    """
    source = scan.source
    return Record(
        source.filename,
        source.stem,
        source.frame,
        measures={**measures, **ruler_measures(scan.ruler)},
        flags=[*scan.flags, *flags],
        spacing_mm=spaced.spacing_mm,
        spacing_source=spaced.spacing_source,
        outputs=item.get("outputs", []),
        extra=dict(extra),
    )


def ruler_measures(ruler: Ruler | None) -> dict[str, float | str]:
    """What a table says of the ruler that the spacing was read from; nothing where there is none."""
    return {} if ruler is None else {"ruler_confidence": ruler.confidence}


def ruler_ticks(ruler: Ruler | None) -> list[tuple[float, float]]:
    """Where the ticks of a ruler are, (row, column) in pixels."""
    return [] if ruler is None else [(float(row), float(ruler.column_px)) for row in ruler.rows_px]


def add_overlay(record: Record, output_dir: str, picture: NDArray[np.uint8], thumbnail: str) -> None:
    """Write ``<stem>_overlay.png``, and put its name and the thumbnail into the record."""
    from fetal_monai.report.overlay import save_overlay

    name = f"{record.stem}_overlay.png"
    save_overlay(Path(output_dir) / name, picture)
    record.thumbnail = thumbnail
    record.outputs.append(name)


def head_output(output_dir: str, calibration: str | None = None) -> list[Callable[[Item], Item]]:
    """What becomes of a probability map of the head: measures, mask and overlay."""
    return [MeasureHeadd(calibration), SaveMaskd(output_dir), SaveOverlayd(output_dir)]
