"""Volumes of one patient on one grid: resampled, rigidly registered on request, and whether they lie on each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Agreement",
    "Grid",
    "Head",
    "Seen",
    "agreement",
    "find_head",
    "has_same_affine",
    "is_same_grid",
    "resample",
    "rigid_transform",
]

SAME_PLACE = 0.1  # of a voxel, below which two grids are one
COARSE_MM = 4.0  # voxels on which heads are compared
HEAD = 0.15  # of the usual brightness above the background, from which it is head
CUT = 0.4  # of the volume's border, up to which a head may reach it
FEW, MOST = 0.005, 0.95  # of the volume: between them, a head can be told from its background
BINS, SAMPLES, SEED = 40, 40_000, 1
REGISTER_MM = (8.0, 4.0, 2.0)
STILL = 1.0  # voxels, up to which a movement is left out, so that voxels stay as they are


class Grid(NamedTuple):
    """Shape (I, J, K), and the affine from voxels to RAS in mm."""

    shape: tuple[int, ...]
    affine: NDArray[np.float64]


class Seen(NamedTuple):
    """The grid that a volume came from, and SimpleITK's transform from points of its new grid to it, None if still."""

    grid: Grid
    transform: Any = None


class Head(NamedTuple):
    """`mask` is None where no head can be told from the background; `known` is where the volume has voxels."""

    mask: NDArray[np.bool_] | None
    known: NDArray[np.bool_]
    affine: NDArray[np.float64]


class Agreement(NamedTuple):
    """How two heads on one grid lie: NaN where one cannot be told from its background.

    `apart_mm` is between their centres of mass and `inside` the share of the smaller that lies in the larger, both
    where both volumes have voxels; `ratio` is how many times as large the larger is there; `covered` is the share of
    the first head where the second volume has voxels.
    """

    apart_mm: float
    inside: float
    ratio: float
    covered: float


def is_same_grid(one: Grid, other: Grid) -> bool:
    """Whether shapes are equal and no corner lies further apart than a tenth of the smallest voxel."""
    return one.shape == other.shape and has_same_affine(one, other)


def has_same_affine(one: Grid, other: Grid) -> bool:
    apart = np.linalg.norm(_corners(one.shape) @ (one.affine - other.affine)[:3].T, axis=1).max()
    return bool(apart < SAME_PLACE * _sizes(one.affine).min())


def resample(
    image: NDArray[Any], affine: NDArray[np.float64], grid: Grid, transform: Any = None
) -> NDArray[np.float32]:
    """A volume (I, J, K) on another grid, float32: linear, 0 where it has no voxels.

    `transform` is SimpleITK's, from points of the grid to points of the volume; None leaves points where they are.
    """
    import SimpleITK

    identity = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(size) for size in grid.shape])
    _place(resampler, grid.affine, "SetOutput")
    resampler.SetTransform(identity if transform is None else transform)
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
    moved = resampler.Execute(_itk(image, affine))
    return np.ascontiguousarray(SimpleITK.GetArrayViewFromImage(moved).T)


def rigid_transform(
    fixed: NDArray[Any],
    fixed_affine: NDArray[np.float64],
    moving: NDArray[Any],
    moving_affine: NDArray[np.float64],
) -> Any:
    """The rigid transform from points of the fixed volume to those of the moving one; None if it need not move.

    Mutual information (Mattes 2003, doi 10.1109/TMI.2003.809072) is raised from coarse to fine by SimpleITK, from where
    the affines put the volumes or from their centres of mass upon each other, whichever starts better. Movements that
    shift no corner of the volume's inner half by a voxel are left out. Raises RuntimeError if the two have nothing in
    common.
    """
    import SimpleITK

    still, moved = _itk(fixed, fixed_affine), _itk(moving, moving_affine)
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 100, 0.5, 1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    centred = SimpleITK.Euler3DTransform(
        SimpleITK.CenteredTransformInitializer(
            still,
            moved,
            SimpleITK.Euler3DTransform(),
            SimpleITK.CenteredTransformInitializerFilter.MOMENTS,
        )
    )
    as_it_is = SimpleITK.Euler3DTransform(centred)
    as_it_is.SetTranslation((0.0, 0.0, 0.0))
    start = _best(method, still, moved, REGISTER_MM[0], (as_it_is, centred))
    found = SimpleITK.Euler3DTransform(start)
    for size_mm in REGISTER_MM:
        coarse = _shrunk(still, size_mm)
        _sample(method, coarse)
        method.SetInitialTransform(found, inPlace=True)
        method.Execute(coarse, _shrunk(moved, size_mm))
    best = _best(method, still, moved, REGISTER_MM[-1], (as_it_is, found))
    inner = _corners(fixed.shape) * (0.5, 0.5, 0.5, 1) + (*(size / 4 for size in fixed.shape), 0)
    points = (inner @ fixed_affine.T)[:, :3] * (-1, -1, 1)
    movement = max(
        np.linalg.norm(np.subtract(best.TransformPoint(point), point)) for point in points.tolist()
    )
    return None if movement <= STILL * _sizes(fixed_affine).min() else best


