"""Both objects of one scan, and the UIDs that they go by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fetal_monai.dicom_out.origin import Origin, derived_uid
from fetal_monai.dicom_out.planes import Plane
from fetal_monai.dicom_out.regions import Region
from fetal_monai.dicom_out.terms import Kind
from fetal_monai.record import Record

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Made", "dicom_objects"]


class Made(NamedTuple):
    """A Segmentation, None where there is no mask, and a Structured Report."""

    mask: Dataset | None
    report: Dataset


def dicom_objects(
    record: Record,
    labels: NDArray[Any] | None,
    planes: Sequence[Plane],
    kind: Kind,
    origin: Origin,
    regions: Sequence[Region] = (),
) -> Made:
    """The Segmentation of `labels` on the frames `planes` and the Structured Report of `record`.

    `labels` is (H, W) of one plane or (I, J, K) of a volume as `scan.read_series` turns it: columns, rows from below,
    slices. A `kind` without segments has no Segmentation; `regions` are those of a picture. UIDs follow from the
    source, the run's key and what is in the object, so the same answer goes by the same name, and another never does.
    """
    from fetal_monai.dicom_out.report import make_report
    from fetal_monai.dicom_out.segmentation import make_segmentation

    told = json.dumps(
        {
            "measures": record.to_json()["measures"],
            "flags": record.all_flags,
            **({"regions": [region.to_json() for region in regions]} if regions else {}),
        },
        sort_keys=True,
    )
    places = [str(part) for plane in planes for part in plane.reference]
    series = str(planes[0].header.SeriesInstanceUID)
    mask, found, content = None, [], b""
    if labels is not None and kind.segments:
        frames = _as_frames(labels)
        content = frames.tobytes()
        uids = derived_uid("SEG", series, origin.key), derived_uid("SEG", *places, origin.key, content)
        mask = make_segmentation(frames, planes, kind, origin, uids)
        present = set(np.unique(frames).tolist())
        found = [n for n, segment in enumerate(kind.segments, start=1) if present & set(segment.labels)]
    uids = derived_uid("SR", series, origin.key), derived_uid("SR", *places, origin.key, content, told)
    return Made(mask, make_report(record, planes, mask, found, kind, origin, uids, regions))


def _as_frames(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Frames, rows, columns."""
    whole = np.asarray(labels).astype(np.uint8)
    return np.ascontiguousarray(whole[None] if whole.ndim == 2 else whole[:, ::-1, :].transpose(2, 1, 0))
