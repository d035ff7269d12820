"""Studies on disk: what is accepted is there once, wherever the process ends."""

from __future__ import annotations

import os

import pytest

from fetal_monai.listen.arrivals import Arrivals
from fetal_monai.listen.spool import LATE, Spool, SpoolInUseError, short_hash

STUDY = short_hash("1.2.3")


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path)
    yield made
    made.close()


def keep(spool, number, series="1.2.3.1"):
    return spool.keep(b"image", "1.2.3", series, f"{series}.{number}")


def again(spool):
    """As after a kill: nothing was closed or tidied by the process itself."""
    spool.close()
    return Spool(spool.root)


def measure(spool):
    assert spool.complete(STUDY) == "ready"
    out = spool.begin(STUDY)
    out.mkdir()
    (out / "a_sr.dcm").write_bytes(b"report")
    spool.finish(STUDY, out)


def count(spool, state):
    return sum(map(len, spool.instances(state, STUDY).values()))


def test_an_image_is_kept_once(spool):
    assert keep(spool, 1) == (STUDY, True)
    assert keep(spool, 1) == (STUDY, False)
    (path,) = (spool.root / "receiving").glob("*/in/*/*.dcm")
    assert path.read_bytes() == b"image"
    assert "1.2.3" not in str(path.relative_to(spool.root))


@pytest.mark.parametrize("state", ["ready", "done", "sent"])
def test_what_came_again_is_known_wherever_it_is(spool, state):
    keep(spool, 1)
    assert spool.complete(STUDY) == "ready"
    if state != "ready":
        out = spool.begin(STUDY)
        out.mkdir()
        spool.finish(STUDY, out)
    if state == "sent":
        spool.sent(STUDY)
    assert spool.studies(state) == [STUDY]
    assert keep(spool, 1) == (STUDY, False)
    assert spool.studies("receiving") == []


def test_a_kill_leaves_what_was_answered_and_no_half(spool):
    keep(spool, 1)
    (spool.root / "partial" / "half").write_bytes(b"im")
    (spool.root / "receiving" / short_hash("9") / "in" / "x").mkdir(parents=True)  # before its first image
    spool = again(spool)
    assert count(spool, "receiving") == 1 and not list((spool.root / "partial").iterdir())
    assert spool.complete(short_hash("9")) == "" and spool.studies("receiving") == [STUDY]
    spool.complete(STUDY)
    (spool.begin(STUDY) / "half").mkdir(parents=True)
    spool = again(spool)
    assert spool.studies("ready") == [STUDY]
    out = spool.begin(STUDY)
    assert not list(spool.folder("ready", STUDY).glob("out*"))
    out.mkdir()
    (out / "a_sr.dcm").write_bytes(b"report")
    os.rename(out, out.with_name("out"))  # killed within finish, before the study moved
    spool = again(spool)
    assert spool.studies("ready") == [STUDY]
    spool.begin(STUDY).mkdir()
    assert len(list(spool.folder("ready", STUDY).glob("out*"))) == 1
    spool.close()


def test_late_images_are_measured_with_the_earlier_ones(spool):
    keep(spool, 1)
    measure(spool)
    keep(spool, 2)
    assert spool.complete(STUDY) == ""  # the earlier part is on its way
    spool.sent(STUDY)
    measure(spool)
    assert count(spool, "done") == 2
    spool.sent(STUDY)
    assert count(spool, "sent") == 2


def test_late_images_of_a_cleared_series_are_put_aside(spool):
    keep(spool, 1)
    measure(spool)
    spool.sent(STUDY)
    assert spool.clear(0, 1e9) == 1
    assert [path.name for path in spool.folder("sent", STUDY).iterdir() if path.is_dir()] == []
    keep(spool, 1, series="1.2.3.2")  # another series may come
    measure(spool)
    spool.sent(STUDY)
    spool.clear(0, 1e9)
    keep(spool, 2)
    assert spool.complete(STUDY) == "failed"
    assert (spool.folder("failed", STUDY) / "reason.txt").read_text() == f"{LATE}\n"
    assert keep(spool, 1) == (STUDY, True)  # the rest
    measure(spool)
    assert count(spool, "done") == 2
    spool.sent(STUDY)
    assert spool.studies("failed") == []


def test_a_failed_study_is_tried_anew_when_it_is_sent_again(spool):
    keep(spool, 1)
    spool.complete(STUDY)
    spool.put_aside("ready", STUDY, "damaged")
    assert keep(spool, 1) == (STUDY, True)
    assert spool.complete(STUDY) == "ready"
    spool.put_aside("ready", STUDY, "damaged still")
    assert (spool.folder("failed", STUDY) / "reason.txt").read_text() == "damaged still\n"


def test_what_each_receiver_took_outlives_a_kill(spool):
    keep(spool, 1)
    measure(spool)
    spool.mark_taken(STUDY, "A@a:1", {"a_sr.dcm"})
    spool = again(spool)
    spool.mark_taken(STUDY, "A@a:1", {"b_sr.dcm"})
    assert spool.taken(STUDY, "A@a:1") == {"a_sr.dcm", "b_sr.dcm"} and not spool.taken(STUDY, "B@a:1")
    assert [path.name for path in spool.results(STUDY)] == ["a_sr.dcm"]
    spool.close()


def test_old_studies_are_forgotten(spool):
    keep(spool, 1)
    measure(spool)
    spool.sent(STUDY)
    assert spool.clear(1e9, 1e9) == 0 and count(spool, "sent") == 1
    spool.clear(0, 0)
    assert spool.studies("sent") == []


def test_one_process_at_a_time(spool):
    with pytest.raises(SpoolInUseError, match="another listener works on it"):
        Spool(spool.root)


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def arrivals(now):
    return Arrivals(10, lambda: now[0])


def test_a_study_is_complete_when_its_bringer_has_gone_and_it_is_quiet(arrivals, now):
    arrivals.came("first", "a")
    arrivals.came("second", "b")
    arrivals.gone("first", released=True)
    now[0] = 9
    assert arrivals.complete(["a", "b", "left"]) == []
    now[0] = 10
    assert arrivals.complete(["a", "b", "left"]) == ["a"]
    now[0] = 99
    assert arrivals.complete(["b", "left"]) == []
    now[0] = 100  # its bringer stays, but brings nothing more; and what was there at the start
    assert arrivals.complete(["b", "left"]) == ["b", "left"]
    arrivals.came("third", "a")
    arrivals.gone("third", released=True)
    assert arrivals.complete(["a"]) == []


@pytest.mark.parametrize("ends", [[True], [False, True], [True, False]])
def test_a_release_counts_in_whatever_order_it_is_told(arrivals, now, ends):
    arrivals.came("first", "a")
    for released in ends:
        arrivals.gone("first", released)
    now[0] = 10
    assert arrivals.complete(["a"]) == ["a"]


def test_what_broke_off_is_waited_for_until_somebody_brings_the_rest(arrivals, now):
    for study in "ab":
        arrivals.came("first", study)
    arrivals.gone("first", released=False)
    now[0] = 50
    assert arrivals.complete(["a", "b"]) == []
    arrivals.came("second", "a")
    arrivals.gone("second", released=True)
    now[0] = 60
    assert arrivals.complete(["a", "b"]) == ["a"]
    arrivals.forget("a")
    now[0] = 100
    assert arrivals.complete(["b"]) == ["b"]
