"""Random thick-slice stacks of a fetal head in its mother, for training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fetal_monai.synthesis import mri
from fetal_monai.transforms.mri_synthesis import RandFetalBraind

__all__ = ["RandFetalStackd"]

Item = dict[Hashable, Any]


class RandFetalStackd(RandFetalBraind):
    """Make ``image`` (1, X, Y, Z) in 0..1.5 and ``label`` (1, X, Y, Z), 1 in the brain's mask.

    The mask is the intracranial space and ``mask_margin_mm`` about it, as readers draw it: on the skull.

    The picture is what a stack looks like on a grid that is isotropic: slices of ``thickness_mm`` along any axis, that
    moved between each other, of a limited number. A share ``empty`` shows no brain.

    Args:
        voxel_mm: range of the grid's voxel, so that one network both finds the brain on a coarse grid and outlines it
            on a fine one.
        shift_mm, others: as in :class:`RandFetalBraind`.
    """

    def __init__(
        self,
        shape: Sequence[int] = (80, 80, 80),
        voxel_mm: tuple[float, float] = (1.4, 3.3),
        thickness_mm: tuple[float, float] = (2.0, 6.0),
        empty: float = 0.05,
        mask_margin_mm: float = 2.0,
        synthetic: float = 0.6,
        t2_like: float = 0.8,
        turn_prob: float = 0.7,
        shift_mm: float = 22.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            shape,
            voxel_mm[0],
            synthetic=synthetic,
            t2_like=t2_like,
            turn_prob=turn_prob,
            shift_mm=shift_mm,
            bare=0.0,
            masked=0.06,
            **kwargs,
        )
        self.voxel_range, self.thickness_mm, self.empty = voxel_mm, thickness_mm, empty
        self.mask_margin_mm = mask_margin_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = super().__call__(data)
        out["label"] *= self._field_of_view(out["image"])
        return out

    def _target(self, label: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        return (distance < self.mask_margin_mm).float()

    def randomize_grid(self) -> None:
        self.voxel_mm = float(np.exp(self.R.uniform(*np.log(self.voxel_range))))
        self.axis = int(self.R.randint(3))
        self.slice_mm = float(self.R.uniform(*self.thickness_mm))
        self.is_empty = self.R.rand() < self.empty

    def _shape(self, source: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        points, seen = super()._shape(source)
        if self.is_empty:
            away = torch.full_like(points, 1e4)
            return away, away
        if self.R.rand() < 0.6 * self.artefacts:
            slices = self.slice_mm / self.voxel_mm
            reach = self.R.uniform(0.3, 3.0) / source["voxel_mm"]
            seen = seen + mri.slice_motion(self.shape, slices, self.axis, reach, self.R).permute(1, 2, 3, 0)
        return points, seen

    def _surround(self, image: torch.Tensor, label: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        around = mri.maternal(distance, self.voxel_mm, self.R, self._body(label))
        outside = (label == 0) & (distance > self.R.uniform(0, 1.5))
        return torch.where(outside | ((image <= 0) & (label == 0)), around, image)

    def _body(self, label: torch.Tensor) -> np.ndarray | None:
        """About the direction from the brain's middle to the brainstem, where that is in view."""
        brain, stem = label > 0, label == 7
        if not stem.any():
            return None
        way = (stem.nonzero().float().mean(0) - brain.nonzero().float().mean(0)).numpy()
        return way / max(float(np.linalg.norm(way)), 1e-6) + self.R.normal(0, 0.25, 3)

    def _scan(self, image: torch.Tensor) -> torch.Tensor:
        random = self.R
        image = mri.thick_slices(image, self.slice_mm / self.voxel_mm, self.axis)
        if random.rand() < 0.7 * self.artefacts:
            image = image * mri.bias_field(image.shape, random.uniform(0.1, 0.6), random)
        if random.rand() < 0.5 * self.artefacts:
            image = mri.gamma(image, np.exp(random.normal(0, 0.3)))
        if random.rand() < 0.3 * self.artefacts:  # slices differ in brightness
            step = [1, 1, 1]
            step[self.axis] = image.shape[self.axis]
            image = image * torch.from_numpy(np.exp(random.normal(0, 0.15, step)).astype(np.float32))
        if random.rand() < 0.7 * self.artefacts:
            image = mri.rician_noise(image, random.uniform(0.005, 0.06), random)
        return image

    def _field_of_view(self, image: torch.Tensor) -> torch.Tensor:
        """Blacken (1, X, Y, Z) in place beyond the field of view, along the slices often a small one; 1 within it."""
        seen = torch.ones_like(image)
        for axis, side in enumerate(image.shape[1:]):
            if self.R.rand() < (0.6 if axis == self.axis else 0.25):
                length = int(min(side, max(12, self.R.uniform(60, 200) / self.voxel_mm)))
                start = self.R.randint(side - length + 1)
                seen.narrow(axis + 1, 0, start).zero_()
                seen.narrow(axis + 1, start + length, side - length - start).zero_()
        image *= seen
        return seen
