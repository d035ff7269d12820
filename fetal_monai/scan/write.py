"""Masks, labels and cropped volumes, written on the grid that their scan came on."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.files import atomic_write
from fetal_monai.png import encode_png
from fetal_monai.scan.picture import Grid
from fetal_monai.scan.reader import Scan
from fetal_monai.scan.volume import VolumeScan

__all__ = ["write_fractions", "write_image", "write_labels", "write_map", "write_mask", "write_picture"]

PARTS = 10_000  # of 1, that a fraction is stored in


def write_mask(mask: NDArray[Any], scan: Scan, out_dir: str | Path) -> Path:
    """Write a mask (H, W) as `<stem>_seg.png` (0 and 255), or `.nii.gz` (0 and 1) for NIfTI, MHA and NRRD.

    Shape and affine are those of the file. The file is written whole or not at all. Raises ValueError if the
    shape is not that of the scan's image, OSError if it cannot be written.
    """
    if mask.shape != scan.image.shape:
        raise ValueError(f"the mask has shape {mask.shape}, the scan {scan.image.shape}")
    filled = (np.asarray(mask) != 0).view(np.uint8)
    return _write_plane(filled if _has_affine(scan) else filled * np.uint8(255), scan, out_dir, "_seg")


def write_picture(image: NDArray[Any], scan: Scan, out_dir: str | Path, suffix: str) -> Path:
    """Write gray values (H, W), 0 to 255, as `<stem><suffix>.png`, or `.nii.gz` for NIfTI, MHA and NRRD, in 8 bits.

    As for `write_mask`: the grid is that of the file, ValueError for another shape, OSError if it cannot be written.
    """
    if image.shape != scan.image.shape:
        raise ValueError(f"the picture has shape {image.shape}, the scan {scan.image.shape}")
    return _write_plane(np.rint(np.clip(image, 0, 255)).astype(np.uint8), scan, out_dir, suffix)


def _has_affine(scan: Scan) -> bool:
    return scan.grid is not None and scan.grid.affine is not None


def _write_plane(pixels: NDArray[np.uint8], scan: Scan, out_dir: str | Path, suffix: str) -> Path:
    """Rows and columns as a person sees them, back on the file's grid."""
    stem = Path(out_dir) / scan.source.stem
    if scan.grid is not None and scan.grid.affine is not None:
        path = stem.with_name(f"{stem.name}{suffix}.nii.gz")
        stored = np.ascontiguousarray(pixels.T).reshape(scan.grid.shape)
        data = _nifti(stored, scan.grid.affine, scan.grid.header)
    else:
        path, data = stem.with_name(f"{stem.name}{suffix}.png"), _png(pixels, scan.grid)
    atomic_write(path, data)
    return path


def write_map(values: NDArray[Any], scan: Scan, out_dir: str | Path) -> Path:
    """Write fractions (H, W) from 0 to 1 as `<stem>_map.png` (0 to 255), or `.nii.gz` for NIfTI, MHA and NRRD.

    Shape, affine and errors are those of `write_mask`; NIfTI holds int16 with a scale, which readers show as 0 to 1.
    """
    if values.shape != scan.image.shape:
        raise ValueError(f"the map has shape {values.shape}, the scan {scan.image.shape}")
    fractions = np.clip(np.nan_to_num(values), 0, 1)
    stem = Path(out_dir) / scan.source.stem
    if scan.grid is not None and scan.grid.affine is not None:
        path = stem.with_name(f"{stem.name}_map.nii.gz")
        parts = np.rint(fractions * PARTS).astype(np.int16)
        stored = np.ascontiguousarray(parts.T).reshape(scan.grid.shape)
        data = _nifti(stored, scan.grid.affine, scan.grid.header, 1 / PARTS)
    else:
        path, data = (
            stem.with_name(f"{stem.name}_map.png"),
            _png(np.rint(fractions * 255).astype(np.uint8), scan.grid),
        )
    atomic_write(path, data)
    return path


def write_labels(labels: NDArray[Any], scan: VolumeScan, out_dir: str | Path, suffix: str = "_seg") -> Path:
    """Write labels (I, J, K) in 0..255 as `<stem><suffix>.nii.gz`, uint8, and return the path.

    Those of a picture become `<stem><suffix>.png` with these gray values, as it was stored. Shape, sform, qform,
    their codes and units are those of the file, for other formats than NIfTI the scan's affine. The file is written
    whole or not at all. Raises ValueError if the shape is not that of the scan's image or a label does not fit,
    OSError if it cannot be written.
    """
    if labels.shape != scan.image.shape:
        raise ValueError(f"the labels have shape {labels.shape}, the scan {scan.image.shape}")
    filled = np.asarray(labels).astype(np.uint8)
    if not np.array_equal(filled, labels):
        raise ValueError("labels must be whole numbers from 0 to 255")
    if scan.picture is not None:
        stem = Path(out_dir) / scan.source.stem
        path = stem.with_name(f"{stem.name}{suffix}.png")
        atomic_write(path, _png(np.ascontiguousarray(filled[:, :, 0].T), scan.picture.grid))
        return path
    stored = scan.image.shape if scan.header is None else tuple(scan.header.get_data_shape())
    if math.prod(stored) == filled.size:  # (I, J, K, 1) came in
        filled = filled.reshape(stored)
    return _write_volume(filled, scan, out_dir, suffix, (0, 0, 0))


