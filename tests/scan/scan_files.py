"""Pictures and DICOM files that the tests write themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CENTIMETRE_REGION = {
    "RegionSpatialFormat": 1,
    "RegionDataType": 1,
    "RegionFlags": 2,
    "RegionLocationMinX0": 10,
    "RegionLocationMinY0": 5,
    "RegionLocationMaxX1": 149,
    "RegionLocationMaxY1": 109,
    "PhysicalUnitsXDirection": 3,
    "PhysicalUnitsYDirection": 3,
    "PhysicalDeltaX": 0.02,
    "PhysicalDeltaY": 0.03,
}


def speckle(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.ogrid[:height, :width]
    sector = np.hypot((rows - height / 2) / height, (columns - width / 2) / width) < 0.48
    noise = np.random.default_rng(0).integers(20, 201, (height, width))
    return np.where(sector, noise, 0).astype(np.uint8)


def save_dicom(
    path: Path,
    pixels: NDArray[Any],
    photometric: str = "MONOCHROME2",
    *,
    regions: list[dict[str, Any]] | None = None,
    syntax: str = "1.2.840.10008.1.2.1",
    encoded: list[bytes] | None = None,
    frames: int | None = None,
    **attributes: Any,
) -> Path:
    """Write pixels, stored as given, to an ultrasound DICOM with regions and further attributes."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import RLELossless, UltrasoundImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax if syntax != RLELossless else "1.2.840.10008.1.2.1"
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, generate_uid()
    dataset.Modality = "US"
    dataset.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if pixels.shape[-1] == 3 else pixels.shape[-2:]
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    if frames is not None:
        dataset.NumberOfFrames = frames
    is_big = syntax == "1.2.840.10008.1.2.2"
    data = pixels.astype(pixels.dtype.newbyteorder(">" if is_big else "<")).tobytes()
    dataset.PixelData = data if encoded is None else encapsulate(encoded)
    dataset["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    if encoded is not None:
        dataset["PixelData"].is_undefined_length = True
    if regions:
        dataset.SequenceOfUltrasoundRegions = [_item(region) for region in regions]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if syntax == RLELossless:
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def palette(colours: NDArray[np.uint8], byte_order: str = "<", wide: bool = True) -> dict[str, Any]:
    """Palette attributes of (N, 3) colours; 16-bit words hold the value in the high byte, or in the low one."""
    words = colours.astype(np.uint16) << (8 if wide else 0)
    attributes: dict[str, Any] = {}
    for index, colour in enumerate(("Red", "Green", "Blue")):
        attributes[f"{colour}PaletteColorLookupTableDescriptor"] = [len(colours), 0, 16]
        attributes[f"{colour}PaletteColorLookupTableData"] = (
            words[:, index].astype(f"{byte_order}u2").tobytes()
        )
    return attributes


def _item(values: dict[str, Any]) -> Any:
    from pydicom import Dataset

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
