"""Heads with a wide ventricle, or without a cavum, for a detector: no public data has enough of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from fetal_monai.measure.structures import Structure, bounding_box

__all__ = ["RandAbnormalHeadd", "with_wide_ventricles"]

Item = dict[Hashable, Any]

COVERED = 0.3  # of a structure's box, from which it is unknown whether it can still be seen
HIDDEN = 0.6  # of the drawn ventricle's box, that another put in must cover
TRIES = 6


class RandAbnormalHeadd(RandomizableTransform):
    """Put a lateral ventricle of any width into a head, or take its cavum away, and tell so in ``structures``.

    A picture takes part that has a head and a drawn ventricle, or cavum, and is not ``complete``. Either the drawn
    ventricle is pulled wide, or another is put in on its side; its box gives way to that of what is there now, and
    another structure that is covered becomes unknown. A cavum that was removed is listed in ``absent``. The head is
    taken to be as large as in mid-pregnancy: its short axis is drawn from ``head_mm``, the ventricle's width from
    ``width_mm``, both evenly. Where nothing fits, nothing is done.
    An item with an ``abnormal_seed`` always gets a ventricle, the same for the same seed.

    Args:
        ventricle: share of the pictures that get a ventricle.
        no_cavum: share of the pictures whose cavum is removed.
        pulled: share of the ventricles that are the drawn one, pulled wide.
    """

    def __init__(
        self,
        ventricle: float = 0.3,
        no_cavum: float = 0.0,
        pulled: float = 0.4,
        width_mm: Sequence[float] = (6.0, 25.0),
        head_mm: Sequence[float] = (44.0, 72.0),
    ) -> None:
        super().__init__(1.0)
        if min(ventricle, no_cavum) < 0 or ventricle + no_cavum > 1:
            raise ValueError(
                f"shares of {ventricle} and {no_cavum}; give two from 0 to 1, together at most 1"
            )
        self.ventricle, self.no_cavum, self.pulled = ventricle, no_cavum, pulled
        self.width_mm, self.head_mm = tuple(width_mm), tuple(head_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.ellipse import fit_ellipse

        out = dict(data)
        seed = out.pop("abnormal_seed", None)
        if seed is not None:
            self.set_random_state(seed)
        drawn = 0.0 if seed is not None else self.R.rand()
        wide = seed is not None or drawn < self.ventricle
        wanted = "lateral_ventricle" if wide else "cavum_septi_pellucidi"
        there = {one.label: one for one in out["structures"]}
        chosen = wide or drawn < self.ventricle + self.no_cavum
        if not chosen or out["complete"] or not {"head", wanted} <= set(there):
            return out
        fit = fit_ellipse(there["head"].points[:, ::-1] - 0.5, robust=False)
        if fit is None:
            return out
        image = convert_to_tensor(out["image"], track_meta=False)[0].numpy()
        step = self._widen if wanted == "lateral_ventricle" else self._remove
        return step(out, image, fit.ellipse, there)

    def _widen(self, out: Item, image: Any, head: Any, there: Mapping[str, Structure]) -> Item:
        from fetal_monai.synthesis.ultrasound_ventricle import insert_ventricle, stretch_ventricle

        old = there["lateral_ventricle"]
        toward = old.points.mean(axis=0)[::-1] - 0.5 - np.asarray(head.center)
        pulled = old.has_axis and self.R.rand() < self.pulled
        for _ in range(TRIES):
            pixel_mm = self.R.uniform(*self.head_mm) / (2 * head.semi_axes[1])
            width_mm = self.R.uniform(*self.width_mm)
            try:
                if pulled:
                    after, changed, corners = stretch_ventricle(image, head, old.points, width_mm / pixel_mm)
                else:
                    after, changed, corners = insert_ventricle(
                        image, head, width_mm, pixel_mm, self.R, -toward, toward
                    )
            except ValueError:  # too wide for so small a head, or no wider than it is
                continue
            if not pulled and _covered(old, changed) < HIDDEN:  # else two would be seen, and one be told
                continue
            kept = [one for one in out["structures"] if one is not old and not _gives_way(one, changed)]
            out["image"] = torch.from_numpy(after[None])
            out["structures"] = [*kept, Structure("lateral_ventricle", corners)]
            return out
        return out

    def _remove(self, out: Item, image: Any, head: Any, there: Mapping[str, Structure]) -> Item:
        from fetal_monai.synthesis.ultrasound_insert import insert_abnormality

        label = "cavum_septi_pellucidi"
        x, y, width, height = bounding_box(there[label].points).tolist()
        try:
            after, _ = insert_abnormality(
                image, head, "absent_cavum", 0.0, 1.0, self.R, (x, y, width, height)
            )
        except ValueError:  # the box lies outside of the head
            return out
        out["image"] = torch.from_numpy(after[None])
        out["structures"] = [one for one in out["structures"] if one.label != label]
        out["absent"] = (*out.get("absent", ()), label)
        return out


def _gives_way(one: Structure, changed: NDArray[np.bool_]) -> bool:
    return one.label not in ("head", "midline_falx") and _covered(one, changed) > COVERED


def _covered(one: Structure, changed: NDArray[np.bool_]) -> float:
    """Which part of a structure's box was changed; 0 outside of the picture."""
    x, y, width, height = bounding_box(one.points)
    part = changed[max(int(y), 0) : int(y + height) + 1, max(int(x), 0) : int(x + width) + 1]
    return float(part.mean()) if part.size else 0.0


def with_wide_ventricles(items: Sequence[Mapping[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """The items, and each that has a ventricle a second time, marked for :class:`RandAbnormalHeadd` to widen it."""
    marked = [
        {**item, "abnormal_seed": seed + place}
        for place, item in enumerate(items)
        if any(one["label"] == "lateral_ventricle" for one in item["objects"])
    ]
    return [*map(dict, items), *marked]
