"""Structures in 2D ultrasound: from a picture and its boxes to what a heat-map detector learns from.

The builders return flat lists, so that a configuration wraps them in one ``Compose`` beside MONAI's own transforms.
Places are (x, y) in pixels of the network's grid, from its upper left edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import RandomizableTransform, Transform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch.nn import functional as F

from fetal_monai.measure.structures import (
    STRUCTURES,
    Structure,
    bounding_box,
    box_points,
    ellipse_points,
    midline_points,
)
from fetal_monai.networks.heatmap import GEOMETRY, STRIDE
from fetal_monai.transforms.augmentation import RandSimilarityd
from fetal_monai.transforms.detection_synthesis import synthetic_items, synthetic_structures
from fetal_monai.transforms.grid import NetworkGrid, network_grid
from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.ultrasound import ToNetworkGridd, to_grid

__all__ = [
    "HeatmapLabeld",
    "LoadStructuresd",
    "RandBesideHeadd",
    "RandStructureSimilarityd",
    "TrueBoxesd",
    "detection_preprocessing",
    "detection_training",
    "synthetic_items",
]

Item = dict[Hashable, Any]

SEEN = 0.5  # of a structure's box must lie within the picture; less is neither there nor missing
MOST_BOXES = 12  # of one picture, in a tensor that collates


class LoadStructuresd(Transform):
    """Read a picture and its ``objects`` onto a grid of ``shape`` (rows, columns): ``image`` and ``structures``.

    Takes what :func:`fetal_monai.datasets.structure_items` and :func:`synthetic_items` give. The head is the ellipse of
    its ``mask`` where there is one; then the midline is the line that its long axis leads to in the picture. Raises
    ``ValueError`` where no ellipse fits. ``complete`` says whether what has no box is not there, as in synthetic heads.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = (shape[0], shape[1])

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        if "synthetic" in out:
            image, found = synthetic_structures(out.pop("synthetic"))
            grid = network_grid(image.shape, padded=self.shape)
            out["image"] = torch.from_numpy(to_grid(image, grid)[None])
        else:
            for step in detection_preprocessing(None, self.shape):
                out = step(out)
            scan, grid = out.pop("scan"), out.pop("grid")
            found = [_structure(entry) for entry in out.pop("objects")]
            if "mask" in out:
                found = _with_head(found, out.pop("mask"), scan.image)
        out["structures"] = [replace(one, points=_to_grid(one.points, grid)) for one in found]
        out.setdefault("complete", False)
        return out


def _structure(entry: Mapping[str, Any]) -> Structure:
    corners = entry.get("corners")
    points = box_points(entry["bbox"]) if corners is None else np.asarray(corners, dtype=float)
    return Structure(entry["label"], points, corners is not None)


def _with_head(found: Sequence[Structure], mask: str, image: NDArray) -> list[Structure]:
    """The structures with the head as an ellipse, and the midline."""
    from PIL import Image

    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask
    from fetal_monai.measure.midline import find_midline

    points = outline_from_mask(np.asarray(Image.open(mask).convert("L")) > 0)
    fit = None if points is None else fit_ellipse(points)
    if fit is None:
        raise ValueError(f"{mask}: no ellipse fits it; expected the filled outline of one head")
    head = fit.ellipse
    long, short = (2 * axis for axis in head.semi_axes)
    midline = find_midline(image, head.center, head.angle, long, short)
    others = [one for one in found if one.label not in ("head", "midline_falx")]
    drawn = [one for one in found if one.label == "midline_falx"]
    falx = drawn or [Structure("midline_falx", midline_points(midline, short))]
    return [Structure("head", ellipse_points(head)), *falx, *others]


def _to_grid(points: NDArray[np.float64], grid: NetworkGrid) -> NDArray[np.float64]:
    return points * grid.scale[::-1] + grid.offset[::-1]


