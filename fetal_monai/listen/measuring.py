"""Ready studies through a bundle, one at a time, in a process of their own."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.listen.spool import Spool

__all__ = ["Measuring", "WorkerEndedError"]

LOG = logging.getLogger("fetal_monai.listen")
CRASHES = 3  # after which a study is put aside
AGAIN_S = 30  # until a study is tried again that found no room
NO_ROOM = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class WorkerEndedError(RuntimeError):
    """The process ended, or took too long, before it answered."""


class Measuring:
    """Runs a bundle's configuration over studies.

    Args:
        spool: where they lie.
        configs, values: configuration files and what overrides theirs, as `workflow.overrides` gives them.
        captures: also make Secondary Captures of the overlays.
        limit_s: how long a study may take.
        debug: let the process print what it will, which may be words of headers.
    """

    def __init__(
        self,
        spool: Spool,
        configs: Sequence[str],
        values: Mapping[str, Any],
        captures: bool,
        limit_s: float,
        debug: bool = False,
    ) -> None:
        self.spool, self.configs, self.values = spool, list(configs), dict(values)
        self.captures, self.limit_s = captures, limit_s
        self.debug, self._stopped = debug, False
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._not_before: dict[str, float] = {}

    def start(self) -> None:
        """Start the process, which takes seconds to be ready."""
        if self._process is not None and self._process.poll() is None:
            return
        self._answers = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fetal_monai.listen.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self.debug else subprocess.DEVNULL,  # libraries may name what they read
            text=True,
            encoding="utf-8",
        )
        threading.Thread(target=_listen, args=(self._process, self._answers), daemon=True).start()

    def stop(self) -> None:
        """End the process for good; a study that it is at is measured anew next time."""
        self._stopped = True
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):  # what it never read
                    self._process.stdin.close()

    def next(self) -> bool:
        """Measure the study that waits longest; False if there is none."""
        now = time.monotonic()
        waiting = [study for study in self.spool.studies("ready") if self._not_before.get(study, 0) <= now]
        if not waiting:
            return False
        try:
            self._measure(waiting[0])
        except Exception:
            self._not_before[waiting[0]] = now + AGAIN_S  # others go first
            raise
        return True

    def _measure(self, study: str) -> None:
        out = self.spool.begin(study)
        folder = self.spool.folder("ready", study)
        start = time.monotonic()
        try:
            answer = self._ask(folder / "in", out)
        except WorkerEndedError as ended:
            if self._stopped:
                return
            crashes = self.spool.crashed(study)
            LOG.error("study %s: %s (%d of %d times)", study, ended, crashes, CRASHES)
            if crashes >= CRASHES:
                self._aside(study, f"measuring it {ended}, {CRASHES} times; the images may be damaged")
            return
        reasons = [str(one) for one in answer.get("reasons", [])] + [answer.get("error", "")]
        if any(word in reason for reason in reasons for word in NO_ROOM):
            LOG.error("study %s: no room on the disk; tried again in %d s", study, AGAIN_S)
            self._not_before[study] = time.monotonic() + AGAIN_S
            return
        self._not_before.pop(study, None)
        if not answer.get("ok"):
            self._aside(study, "\n".join(filter(None, reasons)) or "nothing in it could be measured")
        elif not answer["objects"]:
            self._aside(study, "\n".join(filter(None, reasons)) or "no DICOM object could be made")
        else:
            self.spool.finish(study, out)
            seconds = time.monotonic() - start
            left = len(answer["reasons"])
            LOG.info(
                "study %s: %d scans measured, %d left out, %d objects, %.1f s",
                *(study, answer["ok"], left, answer["objects"], seconds),
            )

    def _ask(self, images: Path, out: Path) -> dict[str, Any]:
        self.start()
        assert self._process is not None and self._process.stdin is not None
        values = {**self.values, "dataset_dir": str(images.resolve()), "output_dir": str(out.resolve())}
        job = {
            "configs": self.configs,
            "values": values,
            "out": str(out.resolve()),
            "captures": self.captures,
        }
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self.limit_s)
        except OSError:
            line = ""
        except queue.Empty:
            self._kill()
            raise WorkerEndedError(f"took over {self.limit_s:g} s") from None
        if not line:
            self._kill()
            raise WorkerEndedError("ended the process that measures")
        return dict(json.loads(line))

    def _aside(self, study: str, reason: str) -> None:
        """Why stands beside the study: it may hold words of its headers, which the log must not."""
        self.spool.put_aside("ready", study, reason)
        LOG.warning("study %s: put aside, see %s", study, self.spool.folder("failed", study) / "reason.txt")


def _listen(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    """Hand on what the process answers, and an empty line when it has ended."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put("")
