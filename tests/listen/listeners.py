"""A listener in a process of its own, dcmtk's tools as sender and archive, and a stand-in for a bundle."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parents[1]
LONG_S = 90.0  # no test waits so long unless something is wrong
UNREAD = "Geheimnis"  # of the patient, in no log
SETTINGS = ("bundle_root", "dataset_dir", "output_dir", "dicom", "progress")


def needs_dcmtk() -> Any:
    missing = [name for name in ("storescu", "storescp", "echoscu") if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason="dcmtk is not installed (Debian: apt-get install dcmtk)")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = LONG_S) -> Any:
    """Wait for something to be so."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def stand_in(folder: Path) -> Path:
    """A bundle that measures nothing: a report for each study, that says how many images it saw."""
    (folder / "configs").mkdir(parents=True)
    config = "".join(f"{name}: null\n" for name in SETTINGS)
    (folder / "configs" / "inference.yaml").write_text(config, encoding="utf-8")
    metadata = {"version": "1", "network_data_format": {"inputs": {"image": {"modality": "US"}}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


def write_image(path: Path, study: int, number: int, side: int = 16, **values: Any) -> Path:
    """A small ultrasound picture; values of None take an attribute out."""
    from dicom_sources import _save, write_ultrasound

    root = f"1.3.6.1.4.1.99999.77.{study}"
    write_ultrasound(path, np.full((side, side), number % 256, np.uint8), calibrated=False)
    import pydicom

    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = root, f"{root}.1"
    dataset.SOPInstanceUID = f"{root}.1.{number}"
    for keyword, value in values.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return _save(path, dataset, {})


class Listener:
    """`fetal-monai listen` on a free port, which logs into a file."""

    def __init__(
        self,
        folder: Path,
        bundle: Path | str,
        *options: str,
        before: Sequence[str] = (),
        env: Any = None,
        **popen: Any,
    ):
        self.spool, self.log_file = folder / "spool", folder / "log.txt"
        self.command = [
            *before, sys.executable, "-m", "fetal_monai.cli", "listen",
            "--bundle", str(bundle), "--spool", str(self.spool), "--wait", "1", *options,
        ]  # fmt: skip
        self.popen = popen
        places = (
            [TESTS.parent]
            if isinstance(bundle, str)
            else [TESTS.parent, TESTS, TESTS / "listen" / "stand_in"]
        )
        self.env = {"PYTHONPATH": os.pathsep.join(map(str, places)), **(env or {})}
        self.start()

    def start(self) -> None:
        self.port = free_port()
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)],
                stderr=log,
                stdout=log,
                **self.popen,
                env={**os.environ, **self.env},
            )
        until(lambda: f":{self.port}," in self.log or self.process.poll() is not None)
        assert self.process.poll() is None, self.log

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=30)

    def studies(self, state: str) -> list[Path]:
        return sorted(path for path in (self.spool / state).iterdir() if path.is_dir())

    def images(self, state: str) -> list[Path]:
        return sorted((self.spool / state).glob("*/in/*/*.dcm"))

    def store(self, files: Iterable[Path], title: str = "SCANNER") -> Sending:
        return Sending(self.port, list(files), title)


class Sending:
    """storescu at work."""

    def __init__(self, port: int, files: Sequence[Path], title: str) -> None:
        command = ["storescu", "-v", "-nh", "-aec", "FETAL_MONAI", "-aet", title, "127.0.0.1", str(port)]
        self.process = subprocess.Popen(
            [*command, *map(str, files)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self) -> list[str]:
        """What was answered, in order."""
        self.told = self.process.communicate(timeout=LONG_S)[0]
        return re.findall(r"Received Store Response \((.*)\)", self.told)

    @property
    def sent(self) -> list[str]:
        """The files that were answered with success."""
        parts = re.split(r"Sending file: ", self.told)[1:]
        return [part.split("\n", 1)[0].strip() for part in parts if "Response (Success)" in part]


class Archive:
    """storescp, which keeps what it takes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.port = folder, free_port()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["storescp", "-aet", "PACS", "-od", str(self.folder), str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def name(self) -> str:
        return f"PACS@127.0.0.1:{self.port}"

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())