def find_head(image: NDArray[np.float32], affine: NDArray[np.float64], seen: Seen | None = None) -> Head:
    """The head in a volume (I, J, K), on blocks of about 4 mm; `seen` is how the volume came on its grid.

    It is the largest part that stands out from the volume's border by 15 % of the usual brightness, filled: sequences
    differ in contrast, but hardly in their outline.
    """
    from scipy import ndimage

    sizes = _sizes(affine)
    steps = [min(max(1, round(COARSE_MM / size)), n) for size, n in zip(sizes, image.shape, strict=True)]
    blocks = _blocks(image, steps)
    coarse = affine.copy()
    coarse[:3, :3] *= steps
    coarse[:3, 3] += affine[:3, :3] @ ((np.array(steps) - 1) / 2)
    known = np.ones(blocks.shape, bool)
    if seen is not None:
        ones = np.ones(seen.grid.shape, np.float32)
        known = resample(ones, seen.grid.affine, Grid(blocks.shape, coarse), seen.transform) > 0.5
    nowhere = Head(None, known, coarse)
    faces = ndimage.generate_binary_structure(3, 1)  # within its plane for a slice
    faces = faces[tuple(slice(1, 2) if size == 1 else slice(None) for size in blocks.shape)]
    border = known & ~ndimage.binary_erosion(known, faces)
    if not border.any():
        return nowhere
    background = np.median(blocks[border])
    if image.min() < background:  # what is normalised goes both ways
        blocks, background = _blocks(np.abs(image - background), steps), 0
    stands_out = np.where(known, np.abs(blocks - background), 0)
    bright = stands_out[stands_out > stands_out[known].mean()]
    if not bright.size:
        return nowhere
    stands_out = stands_out > HEAD * np.percentile(bright, 75)
    parts, count = ndimage.label(ndimage.binary_opening(stands_out, faces))
    if not count or stands_out[border].mean() > CUT:
        return nowhere
    head = ndimage.binary_fill_holes(parts == np.bincount(parts.ravel())[1:].argmax() + 1, faces)
    share = np.count_nonzero(head) / np.count_nonzero(known)
    return Head(head, known, coarse) if FEW < share < MOST else nowhere


def agreement(first: Head, second: Head) -> Agreement:
    """Compare two heads on one grid. A head that is turned about its own middle by few degrees is not noticed."""
    if first.mask is None or second.mask is None:
        return Agreement(math.nan, math.nan, math.nan, math.nan)
    both = first.known & second.known
    masks = first.mask & both, second.mask & both
    counts = [int(np.count_nonzero(mask)) for mask in masks]
    covered = counts[0] / int(np.count_nonzero(first.mask))
    if not all(counts):
        return Agreement(math.inf, 0.0, math.inf, covered)
    centres = [np.argwhere(mask).mean(axis=0) @ first.affine[:3, :3].T for mask in masks]
    apart_mm = float(np.linalg.norm(centres[0] - centres[1]))
    inside = int(np.count_nonzero(masks[0] & masks[1])) / min(counts)
    return Agreement(apart_mm, inside, max(counts) / min(counts), covered)


def _blocks(image: NDArray[np.float32], steps: Sequence[int]) -> NDArray[np.float32]:
    """Means of blocks; what is left over at the end of an axis is not looked at."""
    (i, j, k), (a, b, c) = (n // step for n, step in zip(image.shape, steps, strict=True)), steps
    return image[: i * a, : j * b, : k * c].reshape(i, a, j, b, k, c).mean(axis=(1, 3, 5), dtype=np.float32)


def _best(method: Any, fixed: Any, moving: Any, size_mm: float, transforms: tuple[Any, ...]) -> Any:
    """The transform with the most mutual information, the first of equals."""
    fixed, moving = _shrunk(fixed, size_mm), _shrunk(moving, size_mm)
    _sample(method, fixed)
    costs = []
    for transform in transforms:
        method.SetInitialTransform(transform)
        try:
            costs.append(method.MetricEvaluate(fixed, moving))
        except RuntimeError:  # no point of the one is in the other
            costs.append(np.inf)
    if not np.isfinite(min(costs)):
        raise RuntimeError("the volumes have nothing in common")
    return transforms[int(np.argmin(costs))]


def _sample(method: Any, fixed: Any) -> None:
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / fixed.GetNumberOfPixels()), SEED)


def _shrunk(image: Any, size_mm: float) -> Any:
    import SimpleITK

    factors = [max(1, round(size_mm / size)) for size in image.GetSpacing()]
    return SimpleITK.BinShrink(image, factors)


def _itk(image: NDArray[Any], affine: NDArray[np.float64]) -> Any:
    import SimpleITK

    out = SimpleITK.GetImageFromArray(np.ascontiguousarray(image.T, np.float32))
    _place(out, affine, "Set")
    return out


def _place(target: Any, affine: NDArray[np.float64], prefix: str) -> None:
    """Give an ITK image or filter its grid; ITK's world is left, posterior, superior."""
    to_lps = np.diag([-1.0, -1.0, 1.0])
    sizes = _sizes(affine)
    getattr(target, f"{prefix}Spacing")(sizes.tolist())
    getattr(target, f"{prefix}Direction")((to_lps @ affine[:3, :3] / sizes).ravel().tolist())
    getattr(target, f"{prefix}Origin")((to_lps @ affine[:3, 3]).tolist())


def _sizes(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(affine[:3, :3], axis=0)


def _corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Indices (8, 4) of a volume's corners, with a 1 at the end."""
    return np.array([(*corner, 1) for corner in itertools.product(*((0, size - 1) for size in shape))], float)