class RandStructureSimilarityd(RandSimilarityd):
    """Turn, zoom, stretch, shear, shift and mirror the picture and its ``structures`` alike.

    Args:
        mirror: how often it is mirrored left to right, and top to bottom.
        others: see :class:`fetal_monai.transforms.augmentation.RandSimilarityd`.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        prob: float = 1.0,
        mirror: Sequence[float] = (0.5, 0.3),
        **others: Any,
    ) -> None:
        super().__init__(keys, prob, **others)
        self.mirror = tuple(mirror)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        self.randomize(None)
        matrix = self.matrix()
        sides = np.where(self.R.rand(2) < self.mirror, -1.0, 1.0)
        if not self._do_transform:
            return out
        matrix = np.vstack([matrix @ np.diag([*sides, 1.0]), [0, 0, 1]])
        height, width = out[self.keys[0]].shape[-2:]
        to_pixels = np.array(
            [[height / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]]
        )  # from half heights
        wide = np.diag([width / height, 1.0, 1.0])  # grid_sample counts each side from -1 to 1
        theta = torch.from_numpy((np.linalg.inv(wide) @ matrix @ wide)[None, :2]).float()
        grid = F.affine_grid(theta, [1, 1, height, width], align_corners=False)
        for key in self.key_iterator(out):
            tensor = convert_to_tensor(out[key], track_meta=False)
            out[key] = F.grid_sample(tensor[None], grid, mode="bilinear", align_corners=False)[0]
        forward = to_pixels @ np.linalg.inv(matrix) @ np.linalg.inv(to_pixels)
        out["structures"] = [
            replace(one, points=one.points @ forward[:2, :2].T + forward[:2, 2]) for one in out["structures"]
        ]
        return out


class RandBesideHeadd(RandomizableTransform):
    """Show what lies beside the head instead, enlarged: a picture that is known to hold none of the structures."""

    def __init__(self, prob: float = 0.05) -> None:
        super().__init__(prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        self.randomize(None)
        heads = [one for one in out["structures"] if one.label == "head"]
        if not (self._do_transform and heads):
            return out
        height, width = out["image"].shape[-2:]
        x, y, w, h = bounding_box(heads[0].points)
        strips = [(0, 0, height, x), (0, x + w, height, width), (0, 0, y, width), (y + h, 0, height, width)]
        areas = [max(bottom - top, 0) * max(right - left, 0) for top, left, bottom, right in strips]
        top, left, bottom, right = (int(side) for side in strips[int(np.argmax(areas))])
        if bottom - top < 16 or right - left < 16:
            return out
        part = convert_to_tensor(out["image"], track_meta=False)[None, :, top:bottom, left:right]
        out["image"] = F.interpolate(part, (height, width), mode="bilinear", align_corners=False)[0]
        out["structures"], out["complete"] = [], True
        return out


class HeatmapLabeld(Transform):
    """Turn ``structures`` into ``label``, what :class:`fetal_monai.networks.heatmap.HeatmapLoss` learns from.

    A class without a structure is unknown, unless the picture is ``complete`` or lists it in ``absent``; so is what
    lies mostly outside of the picture. Boxes end where the picture ends.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        height, width = out["image"].shape[-2:]
        cells = (height // STRIDE, width // STRIDE)
        label = np.zeros((3 + len(GEOMETRY), len(STRUCTURES), *cells), np.float32)
        there = {one.label for one in out["structures"]}
        for place, name in enumerate(STRUCTURES):
            if not (name in there or out["complete"] or name in out.get("absent", ())):
                label[0, place] = -1
        for one in out["structures"]:
            _draw(label[:, STRUCTURES.index(one.label)], one, (height, width))
        out["label"] = torch.from_numpy(label.reshape(-1, *cells))
        return out


def _draw(label: NDArray[np.float32], one: Structure, shape: tuple[int, int]) -> None:
    """Write one structure into the maps of its class (10, h, w)."""
    x, y, width, height = bounding_box(one.points)
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, shape[1]), min(y + height, shape[0])
    seen = max(right - left, 0) * max(bottom - top, 0) / max(width * height, 1e-9)
    rows, columns = np.indices(label.shape[1:])
    if seen < SEEN:
        box = [side / STRIDE for side in (left, right, top, bottom)]
        inside = (columns + 1 > box[0]) & (columns < box[1]) & (rows + 1 > box[2]) & (rows < box[3])
        label[0][inside & (label[0] < 1)] = -1
        return
    size = np.maximum([right - left, bottom - top], 1.0) / STRIDE
    center = np.array([left + right, top + bottom]) / 2 / STRIDE
    cell = np.minimum(center.astype(int), np.array(label.shape[:0:-1]) - 1)
    sigma = np.maximum((0.54 * size + 1) / 6, 0.6)
    heat = np.exp(-(((columns - cell[0]) / sigma[0]) ** 2 + ((rows - cell[1]) / sigma[1]) ** 2) / 2)
    heat[heat < 0.01] = 0
    near = (heat > 0.2) & (heat >= label[0])  # and nearer than another of its class
    label[0] = np.maximum(label[0], heat)
    angle, long, short = one.axes()
    told = [center[0] - columns - 0.5, center[1] - rows - 0.5, *np.log(size)]
    told += [math.cos(2 * angle), math.sin(2 * angle), math.log(max(short, 1.0) / STRIDE)]
    for place, value in enumerate(told, 1):
        label[place] = np.where(near, value, label[place])
    weight = np.where(near, heat / max(heat[near].sum(), 1e-9), 0)
    has_axis = one.has_axis and long > 1.1 * short and seen > 0.98
    label[-2], label[-1] = np.where(near, weight, label[-2]), np.where(near, weight * has_axis, label[-1])


class TrueBoxesd(Transform):
    """Keep the boxes of ``structures`` as ``truth`` (12, 5): class, x, y, width, height; -1 where there is no more.

    ``known`` (classes,) says of which classes it is known whether they are there.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        truth = torch.full((MOST_BOXES, 5), -1.0, dtype=torch.float64)
        for place, one in enumerate(out["structures"][:MOST_BOXES]):
            truth[place] = torch.tensor([STRUCTURES.index(one.label), *bounding_box(one.points)])
        there = {one.label for one in out["structures"]}
        out["truth"] = truth
        out["known"] = torch.tensor([name in there or out["complete"] for name in STRUCTURES])
        return out


def detection_preprocessing(
    read: Callable[[Any], Any] | None = None, shape: Sequence[int] = (432, 640)
) -> list[Transform]:
    """What inference does before the network: the picture scaled to fit ``shape`` (rows, columns), black around it."""
    return [LoadScand("image", read), ToNetworkGridd("image", padded=(shape[0], shape[1]))]


def detection_training(shape: Sequence[int] = (432, 640)) -> list[Transform]:
    """The deterministic part of training: ``image`` and ``structures`` on a grid of ``shape`` (rows, columns)."""
    return [LoadStructuresd(shape)]
