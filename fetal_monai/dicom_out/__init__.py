"""Results as DICOM objects beside the scan that they came from: Segmentation and Structured Report (TID 1500).

`KINDS` says what each kind of bundle finds and in which codes; `dicom_objects` makes the two objects of one scan.
Needs highdicom: ``pip install "fetal_monai[dicom]"``.
"""

from fetal_monai.dicom_out.objects import Made, dicom_objects
from fetal_monai.dicom_out.origin import Origin
from fetal_monai.dicom_out.planes import Plane, picture_plane, volume_planes
from fetal_monai.dicom_out.regions import Region, structure_regions
from fetal_monai.dicom_out.terms import KINDS, Kind, Segment

__all__ = [
    "KINDS",
    "Kind",
    "Made",
    "Origin",
    "Plane",
    "Region",
    "Segment",
    "dicom_objects",
    "picture_plane",
    "structure_regions",
    "volume_planes",
]
