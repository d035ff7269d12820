"""One volume, whatever it comes in: voxels as stored, where they lie in millimetres, and what is odd about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError, naming, parsing
from fetal_monai.scan.reader import Scan
from fetal_monai.scan.source import ScanSource, kind_of
from fetal_monai.scan.spacing import SpacingTable
from fetal_monai.scan.voxels import Volume, VoxelSize, clean_voxels

__all__ = ["VolumeScan", "check_voxel_size", "read_volume_scan"]

MIN_VOXEL_MM, MAX_VOXEL_MM = 0.05, 20.0
SINGULAR = 1e-3  # smallest volume of three unit vectors that span a space


@dataclass(frozen=True)
class VolumeScan:
    """One volume: `image` (I, J, K) is finite, float32 or integer as stored; `affine` goes from voxels to RAS, mm.

    `spacing_source` is one of sform, qform, pixdim, affine, dicom, argument. `ga_weeks` is NaN where unknown.
    `header` is nibabel's, None unless it comes from NIfTI. `picture` is the scan that a volume of one slice was made
    of, see :func:`fetal_monai.scan.single_slice.read_picture_scan`.
    """

    source: ScanSource
    image: NDArray[Any]
    affine: NDArray[np.float64]
    spacing_mm: VoxelSize
    spacing_source: str
    flags: tuple[str, ...] = ()
    ga_weeks: float = math.nan
    header: Any = None
    picture: Scan | None = None

    @property
    def slice_axis(self) -> int | None:
        """The axis along which there is one voxel only, None for a volume."""
        return next((axis for axis, size in enumerate(self.image.shape) if size == 1), None)


def read_volume_scan(
    source: ScanSource,
    *,
    time_point: int | None = None,
    min_size: int = 2,
    spacing_mm: float | Sequence[float] | None = None,
    spacing_table: SpacingTable | None = None,
) -> VolumeScan:
    """Read one volume of a NIfTI, MHA, MHD or NRRD file or of a DICOM series.

    `time_point` (0-based) takes one of several, `min_size` is the fewest voxels along any axis, `spacing_mm`
    overrules the voxel sizes of the file, and `spacing_table` may tell the age. Raises ScanError, with the
    file's name and the reason, for whatever cannot be read or makes no sense.
    """
    if source.error:
        raise ScanError(source.error)
    row = spacing_table.row(source) if spacing_table is not None else None
    with naming(source.filename):
        if row is not None and row.error:
            raise ScanError(row.error)
        with parsing():
            volume = _read_volume(source, time_point, min_size)
        image, flags = clean_voxels(volume.voxels)
        affine, spacing, spacing_source = _geometry(volume, spacing_mm)
    return VolumeScan(
        source,
        image,
        affine,
        spacing,
        spacing_source,
        (*volume.flags, *flags),
        row.ga_weeks if row is not None else math.nan,
        volume.header,
    )


def check_voxel_size(value: float | Sequence[float], name: str = "spacing_mm") -> VoxelSize:
    """Return the three sizes of one value or three; raise ScanError outside 0.05 to 20 mm."""
    values = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)
    if len(values) == 1:
        values = values * 3
    if len(values) != 3:
        raise ScanError(f"{name} needs one value or three (i, j, k), got {len(values)}")
    i, j, k = (float(size) for size in values)
    if not all(MIN_VOXEL_MM <= size <= MAX_VOXEL_MM for size in (i, j, k)):
        raise ScanError(
            f"{name} is {i:g} x {j:g} x {k:g} mm; between {MIN_VOXEL_MM} and {MAX_VOXEL_MM:g} makes sense, give the "
            "right one with --spacing_mm"
        )
    return i, j, k


def _read_volume(source: ScanSource, time_point: int | None, min_size: int) -> Volume:
    if source.files:
        from fetal_monai.scan.series import read_series

        return read_series(source.files, time_point, min_size)
    if source.path.name.lower().endswith((".nii", ".nii.gz")):
        from fetal_monai.scan.nifti import read_nifti

        return read_nifti(source.path, time_point, min_size)
    if kind_of(source.path) == "volume":
        from fetal_monai.scan.itk import read_itk

        return read_itk(source.path, time_point, min_size)
    raise ScanError("is no volume; NIfTI, MHA, NRRD and DICOM series are read")


def _geometry(
    volume: Volume, argument: float | Sequence[float] | None
) -> tuple[NDArray[np.float64], VoxelSize, str]:
    """The affine with columns as long as a voxel, its sizes, and where they come from."""
    spacing, spacing_source = volume.spacing_mm, volume.spacing_source
    if argument is not None:
        spacing, spacing_source = check_voxel_size(argument, "the spacing given"), "argument"
    elif spacing is not None:
        spacing = check_voxel_size(spacing, "the voxel size in its header")
    else:
        raise ScanError(
            "has no affine and no voxel size; give --spacing_mm, or save it with the affine of the scan it came from"
        )
    lengths = np.linalg.norm(volume.affine[:3, :3], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = volume.affine[:3, :3] / lengths
    spans = abs(np.linalg.det(np.nan_to_num(directions)))
    if not (np.isfinite(volume.affine).all() and spans >= SINGULAR):
        raise ScanError(
            f"its {_form(volume)} is singular, so where its voxels lie is not known; save it with the affine of the "
            "scan it came from"
        )
    affine = volume.affine.copy()
    if not np.allclose(lengths, spacing, rtol=1e-6, atol=0):
        affine[:3, :3] = directions * spacing
    return affine, spacing, spacing_source


def _form(volume: Volume) -> str:
    return volume.spacing_source if volume.spacing_source in ("sform", "qform") else "affine"
