"""Ultrasound DICOM: one frame's pixels, and the spacing of its calibrated regions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError, is_of_the_system
from fetal_monai.scan.picture import Picture, Region, Spacing, check_size
from fetal_monai.scan.source import has_dicom_magic
from fetal_monai.scan.spacing import check_spacing

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["count_frames", "nested_datasets", "read_dicom", "read_header", "read_pixels"]

MODALITIES = ("US", "IVUS", "OT", "XC", "")  # ultrasound, secondary captures of it, and files that do not say
TWO_DIMENSIONAL = 1  # Region Spatial Format, PS3.3 C.8.5.5.1.1
COLOUR_FLOW = 2  # Region Data Type, C.8.5.5.1.2
CENTIMETRES = 3  # Physical Units, C.8.5.5.1.15
LOOSE_PX = 2  # some scanners write the bound behind the last pixel
SAME_SPACING = 1e-3  # relative
CONFLICT = 0.01  # relative


def count_frames(path: Path) -> int:
    """How many frames a DICOM file says that it holds; raises ScanError if its header is damaged."""
    header = read_header(path, ["NumberOfFrames", "Rows"])
    try:
        return max(1, int(header.get("NumberOfFrames") or 1))
    except Exception as error:  # whatever pydicom makes of such bytes
        raise ScanError("its number of frames is not a number; the header is damaged") from error


def read_dicom(path: Path, frame: int | None = None) -> Picture:
    """Read a frame (0-based, None for the only one) in gray or RGB, with its regions.

    Palettes are looked up and YBR becomes RGB. Spacing is that of the 2D regions in centimetres, else
    PixelSpacing. Regions that reach beyond the image were written for another one: its spacing holds where
    the image was only cut, and is unknown where it may have been resampled. Raises ScanError if it is no
    ultrasound image or cannot be decoded.
    """
    header = read_header(path)
    modality = str(header.get("Modality") or "")
    if modality not in MODALITIES:
        raise ScanError(f"is a DICOM of modality {modality}; ultrasound (US) is needed")
    height, width = header.get("Rows"), header.get("Columns")
    if not height or not width:
        raise ScanError("is a DICOM without an image")
    check_size(height, width)
    pixels = read_pixels(path, header, frame or 0)
    regions, flags, problem = _regions(header, height, width)
    spacing, spacing_source = None, "none"
    if regions:
        spacing, spacing_source = _common_spacing(regions), "dicom_region"
        flags += [] if spacing else ["regions_differ"]
    if "region_outside_image" not in flags:
        try:
            pixel_spacing = _pixel_spacing(header)
        except ScanError as error:
            pixel_spacing, problem = None, str(error)
        if regions and pixel_spacing and spacing and _differ(pixel_spacing, spacing, CONFLICT):
            flags.append("spacing_conflict")
        if pixel_spacing and not regions:
            spacing, spacing_source = pixel_spacing, "pixel_spacing"
    bits = int(header.get("BitsStored") or 16)
    return Picture(pixels, spacing, spacing_source, problem, tuple(regions), tuple(flags), bits)


def read_header(path: Path, tags: list[Any] | None = None) -> Dataset:
    """The header, or these tags of it; raises ScanError if it is no DICOM file, or damaged."""
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise ScanError('needs pydicom: pip install "fetal_monai[dicom]"') from error
    try:
        header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)
        has_image_size = "Rows" in header
    except Exception as error:  # the parser raises whatever the damage leads to
        if is_of_the_system(error):
            raise
        raise ScanError(f"its DICOM header is damaged ({error}); copy it again from its source") from error
    if not has_image_size and not has_dicom_magic(path):
        raise ScanError(f"is not a DICOM file, although named {path.suffix}")
    return header


def read_pixels(path: Path, header: Dataset, frame: int) -> NDArray[Any]:
    """A frame (H, W), or (H, W, 3) in RGB, as stored; raises ScanError if it cannot be decoded."""
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, pixel_array
    from pydicom.uid import ImplicitVRLittleEndian

    photometric = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    source: Path | Dataset = path
    if not header.file_meta.get("TransferSyntaxUID"):
        source = dcmread(path, force=True)
        source.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    try:
        pixels = pixel_array(source, index=frame)
        if photometric == "PALETTE COLOR":
            _swap_palette(header)
            pixels = apply_color_lut(pixels, header)
            if pixels.dtype.itemsize > 1:  # some write 8-bit entries into 16-bit words
                pixels = (pixels >> 8 if pixels.max() > 255 else pixels).astype(np.uint8)
            return pixels[..., :3]
    except Exception as error:  # so do the decoders
        if is_of_the_system(error):
            raise
        raise ScanError(_decoding_problem(error)) from error
    if photometric == "MONOCHROME1":
        pixels = pixels.max() - pixels if pixels.dtype != np.uint8 else 255 - pixels
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3):
        return pixels
    raise ScanError(
        f"its photometric interpretation {photometric} is not supported; export it as RGB or gray"
    )


def _decoding_problem(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "missing dependencies" in text or "missing required dependencies" in text:
        return f'its compression needs a decoder: pip install "fetal_monai[dicom]" ({text})'
    return f"its pixels cannot be decoded ({text}); the file may be truncated: copy it again from its source"


def _swap_palette(header: Dataset) -> None:
    """Palette entries are 16-bit words in the file's byte order, which pydicom does not heed."""
    if header.original_encoding[1] is not False:
        return
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTableData"
        if keyword in header:
            words = np.frombuffer(header[keyword].value, dtype=">u2")
            header[keyword].value = words.astype("<u2").tobytes()


