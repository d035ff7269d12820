"""What becomes of the brain's mask on a thick-slice stack: measures, files and pictures, as MONAI transforms.

Items are those of :mod:`fetal_monai.transforms.volume_outputs`: ``pred``, ``scan`` and ``grid`` come in, ``labels`` (I,
J, K), 1 in the brain, and ``record`` are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Transform

from fetal_monai.measure.stack import STACK_MEASURES
from fetal_monai.settings import as_bool
from fetal_monai.transforms.outputs import add_overlay
from fetal_monai.transforms.volume_outputs import LabelsOnInputd, SaveLabelsd, volume_record

__all__ = ["STACK_COLUMNS", "GrowMaskd", "MeasureStackd", "SaveCropd", "SaveMontaged", "stack_output"]

Item = dict[Hashable, Any]

STACK_COLUMNS = ["ga_weeks", *STACK_MEASURES]  # the promised ones, in order


class GrowMaskd(Transform):
    """Grow the mask in ``labels`` (I, J, K) by ``grow_mm``: the network's border lies within what readers draw.

    Raises ``ValueError`` if that is negative.
    """

    def __init__(self, grow_mm: float = 1.5) -> None:
        if not 0 <= float(grow_mm) < math.inf:
            raise ValueError(f"grow_mm is {grow_mm!r}; give mm, 0 or more")
        self.grow_mm = float(grow_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from scipy import ndimage

        out, spacing = dict(data), np.asarray(data["scan"].spacing_mm, float)
        found = ndimage.find_objects(out["labels"])
        if self.grow_mm and found:
            more = np.ceil(self.grow_mm / spacing).astype(int)
            box = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(found[0], more, strict=True))
            away = ndimage.distance_transform_edt(out["labels"][box] == 0, spacing)
            out["labels"] = out["labels"].copy()
            out["labels"][box] = away <= self.grow_mm
        return out


class MeasureStackd(Transform):
    """Measure the mask in ``labels``: adds ``record``, and ``box``, the voxels that the brain lies in, or None."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.stack import measure_stack

        out = dict(data)
        scan = out["scan"]
        found = measure_stack(out["labels"], scan.affine, scan.image)
        measures = {"ga_weeks": float(scan.ga_weeks), **found.measures}
        out["box"] = found.box
        out["record"] = volume_record(scan, measures, [*scan.flags, *found.flags], out.get("outputs", []))
        return out


class SaveMontaged(Transform):
    """Write ``<stem>_overlay.png``, the slices with the mask's border, and put a thumbnail into the record."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report import montage
        from fetal_monai.report.caption import brain_caption

        record, shown = data["record"], (data["scan"].image, data["scan"].affine, data["labels"])
        picture = montage.draw_montage(*shown, caption=brain_caption(record), flags=record.all_flags)
        add_overlay(
            record, self.output_dir, picture, montage.montage_thumbnail(*shown, flags=record.all_flags)
        )
        return dict(data)


class SaveCropd(Transform):
    """Write ``<stem>_crop.nii.gz``, the stack cut to ``box`` and ``margin_mm`` around it; nothing without a brain.

    Voxels keep their values, and their places in RAS mm. Raises ``ValueError`` if the margin is negative.
    """

    def __init__(self, output_dir: str, margin_mm: float = 10.0) -> None:
        if not 0 <= float(margin_mm) < math.inf:
            raise ValueError(f"crop_margin_mm is {margin_mm!r}; give mm, 0 or more")
        self.output_dir, self.margin_mm = output_dir, float(margin_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.scan import write_image

        scan, box = data["scan"], data["box"]
        if box is not None:
            margin = np.ceil(self.margin_mm / np.asarray(scan.spacing_mm) - 1e-6).astype(int)
            low = [max(0, side.start - more) for side, more in zip(box, margin, strict=True)]
            high = [side.stop + more for side, more in zip(box, margin, strict=True)]
            cut = scan.image[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
            path = write_image(cut, scan, self.output_dir, start=low)
            data["record"].outputs.append(path.relative_to(self.output_dir).as_posix())
        return dict(data)


def stack_output(
    output_dir: str, crop: bool | str = False, crop_margin_mm: float = 10.0, grow_mm: float = 1.5
) -> list[Callable[[Item], Item]]:
    """What becomes of the logits of a brain: its mask on the stack's grid, grown, measures, files and overlay.

    With ``crop`` also the stack cut to the brain, for tools that reconstruct a volume.
    """
    chain: list[Callable[[Item], Item]] = [
        LabelsOnInputd(),
        GrowMaskd(grow_mm),
        MeasureStackd(),
        SaveLabelsd(output_dir),
    ]
    if as_bool(crop, "crop"):
        chain.append(SaveCropd(output_dir, crop_margin_mm))
    return [*chain, SaveMontaged(output_dir)]
