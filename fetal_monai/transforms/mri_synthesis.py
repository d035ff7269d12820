"""Random fetal brains for training, from label maps and real scans."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform

from fetal_monai.synthesis import mri
from fetal_monai.transforms.mri import normalise_mr, sample

__all__ = ["RandFetalBraind"]

Item = dict[Hashable, Any]


class RandFetalBraind(RandomizableTransform):
    """Make ``image`` (1, X, Y, Z) in 0..1.5 and ``label`` (1, X, Y, Z), 0 to 7, from ``source`` of ``BrainSourced``.

    Args:
        shape: of both, in voxels of ``voxel_mm``.
        length_voxels: least, most frequent and greatest length of the head in voxels; their size then follows from the
            head's, and ``voxel_mm`` does not matter.
        synthetic: share of pictures with a contrast made from the labels; the others show the real scan.
        t2_like: share of the made contrasts that keep the order of T2w.
        rotate: SD of the angles in radians; a share ``turn_prob`` is turned by any angle.
        zoom: SD of the logarithm of the size; the head's length stays within ``length_mm``.
        stretch: SD of the logarithm of each axis on its own.
        elastic_mm: largest SD of the elastic displacement.
        ventricle_mm: largest shift of the ventricles' wall inwards, in one of two pictures; outwards 0.7 of it.
        narrow_mm: most that the skull closes in on the fluid around the brain, in one of three pictures.
        widen_mm: most that it gives way to more fluid instead.
        shift_mm: SD of the head's place in the picture.
        artefacts: how often blur, thick slices, motion, bias, gamma and noise are put on, 1 as usual, 0 for never.
        bare: share of the pictures that end at the brain; another ``masked`` end within 25 mm of it.
    """

    def __init__(
        self,
        shape: Sequence[int] = (80, 96, 80),
        voxel_mm: float = 1.2,
        length_voxels: tuple[float, float, float] | None = None,
        synthetic: float = 0.5,
        t2_like: float = 0.9,
        rotate: float = 0.2,
        turn_prob: float = 0.05,
        zoom: float = 0.12,
        length_mm: tuple[float, float] = (55.0, 135.0),
        stretch: float = 0.05,
        elastic_mm: float = 3.0,
        ventricle_mm: float = 5.0,
        narrow_mm: float = 6.0,
        widen_mm: float = 4.0,
        shift_mm: float = 5.0,
        artefacts: float = 1.0,
        bare: float = 0.35,
        masked: float = 0.35,
    ) -> None:
        RandomizableTransform.__init__(self, 1.0)
        self.shape, self.voxel_mm, self.length_voxels = tuple(shape), voxel_mm, length_voxels
        self.synthetic, self.t2_like = synthetic, t2_like
        self.rotate, self.turn_prob, self.zoom, self.length_mm = rotate, turn_prob, zoom, length_mm
        self.stretch, self.elastic_mm, self.ventricle_mm, self.shift_mm = (
            stretch,
            elastic_mm,
            ventricle_mm,
            shift_mm,
        )
        self.narrow_mm, self.widen_mm = narrow_mm, widen_mm
        self.artefacts, self.bare, self.masked = artefacts, bare, masked

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        source = out.pop("source")
        self.randomize_grid()
        with torch.no_grad():
            points, seen = self._shape(source)
            label = sample(source["label"][None], points, "nearest")[0]
            image = sample(source["image"][None], seen)[0]
            atlas = label
            label, distance = self._move_skull(label, self._distance(source, points))
            if self.R.rand() < self.synthetic:
                priors = mri.T2_PRIORS if self.R.rand() < self.t2_like else None
                image = mri.label_contrast(label, image, self.R, priors)
            else:
                beyond = (distance > 2) | (
                    (label == 0) & (atlas > 0)
                )  # fluid that the skull took the place of
                image = torch.where(beyond, 0.0, self._more_fluid(image, atlas, label))
            image = self._scan(self._surround(image, label, distance))
            out["image"] = normalise_mr(self._cut(image, distance))[None]
            out["label"] = self._target(label, distance)[None]
        return out

    def randomize_grid(self) -> None:
        """Draw what holds for the whole picture."""

    def _shape(self, source: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Points of the source that labels and scan are looked up at; they differ where slices moved."""
        random = self.R
        angles = (
            random.uniform(-np.pi, np.pi, 3)
            if random.rand() < self.turn_prob
            else random.normal(0, self.rotate, 3)
        )
        length_mm = source["length_mm"]
        zoom = np.clip(length_mm * np.exp(random.normal(0, self.zoom)), *self.length_mm) / length_mm
        if self.length_voxels is not None:
            self.voxel_mm = float(length_mm * zoom / random.triangular(*self.length_voxels))
        scale = self.voxel_mm / source["voxel_mm"] / zoom * np.exp(random.normal(0, self.stretch, 3))
        flip = (random.rand() < 0.5, False, False)
        matrix = mri.affine_matrix(angles, scale, random.normal(0, 0.03, 3), flip)
        shift = random.normal(0, self.shift_mm, 3) / source["voxel_mm"]
        center = (np.array(source["label"].shape) - 1) / 2 + shift
        amplitude = random.uniform(0, self.elastic_mm) / source["voxel_mm"]
        elastic = amplitude * mri.smooth_noise(self.shape, random.randint(4, 9, 3), random, 3)
        points = mri.sampling_grid(self.shape, matrix, center, elastic)
        if random.rand() < 0.5:
            points = self._push_ventricles(source, points, random.uniform(-1, 0.7) * self.ventricle_mm)
        seen = points
        if random.rand() < 0.15 * self.artefacts:
            moved = mri.slice_motion(
                self.shape, random.uniform(2, 5), random.randint(3), random.uniform(0.2, 1.5), random
            )
            seen = points + moved.permute(1, 2, 3, 0)
        return points, seen

    def _push_ventricles(
        self, source: Mapping[str, Any], points: torch.Tensor, reach_mm: float
    ) -> torch.Tensor:
        """Points that show wider ventricles, or with a negative reach narrower ones, which may close."""
        push = sample(source["push"], points)
        if reach_mm > 0:  # what lies deep within stays where it is
            within = sample(source["label"][None], points, "nearest") == 4
            near_wall = ((push.norm(dim=0, keepdim=True) - 0.7) / 0.3).clamp(0, 1)
            push = torch.where(within, near_wall * push, push)
        return points - reach_mm / source["voxel_mm"] * push.permute(1, 2, 3, 0)

    def _distance(self, source: Mapping[str, Any], points: torch.Tensor) -> torch.Tensor:
        """Distance from the intracranial space in mm, also beyond the source's own edge."""
        size = torch.tensor(source["label"].shape) - 1
        near = torch.minimum(points.clamp(min=0), size.to(points.dtype))
        beyond = (points - near).norm(dim=-1) * source["voxel_mm"]
        return sample(source["distance"][None], near)[0] + beyond

    def _move_skull(self, label: torch.Tensor, distance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels and distance once the skull has closed in on the fluid around the brain, or given way to more."""
        if self.R.rand() > 1 / 3:
            return label, distance
        closer = float(self.R.uniform(-self.widen_mm, self.narrow_mm))
        if closer < 0:
            label = torch.where((label == 0) & (distance < -closer), 1.0, label)
        else:
            label = torch.where((label == 1) & (distance > -closer), 0.0, label)
        return label, torch.where(label > 0, distance.clamp(max=-0.1), (distance + closer).clamp(min=0.1))

    @staticmethod
    def _more_fluid(image: torch.Tensor, atlas: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The real scan, with fluid's own gray where there was none in the atlas."""
        fluid, more = image[atlas == 1], (label == 1) & (atlas != 1)
        return torch.where(more, fluid.median(), image) if len(fluid) and more.any() else image

    def _target(self, label: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        """What the network is to give."""
        return label

    def _surround(self, image: torch.Tensor, label: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        around = mri.surroundings(distance, self.voxel_mm, self.R, self.R.rand() < self.t2_like)
        outside = (label == 0) & (distance > self.R.uniform(0, 1.5))
        return torch.where(outside | ((image <= 0) & (label == 0)), around, image)

    def _scan(self, image: torch.Tensor) -> torch.Tensor:
        random, often = self.R, self.artefacts
        image = mri.blur(image, random.uniform(0.2, 0.9) if often else 0.0)
        if random.rand() < 0.3 * often:
            image = mri.thick_slices(image, random.uniform(1.5, 4.0), random.randint(3))
        if random.rand() < 0.2 * often:
            for axis, factor in enumerate([random.uniform(1.2, 2.0)] * 3):
                image = mri.thick_slices(image, factor, axis)
        if random.rand() < 0.6 * often:
            image = image * mri.bias_field(image.shape, random.uniform(0.05, 0.3), random)
        if random.rand() < 0.5 * often:
            image = mri.gamma(image, np.exp(random.normal(0, 0.3)))
        if random.rand() < 0.7 * often:
            image = mri.rician_noise(image, random.uniform(0.005, 0.07), random)
        return image

    def _cut(self, image: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        """As reconstructions do: nothing beyond the brain, or beyond some margin of it."""
        kind = self.R.rand()
        if kind > self.bare + self.masked:
            return image
        margin = self.R.uniform(-0.5, 2.0) if kind < self.bare else self.R.uniform(2, 25)
        wobble = min(1.0, 0.2 * max(margin, 1)) * mri.smooth_noise(image.shape, 6, self.R)[0]
        return torch.where(distance > margin + wobble, 0.0, image)
