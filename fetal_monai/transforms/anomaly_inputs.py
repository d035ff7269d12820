"""From a picture to its head in a frame that is the same for all, and what training adds to it.

Items hold ``image``; the transforms add ``scan``, ``grid``, ``head`` (a ``HeadMeasurement``), ``head_doubt``, ``frame``
(a ``HeadFrame`` of the scan's pixels) and ``picture``, what the network sees, (h, w) in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, RandomizableTransform, SelectItemsd, Transform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from fetal_monai.measure.head_frame import HeadFrame, frame_mask
from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.ultrasound import ToNetworkGridd, normalise

__all__ = ["FindHeadd", "HeadToFramed", "RandAlterd", "anomaly_preprocessing", "anomaly_training"]

Item = dict[Hashable, Any]
Finder = Callable[[torch.Tensor], NDArray[np.float32]]

DOUBT_SHAPE = (128, 160)  # of the frame in which the head's probability is averaged
ALL = 0.99  # of the head altered: there is nothing left to go by


class FindHeadd(Transform):
    """Find the head of a scan on its network's grid: adds ``head`` and ``head_doubt``.

    ``head_doubt`` is 1 less the head's mean probability within its ellipse, 1 where no head is found.
    """

    def __init__(self, finder: Finder) -> None:
        self.finder = finder

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.head import measure_head

        out = dict(data)
        scan, grid = out["scan"], out["grid"]
        probability = grid.crop(self.finder(out["image"]))
        head = measure_head(probability, scan.image, grid.scale, scan.spacing_at)
        out["head"], out["head_doubt"] = head, 1.0
        if head.ellipse is not None:
            frame = HeadFrame.of(head.ellipse, DOUBT_SHAPE)
            centre = grid.from_input(frame.centre) - grid.offset
            seen = frame.through(grid.scale, centre).sample(probability, fine=1)
            out["head_doubt"] = float(1 - seen[frame_mask(DOUBT_SHAPE) > 0.5].mean())
        return out


class HeadToFramed(Transform):
    """Bring the head to a frame of ``shape`` (rows, columns): ``image`` becomes a tensor (1, h, w).

    Gray values are scaled within the head alone, and what lies outside of its ellipse is 0. Without a head the whole
    picture is taken for one, or, if one is ``required``, a ``ValueError`` names the file.
    """

    def __init__(self, shape: tuple[int, int] = (96, 128), required: bool = False) -> None:
        self.shape, self.required = (int(shape[0]), int(shape[1])), required
        self.inside = frame_mask(self.shape)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.ellipse import Ellipse

        out = dict(data)
        scan, grid, ellipse = out["scan"], out["grid"], out["head"].ellipse
        if ellipse is None and self.required:
            raise ValueError(f"{scan.source.filename}: no head is found in it; leave it out of the training")
        if ellipse is None:
            rows, columns = scan.image.shape
            longer, shorter = max(rows, columns) / 2, min(rows, columns) / 2
            angle = 0.0 if columns >= rows else np.pi / 2
            ellipse = Ellipse(((rows - 1) / 2, (columns - 1) / 2), (longer, shorter), angle)
        frame = HeadFrame.of(ellipse, self.shape)
        on_grid = frame.through(grid.scale, grid.from_input(frame.centre))
        picture = normalise(on_grid.sample(out["image"][0].numpy()) * self.inside)
        out["frame"], out["picture"] = frame, picture
        out["image"] = torch.from_numpy(picture[None])
        return out


class RandAlterd(MapTransform, RandomizableTransform):
    """Alter the head (1, H, W) under each key with probability ``prob``, and keep the truth as ``label``.

    ``label`` (3, H, W) holds the head as it should be reconstructed, the altered part, and the inside of the head. What
    is altered all over is to be reconstructed as it is. ``shares`` of the kinds: see
    :func:`fetal_monai.synthesis.alterations.alter`.
    """

    def __init__(
        self, keys: Any = "image", prob: float = 0.75, shares: Mapping[str, float] | None = None
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.shares = shares

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.synthesis.alterations import alter

        out = dict(data)
        self.randomize(None)
        for key in self.key_iterator(out):
            clean = convert_to_tensor(out[key], track_meta=False)[0].numpy()
            inside = frame_mask(clean.shape)
            clean = np.clip(clean * (inside > 0), 0, 1, dtype=np.float32)
            picture, altered = clean, np.zeros_like(clean)
            if self._do_transform:
                picture, altered = alter(clean, inside, self.R, self.shares)
            target = picture if altered.sum() > ALL * inside.sum() else clean
            out[key] = torch.from_numpy(np.ascontiguousarray(picture[None]))
            out["label"] = torch.from_numpy(np.stack([target, altered, inside]).astype(np.float32))
        return out


def anomaly_preprocessing(
    finder: Finder,
    read: Callable[[Any], Any] | None = None,
    shape: tuple[int, int] = (96, 128),
    pixels: int = 75000,
    divisor: int = 16,
) -> list[Transform]:
    """What inference does before the network; ``image`` is a path or ``ScanSource``, read with ``read``.

    ``pixels`` and ``divisor`` are those of the network that finds the head.
    """
    return [
        LoadScand("image", read),
        ToNetworkGridd("image", pixels=pixels, divisor=divisor),
        FindHeadd(finder),
        HeadToFramed(shape),
    ]


def anomaly_training(
    finder: Finder, shape: tuple[int, int] = (96, 128), pixels: int = 75000, divisor: int = 16
) -> list[Transform]:
    """The deterministic part of training: ``image`` (a path) as a head in its frame, (1, h, w)."""
    chain = anomaly_preprocessing(finder, None, shape, pixels, divisor)
    return [*chain[:-1], HeadToFramed(shape, required=True), SelectItemsd("image")]
