"""The listener as a process, with dcmtk's storescu and storescp at its ends."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import time

import pydicom
import pytest
from bundle_runs import HEAD
from dicom_sources import SECRETS, write_ultrasound
from listeners import Archive, Listener, needs_dcmtk, stand_in, until, write_image

pytest.importorskip("pynetdicom")
pytestmark = needs_dcmtk()


@pytest.fixture
def archive(tmp_path):
    made = Archive(tmp_path / "archive")
    yield made
    made.stop()


@pytest.fixture
def listen(tmp_path):
    running = []

    def start(*options, bundle=None, **popen):
        bundle = stand_in(tmp_path / "bundle") if bundle is None else bundle
        running.append(Listener(tmp_path, bundle, *options, **popen))
        return running[-1]

    yield start
    for one in running:
        one.kill()


def test_what_comes_is_measured_and_sent_once(listen, archive, tmp_path):
    listener = listen("--forward", archive.name, "--allow", "SCANNER, OTHER")
    good = [write_image(tmp_path / f"g{n}.dcm", 1, n) for n in range(3)]
    bad = write_image(tmp_path / "bad.dcm", 2, 0, SeriesDescription="broken")
    assert listener.store(good[:1], "STRANGER").end() == []
    assert "STRANGER refused" in listener.log and not listener.images("receiving")
    refused = [
        write_image(tmp_path / "uid.dcm", 3, 0, StudyInstanceUID=None),
        write_image(tmp_path / "cut.dcm", 3, 1, PixelData=bytes(100)),
        write_image(tmp_path / "none.dcm", 3, 2, PixelData=None),
        write_image(tmp_path / "rows.dcm", 3, 3, Rows=0),
    ]
    for path in refused:
        assert listener.store([path]).end() == ["Error: CannotUnderstand"], path
    assert listener.store([*good, bad, good[0]]).end() == ["Success"] * 5
    until(lambda: listener.studies("sent") and listener.studies("failed"))
    assert listener.store(good).end() == ["Success"] * 3  # once more, when all is done
    (study,), (failed,) = listener.studies("sent"), listener.studies("failed")
    assert len(list((study / "in").rglob("*.dcm"))) == 3
    assert "can't be measured" in (failed / "reason.txt").read_text()
    time.sleep(1.5)
    assert not listener.studies("receiving") and not listener.studies("ready")
    assert [pydicom.dcmread(path).InstanceNumber for path in archive.files] == [3]
    late = write_image(tmp_path / "late.dcm", 1, 3)
    assert listener.store([late]).end() == ["Success"]
    until(lambda: len(archive.files) == 2)  # with those that came before
    assert sorted(pydicom.dcmread(path).InstanceNumber for path in archive.files) == [3, 4]
    assert listener.stop() == 0
    assert not [word for word in [*SECRETS, "99999"] if word in listener.log]
    assert all(path.stat().st_mode & 0o077 == 0 for path in listener.spool.rglob("*"))


@pytest.mark.slow
def test_500_images_at_once_and_kills_half_way_lose_and_double_nothing(listen, archive, tmp_path):
    files = [
        write_image(tmp_path / "in" / f"{n:03d}.dcm", 1 + n % 10, n) for n in range(500)
    ]  # ten studies, over all associations
    listener = listen("--forward", archive.name, env={"STAND_IN_SECONDS": "0.2"})
    sending = [listener.store(files[k::5]) for k in range(5)]
    until(lambda: len(listener.images("receiving")) > 200)
    listener.kill()
    for one in sending:
        one.end()
    answered = sum(len(one.sent) for one in sending)
    assert 100 < answered < 500
    assert len(listener.images("receiving")) >= answered
    names = {path.name for path in listener.images("receiving")}
    archive.stop()  # the results must wait
    listener.start()
    sending = [listener.store(files[k::5]) for k in range(5)]
    assert [answer for one in sending for answer in one.end()] == ["Success"] * 500
    until(lambda: listener.studies("done"))
    listener.kill()  # some measured, one at it
    assert not listener.studies("sent")
    listener.start()
    until(lambda: len(listener.studies("done")) > 5)
    archive.start()
    until(lambda: listener.studies("sent"))
    listener.kill()  # some sent
    listener.start()
    until(lambda: len(listener.studies("sent")) == 10)
    kept = [
        name
        for study in listener.studies("sent")
        for names in json.loads((study / "study.json").read_text())["series"].values()
        for name in names
    ]
    assert len(kept) == len(set(kept)) == 500
    assert names <= {f"{name}.dcm" for name in kept}
    for state in ("receiving", "ready", "done", "failed"):
        assert not listener.studies(state)
    reports = [pydicom.dcmread(path) for path in archive.files]
    assert [report.InstanceNumber for report in reports] == [50] * 10
    assert len({report.StudyInstanceUID for report in reports}) == 10


def test_full_disk_is_answered_and_lives_on(listen, tmp_path):
    """The system refuses to write more than 64 kB into a file."""
    limit = 64 * 1024
    listener = listen(
        "--wait", "60", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    large = write_image(tmp_path / "large.dcm", 1, 0, side=300)
    small = write_image(tmp_path / "small.dcm", 1, 1)
    assert listener.store([large]).end() == ["Refused: OutOfResources"]
    assert listener.store([small]).end() == ["Success"]
    assert len(listener.images("receiving")) == 1
    assert not list((listener.spool / "partial").iterdir())


def test_no_room_left_on_a_small_disk(listen, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    mount = ["unshare", "-Urm", "sh", "-c", f'mount -t tmpfs -o size=1m none {spool} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    listener = listen(before=mount)
    files = [write_image(tmp_path / f"{n}.dcm", 1, n, side=300) for n in range(20)]
    answers = [answer for path in files for answer in listener.store([path]).end()]
    taken = answers.count("Success")
    assert 5 < taken < 15
    assert answers[taken:] == ["Refused: OutOfResources"] * (20 - taken)
    echo = ["echoscu", "-aec", "FETAL_MONAI", "127.0.0.1", str(listener.port)]
    assert subprocess.run(echo, check=False).returncode == 0


@pytest.mark.slow
def test_a_head_comes_back_as_report_mask_and_picture(listen, archive, tmp_path):
    from test_dicom_output import PIXEL_MM, head_pixels

    listener = listen("--forward", archive.name, bundle=HEAD.name)
    source = write_ultrasound(tmp_path / "a.dcm", head_pixels(), pixel_mm=PIXEL_MM)
    assert listener.store([source]).end() == ["Success"]
    until(lambda: listener.studies("sent"))
    made = {dataset.Modality: dataset for dataset in map(pydicom.dcmread, archive.files)}
    assert set(made) == {"SR", "SEG", "OT"}
    image = pydicom.dcmread(source)
    for dataset in made.values():
        assert dataset.StudyInstanceUID == image.StudyInstanceUID
        assert dataset.PatientName == image.PatientName
    picture = made["OT"]
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert picture.pixel_array.shape[-1] == 3 and picture.pixel_array.std() > 10
    assert not [word for word in SECRETS if word in listener.log]
