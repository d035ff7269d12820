"""2D pictures in the formats of volumes: NIfTI, MHA, MHD and NRRD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.itk import load_itk
from fetal_monai.scan.nifti import nifti_errors, stored_sizes, unit_mm
from fetal_monai.scan.picture import Grid, Picture, Spacing, check_size
from fetal_monai.scan.spacing import check_spacing

__all__ = ["read_flat_volume"]


def read_flat_volume(path: Path) -> Picture:
    """Read a file with one picture, (X, Y) or with further axes of length 1; X is the column, Y the row.

    Spacing is that of the affine; `no_affine` is flagged where the header has none. Raises ScanError for a
    volume, and if the file is damaged.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return _read_nifti(path)
    return _read_itk(path)


def _read_nifti(path: Path) -> Picture:
    import nibabel

    with nifti_errors():
        image: Any = nibabel.load(path)
        shape = tuple(int(size) for size in image.shape)
        column_axis, row_axis = _long_axes(shape)
        stored = np.asanyarray(image.dataobj)
        sizes = stored_sizes(image)
    if stored.dtype.names:  # RGB24 and RGBA32 are records
        stored = np.stack([stored[name] for name in "RGB"], axis=-1)
    pixels = _upright(stored, shape, column_axis)
    header, unit = image.header, unit_mm(image.header)
    grid = Grid(shape, np.asarray(image.affine, float), header)
    has_affine = bool(header["sform_code"]) or bool(header["qform_code"])
    spacing = float(sizes[row_axis]), float(sizes[column_axis])
    if not has_affine and (0.0 in spacing or spacing == (1.0, 1.0)):
        return Picture(pixels, flags=("no_affine",), grid=grid)
    return _with_spacing(pixels, (spacing[0] * unit, spacing[1] * unit), grid)


def _read_itk(path: Path) -> Picture:
    image = load_itk(path, _long_axes)
    column_axis, row_axis = _long_axes(image.shape)
    pixels = _upright(image.stored, image.shape, column_axis)
    grid = Grid(image.shape, image.affine)
    if not image.states_spacing:
        return Picture(pixels, flags=("no_affine",), grid=grid)
    return _with_spacing(pixels, (image.spacing_mm[row_axis], image.spacing_mm[column_axis]), grid)


def _long_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    """The picture's column and row axis among the first three; raises ScanError if there are more."""
    long = [axis for axis, size in enumerate(shape) if size > 1]
    if len(long) > 2 or (long and long[-1] > 2):
        raise ScanError(
            f"is a 3D volume of shape {'x'.join(map(str, shape))}, not a 2D image; volumes are for the bundles "
            "fetal_brain_stack_segmentation and fetal_brain_mri_segmentation"
        )
    column, row = long if len(long) == 2 else (0, 1)
    check_size(*(((*shape, 1, 1))[axis] for axis in (row, column)))
    return column, row


def _upright(stored: NDArray[Any], shape: tuple[int, ...], column_axis: int) -> NDArray[Any]:
    """(X, Y) with axes of length 1, and maybe three or four colours last, to (H, W) or (H, W, 3)."""
    colours = stored.shape[len(shape) :]
    if colours not in ((), (1,), (3,), (4,)):
        raise ScanError(f"has {colours[0]} values for each pixel; one, or three of a colour are needed")
    sides = [size for size in shape if size > 1]
    pixels = stored.reshape(*sides, *colours).swapaxes(0, 1)
    return np.ascontiguousarray(
        pixels[..., :3] if colours in ((3,), (4,)) else pixels.reshape(pixels.shape[:2])
    )


def _with_spacing(pixels: NDArray[Any], spacing_mm: Spacing, grid: Grid) -> Picture:
    try:
        return Picture(pixels, check_spacing(spacing_mm, "the spacing in its header"), "affine", grid=grid)
    except ScanError as error:
        return Picture(pixels, spacing_problem=str(error), grid=grid)
