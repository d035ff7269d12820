"""Studies on disk on their way from sender to archive: where each stands is the folder that it lies in.

    receiving/<study>/in/<series>/<instance>.dcm    more may come
    ready/<study>/in                                complete, to be measured
    done/<study>/in, out, taken                     measured, results to be sent
    sent/<study>/in, out, study.json                all results taken; in and out are cleared after a while
    failed/<study>/in, reason.txt                   put aside

A study changes its folder by one rename, and files are on disk before anything is answered, so that a process may
end at any moment: what was accepted is there, once. Names are hashes of UIDs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["LATE", "Spool", "SpoolInUseError", "short_hash"]

STATES = ("receiving", "ready", "done", "sent", "failed")
HOLDING = ("receiving", "ready", "done", "sent")  # where an instance that comes again is known
LATE = (
    "images came after their series was measured and cleared, and without the earlier ones a series is not whole; "
    "send the whole study again"
)


class SpoolInUseError(ValueError):
    """Another process works on the folder."""


def short_hash(uid: str, digits: int = 16) -> str:
    """What a UID is called on disk and in the log."""
    return hashlib.sha256(uid.strip("\0 ").encode()).hexdigest()[:digits]


class Spool:
    """The studies of one folder, which is made if missing and belongs to one process at a time.

    Raises SpoolInUseError if another process has it, and OSError if it can't be written to.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._partial = self.root / "partial"
        self._guard = _take(self.root / ".lock")
        self._lock = threading.RLock()
        shutil.rmtree(self._partial, ignore_errors=True)
        for name in (*STATES, self._partial.name):
            (self.root / name).mkdir(exist_ok=True, mode=0o700)

    def close(self) -> None:
        """Leave the folder to other processes."""
        self._guard.close()

    def keep(self, data: bytes, study_uid: str, series_uid: str, instance_uid: str) -> tuple[str, bool]:
        """Keep an instance for good; returns the study's name, and whether it is new. Raises OSError."""
        study = short_hash(study_uid)
        place = Path("in", short_hash(series_uid), f"{short_hash(instance_uid, 24)}.dcm")
        if self._holds(study, place):
            return study, False
        temporary = self._partial / secrets.token_hex(8)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                if self._holds(study, place):
                    return study, False
                target = self._path("receiving", study) / place
                _make_folders(target.parent, self._path("receiving"))
                os.rename(temporary, target)
                _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return study, True

    def studies(self, state: str) -> list[str]:
        """The studies in a state, those first that have been there longest."""
        found = [
            (path.stat().st_mtime_ns, path.name) for path in self._path(state).iterdir() if path.is_dir()
        ]
        return [name for _, name in sorted(found)]

    def folder(self, state: str, study: str) -> Path:
        return self._path(state) / study

    def instances(self, state: str, study: str) -> dict[str, set[str]]:
        """The names of the instances of each series."""
        series = sorted((self.folder(state, study) / "in").glob("*"))
        return {one.name: {path.stem for path in one.glob("*.dcm")} for one in series}

    def complete(self, study: str) -> str:
        """Hand a study on to be measured, with what is kept of it: `ready`, or nothing while a part is on its way.

        It is `failed`, and put aside, where it has a part only of a series that was measured and cleared before.
        """
        with self._lock:
            if any(self.folder(state, study).exists() for state in ("ready", "done")):
                return ""
            folder = self.folder("receiving", study)
            if not any(self.instances("receiving", study).values()):  # killed before the first was there
                self._remove(folder)
                return ""
            for state in ("sent", "failed"):
                for earlier in (self.folder(state, study) / "in").glob("*/*.dcm"):
                    target = folder / "in" / earlier.parent.name / earlier.name
                    if not target.exists():
                        _make_folders(target.parent, folder)
                        self._link(earlier, target)
            known, now = self._ledger(study), self.instances("receiving", study)
            os.utime(folder)
            if any(series in known and known[series] - now[series] for series in now):
                self._aside("receiving", study, LATE)
                return "failed"
            self._move(study, "receiving", "ready")
            return "ready"

    def begin(self, study: str) -> Path:
        """Begin to measure a ready study: a folder for it that nobody else writes to, not made yet."""
        folder = self.folder("ready", study)
        for old in folder.glob("out*"):
            self._remove(old)
        return folder / f"out-{secrets.token_hex(4)}"

    def crashed(self, study: str) -> int:
        """A ready study ended the process that measured it: how often that has happened now."""
        counter = self.folder("ready", study) / "crashes"
        count = (int(counter.read_text()) if counter.exists() else 0) + 1
        self._write(counter, str(count))
        return count

    def finish(self, study: str, out: Path) -> None:
        """The results of a ready study lie in `out`: it is done."""
        for path in out.rglob("*.dcm"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        with self._lock:
            os.rename(out, self.folder("ready", study) / "out")
            os.utime(self.folder("ready", study))
            self._move(study, "ready", "done")

    def put_aside(self, state: str, study: str, reason: str) -> None:
        """Put a study out of the way, `reason.txt` beside its images, and what was made of it."""
        with self._lock:
            self._aside(state, study, reason)

    def results(self, study: str) -> list[Path]:
        """The objects of a done study that are to be sent."""
        return sorted((self.folder("done", study) / "out").rglob("*.dcm"))

    def taken(self, study: str, receiver: str) -> set[str]:
        """The results, as paths below `out`, that a receiver has taken."""
        marks = self.folder("done", study) / "taken" / short_hash(receiver)
        return set(marks.read_text(encoding="utf-8").splitlines()) if marks.exists() else set()

    def mark_taken(self, study: str, receiver: str, names: set[str]) -> None:
        """A receiver has taken these results."""
        folder = self.folder("done", study) / "taken"
        folder.mkdir(exist_ok=True)
        names = self.taken(study, receiver) | names
        self._write(folder / short_hash(receiver), "".join(f"{name}\n" for name in sorted(names)))

    def sent(self, study: str) -> None:
        """All results of a done study are taken: only what is needed to know it again stays for good."""
        with self._lock:
            known = self._ledger(study)
            for series, instances in self.instances("done", study).items():
                known[series] = known.get(series, set()) | instances
            ledger = {series: sorted(instances) for series, instances in known.items()}
            self._write(self.folder("done", study) / "study.json", json.dumps({"series": ledger}))
            os.utime(self.folder("done", study))
            for state in ("sent", "failed"):
                self._remove(self.folder(state, study))
            self._move(study, "done", "sent")

    def clear(self, keep_seconds: float, forget_seconds: float) -> int:
        """Remove images and results of studies that were sent longer ago, and of what is older still all; how many."""
        cleared = 0
        with self._lock:
            for study in self.studies("sent"):
                folder = self.folder("sent", study)
                age = time.time() - (folder / "study.json").stat().st_mtime
                if age >= keep_seconds and (folder / "in").exists():
                    for name in ("in", "out", "taken"):
                        self._remove(folder / name)
                    cleared += 1
                if age >= forget_seconds:
                    self._remove(folder)
        return cleared

    def _path(self, state: str, study: str = "") -> Path:
        return self.root / state / study

    def _holds(self, study: str, place: Path) -> bool:
        return any((self._path(state, study) / place).exists() for state in HOLDING)

    def _ledger(self, study: str) -> dict[str, set[str]]:
        """What was measured before of each series."""
        path = self.folder("sent", study) / "study.json"
        if not path.exists():
            return {}
        return {series: set(names) for series, names in json.loads(path.read_text())["series"].items()}

    def _aside(self, state: str, study: str, reason: str) -> None:
        self._write(self.folder(state, study) / "reason.txt", f"{reason}\n")
        self._remove(self.folder("failed", study))
        self._move(study, state, "failed")

    def _move(self, study: str, before: str, after: str) -> None:
        os.rename(self.folder(before, study), self.folder(after, study))
        _sync(self._path(after))
        _sync(self._path(before))

    def _link(self, path: Path, target: Path) -> None:
        try:
            os.link(path, target)
        except OSError:  # a file system without links
            temporary = self._partial / secrets.token_hex(8)
            shutil.copyfile(path, temporary)
            os.rename(temporary, target)

    def _remove(self, path: Path) -> None:
        """Out of sight at once, then for good."""
        if path.exists():
            trash = self._partial / secrets.token_hex(8)
            os.rename(path, trash)
            shutil.rmtree(trash, ignore_errors=True)

    def _write(self, path: Path, text: str) -> None:
        temporary = self._partial / secrets.token_hex(8)
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync(path.parent)


def _take(path: Path) -> IO[str]:
    """Keep others from the spool for as long as this process lives."""
    file = path.open("a")
    with contextlib.suppress(ImportError):  # Windows: the port is taken, which keeps most others away
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise SpoolInUseError(
                f"{path.parent}: another listener works on it; give another --spool"
            ) from error
    return file


def _make_folders(folder: Path, top: Path) -> None:
    """Make a folder below `top`, each new name on disk."""
    missing = [one for one in _up_to(folder, top) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700)
        _sync(one.parent)


def _up_to(folder: Path, top: Path) -> Iterator[Path]:
    while folder != top:
        yield folder
        folder = folder.parent


def _sync(folder: Path) -> None:
    """A rename is on disk when its folder is."""
    if os.name != "posix":  # no handle on folders elsewhere
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
