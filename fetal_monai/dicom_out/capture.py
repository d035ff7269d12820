"""A picture of a result as a Secondary Capture, for viewers that show neither segmentations nor reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.dicom_out.origin import derived_uid

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["make_capture"]

EQUIPMENT = ("ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber")


def make_capture(picture: NDArray[np.uint8], report: Dataset) -> Dataset:
    """The Secondary Capture of `picture`, (H, W) or (H, W, 3), in the study of the Structured Report `report`.

    Patient, study and the images it was made from are those of the report. Its series has the number after the
    report's, and its UIDs follow from the report's and the picture. Words of the source may be burned into it.
    """
    import highdicom as hd

    pixels = np.ascontiguousarray(picture[..., None].repeat(3, axis=-1) if picture.ndim == 2 else picture)
    uid = str(report.SOPInstanceUID)
    size = np.array(pixels.shape, "<i8").tobytes()
    made = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=report,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=derived_uid("SC", str(report.SeriesInstanceUID)),
        series_number=int(report.SeriesNumber) + 1,
        sop_instance_uid=derived_uid("SC", uid, size, pixels.tobytes()),
        instance_number=int(report.InstanceNumber or 1),
        manufacturer=str(report.Manufacturer),
        patient_orientation=(
            "L",
            "P",
        ),  # of a picture with words and a caption there is none, but one is asked for
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        specific_character_set="ISO_IR 192",
    )
    for keyword in EQUIPMENT:
        if keyword in report:
            made[keyword] = report[keyword]
    description = str(report.get("SeriesDescription") or "").replace(": measures", ": picture")
    made.SeriesDescription = description[:64]
    made.PatientOrientation, made.Laterality = "", ""
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = "Overlay of a result, for research use only"
    sources = _sources(report)
    if sources:
        made.SourceImageSequence = sources
    return made


def _sources(report: Dataset) -> list[Any]:
    """The images that the report was made from, without the objects that were made beside it."""
    from pydicom import Dataset
    from pydicom.uid import SegmentationStorage

    found = []
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in report.get(keyword) or ():
            for series in study.ReferencedSeriesSequence:
                for one in series.ReferencedSOPSequence:
                    if one.ReferencedSOPClassUID != SegmentationStorage:
                        item = Dataset()
                        item.ReferencedSOPClassUID = one.ReferencedSOPClassUID
                        item.ReferencedSOPInstanceUID = one.ReferencedSOPInstanceUID
                        found.append(item)
    return found
