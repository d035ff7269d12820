"""Pictures in the style of others, so that a network can't learn the scanner in place of what is shown."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from scipy import ndimage

from fetal_monai.transforms.grid import network_grid
from fetal_monai.transforms.ultrasound import to_grid

__all__ = ["RandStyled", "match_grays", "mix_amplitude", "style_paths"]

Image = NDArray[np.float32]


def mix_amplitude(image: Image, style: Image, share: float, band: float) -> Image:
    """The picture (H, W) with a ``share`` of the style's amplitude at frequencies up to ``band`` (cycles a pixel).

    Its phase, and with it its shapes, stay. Source: Yang and Soatto 2020, doi 10.1109/CVPR42600.2020.00414.
    """
    own, other = np.fft.rfft2(image), np.fft.rfft2(style)
    rows, columns = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None]
    low = (np.abs(rows) <= band) & (columns <= band)
    size = np.abs(own)
    mixed = np.where(low, (1 - share) * size + share * np.abs(other), size)
    out = np.fft.irfft2(mixed * np.exp(1j * np.angle(own)), image.shape)
    return np.clip(out, 0, 1).astype(np.float32)


def match_grays(image: Image, style: Image, share: float) -> Image:
    """The picture (H, W) with its gray values drawn by ``share`` towards the distribution of the style's.

    Pixels that are black in either are left out.
    """
    seen, there = image > 0.01, style > 0.01
    if seen.sum() < 16 or there.sum() < 16:
        return image.copy()
    steps = np.linspace(0, 100, 64)
    source, target = np.percentile(image[seen], steps), np.percentile(style[there], steps)
    out = image.copy()
    out[seen] = (1 - share) * image[seen] + share * np.interp(image[seen], source, target)
    return out


def style_paths(items: Sequence[Mapping[str, Any]], count: int, seed: int = 0) -> list[str]:
    """Up to ``count`` pictures of training items, as many of each ``machine``, the same for a ``seed``."""
    random = np.random.default_rng([seed, 5])
    machines: dict[str, list[str]] = {}
    for item in items:
        machines.setdefault(str(item.get("machine", "")), []).append(str(item["image"]))
    if not machines:
        return []
    each = -(-count // len(machines))
    chosen = [
        paths[place]
        for _, paths in sorted(machines.items())
        for place in random.permutation(len(paths))[:each]
    ]
    return chosen[:count]


class RandStyled(MapTransform, RandomizableTransform):
    """Give a picture (1, H, W) in 0..1 the large-scale brightness and the gray values of another one.

    Args:
        prob: how often.
        styles: paths of the pictures to take them from; see :func:`style_paths`. They are read when first needed, and
            kept.
        shape: rows and columns of the pictures.
        band: highest frequency whose amplitude is mixed, in cycles a pixel.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        prob: float = 0.5,
        styles: Sequence[str] = (),
        shape: Sequence[int] = (128, 192),
        band: float = 0.04,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.styles, self.shape, self.band = list(styles), (shape[0], shape[1]), band
        self.read: dict[str, Image] = {}

    def style(self, path: str) -> Image:
        if path not in self.read:
            from fetal_monai.scan import read_scan, source_of

            image = read_scan(source_of(path)).image
            self.read[path] = to_grid(image, network_grid(image.shape, padded=self.shape))
        return self.read[path]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        self.randomize(None)
        if not (self._do_transform and self.styles):
            return out
        path = self.styles[self.R.randint(len(self.styles))]
        shares, band = self.R.uniform(0, 1, 2), self.band * self.R.uniform(0.2, 1)
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], track_meta=False)[0].numpy()
            style = self.style(path)
            if style.shape != image.shape:
                raise ValueError(f"the picture has shape {image.shape}, styles have {style.shape}; see shape")
            seen = ndimage.maximum_filter(image, 5) > 0.01
            mixed = match_grays(mix_amplitude(image, style, shares[0], band) * seen, style, shares[1])
            out[key] = torch.from_numpy(np.ascontiguousarray(mixed[None], dtype=np.float32))
        return out
