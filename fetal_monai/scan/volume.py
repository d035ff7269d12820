"""2D pictures in the formats of volumes: NIfTI, MHA, MHD and NRRD."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.picture import Grid, Picture, ScanError, Spacing, check_size, is_of_the_system
from fetal_monai.scan.spacing import check_spacing

__all__ = ["read_volume"]

UNIT_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
SPACING_KEYS = re.compile(rb"^(ElementSpacing|ElementSize|spacings|space directions)\s*[:=]", re.MULTILINE)
HEADER_BYTES = 16_384


def read_volume(path: Path) -> Picture:
    """Read a file with one picture, (X, Y) or with further axes of length 1; X is the column, Y the row.

    Spacing is that of the affine; `no_affine` is flagged where the header has none. Raises ScanError for a
    volume, and if the file is damaged.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return _read_nifti(path)
    return _read_itk(path)


def _read_nifti(path: Path) -> Picture:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image: Any = nibabel.load(path)
        shape = tuple(int(size) for size in image.shape)
        column_axis, row_axis = _long_axes(shape)
        stored = np.asanyarray(image.dataobj)
        with image.file_map["image"].get_prepare_fileobj("rb") as file:  # nibabel makes 1 of sizes that are 0
            header_as_is = type(image.header).from_fileobj(file, check=False)
    except (ImageFileError, OSError, ValueError, EOFError, zlib.error) as error:
        if isinstance(error, ScanError) or is_of_the_system(error):
            raise
        raise ScanError(
            f"is damaged or truncated ({_one_line(error)}); copy it again from its source"
        ) from error
    if stored.dtype.names:  # RGB24 and RGBA32 are records
        stored = np.stack([stored[name] for name in "RGB"], axis=-1)
    pixels = _upright(stored, shape, column_axis)
    header, affine = image.header, np.asarray(image.affine, float)
    grid = Grid(shape, affine, header)
    has_affine = bool(header["sform_code"]) or bool(header["qform_code"])
    sizes = np.abs(header_as_is["pixdim"][1:4].astype(float))
    if header["sform_code"]:
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
    unit_mm = UNIT_MM.get(header.get_xyzt_units()[0], 1.0)
    spacing = float(sizes[row_axis]), float(sizes[column_axis])
    if not has_affine and (0.0 in spacing or spacing == (1.0, 1.0)):
        return Picture(pixels, flags=("no_affine",), grid=grid)
    return _with_spacing(pixels, (spacing[0] * unit_mm, spacing[1] * unit_mm), grid)


def _read_itk(path: Path) -> Picture:
    try:
        import SimpleITK
    except ImportError as error:
        raise ScanError("needs SimpleITK: pip install SimpleITK") from error
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        shape = tuple(reader.GetSize())
        column_axis, row_axis = _long_axes(shape)
        image = reader.Execute()
    except RuntimeError as error:
        raise ScanError(
            f"is damaged or truncated ({_one_line(error)}); copy it again from its source"
        ) from error
    stored = SimpleITK.GetArrayFromImage(image)
    channels = image.GetNumberOfComponentsPerPixel()
    stored = stored.reshape(shape[::-1] + ((channels,) if channels > 1 else ()))
    pixels = _upright(np.moveaxis(stored, range(len(shape)), range(len(shape))[::-1]), shape, column_axis)
    grid = Grid(shape, _ras_affine(image))
    if not _states_spacing(path):
        return Picture(pixels, flags=("no_affine",), grid=grid)
    sizes = image.GetSpacing()
    return _with_spacing(pixels, (sizes[row_axis], sizes[column_axis]), grid)


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


def _ras_affine(image: Any) -> NDArray[np.float64]:
    size = image.GetDimension()
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(size, size)
    affine[:size, :size] = (direction * image.GetSpacing())[:3, :3]
    affine[:size, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK's world is left, posterior, superior


def _states_spacing(path: Path) -> bool:
    """ITK answers 1 mm where the header is silent."""
    with path.open("rb") as file:
        return SPACING_KEYS.search(file.read(HEADER_BYTES)) is not None


def _one_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2].strip()
