"""The frames that a scan was read from, in the order of its mask: a header of its own for each, without pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetal_monai.scan import ScanError, ScanSource

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Plane", "picture_plane", "volume_planes"]

EMPTY_IF_MISSING = (  # type 2 of the modules Patient and General Study
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
GROUPS = (  # what an enhanced frame says in its functional groups, and a classic slice at its top
    ("PlanePositionSequence", ("ImagePositionPatient",)),
    ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
    ("PixelMeasuresSequence", ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")),
)
MANY_FRAMES = ("NumberOfFrames", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
Change = Callable[["Dataset"], "Dataset"]


@dataclass(frozen=True)
class Plane:
    """One frame: the header of its instance, and which frame of it (from 1), None where it has only one."""

    header: Dataset
    frame: int | None = None

    @property
    def reference(self) -> tuple[str, str, int | None]:
        """SOP class, SOP instance and frame, as other objects refer to it."""
        return str(self.header.SOPClassUID), str(self.header.SOPInstanceUID), self.frame

    @property
    def number(self) -> int:
        """The number of an instance made from this frame alone, another one for each frame of a clip."""
        number = int(self.header.get("InstanceNumber") or 1)
        return number if self.frame is None else 1000 * number + self.frame

    def alone(self, uid: str) -> Dataset:
        """The header as that of a plain instance `uid` with this frame only, for what takes no others."""
        from pydicom import Dataset
        from pydicom.uid import MRImageStorage, UltrasoundImageStorage

        values: dict[str, Any] = {"SOPInstanceUID": uid}
        groups = [] if self.frame is None else _groups(self.header, self.frame)
        for sequence, keywords in GROUPS:
            for item in (item for group in groups[::-1] for item in group.get(sequence) or ()):
                values |= {name: item[name].value for name in keywords if item.get(name) is not None}
        in_space = "ImagePositionPatient" in values or "ImagePositionPatient" in self.header
        values["SOPClassUID"] = MRImageStorage if in_space else UltrasoundImageStorage
        single = Dataset()
        for element in self.header:  # shared with the header, so that none may be set anew
            if element.keyword not in MANY_FRAMES and element.keyword not in values:
                single[element.tag] = element
        single.update(values)
        return single


def picture_plane(source: ScanSource, change: Change | None = None) -> Plane:
    """The frame that a 2D scan was read from; `change` is applied to its header, to take the patient out of it.

    Raises ScanError if the header lacks what a reference needs.
    """
    header = _header(source.path, source.filename, change)
    for keyword in ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient"):
        if keyword in header:  # a 2D picture is measured in its own pixels, wherever the probe was
            del header[keyword]
    several = "NumberOfFrames" in header and int(header.NumberOfFrames or 1) > 1
    if several and not _is_multiframe(header):
        if source.frame:
            raise ScanError(
                f"{source.filename}: holds several frames, but its SOP class ({header.SOPClassUID.name}) is none in "
                "which another object may refer to one of them"
            )
        several = False
    return Plane(header, (source.frame or 0) + 1 if several else None)


def volume_planes(
    source: ScanSource, time_point: int | None = None, change: Change | None = None
) -> list[Plane]:
    """The slices that a volume was read from, along its third axis; `change` as for `picture_plane`.

    Raises ScanError if a header lacks what a reference needs.
    """
    from fetal_monai.scan.series import find_slices

    found = find_slices(source.files, time_point)
    headers: dict[Path, Any] = {}
    planes = []
    for one in found:
        if one.path not in headers:
            headers[one.path] = _header(one.path, source.filename, change)
        header = headers[one.path]
        planes.append(Plane(header, one.frame + 1 if "PerFrameFunctionalGroupsSequence" in header else None))
    if "FrameOfReferenceUID" not in planes[0].header:
        raise ScanError(f"{source.filename}: has no FrameOfReferenceUID, which objects in its space need")
    return planes


def _is_multiframe(header: Dataset) -> bool:
    """Whether the SOP class is one of several frames, so that others may refer to a frame of it."""
    name = header.SOPClassUID.name
    return ("Multi-frame" in name or "Enhanced" in name) and "Retired" not in name


def _header(path: Path, filename: str, change: Change | None) -> Dataset:
    from fetal_monai.scan.dicom import read_header

    header = read_header(path)
    missing = [keyword for keyword in IDENTITY if not header.get(keyword)]
    if missing:
        raise ScanError(f"{filename}: has no {', '.join(missing)}, so nothing can refer to it")
    if change is not None:
        header = change(header)
    for keyword in EMPTY_IF_MISSING:
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _groups(header: Dataset, frame: int) -> Sequence[Dataset]:
    of_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    return [*of_frame[frame - 1 : frame], *(header.get("SharedFunctionalGroupsSequence") or [])]
