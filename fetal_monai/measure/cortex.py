"""The outer surface of the cerebrum as a mesh: its area, how folded it is, and how curved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.brain_frame import CEREBRUM, EDGE, BrainFrame, LabelVolume
from fetal_monai.measure.brain_lengths import largest_part

__all__ = ["CortexShape", "bare_white_matter", "cortex_shape"]

Floats = NDArray[np.float64]

EXTRA_AXIAL_CSF, CORTEX, WHITE_MATTER = 1, 2, 3
STEP_MM = 1.0
BLUR_MM = 1.0  # standard deviation: finer steps of the labels are no folds
MARGIN_MM = 6.0


@dataclass(frozen=True)
class CortexShape:
    """`surface_mm2`, `gyrification_index` (area over that of the convex hull), `mean_curvature_per_mm` (mean of the
    absolute mean curvature over the area: 1 / radius for a ball), `vertices` (N, 3) mm in the brain's frame and
    `faces` (M, 3)."""

    surface_mm2: float
    gyrification_index: float
    mean_curvature_per_mm: float
    vertices: Floats
    faces: NDArray[np.int_]


def bare_white_matter(labels: NDArray[np.integer]) -> float:
    """Share of the brain's surface, from 0 to 1, where white matter lies bare, without cortex on it.

    Counted in voxel faces towards extra-axial CSF or the outside, of labels (I, J, K) in the order of FeTA: those of
    white matter over those of white matter and cortex. NaN without either.
    """
    outside = labels <= EXTRA_AXIAL_CSF
    faces = {WHITE_MATTER: 0, CORTEX: 0}
    for axis in range(3):
        for here, there in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            at = tuple(here if n == axis else slice(None) for n in range(3))
            beside = outside[tuple(there if n == axis else slice(None) for n in range(3))]
            for label in faces:
                faces[label] += int(np.count_nonzero((labels[at] == label) & beside))
    total = sum(faces.values())
    return faces[WHITE_MATTER] / total if total else math.nan


def cortex_shape(volume: LabelVolume, frame: BrainFrame) -> CortexShape | None:
    """The outer surface of cortex, white matter, deep gray matter and ventricles together; None if there is none.

    Both hemispheres are one surface, the fissure between them counts as folded. Labels are blurred by 1 mm and
    sampled every mm, so that the area depends little on the size of the voxels.
    """
    from scipy.spatial import ConvexHull
    from skimage.measure import marching_cubes, mesh_surface_area

    mask = largest_part(volume.holds(CEREBRUM))
    if not mask.any():
        return None
    corners = frame.to_brain(volume.points_mm(mask))
    low, high = corners.min(axis=0) - MARGIN_MM, corners.max(axis=0) + MARGIN_MM
    field = frame.sampled(volume, mask, low, high, STEP_MM, BLUR_MM)
    if not field.max() > EDGE:
        return None
    grid, faces, _, _ = marching_cubes(field, EDGE)
    vertices = low + grid * STEP_MM
    area = float(mesh_surface_area(vertices, faces))
    curvature = _mean_curvature(field, grid)
    sides = vertices[faces]
    weight = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1)
    mean = float(np.average(np.abs(curvature[faces].mean(axis=1)), weights=weight))
    return CortexShape(area, area / float(ConvexHull(vertices).area), mean, vertices, faces)


def _mean_curvature(field: NDArray[np.float32], grid: Floats) -> Floats:
    """Mean curvature (N,) per mm at points (N, 3; steps) of a level set, positive where it bulges out."""
    from scipy import ndimage

    gradient = -np.stack([np.gradient(field, STEP_MM, axis=axis) for axis in range(3)])
    normal = gradient / np.maximum(np.linalg.norm(gradient, axis=0), 1e-6)
    bend = sum(np.gradient(normal[axis], STEP_MM, axis=axis) for axis in range(3)) / 2
    return np.asarray(ndimage.map_coordinates(bend, grid.T, order=1), dtype=float)
