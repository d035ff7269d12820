"""The measures of one scan as a Structured Report: TID 1500, with the regions that they were taken on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai.dicom_out.measurements import comments, evaluations, measured, measurement
from fetal_monai.dicom_out.origin import Origin
from fetal_monai.dicom_out.planes import Plane
from fetal_monai.dicom_out.regions import Region, closed
from fetal_monai.dicom_out.segmentation import SR, series_number, tracking_uid
from fetal_monai.dicom_out.terms import OWN_SCHEME, Kind
from fetal_monai.record import Record

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["make_report"]

PROCEDURE = ("363679005", "SCT", "Imaging procedure")


def make_report(
    record: Record,
    planes: Sequence[Plane],
    mask: Dataset | None,
    found: Iterable[int],
    kind: Kind,
    origin: Origin,
    uids: tuple[str, str],
    regions: Sequence[Region] = (),
) -> Dataset:
    """The report (Comprehensive SR) of `record`: a group of measures for each segment in `found`, and one for the rest.

    A picture's group has the ellipse in `record.extra` as its region, beside one group on each of its `regions`; a
    volume's groups refer to the segments of `mask`. Flags and intervals stand there in words too. `uids` are those of
    series and instance.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    shared = {"algorithm_id": _algorithm(origin)}
    told = set()
    groups: list[Any] = []
    if len(planes) > 1 and mask is not None:
        for number in found:
            segment = kind.segments[number - 1]
            names = [name for name in measured(record) if name in segment.measures]
            told.update(names)
            groups.append(
                sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                    tracking_identifier=sr.TrackingIdentifier(
                        tracking_uid(planes[0], origin, segment.name), segment.name
                    ),
                    referenced_segment=sr.ReferencedSegment(
                        mask.SOPClassUID,
                        mask.SOPInstanceUID,
                        number,
                        source_series=sr.SourceSeriesForSegmentation(planes[0].header.SeriesInstanceUID),
                    ),
                    finding_type=segment.code,
                    finding_sites=[sr.FindingSite(segment.site or kind.site)],
                    measurements=[measurement(record, name, kind, segment) for name in names],
                    **shared,
                )
            )
    for region in regions:
        told.update(region.measures)
        groups.append(_on_region(record, region, planes[0], kind, origin, shared))
    lines = _lines(regions, planes[0])
    shared |= {
        "finding_type": kind.finding,
        "finding_sites": [sr.FindingSite(kind.site)],
        "measurements": [
            measurement(record, name, kind, line=lines.get(name))
            for name in measured(record)
            if name not in told
        ],
        "qualitative_evaluations": evaluations(record, kind),
    }
    whole = _whole(record, planes, kind, origin, shared)
    comment = Code("121106", "DCM", "Comment")
    for text in comments(record, kind, f"{origin.bundle} {origin.version}"):
        contains = sr.RelationshipTypeValues.CONTAINS
        whole[0].ContentSequence.append(sr.TextContentItem(comment, text, contains))
    report = sr.MeasurementReport(
        observation_context=_context(kind, origin),
        procedure_reported=Code(*PROCEDURE),
        imaging_measurements=[whole, *groups],
        title=codes.DCM.ImagingMeasurementReport,
    )
    evidence = list({id(plane.header): plane.header for plane in planes}.values())
    made = sr.ComprehensiveSR(
        evidence=[*evidence, *([mask] if mask is not None else [])],
        content=report[0],
        series_instance_uid=uids[0],
        series_number=series_number(planes[0].header, SR),
        sop_instance_uid=uids[1],
        instance_number=planes[0].number if len(planes) == 1 else 1,
        is_complete=True,
        specific_character_set="ISO_IR 192",
        series_description=f"{kind.name}: measures ({origin.bundle})"[:64],
        **origin.equipment,
    )
    made.CodingSchemeIdentificationSequence = [_own_scheme()]
    return made


def _on_region(
    record: Record, region: Region, plane: Plane, kind: Kind, origin: Origin, shared: Mapping[str, Any]
) -> Any:
    """The group of one region of a picture: its closed outline, and what is told of it alone."""
    from highdicom import sr

    finding, site = kind.findings[region.label]
    image = sr.SourceImageForRegion(*_reference(plane))
    own = replace(record, measures=dict(region.measures))
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(tracking_uid(plane, origin, region.name), region.name),
        referenced_region=sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, closed(region.points), image),
        finding_type=finding,
        finding_sites=[sr.FindingSite(site)],
        measurements=[measurement(own, name, kind) for name in measured(own)],
        **shared,
    )


def _lines(regions: Iterable[Region], plane: Plane) -> dict[str, Any]:
    """The lines that lengths were taken along, by the lengths' names."""
    from highdicom import sr

    image = sr.SourceImageForRegion(*_reference(plane))
    return {
        name: sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POLYLINE, np.asarray(ends), image)
        for region in regions
        for name, ends in region.lines.items()
    }


def _whole(
    record: Record, planes: Sequence[Plane], kind: Kind, origin: Origin, shared: Mapping[str, Any]
) -> Any:
    """The group of what belongs to no single segment: on the ellipse of a picture, else on the images."""
    from highdicom import sr

    tracking = sr.TrackingIdentifier(tracking_uid(planes[0], origin, kind.name), kind.name)
    ellipse = record.extra.get("ellipse_px")
    if len(planes) == 1 and ellipse is not None:
        image = sr.SourceImageForRegion(*_reference(planes[0]))
        region = sr.ImageRegion(sr.GraphicTypeValues.ELLIPSE, _axes(ellipse), image)
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(tracking, region, **shared)
    images = [sr.SourceImageForMeasurementGroup(*_reference(plane)) for plane in planes]
    return sr.MeasurementsAndQualitativeEvaluations(tracking, source_images=images, **shared)


def _reference(plane: Plane) -> tuple[str, str, list[int] | None]:
    sop_class, instance, frame = plane.reference
    return sop_class, instance, None if frame is None else [frame]


def _axes(ellipse: Mapping[str, Any]) -> np.ndarray:
    """Ends of the major and the minor axis, (4, 2): column and row, counted from the corner of the first pixel."""
    row, column = ellipse["center"]
    along = np.array([math.cos(ellipse["angle"]), math.sin(ellipse["angle"])])
    across = np.array([-along[1], along[0]])
    major, minor = ellipse["semi_axes"]
    steps = np.array([-major * along, major * along, -minor * across, minor * across])
    return np.array([column + 0.5, row + 0.5]) + steps


def _algorithm(origin: Origin) -> Any:
    from highdicom import sr

    parameters = [f"{name} {value}" for name, value in origin.parameters.items()]
    return sr.AlgorithmIdentification(origin.bundle, origin.version, parameters)


def _context(kind: Kind, origin: Origin) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    device = sr.DeviceObserverIdentifyingAttributes(
        origin.device_uid,
        name=origin.bundle,
        manufacturer_name="fetal_monai",
        model_name=f"{origin.bundle} {origin.version}",
        serial_number=origin.equipment["device_serial_number"],
    )
    subject = None
    if kind.of_fetus:
        fetus = sr.SubjectContextFetus(subject_id="not told apart from others of this pregnancy")
        subject = sr.SubjectContext(codes.DCM.Fetus, fetus)
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device), subject_context=subject
    )


def _own_scheme() -> Dataset:
    from pydicom import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator = OWN_SCHEME
    scheme.CodingSchemeName = "Measures of fetal_monai by their names in its tables"
    scheme.CodingSchemeResponsibleOrganization = "The fetal_monai developers"
    return scheme
