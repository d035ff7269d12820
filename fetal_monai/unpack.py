"""Archives unpacked with care: nothing leaves the folder, nothing grows without bound, nothing is left by halves."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from fetal_monai.download import FetchError

__all__ = ["is_archive", "unpack"]

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MOST_ENTRIES = 1_000_000
MOST_RATIO = 100  # unpacked to packed, plus
SPARE_BYTES = 100 << 20
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def is_archive(path: str | Path) -> bool:
    """Whether the name is that of an archive that `unpack` takes."""
    return Path(path).name.lower().endswith(ENDINGS)


def unpack(archive: str | Path, folder: str | Path, nested: bool = False) -> int:
    """Unpack a ZIP or TAR file into a folder and return how many files there were; with `nested`, archives within too.

    Everything is unpacked beside the folder's content first and moved when complete. What Apple's archiver adds
    (`__MACOSX`, `._name`) is left out. Raises FetchError for a damaged archive, for links and devices, for names that
    lead out of the folder, and for content over 100 times as large as the archive or as the free space.
    """
    archive, folder = Path(archive), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
        root = Path(temporary)
        count = _extract(archive, root)
        for inner in sorted(root.rglob("*")) if nested else ():
            if inner.is_file() and is_archive(inner):
                count += _extract(inner, inner.parent) - 1
                inner.unlink()
        for file in sorted(root.rglob("*")):
            if file.is_file():
                target = folder / file.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
    return count


def _extract(archive: Path, root: Path) -> int:
    room = min(archive.stat().st_size * MOST_RATIO + SPARE_BYTES, shutil.disk_usage(root).free)
    count = 0
    try:
        for name, size, content in _entries(archive):
            count += 1
            room -= size
            if room < 0 or count > MOST_ENTRIES:
                raise FetchError(
                    f"{archive}: far larger unpacked than packed, or than the disk has room for; left packed"
                )
            target = root / _safe(archive, name)
            if any(part.startswith("._") or part == "__MACOSX" for part in target.relative_to(root).parts):
                count -= 1
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            if target.stat().st_size != size:
                raise EOFError(f"{name} is cut off")
    except BROKEN as error:
        raise FetchError(f"{archive}: damaged or incomplete ({error}); remove it and fetch again") from error
    return count


def _entries(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size in bytes and content of every file in an archive."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise FetchError(f"{archive}: holds a link, {info.filename}; left packed")
                if not info.is_dir():
                    yield info.filename, info.file_size, packed.open(info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise FetchError(f"{archive}: holds a link or a device, {member.name}; left packed")
            yield member.name, member.size, content


def _safe(archive: Path, name: str) -> PurePosixPath:
    """A path below the folder; FetchError if the name leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0] or "\0" in name:
        raise FetchError(f"{archive}: holds a name that leads out of its folder, {name!r}; left packed")
    return path
