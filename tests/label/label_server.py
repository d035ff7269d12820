"""A MONAI Label server in a process of its own, and what a client says to it over HTTP."""

from __future__ import annotations

import email.parser
import email.policy
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fetal_monai.bundles import list_bundles

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "data" / "samples"
LABEL_BIN = ROOT / ".venv-label" / "bin"
PICTURE = "Patient00803_Plane3_3_of_5"
SERVED = [bundle.name for bundle in list_bundles() if "inference" in bundle.workflows and bundle.weights]
IMAGES = {  # that each bundle is asked about; one that is not named here about a picture of the brain
    **dict.fromkeys(SERVED, PICTURE),
    "brain_tumour_mri_segmentation": "pat0003_flair",
    "fetal_brain_mri_segmentation": "GA26_T2w",
    "fetal_brain_stack_segmentation": "sub-01_run-3_T2w",
    "fetal_head_ultrasound_segmentation": "043_HC",
    "fetal_brain_ultrasound_anomaly": "043_HC",
}
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def environment(folder: Path) -> dict[str, str]:
    """Of the server: a user's folders that are new, no network, its own programs first in the path."""
    return {
        **os.environ,
        **OFFLINE,
        "no_proxy": "127.0.0.1",
        "HOME": str(folder),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        "PATH": f"{LABEL_BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_DATA_HOME": str(folder / "data"),
    }


@dataclass
class Answer:
    """Of a request: its status, the JSON (of an inference ``params``), and the file that came with it."""

    status: int
    json: Any
    file: bytes = b""
    filename: str = ""


@dataclass
class Server:
    """Runs ``command`` with the port in place of ``{port}`` and answers once ``/info/`` does."""

    command: list[str]
    folder: Path
    studies: Path
    port: int = field(default_factory=lambda: free_port())

    def start(self, seconds: float = 600) -> Server:
        self.log = open(self.folder / "server.log", "wb")  # noqa: SIM115  closed in stop
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        clock = time.monotonic()
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, env=environment(self.folder), cwd=self.folder
        )
        while time.monotonic() - clock < seconds and self.process.poll() is None:
            try:
                if self.get("/info/").status == 200:
                    self.cpu_seconds = self._cpu_seconds()
                    return self
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"no server: {(self.folder / 'server.log').read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def get(self, path: str, **query: Any) -> Answer:
        return self._ask("GET", path, query)

    def post(self, path: str, content: Any, **query: Any) -> Answer:
        return self._ask("POST", path, query, json.dumps(content).encode(), "application/json")

    def put(
        self, path: str, name: str, file: Path, fields: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        return self._ask("PUT", path, query, *_form(fields or {}, {name: file}))

    def infer(
        self, model: str, image: str = "", params: dict[str, Any] | None = None, file: Path | None = None
    ) -> Answer:
        form = _form({"params": json.dumps(params or {})}, {"file": file} if file else {})
        return self._ask("POST", f"/infer/{model}", {"image": image}, *form)

    def upload(self, file: Path) -> str:
        answer = self.put("/datastore/image", "file", file)
        assert answer.status == 200, answer
        return str(answer.json["image"])

    def label(self, image: str, file: Path, tag: str = "final", **params: Any) -> Answer:
        return self.put(
            "/datastore/label", "label", file, {"params": json.dumps(params)}, image=image, tag=tag
        )

    def _ask(
        self, method: str, path: str, query: dict[str, Any], body: bytes | None = None, kind: str = ""
    ) -> Answer:
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, body, {"Content-Type": kind} if kind else {}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=500
            ) as got:
                return _answer(got.status, got.headers.get("Content-Type", ""), got.read())
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.headers.get("Content-Type", ""), error.read())

    def _cpu_seconds(self) -> float:
        """What the server's process has worked so far: does not grow while others work."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _form(fields: dict[str, str], files: dict[str, Path]) -> tuple[bytes, str]:
    mark, parts = uuid.uuid4().hex, []
    for name, value in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode())
    for name, file in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file.name}"\r\n'
        parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + file.read_bytes())
    body = (
        b"".join(b"--%s\r\n%s\r\n" % (mark.encode(), part) for part in parts) + b"--%s--\r\n" % mark.encode()
    )
    return body, f"multipart/form-data; boundary={mark}"


def _answer(status: int, kind: str, body: bytes) -> Answer:
    if kind.startswith("multipart/"):
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            f"Content-Type: {kind}\r\n\r\n".encode() + body
        )
        answer = Answer(status, None)
        for part in message.iter_parts():
            content = part.get_payload(decode=True)
            if part.get_content_type() == "application/json" and answer.json is None:
                answer.json = json.loads(content)
            else:
                answer.file, answer.filename = content, part.get_filename() or ""
        return answer
    try:
        return Answer(status, json.loads(body))
    except ValueError:
        return Answer(status, None, body)
