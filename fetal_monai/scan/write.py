"""Masks, written on the grid that their scan came on."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.files import atomic_write
from fetal_monai.scan.picture import Grid
from fetal_monai.scan.reader import Scan

__all__ = ["write_mask"]


def write_mask(mask: NDArray[Any], scan: Scan, out_dir: str | Path) -> Path:
    """Write a mask (H, W) as `<stem>_seg.png` (0 and 255), or `.nii.gz` (0 and 1) for NIfTI, MHA and NRRD.

    Shape and affine are those of the file. The file is written whole or not at all. Raises ValueError if the
    shape is not that of the scan's image, OSError if it cannot be written.
    """
    if mask.shape != scan.image.shape:
        raise ValueError(f"the mask has shape {mask.shape}, the scan {scan.image.shape}")
    filled = (np.asarray(mask) != 0).view(np.uint8)
    stem = Path(out_dir) / scan.source.stem
    if scan.grid is not None and scan.grid.affine is not None:
        path, data = stem.with_name(f"{stem.name}_seg.nii.gz"), _nifti(filled, scan.grid)
    else:
        path, data = stem.with_name(f"{stem.name}_seg.png"), _png(filled * np.uint8(255), scan.grid)
    atomic_write(path, data)
    return path


def _png(mask: NDArray[np.uint8], grid: Grid | None) -> bytes:
    from PIL import Image

    from fetal_monai.scan.raster import ORIENTATION, turn_back

    exif = Image.Exif()
    if grid is not None:
        exif[ORIENTATION] = grid.orientation
        mask = turn_back(mask, grid.orientation)
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG", compress_level=1, exif=exif)
    return stream.getvalue()


def _nifti(mask: NDArray[np.uint8], grid: Grid) -> bytes:
    import nibabel

    stored = np.ascontiguousarray(mask.T).reshape(grid.shape)
    header = None if grid.header is None else grid.header.copy()
    if header is not None:
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"] = header["cal_max"] = 0
    image_class = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    image = image_class(stored, grid.affine, header)
    if header is None:
        image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
