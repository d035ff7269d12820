"""Whole DICOM studies of a made patient, as a scanner writes them, and a validator to judge what comes of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

PATIENT = {
    "PatientName": "Geheimnis^Müllerin",
    "PatientID": "HOSPITAL-4711",
    "PatientBirthDate": "19871123",
    "PatientSex": "F",
    "AccessionNumber": "ACC-0815",
    "ReferringPhysicianName": "Überweiser^Hans",
    "InstitutionName": "Klinikum Irgendwo",
    "StationName": "SCANNER-ROOM-3",
    "OperatorsName": "Bediener^Olga",
    "StudyDescription": "Verdacht auf Wachstumsretardierung Geheimnis",
    "StudyID": "STUDY-99",
}
SECRETS = [  # none of these may be found in what leaves
    *("Geheimnis", "Müllerin", "HOSPITAL-4711", "19871123", "ACC-0815", "Überweiser", "Klinikum"),
    *("SCANNER-ROOM-3", "Bediener", "STUDY-99", "20260312", "1.3.6.1.4.1.99999.77.", "PRIVATE-NOTE"),
]
STUDY, SERIES, FRAME = (f"1.3.6.1.4.1.99999.77.{n}" for n in (1, 2, 3))
REGION = {
    "RegionSpatialFormat": 1,
    "RegionDataType": 1,
    "RegionFlags": 2,
    "RegionLocationMinX0": 10,
    "RegionLocationMinY0": 30,
    "PhysicalUnitsXDirection": 3,
    "PhysicalUnitsYDirection": 3,
}


def write_ultrasound(
    path: Path,
    pixels: NDArray[np.uint8],
    calibrated: bool = True,
    frames: int | None = None,
    pixel_mm: float = 0.5,
    **attributes: Any,
) -> Path:
    """Gray (H, W), or (N, H, W) of `frames`, with one region that leaves out the uppermost 30 rows."""
    from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

    dataset = _dataset(UltrasoundMultiFrameImageStorage if frames else UltrasoundImageStorage, "US", pixels)
    dataset.SOPInstanceUID = f"{SERIES}.{attributes.pop('number', 1)}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    if frames:
        dataset.NumberOfFrames = frames
        dataset.FrameTime, dataset.FrameIncrementPointer = 33.3, 0x00181063
    if calibrated:
        height, width = pixels.shape[-2:]
        ends = {"RegionLocationMaxX1": width - 1, "RegionLocationMaxY1": height - 1}
        dataset.SequenceOfUltrasoundRegions = [
            _item(**REGION, **ends, PhysicalDeltaX=pixel_mm / 10, PhysicalDeltaY=pixel_mm / 10)
        ]
    return _save(path, dataset, attributes)


def write_mr(
    folder: Path, image: NDArray[np.int16], affine: NDArray[np.float64], order: Sequence[int] = ()
) -> Path:
    """A volume (I, J, K) on the grid that dcm2niix gives, as a classic series, its files named in another order."""
    from pydicom.uid import MRImageStorage

    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    i_mm, j_mm, k_mm = np.linalg.norm(affine[:3, :3], axis=0)
    for k, name in zip(range(image.shape[2]), order or range(image.shape[2]), strict=True):
        dataset = _dataset(MRImageStorage, "MR", image[:, ::-1, k].T)
        dataset.SOPInstanceUID = f"{SERIES}.{k + 1}"
        dataset.InstanceNumber = k + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = FRAME, ""
        dataset.ImageOrientationPatient = _short([*(lps[:, 0] / i_mm), *(-lps[:, 1] / j_mm)])
        dataset.ImagePositionPatient = _short(lps @ (0, image.shape[1] - 1, k, 1))
        dataset.PixelSpacing, dataset.SliceThickness = _short([j_mm, i_mm]), float(k_mm)
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "2D", 100, 1
        _save(folder / f"IM{name:04d}.dcm", dataset, {})
    return folder


def write_enhanced(path: Path, image: NDArray[np.int16], affine: NDArray[np.float64], times: int = 2) -> Path:
    """The same in one enhanced file, from the last slice to the first, each at several times."""
    from pydicom.uid import EnhancedMRImageStorage

    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    i_mm, j_mm, k_mm = np.linalg.norm(affine[:3, :3], axis=0)
    order = [(t, k) for t in range(times) for k in reversed(range(image.shape[2]))]
    dataset = _dataset(EnhancedMRImageStorage, "MR", np.stack([image[:, ::-1, k].T + t for t, k in order]))
    dataset.SOPInstanceUID, dataset.NumberOfFrames = f"{SERIES}.77", len(order)
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = FRAME, ""
    orientation = _short([*(lps[:, 0] / i_mm), *(-lps[:, 1] / j_mm)])
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=_short([j_mm, i_mm]), SliceThickness=float(k_mm))],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=orientation)],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=_short(lps @ (0, image.shape[1] - 1, k, 1)))],
            FrameContentSequence=[_item(TemporalPositionIndex=t + 1)],
        )
        for t, k in order
    ]
    return _save(path, dataset, {})


def errors_of(path: Path) -> list[str]:
    """What dciodvfy (dicom3tools) calls errors; skips the test where it is missing."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    told = subprocess.run(
        ["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    lines = (told.stdout + told.stderr).splitlines()
    assert any(
        re.fullmatch(r"Segmentation|ComprehensiveSR|US(MultiFrame)?Image|MRImage", line) for line in lines
    )
    return [line for line in lines if line.startswith("Error")]


def dump_of(path: Path) -> str:
    """The report as dsrdump (dcmtk) reads it; skips the test where it is missing."""
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed (Debian: apt-get install dcmtk)")
    told = subprocess.run(["dsrdump", "+Pl", "+Pc", "+U8", str(path)], capture_output=True, check=True)
    return told.stdout.decode("utf-8")


def _dataset(sop_class: str, modality: str, pixels: NDArray[Any]) -> Any:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.SeriesNumber, dataset.InstanceNumber = 4, 1
    dataset.Manufacturer, dataset.PatientOrientation, dataset.Laterality = "Maker", "", ""
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, "20260312")
    dataset.StudyTime = dataset.ContentTime = "101112"
    for keyword, value in PATIENT.items():
        setattr(dataset, keyword, value)
    dataset.RequestAttributesSequence = [
        _item(RequestedProcedureID="HOSPITAL-4711-9", ScheduledProcedureStepID="S")
    ]
    dataset.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "PRIVATE-NOTE Geheimnis")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    return dataset


def _save(path: Path, dataset: Any, attributes: dict[str, Any]) -> Path:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _item(**values: Any) -> Any:
    from pydicom import Dataset

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _short(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]
