"""T2w MR of the fetal brain made from label maps: shape, contrast, surroundings and what a scanner does to it.

The approach is that of SynthSeg (doi 10.1016/j.media.2023.102789) and SynthStrip
(doi 10.1016/j.neuroimage.2022.119474).
All functions take and return float tensors (X, Y, Z) on one grid, whatever its spacing; lengths are in voxels.
``random`` is a NumPy ``RandomState``, so that a seed gives the same picture again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "T2_PRIORS",
    "affine_matrix",
    "bias_field",
    "blur",
    "gamma",
    "label_contrast",
    "maternal",
    "rician_noise",
    "sampling_grid",
    "slice_motion",
    "smooth_noise",
    "surroundings",
    "thick_slices",
]

T2_PRIORS = {  # label in FeTA order: range of the mean on T2w, where fluid is 1
    1: (0.70, 1.00),
    2: (0.28, 0.52),
    3: (0.42, 0.74),
    4: (0.75, 1.00),
    5: (0.25, 0.52),
    6: (0.28, 0.52),
    7: (0.28, 0.52),
}
T2_SURROUNDINGS = {"skull": (0.02, 0.25), "scalp": (0.25, 0.8)}


def smooth_noise(shape: Sequence[int], nodes: ArrayLike, random: RandomState, channels: int = 1) -> Tensor:
    """Standard normal values at ``nodes`` points along each axis, interpolated to (channels, X, Y, Z)."""
    size = tuple(np.broadcast_to(nodes, 3))
    values = torch.from_numpy(random.standard_normal((1, channels, *size)).astype(np.float32))
    return F.interpolate(values, tuple(shape), mode="trilinear", align_corners=True)[0]


def affine_matrix(
    angles: Sequence[float],
    scale: Sequence[float],
    shear: Sequence[float],
    flip: Sequence[bool] = (False,) * 3,
) -> np.ndarray:
    """Matrix (3, 3) that turns (radians, about x, y, z), stretches, shears and mirrors, in this order from the left."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [a for a in range(3) if a != axis]
        step = np.eye(3)
        step[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = turn @ step
    skew = np.eye(3)
    skew[0, 1], skew[0, 2], skew[1, 2] = shear
    return turn @ np.diag(scale) @ skew @ np.diag(np.where(flip, -1.0, 1.0))


def sampling_grid(
    shape: Sequence[int], matrix: np.ndarray, center: ArrayLike, displacement: Tensor | None = None
) -> Tensor:
    """Points (X, Y, Z, 3) of the source, in voxels, that an output of ``shape`` looks at.

    The middle of the output looks at ``center`` of the source; ``matrix`` (3, 3) goes from steps in the output to steps
    in the source. ``displacement`` (3, X, Y, Z) is added.
    """
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    linear, middle = torch.from_numpy(np.asarray(matrix, np.float32)), np.asarray(center, float)
    points = torch.stack(
        [
            linear[k, 0] * axes[0][:, None, None]
            + linear[k, 1] * axes[1][None, :, None]
            + (linear[k, 2] * axes[2] + float(middle[k]))[None, None, :]
            for k in range(3)
        ],
        dim=-1,
    )
    return points if displacement is None else points + displacement.permute(1, 2, 3, 0)


def label_contrast(
    labels: Tensor,
    texture: Tensor,
    random: RandomState,
    priors: Mapping[int, tuple[float, float]] | None = None,
    strength: tuple[float, float] = (0.0, 0.12),
) -> Tensor:
    """An image in which each label (0 to 7) has a mean of its own, and the ``texture`` of a real scan within.

    ``texture`` is any image of the same brain; within each label it is brought to mean 0 and SD 1 and added with a
    random strength. Means are drawn from ``priors``, the range of each label, or without them from 0..1; outside
    (label 0) the image is 0.
    """
    flat, values = labels.reshape(-1).long(), texture.reshape(-1)
    count = torch.bincount(flat, minlength=8).clamp(min=1).float()
    mean = torch.bincount(flat, values, minlength=8) / count
    sd = (torch.bincount(flat, values**2, minlength=8) / count - mean**2).clamp(min=1e-6).sqrt()
    base = [0.0] + [random.uniform(*(priors[k] if priors else (0.0, 1.0))) for k in range(1, 8)]
    wild = random.uniform(*strength, 8) * np.where(random.rand(8) < (0.1 if priors else 0.5), -1, 1)
    wild[0] = 0
    gain = torch.from_numpy(wild.astype(np.float32)) / sd
    offset = torch.tensor(base, dtype=torch.float32) - gain * mean
    return (gain[flat] * values.clamp(-10, 10) + offset[flat]).reshape(labels.shape)


def surroundings(distance: Tensor, voxel_mm: float, random: RandomState, t2_like: bool = True) -> Tensor:
    """What lies around the brain: skull, scalp, and beyond them fluid and tissue in smooth random shapes.

    ``distance`` is that from the intracranial space in mm, negative within. Returns an image for every voxel; within
    the brain it is of no use.
    """
    shape = distance.shape
    n_classes = random.randint(3, 8)
    field = smooth_noise(shape, random.randint(4, 12, 3), random)[0]
    means = torch.from_numpy(random.uniform(0, 1, n_classes).astype(np.float32))
    means[random.randint(n_classes)] = random.uniform(0.75, 1.0) if t2_like else random.uniform(0, 1)
    classes = ((field + 2) / 4 * n_classes).long().clamp(0, n_classes - 1)
    image = (
        means[classes]
        + 0.05 * random.rand() * smooth_noise(shape, [max(n // 3, 2) for n in shape], random)[0]
    )
    if random.rand() < 0.8:
        skull_mm, scalp_mm = random.uniform(0.8, 2.5), random.uniform(0.8, 4.0)
        wobble = 0.5 * smooth_noise(shape, 6, random)[0]
        skull, scalp = (
            random.uniform(*(T2_SURROUNDINGS[n] if t2_like else (0, 1))) for n in ("skull", "scalp")
        )
        image = torch.where(distance < skull_mm + scalp_mm + wobble, scalp, image)
        image = torch.where(distance < skull_mm + 0.5 * wobble, skull, image)
    return image


def maternal(distance: Tensor, voxel_mm: float, random: RandomState, body: ArrayLike | None = None) -> Tensor:
    """A head in its mother: skull, scalp, amniotic fluid, and beyond it tissue of two scales and rounded organs.

    ``distance`` is that from the intracranial space in mm, as for :func:`surroundings`. ``body`` (3,) is the direction,
    of any length, in which face and neck mostly take the place of fluid, and of part of the skull.
    """
    shape = distance.shape
    image = torch.zeros(shape)
    pick = smooth_noise(shape, _nodes(shape, voxel_mm, random.uniform(50, 120)), random)[0] > random.uniform(
        -1, 1
    )
    for where in (pick, ~pick):
        n_classes = random.randint(2, 7)
        means = torch.from_numpy(random.uniform(0.02, 1, n_classes).astype(np.float32))
        field = smooth_noise(shape, _nodes(shape, voxel_mm, random.uniform(12, 50)), random)[0]
        classes = ((field + 2) / 4 * n_classes).long().clamp(0, n_classes - 1)
        image = torch.where(where, means[classes], image)
    axes = torch.meshgrid(*(torch.arange(n) * voxel_mm for n in shape), indexing="ij")
    for _ in range(random.randint(0, 6)):
        center = [random.uniform(0, n) * voxel_mm for n in shape]
        radius = random.uniform(8, 45) * np.exp(random.normal(0, 0.25, 3))
        parts = (((a - c) / float(m)) ** 2 for a, c, m in zip(axes, center, radius, strict=True))
        r = sum(parts, torch.zeros(shape))
        wall, inner = random.uniform(0, 1, 2)
        image = torch.where(r < 1, float(wall), image)
        image = torch.where(r < random.uniform(0.5, 0.95), float(inner), image)
    grain = smooth_noise(shape, [max(n // 2, 2) for n in shape], random)[0]
    image = image * (1 + random.uniform(0, 0.3) * grain)
    if random.rand() < 0.85:
        fluid_mm = random.uniform(2, 40) * torch.exp(0.7 * smooth_noise(shape, 4, random)[0])
        image = torch.where(distance < fluid_mm, random.uniform(0.6, 1.1), image)
    wobble = 0.5 * smooth_noise(shape, 6, random)[0]
    skull_mm, scalp_mm = random.uniform(0.8, 3.0), random.uniform(0.8, 4.0)
    image = torch.where(distance < skull_mm + scalp_mm + wobble, random.uniform(0.25, 0.8), image)
    image = torch.where(distance < skull_mm + 0.5 * wobble, random.uniform(0.02, 0.35), image)
    return image if body is None else _face_and_neck(image, distance, voxel_mm, random, body)


def _face_and_neck(
    image: Tensor, distance: Tensor, voxel_mm: float, random: RandomState, body: ArrayLike
) -> Tensor:
    """Patches of soft tissue, bone and fluid in a cone about ``body``, from the skull's base on."""
    shape, within = distance.shape, distance < 0
    if random.rand() > 0.8 or not within.any():
        return image
    center = within.nonzero().float().mean(0)
    way = torch.from_numpy(np.asarray(body, np.float32))
    axes = torch.meshgrid(
        *(torch.arange(n) - c for n, c in zip(shape, center.tolist(), strict=True)), indexing="ij"
    )
    far = torch.sqrt(sum((a**2 for a in axes), torch.zeros(shape))).clamp(min=1e-3)
    cosine = (
        sum((a * w for a, w in zip(axes, (way / way.norm().clamp(min=1e-6)).tolist(), strict=True)), 0) / far
    )
    cone = cosine > random.uniform(0.4, 0.75) + 0.1 * smooth_noise(shape, 5, random)[0]
    n_classes = random.randint(3, 7)
    means = torch.from_numpy(random.uniform(0.03, 0.9, n_classes).astype(np.float32))
    field = smooth_noise(shape, _nodes(shape, voxel_mm, random.uniform(6, 18)), random)[0]
    tissue = means[((field + 2) / 4 * n_classes).long().clamp(0, n_classes - 1)]
    reach_mm, base_mm = random.uniform(15, 90), random.uniform(0, 2)
    return torch.where(cone & (distance > base_mm) & (distance < reach_mm), tissue, image)


def _nodes(shape: Sequence[int], voxel_mm: float, scale_mm: float) -> list[int]:
    return [max(2, round(n * voxel_mm / scale_mm)) for n in shape]


def blur(image: Tensor, sigma: float | Sequence[float]) -> Tensor:
    """Gaussian blur with ``sigma`` in voxels along each axis; the edge is repeated."""
    out = image[None, None]
    for axis, s in enumerate(np.broadcast_to(np.asarray(sigma, float), 3)):
        radius = int(np.ceil(2.5 * s))
        if s < 0.15 or radius == 0:
            continue
        x = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (x / float(s)) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(x)
        pad = [0, 0, 0, 0, 0, 0]
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        out = F.conv3d(F.pad(out, pad, mode="replicate"), (kernel / kernel.sum()).reshape(shape))
    return out[0, 0]


def thick_slices(image: Tensor, thickness: float, axis: int) -> Tensor:
    """Slices of ``thickness`` voxels along an axis, with a Gaussian profile of that full width at half maximum, and
    back to the grid by linear interpolation."""
    if thickness <= 1:
        return image
    sigma = [0.0, 0.0, 0.0]
    sigma[axis] = thickness / 2.355
    size = list(image.shape)
    size[axis] = max(2, round(size[axis] / thickness))
    coarse = F.interpolate(blur(image, sigma)[None, None], tuple(size), mode="trilinear", align_corners=False)
    return F.interpolate(coarse, tuple(image.shape), mode="trilinear", align_corners=False)[0, 0]


def slice_motion(
    shape: Sequence[int], thickness: float, axis: int, amplitude: float, random: RandomState
) -> Tensor:
    """Displacements (3, X, Y, Z) in voxels of slices that moved: each by its own, odd and even ones apart."""
    n = max(2, int(np.ceil(shape[axis] / max(thickness, 1))))
    drift = np.repeat(np.cumsum(random.standard_normal((3, 2)), axis=1), -(-n // 2), axis=1)[:, :n]
    moved = amplitude * (
        0.5 * random.standard_normal((3, n)) * (random.rand(n) < 0.3) + 0.4 * drift * random.rand()
    )
    index = np.minimum((np.arange(shape[axis]) / max(thickness, 1)).astype(int), n - 1)
    view = [3, 1, 1, 1]
    view[axis + 1] = shape[axis]
    return torch.from_numpy(moved[:, index].astype(np.float32)).reshape(view).expand(3, *shape)


def bias_field(shape: Sequence[int], strength: float, random: RandomState) -> Tensor:
    """A smooth factor about 1; ``strength`` is the SD of its logarithm at the nodes."""
    return torch.exp(strength * smooth_noise(shape, random.randint(2, 5, 3), random)[0])


def gamma(image: Tensor, exponent: float) -> Tensor:
    """Gray values between their least and largest to a power."""
    low, high = image.min(), image.max()
    return (((image - low) / (high - low).clamp(min=1e-6)) ** exponent) * (high - low) + low


def rician_noise(image: Tensor, sigma: float, random: RandomState) -> Tensor:
    """The magnitude of a signal with Gaussian noise of SD ``sigma`` in both of its parts."""
    generator = torch.Generator().manual_seed(int(random.randint(2**31 - 1)))
    real, imaginary = (sigma * torch.randn(image.shape, generator=generator) for _ in range(2))
    return torch.sqrt((image + real) ** 2 + imaginary**2)
