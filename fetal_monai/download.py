"""Files fetched over HTTP: taken up again where a connection broke, and checked before they get their name."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["FetchError", "download", "read_json"]

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0
TRIES = 4  # in a row without a byte
AGENT = "fetal-monai"


class FetchError(Exception):
    """Something could not be fetched; the message says what would help."""


def download(
    url: str,
    target: str | Path,
    *,
    size: int | None = None,
    md5: str | None = None,
    progress: bool = False,
    pause_seconds: float = 1.0,
) -> Path:
    """Fetch a file, or what is missing of it: `<target>.part` grows, and becomes `target` once it is complete.

    A server without ranges, or with another file than the part is of, starts anew. `size` (bytes) and `md5` are checked
    if known. Waits `pause_seconds`, and longer each time, before it tries again. Raises FetchError.
    """
    target = Path(target)
    if target.is_file():
        if problem := _problem(target, size, md5):
            raise FetchError(f"{target} is there already, but {problem}; remove it and fetch again")
        return target
    part = target.with_name(target.name + ".part")
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    _check_space(part, size)
    with _bar(target.name, size, progress) as bar:
        failures = 0
        while True:
            before = _length(part)
            try:
                total = _fetch_more(url, part, size, bar)
                if total is None or _length(part) == total:
                    break
                trouble: object = f"connection lost after {_length(part)} of {total} bytes"
            except urllib.error.HTTPError as error:
                if error.code not in (408, 425, 429, 500, 502, 503, 504):
                    raise FetchError(f"{url}: the server says {error.code} {error.reason}") from error
                trouble = f"the server says {error.code} {error.reason}"
            except (OSError, http.client.HTTPException) as error:
                trouble = getattr(error, "reason", None) or error
                if (
                    before == 0
                    and _length(part) == 0
                    and isinstance(trouble, OSError)
                    and not _temporary(trouble)
                ):
                    raise FetchError(_offline(url, trouble)) from error
            failures = 0 if _length(part) > before else failures + 1
            if failures >= TRIES:
                raise FetchError(
                    f"{_offline(url, trouble)}; what has arrived is kept, so fetching again goes on there"
                )
            time.sleep(pause_seconds * 2**failures)
    if problem := _problem(part, size, md5):
        part.unlink()
        _validator(part).unlink(missing_ok=True)
        raise FetchError(f"{url}: {problem}; it was removed, fetch again. If it stays so, tell the publisher")
    part.replace(target)
    _validator(part).unlink(missing_ok=True)
    return target


def read_json(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
    """What a server answers as JSON. Raises FetchError."""
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
            return json.loads(response.read(8 * CHUNK))
    except ValueError as error:
        raise FetchError(f"{url}: the answer is no JSON") from error
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(_offline(url, getattr(error, "reason", None) or error)) from error


def _fetch_more(url: str, part: Path, size: int | None, bar: Any) -> int | None:
    """Append what the server has beyond the part; the whole length in bytes, None if the server does not say."""
    offset = _length(part)
    if size is not None and offset > size:
        offset = 0
    if size is not None and offset == size:
        return size
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    validator = _validator(part)
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator.is_file():
            headers["If-Range"] = validator.read_text(encoding="utf-8")
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the part is as long as the file, or longer
            raise
        error.close()
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            return offset
        part.unlink()
        return _fetch_more(url, part, size, bar)
    with response:
        start, total = _range(response)
        if start != offset:
            start, total = 0, _length_header(response)
        tag = response.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):
            with _writing(validator):
                validator.write_text(tag, encoding="utf-8")
        if bar is not None:
            bar.total = bar.total or total
            bar.n = start
            bar.refresh()
        with _writing(part), part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
        while chunk := response.read(CHUNK):
            with _writing(part), part.open("ab") as file:
                file.write(chunk)
            if bar is not None:
                bar.update(len(chunk))
    return total


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tells a disk that cannot be written to from a network that is gone: both are OSError."""
    try:
        yield
    except OSError as error:
        raise FetchError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error


def _range(response: Any) -> tuple[int, int | None]:
    """Where the answer starts and how long the whole file is, of a 206; (-1, None) of any other answer."""
    if response.status != 206:
        return -1, None
    try:
        unit, _, rest = response.headers["Content-Range"].partition(" ")
        span, _, whole = rest.partition("/")
        return int(span.partition("-")[0]) if unit == "bytes" else -1, None if whole == "*" else int(whole)
    except (TypeError, ValueError, AttributeError):
        return -1, None


def _length_header(response: Any) -> int | None:
    text = response.headers.get("Content-Length") or ""
    return int(text) if text.isdigit() else None


def _problem(path: Path, size: int | None, md5: str | None) -> str:
    """What is wrong with a complete file, "" if nothing."""
    if size is not None and _length(path) != size:
        return f"it has {_length(path)} bytes and should have {size}"
    if md5 is None:
        return "" if _length(path) else "it is empty"
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return "" if digest.hexdigest() == md5.lower() else f"its MD5 is {digest.hexdigest()} and should be {md5}"


def _check_space(part: Path, size: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - _length(part) > free:
        needed = (size - _length(part)) / 1e9
        raise FetchError(
            f"{part.parent}: {needed:.1f} GB are needed and {free / 1e9:.1f} GB are free; choose another --out"
        )


def _bar(name: str, size: int | None, progress: bool) -> Any:
    if not progress:
        return nullcontext()
    from tqdm import tqdm

    return tqdm(total=size, desc=name, unit="B", unit_scale=True, unit_divisor=1024, leave=False)


def _temporary(error: OSError) -> bool:
    return isinstance(error, TimeoutError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError)


def _offline(url: str, error: object) -> str:
    return f"{urlsplit(url).netloc or url}: no connection ({error}); check the network, proxy or firewall for {url}"


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
