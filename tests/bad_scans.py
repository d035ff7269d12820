"""Files that are no scan, or none that can be measured, and words that their reason must hold."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bundle_runs import SAMPLES
from PIL import Image

GOOD = "371_HC.png"
COPY_AGAIN = "copy it again from its source"


def gray() -> np.ndarray:
    return np.asarray(Image.open(SAMPLES / GOOD))


def truncated(path: Path) -> None:
    data = (SAMPLES / GOOD).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("a letter, not a scan\n" * 20, encoding="utf-8")


def black(path: Path) -> None:
    Image.new("L", (800, 540)).save(path)


def one_pixel(path: Path) -> None:
    Image.new("L", (1, 1), 200).save(path)


def huge(path: Path) -> None:
    """The header of 144 megapixels, so that nobody can have decoded them."""
    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    path.write_bytes(data + struct.pack(">I", 4) + b"IDAT" + bytes(8))


def doppler(path: Path) -> None:
    rgb = np.stack([gray()] * 3, axis=-1)
    rgb[200:320, 300:400] = (200, 40, 20)
    rgb[200:320, 400:500] = (20, 60, 210)
    Image.fromarray(rgb).save(path)


def nan(path: Path) -> None:
    pixels = gray().T.astype(np.float32)
    pixels[300, 200] = np.nan
    _nifti(path, pixels)


def volume(path: Path) -> None:
    _nifti(path, np.stack([gray()[:100, :120].T] * 40, axis=-1))


def truncated_nifti(path: Path) -> None:
    _nifti(path, gray().T)
    path.write_bytes(path.read_bytes()[:100_000])


def no_spacing_nifti(path: Path) -> None:
    """Sizes of pixels that are 0, under a header that says they hold."""
    _nifti(path, gray().T)
    data = bytearray(path.read_bytes())
    data[80:88] = struct.pack("<2f", 0, 0)  # pixdim[1:3]
    data[252:256] = struct.pack("<2h", 1, 0)  # qform_code, sform_code
    path.write_bytes(data)


def truncated_dicom(path: Path) -> None:
    data = (SAMPLES.parent / "dicom_ultrasound" / "JPGLosslessP14SV1_1s_1f_8b.dcm").read_bytes()
    path.write_bytes(data[: len(data) // 2])


def fine(path: Path) -> None:
    """Nothing is wrong but what the CSV says of it."""
    path.write_bytes((SAMPLES / GOOD).read_bytes())


def _nifti(path: Path, pixels: np.ndarray) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([0.13, 0.13, 1, 1])), path)


# name: how it is made, and what its reason says: what is wrong, and what would help
BAD: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "truncated.png": (truncated, ("truncated", COPY_AGAIN)),
    "empty.png": (empty, ("empty (0 bytes)", COPY_AGAIN)),
    "letter.png": (text, ("not a PNG, JPEG, BMP or TIFF image, although named .png",)),
    "letter.dcm": (text, ("not a DICOM file, although named .dcm",)),
    "letter.nii.gz": (text, ("damaged", COPY_AGAIN)),
    "black.png": (black, ("all pixels have the same value (0)",)),
    "one_pixel.png": (one_pixel, ("is 1x1 pixels", "at least 32x32 are needed")),
    "huge.png": (huge, ("over 100 megapixels", "reduce it or cut out the scan")),
    "doppler.png": (doppler, ("colour Doppler", "needs B-mode")),
    "nan.nii": (nan, ("NaN or infinite", "replace them by numbers")),
    "volume.nii.gz": (volume, ("3D volume of shape 120x100x40", "fetal_brain_stack_segmentation")),
    "truncated.nii": (truncated_nifti, ("damaged or truncated", COPY_AGAIN)),
    "no_spacing.nii": (no_spacing_nifti, ("0 mm per pixel", "--spacing_mm")),
    "truncated.dcm": (truncated_dicom, ("truncated", COPY_AGAIN)),
}

# name: its row in the CSV after the name, and what the reason says
BAD_ROWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "zero.png": ("0,", ("0 mm per pixel", "between 0.005 and 2", "--spacing_mm")),
    "negative.png": ("-0.13,", ("-0.13 mm per pixel", "--spacing_mm")),
    "absurd.png": ("130,", ("130 mm per pixel", "--spacing_mm")),
    "word.png": ("unknown,", ("'unknown', no number", "write it as 0.12")),
    "comma.png": ("0,13,168,13", ("5 cells for 3 columns", "write 0.12 or separate by semicolons")),
}
