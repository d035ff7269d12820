"""Enhancement of ultrasound pictures as MONAI transforms; the work is done by `fetal_monai.enhance`.

All walk keys that hold one picture each: an array or tensor (1, H, W), gray values 0 to 255. Type and shape are kept,
and so is what a ``MetaTensor`` knows of its geometry.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, UltrasoundConfidenceMapTransform
from monai.utils import convert_data_type, convert_to_dst_type
from numpy.typing import NDArray

from fetal_monai.enhance import STEPS, enhance, find_sector

__all__ = ["ConfidenceMapd", "EnhanceUltrasoundd", "SectorMaskd"]

Item = dict[Hashable, Any]


def _gray(picture: Any, key: Hashable) -> NDArray[Any]:
    array = convert_data_type(picture, np.ndarray)[0]
    if array.ndim != 3 or array.shape[0] != 1:
        raise ValueError(f"{key} is {tuple(array.shape)}; a gray picture (1, H, W) is needed")
    return np.asarray(array[0])


class EnhanceUltrasoundd(MapTransform):
    """Enhance the picture under each key with :func:`fetal_monai.enhance.enhance`, which explains the arguments."""

    def __init__(
        self,
        keys: KeysCollection = "image",
        steps: Sequence[str] = STEPS,
        speckle: str = "srad",
        **kwargs: Any,
    ) -> None:
        super().__init__(keys)
        self.steps, self.speckle, self.kwargs = tuple(steps), speckle, kwargs

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        for key in self.key_iterator(out):
            done = enhance(_gray(out[key], key), self.steps, speckle=self.speckle, **self.kwargs)
            out[key] = convert_to_dst_type(done.image[None], out[key])[0]
        return out


class SectorMaskd(MapTransform):
    """Add the scan sector of the picture under each key as ``<key>_sector``: (1, H, W), 1 inside."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        for key in self.key_iterator(out):
            mask = find_sector(_gray(out[key], key)).mask[None].astype(np.float32)
            out[f"{key}_sector"] = convert_to_dst_type(mask, out[key], dtype=np.float32)[0]
        return out


class ConfidenceMapd(MapTransform):
    """Add MONAI's ultrasound confidence map as ``<key>_confidence``: (1, H, W), 1 at the probe, low in shadow.

    Random walks (Karamalis 2012, doi 10.1016/j.media.2012.07.005) are solved on the picture reduced to ``side`` pixels,
    as they take minutes on a whole one. What is outside the sector is 0. ``kwargs`` go to
    ``UltrasoundConfidenceMapTransform``.
    """

    def __init__(self, keys: KeysCollection = "image", side: int = 160, **kwargs: Any) -> None:
        super().__init__(keys)
        self.side, self.transform = side, UltrasoundConfidenceMapTransform(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from skimage.transform import resize

        out = dict(data)
        for key in self.key_iterator(out):
            picture = _gray(out[key], key).astype(np.float32)
            factor = min(1.0, self.side / max(picture.shape))
            small = resize(
                picture, [max(16, round(factor * n)) for n in picture.shape], anti_aliasing=factor < 1
            )
            found = np.asarray(self.transform(small[None]), dtype=np.float32).reshape(small.shape)
            full = resize(found, picture.shape, order=1) * find_sector(picture).mask
            out[f"{key}_confidence"] = convert_to_dst_type(
                full[None].astype(np.float32), out[key], dtype=np.float32
            )[0]
        return out