def _regions(header: Dataset, height: int, width: int) -> tuple[list[Region], list[str], str]:
    """The calibrated 2D regions, cut to the image, flags, and what is wrong if there are none."""
    regions, problem = [], ""
    for item in header.get("SequenceOfUltrasoundRegions") or []:
        try:
            region = _region(item)
        except ScanError as error:
            problem = str(error)
        else:
            regions += [region] if region is not None else []
    inside: list[Region] = []
    flags: list[str] = []
    over_rows = any(region.row1 >= height + LOOSE_PX for region in regions)
    over_columns = any(region.column1 >= width + LOOSE_PX for region in regions)
    if over_rows or over_columns:
        flush_rows = any(abs(region.row1 + 1 - height) <= LOOSE_PX for region in regions)
        flush_columns = any(abs(region.column1 + 1 - width) <= LOOSE_PX for region in regions)
        if (over_rows and over_columns) or not (flush_columns if over_rows else flush_rows):
            return [], ["region_outside_image"], problem
        flags.append(
            "image_cropped"
        )  # the other axis still ends where the region does, so nothing was resampled
    for region in regions:
        row1, column1 = min(region.row1, height - 1), min(region.column1, width - 1)
        if region.row0 < row1 and region.column0 < column1:
            inside.append(
                Region(region.row0, row1, region.column0, column1, region.spacing_mm, region.colour_flow)
            )
    return inside, flags, "" if inside else problem


def _region(item: Dataset) -> Region | None:
    """A region as the header has it, None unless 2D in centimetres; raises ScanError if its spacing is absurd."""
    try:
        if int(item.get("RegionSpatialFormat", 0)) != TWO_DIMENSIONAL:
            return None
        if {int(item.get(f"PhysicalUnits{axis}Direction", 0)) for axis in "XY"} != {CENTIMETRES}:
            return None
        rows = int(item.RegionLocationMinY0), int(item.RegionLocationMaxY1)
        columns = int(item.RegionLocationMinX0), int(item.RegionLocationMaxX1)
        deltas = abs(float(item.PhysicalDeltaY)) * 10, abs(float(item.PhysicalDeltaX)) * 10
        colour_flow = int(item.get("RegionDataType", 0)) == COLOUR_FLOW
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return Region(*rows, *columns, check_spacing(deltas, "its region's spacing"), colour_flow)


def _common_spacing(regions: list[Region]) -> Spacing | None:
    largest = max(regions, key=lambda region: region.area).spacing_mm
    return None if any(_differ(region.spacing_mm, largest, SAME_SPACING) for region in regions) else largest


def _pixel_spacing(header: Dataset) -> Spacing | None:
    values = header.get("PixelSpacing")
    if values is None or values == "":
        return None
    try:
        row, column = (float(value) for value in values)
    except (TypeError, ValueError):
        raise ScanError("its PixelSpacing is not two numbers; give --spacing_mm") from None
    return check_spacing((row, column), "its PixelSpacing")


def _differ(one: Spacing, other: Spacing, tolerance: float) -> bool:
    return any(not math.isclose(a, b, rel_tol=tolerance) for a, b in zip(one, other, strict=True))


def nested_datasets(dataset: Dataset) -> list[Dataset]:
    """The dataset and all that its sequences hold, at any depth."""
    found = [dataset]
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                found += nested_datasets(item)
    return found
