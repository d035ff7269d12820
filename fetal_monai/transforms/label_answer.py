"""Volumes' labels and measures as MONAI Label's own bundle app takes them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

__all__ = ["ToLabelAnswerd", "label_answer"]

Item = dict[Hashable, Any]


class ToLabelAnswerd(Transform):
    """Give ``labels`` (I, J, K) to MONAI Label as ``pred`` (1, I, J, K), where they lie, and the record as ``result``.

    ``image_meta_dict`` gets ``spatial_shape`` and ``original_affine`` (RAS, mm), of which MONAI Label writes the file,
    ``result`` the ``measurements`` (NaN as None) and ``flags`` that it answers with.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        record, labels = out["record"].to_json(), out["labels"]
        out["pred"] = torch.from_numpy(labels[None].copy())
        out["image_meta_dict"] = {"spatial_shape": labels.shape, "original_affine": out["scan"].affine}
        out["result"] = {"measurements": record["measures"], "flags": out["record"].all_flags}
        return out


def label_answer(output: Sequence[Callable[[Item], Item]]) -> list[Callable[[Item], Item]]:
    """The steps of a chain of outputs that write nothing (those with no ``output_dir``), then `ToLabelAnswerd`."""
    return [*(step for step in output if not hasattr(step, "output_dir")), ToLabelAnswerd()]
