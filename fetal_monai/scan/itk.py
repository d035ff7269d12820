"""MHA, MHD and NRRD, as ITK reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.voxels import Volume, time_index

__all__ = ["ItkImage", "damaged", "load_itk", "read_itk"]

SPACING_KEYS = re.compile(rb"^(ElementSpacing|ElementSize|spacings|space directions)\s*[:=]", re.MULTILINE)
DIRECTION_KEYS = re.compile(rb"^(TransformMatrix|Rotation|Orientation|space directions)\s*[:=]", re.MULTILINE)
HEADER_BYTES = 16_384


class ItkImage(NamedTuple):
    """`stored` is (X, Y, …), with the colours last if there are several `channels`; ITK answers 1 mm where the
    header `states` no spacing, and the identity where it is silent of directions."""

    stored: NDArray[Any]
    shape: tuple[int, ...]
    channels: int
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, ...]
    states_spacing: bool
    states_directions: bool


def load_itk(path: Path, check: Callable[[tuple[int, ...]], object]) -> ItkImage:
    """Load a file whose shape `check` does not raise for; raises ScanError if it is damaged."""
    try:
        import SimpleITK
    except ImportError as error:
        raise ScanError("needs SimpleITK: pip install SimpleITK") from error
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        shape = tuple(reader.GetSize())
        check(shape)
        image = reader.Execute()
    except RuntimeError as error:
        raise damaged(error) from error
    channels = image.GetNumberOfComponentsPerPixel()
    stored = SimpleITK.GetArrayFromImage(image)
    stored = stored.reshape(shape[::-1] + ((channels,) if channels > 1 else ()))
    stored = np.moveaxis(stored, range(len(shape)), range(len(shape))[::-1])
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    stated = (keys.search(header) is not None for keys in (SPACING_KEYS, DIRECTION_KEYS))
    return ItkImage(stored, shape, channels, _ras_affine(image), tuple(image.GetSpacing()), *stated)


def read_itk(path: Path, time_point: int | None = None, min_size: int = 2) -> Volume:
    """Read a volume, or one of several in a file of 4 axes; `no_orientation` where no directions are stated.

    Raises ScanError for pictures, colours, several volumes of which none is asked for, and damage.
    """
    image = load_itk(path, lambda shape: time_index(shape, time_point, min_size))
    if image.channels > 1:
        raise ScanError(
            f"has {image.channels} values for each voxel, as colours have; a gray volume is needed: "
            "save the scan itself, not a rendering"
        )
    index: tuple[Any, ...] = (..., *time_index(image.shape, time_point, min_size))
    voxels = image.stored[index]
    x, y, z = image.spacing_mm[:3]
    spacing_mm = (x, y, z) if image.states_spacing else None
    flags = () if image.states_directions else ("no_orientation",)
    return Volume(voxels, image.affine, spacing_mm, "affine", flags)


def damaged(error: Exception) -> ScanError:
    """The reason, where a file turns out to be damaged while it is read."""
    text = str(error).strip().rpartition("\n")[2].strip()
    return ScanError(f"is damaged or truncated ({text}); copy it again from its source")


def _ras_affine(image: Any) -> NDArray[np.float64]:
    size, kept = image.GetDimension(), min(image.GetDimension(), 3)
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(size, size)
    affine[:kept, :kept] = (direction * image.GetSpacing())[:kept, :kept]
    affine[:kept, 3] = image.GetOrigin()[:kept]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK's world is left, posterior, superior
