"""Random pictures of brain tumour patients for training, with some of their sequences, and such as they never had."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from fetal_monai.synthesis import mri
from fetal_monai.transforms.mri import sample
from fetal_monai.transforms.tumour import CHANNELS, CLIP, normalise_sequence, regions_of

__all__ = ["SEQUENCE_PRIORS", "RandTumourd"]

Item = dict[Hashable, Any]

# Ranges of the mean gray value by sequence. Tissues are as FLAIR orders them.
CLASSES = (
    "fluid",
    "white matter",
    "gray matter",
    "brighter",
    "core that does not enhance",
    "oedema",
    "enhancing",
)
_RANGES = {
    "t1": ((0.10, 0.30), (0.65, 0.90), (0.50, 0.70), (0.45, 0.75), (0.15, 0.50), (0.35, 0.60), (0.30, 0.65)),
    "t1c": ((0.10, 0.30), (0.55, 0.80), (0.45, 0.65), (0.45, 0.80), (0.10, 0.45), (0.35, 0.60), (0.80, 1.20)),
    "t2": ((0.85, 1.10), (0.25, 0.45), (0.40, 0.60), (0.40, 0.65), (0.50, 1.05), (0.60, 0.95), (0.40, 0.80)),
    "flair": (
        (0.10, 0.30),
        (0.35, 0.55),
        (0.45, 0.65),
        (0.50, 0.75),
        (0.20, 0.90),
        (0.75, 1.10),
        (0.50, 0.90),
    ),
}
SEQUENCE_PRIORS = {sequence: dict(enumerate(ranges, 1)) for sequence, ranges in _RANGES.items()}


class RandTumourd(RandomizableTransform):
    """Make ``image`` (4, X, Y, Z) and ``label`` (3, X, Y, Z) from ``source`` of ``PatientSourced``.

    Channels of the image are ``CHANNELS``, normalised; those of the label are ``REGIONS``, 0 or 1. ``others``, where
    the item has them, are the sources of other patients.

    Args:
        shape: of both, in voxels of ``voxel_mm``.
        tumour: share of pictures about a voxel of the tumour; the others are anywhere in the head.
        synthetic: share of the sequences that a patient lacks that are made from its tissues and labels.
        remade: share of the sequences that a patient has that are made so, too.
        subset: share of the pictures that show a random subset of the sequences; the others show all there are.
        carved: share of the pictures into which the tumour of one of ``others`` is put, with what lies about it
            (CarveMix, doi 10.1007/978-3-030-87193-2_19).
        contrast: how often each part of the tumour gets brighter or darker in a sequence than it was.
        cavity: share of the pictures in which the core that does not enhance holds fluid.
        rotate: SD of the angles in radians. zoom, stretch: SD of the logarithm of the size, and of each axis.
        elastic_mm: largest SD of the elastic displacement.
        artefacts: how often blur, thick slices, shifts of one sequence, bias, gamma and noise are put on; 0 for never.
    """

    def __init__(
        self,
        shape: Sequence[int] = (64, 80, 64),
        voxel_mm: float = 2.0,
        tumour: float = 0.6,
        synthetic: float = 0.5,
        remade: float = 0.1,
        subset: float = 0.5,
        carved: float = 0.0,
        contrast: float = 0.0,
        cavity: float = 0.0,
        rotate: float = 0.2,
        zoom: float = 0.1,
        stretch: float = 0.05,
        elastic_mm: float = 3.0,
        artefacts: float = 1.0,
    ) -> None:
        RandomizableTransform.__init__(self, 1.0)
        self.shape, self.voxel_mm, self.tumour = tuple(shape), voxel_mm, tumour
        self.synthetic, self.remade, self.subset, self.carved = synthetic, remade, subset, carved
        self.contrast, self.cavity = contrast, cavity
        self.rotate, self.zoom, self.stretch, self.elastic_mm = rotate, zoom, stretch, elastic_mm
        self.artefacts = artefacts

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        source, others = out.pop("source"), out.pop("others", [])
        with torch.no_grad():
            points = self._points(source, self.tumour)
            label = sample(source["label"][None], points, "nearest")[0]
            real = sample(source["images"], points)
            head = sample((source["tissue"] > 0)[None].float(), points)[0] > 0.5
            present = np.array(source["present"])
            if others and self.R.rand() < self.carved:
                donor = others[self.R.randint(len(others))]
                if (donor["label"] > 0).any() and (present & donor["present"]).any():
                    real, label = self._carve(real, label, head, donor)
                    present &= donor["present"]
            tissue = sample(source["tissue"][None], points, "nearest")[0].clamp(max=4)
            classes = torch.where(label > 0, label + 4, tissue)  # of SEQUENCE_PRIORS
            if self.R.rand() < self.cavity:
                real = self._fill(real, label == 1, tissue == 1)
            images = torch.zeros_like(real)
            for channel in self._shown(present):
                image = real[channel]
                share = self.remade if present[channel] else 1.0
                if self.R.rand() < share:
                    texture = real[self.R.choice(np.flatnonzero(present))]
                    priors = SEQUENCE_PRIORS[CHANNELS[channel]]
                    image = mri.label_contrast(classes, texture, self.R, priors, (0.02, 0.15))
                    image = mri.blur(image, self.R.uniform(0.3, 0.8))
                for part in (1, 2, 3):
                    if self.R.rand() < self.contrast:
                        image = image + self.R.normal(0, 0.7) * mri.blur((label == part).float(), 0.7)
                images[channel] = self._scan(image, head)
            out["image"] = images
            out["label"] = regions_of(label)
        return out

    def _points(self, source: Mapping[str, Any], tumour: float) -> torch.Tensor:
        random, step = self.R, self.voxel_mm / source["voxel_mm"]
        where = source["label"] > 0 if random.rand() < tumour else source["tissue"] > 0
        places = where.nonzero() if where.any() else (source["tissue"] > 0).nonzero()
        center = places[random.randint(len(places))].numpy().astype(float)
        # not always in the middle, and not farther out than the picture need be
        half = np.array(self.shape) * step / 2
        center = center + random.uniform(-0.5, 0.5, 3) * half
        size = np.array(source["label"].shape)
        low, high = np.minimum(half, size / 2), np.maximum(size - half, size / 2)
        center = np.clip(center, low, high)
        scale = step * np.exp(random.normal(0, self.zoom) + random.normal(0, self.stretch, 3))
        flip = (random.rand() < 0.5, False, False)
        matrix = mri.affine_matrix(random.normal(0, self.rotate, 3), scale, random.normal(0, 0.03, 3), flip)
        amplitude = random.uniform(0, self.elastic_mm) / source["voxel_mm"]
        elastic = amplitude * mri.smooth_noise(self.shape, random.randint(4, 9, 3), random, 3)
        return mri.sampling_grid(self.shape, matrix, center, elastic)

    def _carve(
        self, real: torch.Tensor, label: torch.Tensor, head: torch.Tensor, donor: Mapping[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture with the donor's tumour, cut out with some millimetres about it, and the labels."""
        points = self._points(donor, 1.0)
        theirs = sample(donor["label"][None], points, "nearest")[0]
        inside = sample((donor["tissue"] > 0)[None].float(), points)[0] > 0.5
        if not (theirs > 0).any():
            return real, label
        far_mm = torch.from_numpy(distance_transform_edt((theirs == 0).numpy())).float() * self.voxel_mm
        cut = (far_mm <= self.R.uniform(1, 8)) & inside & head
        weight = mri.blur(cut.float(), 0.7) * head
        return real + weight * (sample(donor["images"], points) - real), torch.where(cut, theirs, label)

    def _fill(self, real: torch.Tensor, core: torch.Tensor, fluid: torch.Tensor) -> torch.Tensor:
        """The core as a cyst or a cavity after resection: as dark or bright as fluid is in each sequence."""
        if not core.any() or not fluid.any():
            return real
        level = real[:, fluid].mean(1)[:, None, None, None] + self.R.normal(0, 0.2)
        texture = 0.3 * (real - real[:, core].mean(1)[:, None, None, None])
        weight = mri.blur(core.float(), 0.7)
        return real + weight * (level + texture - real)

    def _shown(self, present: NDArray[np.bool_]) -> list[int]:
        """Which channels the picture has: at least one that is real, or could be."""
        random = self.R
        there = [k for k, is_there in enumerate(present) if is_there or random.rand() < self.synthetic]
        if random.rand() < self.subset:
            n_kept = random.randint(1, len(there) + 1)
            there = sorted(random.choice(there, n_kept, replace=False).tolist())
        return there

    def _scan(self, image: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        """What a scanner makes of one sequence; normalised."""
        random, often = self.R, self.artefacts
        if random.rand() < 0.2 * often:
            image = mri.blur(image, random.uniform(0.3, 1.0))
        if random.rand() < 0.25 * often:
            image = mri.thick_slices(image, random.uniform(1.2, 3.0), random.randint(3))
        if random.rand() < 0.1 * often:  # a voxel off: not registered to the others as well as it could be
            image = torch.roll(image, int(random.choice([-1, 1])), int(random.randint(3)))
        low = image[head].min() if head.any() else image.min()
        image = (image - low).clamp(min=0)
        if random.rand() < 0.5 * often:
            image = image * mri.bias_field(image.shape, random.uniform(0.05, 0.25), random)
        if random.rand() < 0.4 * often:
            image = mri.gamma(image, np.exp(random.normal(0, 0.2)))
        if random.rand() < 0.4 * often:
            image = mri.rician_noise(image, random.uniform(0.01, 0.08) * float(image.max()) / 2, random)
        image = normalise_sequence(image, head)
        if (
            random.rand() < 0.5 * often
        ):  # the mean and SD of a head with more of it in view, or with its skull
            image = torch.where(head, image * np.exp(random.normal(0, 0.15)) + random.normal(0, 0.2), 0.0)
        return image.clamp(-CLIP, CLIP)
