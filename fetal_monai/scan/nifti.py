"""NIfTI, as nibabel reads it."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError, is_of_the_system
from fetal_monai.scan.itk import damaged
from fetal_monai.scan.voxels import Volume, VoxelSize, check_kind, time_index

__all__ = ["nifti_errors", "read_nifti", "stored_sizes", "unit_mm"]

UNIT_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
SAME_PLACE = 0.1  # of a voxel, up to which sform and qform agree


def read_nifti(path: Path, time_point: int | None = None, min_size: int = 2) -> Volume:
    """Read a volume, or one of a file of 4 axes; where it lies is told by the sform, else the qform.

    `sform_qform_differ` is flagged where both are set and lie over 0.1 voxel apart, `no_orientation` where
    neither is: the sizes are then those of pixdim, unless they are 1 mm, which stands there when nobody knew.
    Raises ScanError for pictures, colours, several volumes of which none is asked for, and damage.
    """
    import nibabel

    with nifti_errors():
        image: Any = nibabel.load(path, mmap=False)
        check_kind(image.get_data_dtype())
        index: tuple[Any, ...] = (..., *time_index(image.shape, time_point, min_size))
        if math.prod(image.shape[3:]) > 1:
            voxels = np.asanyarray(image.dataobj[index])
        elif (image.dataobj.slope, image.dataobj.inter) == (1, 0):
            voxels = np.asanyarray(image.dataobj)
        else:
            voxels = np.asanyarray(image.dataobj, np.float32)
        sizes = stored_sizes(image)
        affine, differ = np.array(image.affine, float), _forms_differ(image)
    header, unit = image.header, unit_mm(image.header)
    flags: tuple[str, ...] = ()
    shape = (*image.shape, 1)[:3]
    if 1 in shape:  # a slice may be 0 thick
        sizes = np.where((np.array(shape) == 1) & (sizes == 0), sizes.max(), sizes)
    x, y, z = (float(size) * unit for size in sizes)
    spacing: VoxelSize | None = (x, y, z)
    source = "sform" if header["sform_code"] else "qform"
    if differ:
        flags += ("sform_qform_differ",)
    if not header["sform_code"] and not header["qform_code"]:
        flags += ("no_orientation",)
        known = 0.0 not in sizes and tuple(sizes) != (1, 1, 1)
        spacing, source = (spacing if known else None), "pixdim"
    affine[:3] *= unit
    return Volume(voxels.reshape(shape), affine, spacing, source, flags, header)


@contextmanager
def nifti_errors() -> Iterator[None]:
    """Raise ScanError for whatever nibabel raises over a damaged file."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except (ImageFileError, HeaderDataError, OSError, ValueError, EOFError, zlib.error) as error:
        if isinstance(error, ScanError) or is_of_the_system(error):
            raise
        raise damaged(error) from error


def stored_sizes(image: Any) -> NDArray[np.float64]:
    """Sizes of a voxel along three axes in the file's unit, of the sform where it is set.

    They come from the file itself: nibabel makes 1 of sizes that are 0.
    """
    if image.header["sform_code"]:
        return np.linalg.norm(np.asarray(image.affine, float)[:3, :3], axis=0)
    with image.file_map["image"].get_prepare_fileobj("rb") as file:
        as_it_is = type(image.header).from_fileobj(file, check=False)
    return np.abs(as_it_is["pixdim"][1:4].astype(float))


def unit_mm(header: Any) -> float:
    """Millimetres in the unit of its lengths."""
    return UNIT_MM.get(header.get_xyzt_units()[0], 1.0)


def _forms_differ(image: Any) -> bool:
    from nibabel.spatialimages import HeaderDataError

    header = image.header
    if not header["sform_code"] or not header["qform_code"]:
        return False
    try:
        difference = header.get_sform() - header.get_qform()
    except HeaderDataError:  # a quaternion that is none
        return True
    far = [0 if size == 1 else size - 1 for size in image.shape[:3]]
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, index) for index in far))])
    apart = np.linalg.norm(corners @ difference[:3].T, axis=1).max()
    return bool(apart > SAME_PLACE * stored_sizes(image).min())
