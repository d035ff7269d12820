"""Files that are written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic_path", "atomic_write", "plain", "remove_leftovers", "write_csv", "write_json"]

_TEMPORARY = re.compile(r"\.(\d+)-([0-9a-f]{8})[0-9a-f]{8}\.tmp")
_PROCESS = secrets.token_hex(4)  # process ids come again, in containers often


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is gone otherwise.

    It ends as `path` does (".nii.gz"), for writers that go by the suffix. Makes the folder if needed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:])[-16:]
    temporary = path.with_name(f".{os.getpid()}-{_PROCESS}{secrets.token_hex(4)}.tmp{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write a whole file or none: OSError leaves what was there before. Text is UTF-8, newlines as given."""
    if isinstance(data, str):
        data = data.encode("utf-8", "backslashreplace")  # file names can hold bytes that are no UTF-8
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV whole or not at all: UTF-8, commas, a line feed after each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    atomic_write(path, text.getvalue())


def write_json(path: str | Path, content: Any, indent: int | None = 2) -> None:
    """Write JSON whole or not at all; NaN and infinity become null."""
    atomic_write(path, json.dumps(plain(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The same in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # a NumPy array or scalar
        return plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def remove_leftovers(folder: str | Path) -> None:
    """Remove temporary files under `folder` whose process was killed before it could."""
    for root, _, names in os.walk(folder):
        for name in names:
            match = _TEMPORARY.match(name)
            if match and not _is_writing(int(match[1]), match[2]):
                Path(root, name).unlink(missing_ok=True)


def _is_writing(process_id: int, process: str) -> bool:
    if process_id == os.getpid():
        return process == _PROCESS
    if os.name != "posix":
        return True  # no harmless way to ask
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