def write_image(
    image: NDArray[Any],
    scan: VolumeScan,
    out_dir: str | Path,
    suffix: str = "_crop",
    start: Sequence[int] = (0, 0, 0),
) -> Path:
    """Write a part of a scan (I, J, K) as `<stem><suffix>.nii.gz`, and return the path.

    `start` is the voxel of the scan that is the first of `image`. Integers stay as they are, as far as NIfTI
    knows their type; all else becomes float32. Forms, codes and units are those of `write_labels`, moved by
    `start`. Raises ValueError unless it has three axes, OSError if it cannot be written.
    """
    if image.ndim != 3:
        raise ValueError(f"the image has shape {image.shape}; (I, J, K) is needed")
    is_small_integer = image.dtype.kind in "ui" and image.dtype.itemsize < 8
    kept = np.asarray(image) if is_small_integer else np.asarray(image, np.float32)
    return _write_volume(kept, scan, out_dir, suffix, start)


def write_fractions(values: NDArray[Any], scan: VolumeScan, out_dir: str | Path, suffix: str) -> Path:
    """Write fractions from 0 to 1, (I, J, K) or (I, J, K, C), as `<stem><suffix>.nii.gz`, and return the path.

    Stored as int16 with a scale of 1/10,000, as NIfTI has no half-precision floats; readers give 0 to 1. Forms, codes
    and units are those of `write_labels`. Raises ValueError if the shape is not that of the scan's image or a value
    is not a fraction, OSError if it cannot be written.
    """
    if values.shape[:3] != scan.image.shape or values.ndim > 4:
        raise ValueError(f"the values have shape {values.shape}, the scan {scan.image.shape}")
    if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise ValueError(f"fractions from {values.min():g} to {values.max():g}; they must lie in 0 to 1")
    return _write_volume(
        np.rint(values * PARTS).astype(np.int16), scan, out_dir, suffix, (0, 0, 0), 1 / PARTS
    )


def _write_volume(
    voxels: NDArray[Any],
    scan: VolumeScan,
    out_dir: str | Path,
    suffix: str,
    start: Sequence[int],
    slope: float = 1.0,
) -> Path:
    import nibabel

    shift = np.eye(4)
    shift[:3, 3] = start
    header = nibabel.Nifti1Header() if scan.header is None else scan.header.copy()
    if scan.header is None:
        header.set_xyzt_units("mm")
        if scan.spacing_source != "none":  # else no form is set, as nobody knows it
            header.set_sform(scan.affine, 1)
            header.set_qform(scan.affine, 1)  # without shear, which a qform does not hold
    for get, put in ((header.get_sform, header.set_sform), (header.get_qform, header.set_qform)):
        affine, code = get(coded=True)
        if code and shift[:3, 3].any():
            put(affine @ shift, code)
    stem = Path(out_dir) / scan.source.stem
    path = stem.with_name(f"{stem.name}{suffix}.nii.gz")
    atomic_write(path, _nifti(voxels, None, header, slope))
    return path


def _png(mask: NDArray[np.uint8], grid: Grid | None) -> bytes:
    from PIL import Image

    from fetal_monai.scan.raster import ORIENTATION, turn_back

    if grid is None:
        return encode_png(mask)
    exif = Image.Exif()
    exif[ORIENTATION] = grid.orientation
    return encode_png(turn_back(mask, grid.orientation), exif.tobytes().removeprefix(b"Exif\0\0"))


def _nifti(
    voxels: NDArray[Any], affine: NDArray[np.float64] | None, header: Any, slope: float = 1.0
) -> bytes:
    """A compressed NIfTI with the voxels' own type; a header keeps its version, and its forms if `affine` is None."""
    import nibabel

    if header is not None:
        header = header.copy()
        header.set_data_dtype(voxels.dtype)
        header.set_slope_inter(1, 0)
        header["cal_min"] = header["cal_max"] = 0
    image_class = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    image = image_class(voxels, affine, header)
    if header is None:
        image.header.set_xyzt_units("mm")
    if slope != 1:
        image.header.set_slope_inter(slope, 0)  # an image does not keep that of the header it is made with
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
