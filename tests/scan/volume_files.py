"""Volumes and DICOM series that the tests write themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from fetal_monai.scan import ScanError, VolumeScan, find_volumes, read_volume_scan

LPS = np.array([-1.0, -1.0, 1.0])


def phantom(*shape: int, dtype: Any = np.int16) -> NDArray[Any]:
    """Noise with a bright ball, different at every place, so that nothing can be turned unseen."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    ball = 400 * (np.linalg.norm(axes, axis=0) < 0.7)
    return (ball + np.random.default_rng(0).integers(0, 100, shape)).astype(dtype)


def oblique(spacing: Sequence[float], handed: int = -1) -> NDArray[np.float64]:
    """An affine to RAS, turned about two axes; dcm2niix gives left-handed ones (-1)."""
    a, b = 0.3, -0.2
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([handed, 1, 1]) * np.asarray(spacing)
    affine[:3, 3] = (11, -23, 5)
    return affine


def save_nifti(
    path: Path,
    stored: NDArray[Any],
    sform: NDArray[np.float64] | None = None,
    qform: NDArray[np.float64] | None = None,
    unit: str = "mm",
) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    header.set_xyzt_units(unit)
    if sform is not None:
        header.set_sform(sform, 1)
    if qform is not None:
        header.set_qform(qform, 2)
    nibabel.save(nibabel.Nifti1Image(stored, None, header), path)
    return path


def patch(path: Path, offset: int, values: NDArray[Any]) -> None:
    """Overwrite a part of an uncompressed header, as no library would write it."""
    raw = bytearray(path.read_bytes())
    raw[offset : offset + values.nbytes] = values.tobytes()
    path.write_bytes(bytes(raw))


def save_series(
    folder: Path,
    stored: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    uid: str = "1.2.3",
    first: int = 1,
    prefix: str = "IM",
    **attributes: Any,
) -> list[Path]:
    """Write a volume on dcm2niix's grid as a classic MR series, one file a slice, instance numbers from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(stored.shape[2]):
        dataset = _dataset(stored[:, ::-1, number].T, affine)
        dataset.SeriesInstanceUID, dataset.SeriesNumber = uid, 4
        dataset.SOPInstanceUID = f"{uid}.{first + number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = first + number
        dataset.ImageOrientationPatient, dataset.PixelSpacing = _orientation(affine)
        dataset.ImagePositionPatient = _position(affine, stored.shape[1], number)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        paths.append(folder / f"{prefix}{first + number:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def save_enhanced(path: Path, stored: NDArray[Any], affine: NDArray[np.float64], times: int = 1) -> Path:
    """The same as one enhanced file, from the last slice to the first; time point t holds `stored + t`."""
    from pydicom import Dataset

    rows = [stored[:, ::-1, number].T + t for t in range(times) for number in range(stored.shape[2])[::-1]]
    dataset = _dataset(np.stack(rows), affine)
    dataset.NumberOfFrames = len(rows)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = _orientation(affine)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for t in range(times):
        for number in range(stored.shape[2])[::-1]:
            frame, position, content, values = Dataset(), Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = _position(affine, stored.shape[1], number)
            content.TemporalPositionIndex = t + 1
            values.RescaleSlope, values.RescaleIntercept = 0.5, 2
            frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
            frame.PixelValueTransformationSequence = [values]
            frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.save_as(path, enforce_file_format=True)
    return path


def read_one(path: Path, **options: Any) -> VolumeScan:
    (source,) = find_volumes(path)[0]
    return read_volume_scan(source, **options)


def reason(path: Path, **options: Any) -> str:
    """Why the one volume of a path is refused."""
    with pytest.raises(ScanError) as caught:
        read_one(path, **options)
    return str(caught.value)


def _orientation(affine: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Row and column directions, and spacing between rows and between columns."""
    i_mm, j_mm = np.linalg.norm(affine[:3, :2], axis=0)
    directions = [*(affine[:3, 0] / i_mm * LPS), *(-affine[:3, 1] / j_mm * LPS)]
    return [round(float(value), 7) for value in directions], [float(j_mm), float(i_mm)]


def _position(affine: NDArray[np.float64], rows: int, number: int) -> list[float]:
    return [round(float(value), 4) for value in (affine @ (0, rows - 1, number, 1))[:3] * LPS]


def _dataset(pixels: NDArray[Any], affine: NDArray[np.float64]) -> Any:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.Modality = "MR"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = pixels.astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset
