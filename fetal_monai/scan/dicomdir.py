"""DICOMDIR, the table of contents of a disc or an exported study: which images belong to it, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fetal_monai.scan.errors import ScanError, is_of_the_system

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["ListedImage", "dicomdir_of", "missing_text", "read_dicomdir"]

NAME = "dicomdir"
IMAGE = "IMAGE"  # the type of record, PS3.3 F.5
LOWER, NEXT, FIRST = (
    "OffsetOfReferencedLowerLevelDirectoryEntity",
    "OffsetOfTheNextDirectoryRecord",
    "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity",
)


class ListedImage(NamedTuple):
    """An image that a DICOMDIR lists: `path` is None where it is not there, `name` its path below the DICOMDIR."""

    path: Path | None
    name: str
    series: str


def dicomdir_of(path: Path) -> tuple[Path | None, list[ListedImage]]:
    """The DICOMDIR that a path is, or that stands in a folder, and what it lists; None and nothing without one.

    Raises ScanError if the path itself is a DICOMDIR that can't be read; one in a folder is then passed over.
    """
    if path.is_file():
        return (path, read_dicomdir(path)) if path.name.lower() == NAME else (None, [])
    for child in sorted(path.iterdir()) if path.is_dir() else ():
        if child.name.lower() == NAME and child.is_file():
            with suppress(ScanError):
                return child, read_dicomdir(child)
    return None, []


def read_dicomdir(path: Path) -> list[ListedImage]:
    """The images that a DICOMDIR lists, sorted by name, each with its SeriesInstanceUID.

    Files are found whether the disc was copied in upper or lower case. Raises ScanError if it is damaged, or if a name
    leads out of its folder.
    """
    from pydicom import dcmread

    try:
        dataset = dcmread(path)
        images = [
            _located(path.parent, record, series)
            for record, series in _records(dataset)
            if record.get("DirectoryRecordType") == IMAGE and record.get("ReferencedFileID")
        ]
    except Exception as error:  # whatever pydicom makes of such bytes
        if isinstance(error, ScanError) or is_of_the_system(error):
            raise
        raise ScanError(
            f"{path}: is no DICOMDIR, or damaged ({error}); give the folder that holds the images"
        ) from error
    return sorted(images, key=lambda one: one.name)


def missing_text(images: Sequence[ListedImage]) -> str:
    """What is said of a series of which these images are not there."""
    count = "an image" if len(images) == 1 else f"{len(images)} images"
    return f"its DICOMDIR lists {count} more, such as {images[0].name}; copy the whole disc or study again"


def _records(dataset: Dataset) -> Iterator[tuple[Dataset, str]]:
    """All records in use, each with the series that it stands below."""
    by_offset = {item.seq_item_tell: item for item in dataset.DirectoryRecordSequence}
    waiting = [(int(dataset[FIRST].value), "")]
    while waiting:
        offset, series = waiting.pop()
        record = by_offset.pop(offset, None)  # each once, whatever the offsets say
        if record is None:
            continue
        waiting.append((int(record.get(NEXT) or 0), series))
        below = str(record.get("SeriesInstanceUID") or "") or series
        waiting.append((int(record.get(LOWER) or 0), below))
        if record.get("RecordInUseFlag", 0xFFFF) != 0:
            yield record, below


def _located(folder: Path, record: Dataset, series: str) -> ListedImage:
    value = record.ReferencedFileID
    parts = [str(part).strip() for part in ([value] if isinstance(value, str) else value)]
    if any(part in ("", ".", "..") or "/" in part or "\\" in part or ":" in part for part in parts):
        raise ScanError(
            f"{folder}: its DICOMDIR names files outside of it; give the folder that holds the images"
        )
    found: Path | None = folder
    for part in parts:
        found = None if found is None else _child(found, part)
    return ListedImage(found if found is not None and found.is_file() else None, "/".join(parts), series)


def _child(folder: Path, name: str) -> Path | None:
    for spelt in (name, name.lower(), f"{name};1"):
        if (folder / spelt).exists():
            return folder / spelt
    return next((child for child in folder.iterdir() if child.name.lower() == name.lower()), None)
