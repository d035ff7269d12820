"""A mask as a DICOM Segmentation: one frame for each of its source's frames and each segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.dicom_out.origin import Origin, derived_uid
from fetal_monai.dicom_out.planes import Plane
from fetal_monai.dicom_out.terms import Kind
from fetal_monai.scan.dicom import nested_datasets

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["make_segmentation", "series_number", "tracking_uid"]

SEG, SR = 1, 2  # added to 100 times the number of the source's series


def make_segmentation(
    labels: NDArray[Any], planes: Sequence[Plane], kind: Kind, origin: Origin, uids: tuple[str, str]
) -> Dataset:
    """The Segmentation (binary) of `labels` (frames, rows, columns), whose frames lie on those of `planes`.

    Each segment of `kind` is there with as many frames as there are planes, empty ones too, in one orientation and
    position with its source. `uids` are those of series and instance. Raises ValueError if the shapes differ.
    """
    import highdicom as hd

    header = planes[0].header
    shape = (len(planes), int(header.Rows), int(header.Columns))
    if labels.shape != shape:
        raise ValueError(f"the mask has shape {labels.shape}, its source {shape}: frames, rows, columns")
    names = {derived_uid("frame", *map(str, plane.reference)): plane for plane in planes}
    numbers = np.zeros(max(int(labels.max(initial=0)), *(max(s.labels) for s in kind.segments)) + 1, np.uint8)
    for number, segment in enumerate(kind.segments, start=1):
        numbers[list(segment.labels)] = number
    made = hd.seg.Segmentation(
        source_images=[plane.alone(uid) for uid, plane in names.items()],
        pixel_array=numbers[labels],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(kind, planes[0], origin),
        series_instance_uid=uids[0],
        series_number=series_number(header, SEG),
        sop_instance_uid=uids[1],
        instance_number=planes[0].number if len(planes) == 1 else 1,
        omit_empty_frames=False,
        series_description=f"{kind.name}: mask ({origin.bundle})"[:64],
        specific_character_set="ISO_IR 192",
        content_label="FETAL_MONAI",
        content_description=f"{kind.name}, research use only"[:64],
        **origin.equipment,
    )
    if "FrameOfReferenceUID" not in made:
        made.PatientOrientation = (
            header.get("PatientOrientation") or ""
        )  # type 2 where there is no orientation
    _refer_to_sources(made, names)
    return made


def tracking_uid(plane: Plane, origin: Origin, name: str) -> str:
    """What a finding is followed by: the same in the Segmentation and in the report."""
    return derived_uid("tracking", *map(str, plane.reference), origin.key, name)


def series_number(header: Dataset, which: int) -> int:
    """The number of a series made from that of the source."""
    return 100 * int(header.get("SeriesNumber") or 0) % 2**30 + which


def _descriptions(kind: Kind, plane: Plane, origin: Origin) -> list[Any]:
    import highdicom as hd
    from pydicom.sr.coding import Code

    algorithm = hd.AlgorithmIdentificationSequence(
        name=origin.bundle,
        family=Code("123110", "DCM", "Artificial Intelligence"),
        version=origin.version,
        source="fetal_monai",
        parameters=origin.parameters,
    )
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=segment.name,
            segmented_property_category=segment.category,
            segmented_property_type=segment.code,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=tracking_uid(plane, origin, segment.name),
            tracking_id=segment.name,
            anatomic_regions=None if segment.site is None else [segment.site],
        )
        for number, segment in enumerate(kind.segments, start=1)
    ]


def _refer_to_sources(made: Dataset, names: dict[str, Plane]) -> None:
    """Put the real instances and frames in place of the names that each frame had while the object was made."""
    for dataset in nested_datasets(made):
        for sequence in ("SourceImageSequence", "ReferencedInstanceSequence"):
            kept, seen = [], set()
            for item in dataset.get(sequence) or ():
                if item.get("ReferencedSOPInstanceUID") in names:
                    sop_class, instance, frame = names[item.ReferencedSOPInstanceUID].reference
                    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
                    per_frame = sequence == "SourceImageSequence" and dataset is not made
                    if per_frame and frame is not None:
                        item.ReferencedFrameNumber = frame
                    if instance in seen:
                        continue
                    seen.add(instance)
                kept.append(item)
            if sequence in dataset:
                setattr(dataset, sequence, kept)
