"""C-STORE and C-ECHO as a provider: what may come in, from whom, and what is answered."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fetal_monai.listen.arrivals import Arrivals
from fetal_monai.listen.cause import cause_of
from fetal_monai.listen.spool import Spool

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom import AE

__all__ = [
    "BROKEN",
    "FULL",
    "IMAGES",
    "NOT_TAKEN",
    "NO_ROOM",
    "RefusedError",
    "answer_store",
    "check_instance",
    "handlers",
    "make_receiver",
    "transfer_syntaxes",
]

LOG = logging.getLogger("fetal_monai.listen")
SUCCESS, NOT_TAKEN, FAILURE, NO_ROOM, MISMATCH, BROKEN = 0x0000, 0x0122, 0x0110, 0xA700, 0xA900, 0xC000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
IMAGES = {  # SOP classes that the readers know, by the modality in a bundle's metadata
    "US": (
        "1.2.840.10008.5.1.4.1.1.6",  # ultrasound, retired
        "1.2.840.10008.5.1.4.1.1.6.1",
        "1.2.840.10008.5.1.4.1.1.3",  # of several frames, retired
        "1.2.840.10008.5.1.4.1.1.3.1",
    ),
    "MR": (
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",  # enhanced
        "1.2.840.10008.5.1.4.1.1.4.4",  # legacy converted enhanced
    ),
}
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
PDU_BYTES = 256 * 1024
ASSOCIATIONS = 100  # at a time
IDLE_S = 60


class RefusedError(ValueError):
    """An instance that is not taken: `status` is what C-STORE answers, the message fits its Error Comment."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text[:64])
        self.status = status


def make_receiver(ae_title: str, modality: str, allowed: Sequence[str]) -> AE:
    """An application entity that takes images of `modality` from the titles `allowed`, or from all if there are none.

    Only compressions are agreed on that can be decoded here, so that a sender falls back on another.
    """
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    entity = AE(ae_title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(allowed)
    entity.maximum_associations = ASSOCIATIONS
    entity.maximum_pdu_size = PDU_BYTES
    entity.network_timeout = IDLE_S
    entity.add_supported_context(Verification)
    for uid in IMAGES[modality]:
        entity.add_supported_context(uid, transfer_syntaxes())
    return entity


def transfer_syntaxes() -> list[str]:
    """Those that can be decoded here, uncompressed ones first."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import (
        AllTransferSyntaxes,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    native = [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ]
    found = []
    for uid in (uid for uid in AllTransferSyntaxes if uid not in native):
        try:
            if get_decoder(uid).is_available:
                found.append(uid)
        except NotImplementedError:  # video, and whatever pydicom does not know
            continue
    return [*native, *found]


def handlers(spool: Spool, arrivals: Arrivals) -> list[Any]:
    """What pynetdicom's server calls."""
    from pynetdicom import evt

    def store(event: Any) -> Dataset:
        return answer_store(event, spool, arrivals)

    def released(event: Any) -> None:
        arrivals.gone(id(event.assoc), released=True)

    def gone(event: Any) -> None:
        arrivals.gone(id(event.assoc), released=False)

    def rejected(event: Any) -> None:
        LOG.warning("association of %s refused", _title(event))

    return [
        (evt.EVT_C_STORE, store),
        (evt.EVT_C_ECHO, lambda event: SUCCESS),
        (evt.EVT_REJECTED, rejected),
        (evt.EVT_RELEASED, released),
        (evt.EVT_ABORTED, gone),
        (evt.EVT_CONN_CLOSE, gone),  # which follows the others too
    ]


def answer_store(event: Any, spool: Spool, arrivals: Arrivals) -> Dataset:
    """Keep what came, and answer when it is on disk; nothing that comes may end the listener."""
    study = "?"
    try:
        request = event.request
        data = event.encoded_dataset()
        if request.AffectedSOPClassUID != event.context.abstract_syntax:
            raise RefusedError(NOT_TAKEN, "is of a SOP class that was not agreed on")
        uids = check_instance(data, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
        study, new = spool.keep(data, *uids)
        arrivals.came(id(event.assoc), study)
        if not new:
            LOG.debug("study %s: an image that was there already", study)
        return _status(SUCCESS)
    except RefusedError as refusal:
        LOG.warning("image from %s refused (0x%04X): %s", _title(event), refusal.status, refusal)
        return _status(refusal.status, str(refusal))
    except (OSError, MemoryError) as error:
        full = isinstance(error, MemoryError) or error.errno in FULL
        LOG.error("image from %s can't be kept: %s", _title(event), cause_of(error))
        return _status(NO_ROOM if full else FAILURE, "no room" if full else "can't be written")
    except Exception as error:  # a header can lead to anything; its words may name the patient
        LOG.error("image from %s can't be kept: %s", _title(event), cause_of(error))
        return _status(FAILURE, "can't be kept")


def check_instance(data: bytes, sop_class: str, sop_instance: str) -> tuple[str, str, str]:
    """Study, series and instance UID of an encoded image that is whole by its header; raises RefusedError."""
    from pydicom import dcmread

    try:
        dataset = dcmread(BytesIO(data))
        found = {keyword: str(dataset.get(keyword) or "").strip() for keyword in IDENTITY}
        size = [int(dataset.get(keyword) or 0) for keyword in ("Rows", "Columns", "BitsAllocated")]
        pixels = _pixel_bytes(dataset)
    except Exception as error:  # whatever pydicom makes of such bytes
        raise RefusedError(BROKEN, f"its header can't be read ({type(error).__name__})") from None
    missing = [keyword for keyword in IDENTITY if not found[keyword]]
    if missing:
        raise RefusedError(BROKEN, f"has no {', '.join(missing)}")
    if found["SOPClassUID"] != sop_class or found["SOPInstanceUID"] != sop_instance:
        raise RefusedError(MISMATCH, "its UIDs are not those of the request")
    if not all(size):
        raise RefusedError(BROKEN, "is no image: it has no rows and columns")
    if pixels < 0:
        raise RefusedError(BROKEN, "its pixels are missing, or cut off")
    return found["StudyInstanceUID"], found["SeriesInstanceUID"], found["SOPInstanceUID"]


def _pixel_bytes(dataset: Dataset) -> int:
    """How many bytes of pixels there are beyond those that its header asks for; below 0 if some are missing."""
    from pydicom.encaps import get_frame
    from pydicom.uid import UID

    element = dataset.get_item("PixelData")
    if element is None or not element.value:
        return -1
    frames = max(1, int(dataset.get("NumberOfFrames") or 1))
    if UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated:
        last = get_frame(element.value, frames - 1, number_of_frames=frames)  # raises if it is not there
        return len(last) - 1
    from pydicom.pixels.utils import get_expected_length

    return len(element.value) - get_expected_length(dataset, "bytes")


def _status(code: int, comment: str = "") -> Dataset:
    from pydicom import Dataset

    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment[:64]
    return status


def _title(event: Any) -> str:
    """Who sent it: the title of a device, as it names itself."""
    title = str(getattr(event.assoc.requestor, "ae_title", "") or "")
    return "".join(one if one.isalnum() or one in "_-. " else "?" for one in title)[:16]
