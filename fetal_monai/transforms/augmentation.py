"""Random changes of a training picture: its place and shape, and the artefacts of ultrasound."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch.nn import functional as F

from fetal_monai.synthesis import artefacts

__all__ = [
    "RandAcousticShadowd",
    "RandBurnedInMarksd",
    "RandDepthGaind",
    "RandSimilarityd",
    "RandSpeckled",
]

Item = dict[Hashable, Any]


class RandSimilarityd(MapTransform, RandomizableTransform):
    """Turn, zoom, stretch, shear and shift tensors (C, H, W) alike, resampled once (bilinear, 0 outside).

    MONAI's ``RandAffined`` draws the zoom of each side on its own, which squeezes heads; here it is one number.

    Args:
        rotate: largest angle in radians; with ``turn_prob`` any angle instead.
        zoom: range of the magnification, drawn on a logarithmic scale.
        stretch: largest relative change of one side against the other.
        shear: largest shear along either side.
        translate: largest shift, as a part of the side.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 1.0,
        rotate: float = 0.5,
        turn_prob: float = 0.2,
        zoom: tuple[float, float] = (0.65, 1.5),
        stretch: float = 0.12,
        shear: float = 0.08,
        translate: float = 0.15,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.rotate, self.turn_prob, self.zoom = rotate, turn_prob, zoom
        self.stretch, self.shear, self.translate = stretch, shear, translate

    def matrix(self) -> NDArray[np.float64]:
        """A random matrix (2, 3) from output to input (x, y), in halves of the picture's height."""
        angle = (
            self.R.uniform(-np.pi, np.pi)
            if self.R.rand() < self.turn_prob
            else self.R.uniform(-1, 1) * self.rotate
        )
        zoom = np.exp(self.R.uniform(*np.log(self.zoom)))
        stretch = np.exp(self.R.uniform(-1, 1) * self.stretch / 2)
        cos, sin = np.cos(angle), np.sin(angle)
        shear = self.R.uniform(-self.shear, self.shear, 2)
        linear = (
            np.array([[cos, -sin], [sin, cos]])
            @ [[1, shear[0]], [shear[1], 1]]
            @ np.diag([stretch, 1 / stretch])
        )
        return np.hstack([linear / zoom, self.R.uniform(-2, 2, (2, 1)) * self.translate])

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        self.randomize(None)
        matrix = self.matrix()
        if not self._do_transform:
            return out
        for key in self.key_iterator(out):
            tensor = convert_to_tensor(out[key], track_meta=False)
            height, width = tensor.shape[-2:]
            wide = np.diag([width / height, 1.0])  # grid_sample counts each side from -1 to 1
            theta = np.linalg.inv(wide) @ matrix @ np.diag([width / height, 1.0, 1.0])
            grid = F.affine_grid(
                torch.from_numpy(theta[None]).float(), [1, 1, height, width], align_corners=False
            )
            out[key] = F.grid_sample(tensor[None], grid, mode="bilinear", align_corners=False)[0]
        return out


class _RandArtefactd(MapTransform, RandomizableTransform):
    """A random artefact on an image (1, H, W) in 0..1; subclasses draw its parameters."""

    def __init__(self, keys: KeysCollection = "image", prob: float = 0.3) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        raise NotImplementedError

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(out):
                image = convert_to_tensor(out[key], track_meta=False)
                out[key] = torch.from_numpy(self.apply(image[0].numpy())[None])
        return out


class RandSpeckled(_RandArtefactd):
    """Multiplicative correlated noise, strength up to ``strength``."""

    def __init__(self, keys: KeysCollection = "image", prob: float = 0.3, strength: float = 0.4) -> None:
        super().__init__(keys, prob)
        self.strength = strength

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return artefacts.speckle(image, self.R, self.R.uniform(0.05, self.strength), self.R.uniform(0, 1.5))


class RandAcousticShadowd(_RandArtefactd):
    """A dark wedge away from the probe, up to ``width_deg`` wide."""

    def __init__(self, keys: KeysCollection = "image", prob: float = 0.3, width_deg: float = 25.0) -> None:
        super().__init__(keys, prob)
        self.width_deg = width_deg

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        width, depth, darkness = (
            self.R.uniform(3, self.width_deg),
            self.R.uniform(0, 0.6),
            self.R.uniform(0.3, 1),
        )
        return artefacts.acoustic_shadow(image, self.R, width, depth, darkness)


class RandDepthGaind(_RandArtefactd):
    """Gain that varies along depth and across by up to a factor of 1 + ``strength``."""

    def __init__(self, keys: KeysCollection = "image", prob: float = 0.3, strength: float = 0.8) -> None:
        super().__init__(keys, prob)
        self.strength = strength

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return artefacts.depth_gain(image, self.R, self.R.uniform(0.1, self.strength))


class RandBurnedInMarksd(_RandArtefactd):
    """Up to ``count`` calipers, rulers, texts, grey bars or black patches."""

    def __init__(self, keys: KeysCollection = "image", prob: float = 0.3, count: int = 6) -> None:
        super().__init__(keys, prob)
        self.count = count

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return artefacts.burned_in_marks(image, self.R, self.R.randint(1, self.count + 1))
