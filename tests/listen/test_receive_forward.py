"""What is taken and refused, and how results are handed over, with pynetdicom at the other end."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from dicom_sources import write_ultrasound
from listeners import free_port, stand_in, until, write_image

from fetal_monai.listen.arrivals import Arrivals
from fetal_monai.listen.forward import Forwarding, Receiver, parse_receiver, send
from fetal_monai.listen.measuring import Measuring
from fetal_monai.listen.receive import BROKEN, RefusedError, answer_store, check_instance, transfer_syntaxes
from fetal_monai.listen.spool import Spool, short_hash

pytest.importorskip("pynetdicom")
SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "dicom_ultrasound"
STUDY = short_hash("1.2.3")


def check(path, data=None):
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return check_instance(
        path.read_bytes() if data is None else data, header.SOPClassUID, header.SOPInstanceUID
    )


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.dcm")), ids=lambda path: path.name)
def test_real_images_are_whole_and_their_compression_is_agreed_on(path):
    image = pydicom.dcmread(path)
    assert check(path) == (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    assert image.file_meta.TransferSyntaxUID in transfer_syntaxes()


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.dcm")), ids=lambda path: path.name)
@pytest.mark.parametrize("share", [0.001, 0.1, 0.9])
def test_cut_off_images_are_refused(path, share):
    data = path.read_bytes()
    with pytest.raises(RefusedError) as refused:
        check(path, data[: int(len(data) * share)])
    assert refused.value.status == BROKEN and len(str(refused.value)) <= 64


def test_garbage_is_refused(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", pydicom.dcmread(next(SAMPLES.glob("OB*"))).pixel_array)
    with pytest.raises(RefusedError, match=r"can't be read|has no"):
        check(path, b"\0" * 128 + b"DICM" + bytes(range(256)) * 8)
    with pytest.raises(RefusedError, match="not those of the request"):
        check_instance(path.read_bytes(), pydicom.uid.MRImageStorage, "1.2.3")


@pytest.mark.parametrize(
    ("sop_class", "sop_instance", "status"),
    [(None, None, 0x0000), (None, "1.2.3", 0xA900), (pydicom.uid.MRImageStorage, None, 0x0122)],
)
def test_answers(tmp_path, sop_class, sop_instance, status):
    path = write_image(tmp_path / "a.dcm", 1, 1)
    image = pydicom.dcmread(path)
    request = SimpleNamespace(
        AffectedSOPClassUID=sop_class or image.SOPClassUID,
        AffectedSOPInstanceUID=sop_instance or image.SOPInstanceUID,
    )
    event = SimpleNamespace(
        request=request,
        context=SimpleNamespace(abstract_syntax=image.SOPClassUID),
        assoc=SimpleNamespace(requestor=SimpleNamespace(ae_title="SCANNER")),
        encoded_dataset=path.read_bytes,
    )
    spool = Spool(tmp_path / "spool")
    for _ in range(2):
        assert answer_store(event, spool, Arrivals(1)).Status == status
    assert len(list(spool.root.glob("receiving/*/in/*/*.dcm"))) == (status == 0)
    spool.close()


@pytest.mark.parametrize(
    ("text", "receiver"),
    [
        ("PACS@10.0.0.5:104", Receiver("PACS", "10.0.0.5", 104)),
        ("MY PACS@pacs.local:11112", Receiver("MY PACS", "pacs.local", 11112)),
        ("A@[::1]:104", Receiver("A", "::1", 104)),
    ],
)
def test_receivers(text, receiver):
    assert parse_receiver(text) == receiver


@pytest.mark.parametrize(
    "text", ["PACS", "PACS@host", "host:104", "PACS@host:0", "PACS@host:99999", "@host:1"]
)
def test_no_receivers(text):
    with pytest.raises(ValueError, match="such as PACS@"):
        parse_receiver(text)


class Archive:
    """A receiver in this process, with answers to give; the last one stays."""

    def __init__(self, *answers, classes=("1.2.840.10008.5.1.4.1.1.6.1",)):
        from pynetdicom import AE, evt

        self.answers, self.took = list(answers), []
        entity = AE("PACS")
        for uid in classes:
            entity.add_supported_context(uid)

        def store(event):
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.took += (
                [str(event.request.AffectedSOPInstanceUID)] if status < 0xC000 and status != 0xA700 else []
            )
            return status

        self.receiver = Receiver("PACS", "127.0.0.1", free_port())
        address = (self.receiver.host, self.receiver.port)
        self.server = entity.start_server(address, block=False, evt_handlers=[(evt.EVT_C_STORE, store)])


@pytest.fixture
def archive():
    made = []

    def start(*answers, **options):
        made.append(Archive(*answers, **options))
        return made[-1]

    yield start
    for one in made:
        one.server.shutdown()


@pytest.fixture
def done(tmp_path):
    """A spool with a study of two results."""
    spool = Spool(tmp_path / "spool")
    spool.keep(b"image", "1.2.3", "1", "1")
    spool.complete(STUDY)
    out = spool.begin(STUDY)
    for number in (1, 2):
        write_image(out / f"{number}_sr.dcm", 1, number)
    spool.finish(STUDY, out)
    yield spool
    spool.close()


def test_what_was_taken_is_not_sent_again(done, archive):
    pacs = archive(0, 0xA700, 0xB000)  # taken, no room, and taken with a warning
    forwarding = Forwarding(done, [pacs.receiver], "US", give_up_s=60, first_s=0.1)
    forwarding.round()
    assert done.studies("done") == [STUDY] and len(pacs.took) == 1
    forwarding.round()  # not due yet
    assert len(pacs.took) == 1
    time.sleep(0.15)
    forwarding.round()
    assert done.studies("sent") == [STUDY]
    assert len(pacs.took) == len(set(pacs.took)) == 2


@pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")  # pynetdicom's
def test_a_receiver_that_is_away_is_waited_for(done, archive):
    away = Receiver("PACS", "127.0.0.1", free_port())
    Forwarding(done, [away], "US", give_up_s=60).round()
    assert done.studies("done") == [STUDY]
    Forwarding(done, [away], "US", give_up_s=0).round()
    assert (
        "could not" in (text := (done.folder("failed", STUDY) / "reason.txt").read_text())
        or "not reached" in text
    )
    assert len(list((done.folder("failed", STUDY) / "out").iterdir())) == 2  # the results are there


def test_what_a_receiver_refuses_is_given_up(done, archive):
    good, bad = archive(0), archive(0xC000)
    forwarding = Forwarding(done, [good.receiver, bad.receiver], "US", give_up_s=60, first_s=0.01)
    for _ in range(3):
        assert done.studies("done") == [STUDY]
        forwarding.round()
        time.sleep(0.1)
    reason = (done.folder("failed", STUDY) / "reason.txt").read_text()
    assert str(bad.receiver) in reason and "Structured Report: refused with status 0xC000" in reason
    assert str(good.receiver) not in reason and len(good.took) == 2


def test_a_class_that_is_not_taken_is_told(tmp_path, archive):
    pacs = archive(0, classes=["1.2.840.10008.5.1.4.1.1.4"])
    path = write_image(tmp_path / "a_overlay.dcm", 1, 1)
    assert send(pacs.receiver, "US", [path]) == (set(), {})  # no context at all: no association
    pacs = archive(0, classes=["1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.6.1"])
    other = write_image(tmp_path / "b_seg.dcm", 1, 2, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    taken, refused = send(pacs.receiver, "US", [path, other])
    assert taken == {path} and refused == {other: "Segmentation: its SOP class is not taken there"}


def test_a_study_that_ends_the_process_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("fetal_monai.listen.measuring.CRASHES", 2)
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here.parents[1]}:{here.parent}:{here / 'stand_in'}")
    bundle = stand_in(tmp_path / "bundle")
    spool = Spool(tmp_path / "spool")
    for study, word in ((1, "fatal"), (2, "fine")):
        path = write_image(tmp_path / f"{study}.dcm", study, 0, SeriesDescription=word)
        spool.complete(spool.keep(path.read_bytes(), *check(path))[0])
    measuring = Measuring(spool, [str(bundle / "configs" / "inference.yaml")], {}, False, 30)
    until(lambda: not measuring.next())
    (failed,), (done,) = spool.studies("failed"), spool.studies("done")
    assert (
        "ended the process that measures, 2 times"
        in (spool.folder("failed", failed) / "reason.txt").read_text()
    )
    assert [path.name for path in spool.results(done)] == ["study_sr.dcm"]
    measuring.stop()
    spool.close()
