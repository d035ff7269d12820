"""The scans that a folder holds: found by name and header, before any pixel is read."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fetal_monai.scan.errors import ScanError

__all__ = [
    "OWN_OUTPUTS",
    "ScanSource",
    "bare_name",
    "find_scans",
    "has_dicom_magic",
    "kind_of",
    "posix_below",
    "source_of",
    "unique_stems",
    "walk",
]

RASTER = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VOLUME = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
DICOM = (".dcm", ".dicom", ".ima")
OWN_OUTPUTS = ("_seg", "_map", "_overlay", "_compare")
OWN_REPORT = "_sr"  # in DICOM
MAX_FRAMES = 100_000
NOT_THERE = "is listed in the DICOMDIR, but not there; copy the whole disc or study again"
READ_TYPES = "PNG, JPEG, BMP, TIFF, DICOM, NIfTI, MHA and NRRD are read"


@dataclass(frozen=True)
class ScanSource:
    """One picture or volume to read: a file, a frame of a multi-frame file, or a DICOM series.

    `filename` is the POSIX path below the input folder, `stem` what its outputs are named after, `frame`
    0-based; `error` is the reason if it is already known to fail. Where it is a DICOM series, `path` is the
    folder and `files` are its slices.
    """

    path: Path
    filename: str
    stem: str
    frame: int | None = None
    error: str = ""
    files: tuple[Path, ...] = ()


def source_of(scan: ScanSource | str | Path) -> ScanSource:
    """The source that a path stands for; a source stays as it is."""
    if isinstance(scan, ScanSource):
        return scan
    path = Path(scan)
    return ScanSource(path, path.name, bare_name(path.name))


def find_scans(path: str | Path) -> tuple[list[ScanSource], list[dict[str, str]]]:
    """List the scans of a file, of a DICOMDIR or, recursively and sorted, of a folder, and what is left out and why.

    Hidden files and folders are not looked at. Two inputs that would write the same outputs both carry an error, and
    so does an image that a DICOMDIR lists, but that is not there. Raises ScanError if the path does not exist or holds
    no image at all.
    """
    from fetal_monai.scan.dicomdir import dicomdir_of

    path = Path(path)
    dicomdir, listed = dicomdir_of(path)
    if path.is_file() and dicomdir is None:
        if not kind_of(path):
            raise ScanError(f"{path}: is no image by its name and content; {READ_TYPES}")
        return unique_stems(_sources(path, path.name)), []
    if not path.is_dir() and dicomdir is None:
        raise ScanError(f"{path}: does not exist; give a folder of images, or one image")
    sources = [
        ScanSource(path.parent / image.name, image.name, image.name, error=f"{image.name}: {NOT_THERE}")
        for image in listed
        if image.path is None
    ]
    skipped: list[dict[str, str]] = []
    root = path if path.is_dir() else path.parent
    files = walk(path) if path.is_dir() else (image.path for image in listed if image.path is not None)
    for file in sorted(files, key=lambda file: posix_below(file, root)):
        filename = posix_below(file, root)
        if reason := _reason_to_skip(file):
            skipped.append({"filename": filename, "reason": reason})
        else:
            sources += _sources(file, filename)
    if not sources:
        found = f" among its {len(skipped)} files" if skipped else ""
        raise ScanError(f"{path}: no image found{found}; {READ_TYPES}")
    return unique_stems(sources), skipped


def kind_of(path: Path) -> str:
    """`raster`, `volume` or `dicom` by the name, else by DICOM's magic word; empty if it is none of them."""
    name = path.name.lower()
    for kind, endings in (("raster", RASTER), ("volume", VOLUME), ("dicom", DICOM)):
        if name.endswith(endings):
            return kind
    return "dicom" if name != "dicomdir" and has_dicom_magic(path) else ""


def has_dicom_magic(path: Path) -> bool:
    """Whether the file starts as DICOM files do; False if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _reason_to_skip(path: Path) -> str:
    stem = bare_name(path.name)
    if stem.endswith("_Annotation"):
        return "an outline drawn for another scan (HC18)"
    if stem.endswith(OWN_OUTPUTS):
        return "an output of an earlier run"
    if stem.endswith(OWN_REPORT) and kind_of(path) == "dicom":
        return "an output of an earlier run"
    return "" if kind_of(path) else "not an image type that is read"


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, links followed, without hidden files and folders."""
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root, name) for name in names if not name.startswith("."))


def _sources(path: Path, filename: str) -> list[ScanSource]:
    parent, _, name = filename.rpartition("/")
    stem = f"{parent}/{bare_name(name)}" if parent else bare_name(name)
    source = ScanSource(path, filename, stem)
    try:
        if path.stat().st_size == 0:
            raise ScanError("is empty (0 bytes); copy it again from its source")
        frames = _count_frames(path)
    except ScanError as error:
        return [replace(source, error=f"{filename}: {error}")]
    except OSError as error:
        return [replace(source, error=f"{filename}: cannot be opened ({error.strerror})")]
    if frames > MAX_FRAMES:
        return [replace(source, error=f"{filename}: claims to hold {frames} frames; its header is damaged")]
    if frames == 1:
        return [source]
    return [replace(source, stem=f"{stem}_frame{frame + 1:04d}", frame=frame) for frame in range(frames)]


def _count_frames(path: Path) -> int:
    if kind_of(path) != "dicom":
        return 1
    from fetal_monai.scan.dicom import count_frames

    return count_frames(path)


def unique_stems(sources: list[ScanSource]) -> list[ScanSource]:
    """The sources, with an error for those that would write the same outputs."""
    by_stem = defaultdict(list)
    for source in sources:
        by_stem[source.stem].append(source.filename)
    return [
        replace(
            source,
            error=f"{' and '.join(names)} would write the same outputs ({source.stem}_seg); rename one",
        )
        if len(names := by_stem[source.stem]) > 1
        else source
        for source in sources
    ]


def bare_name(name: str) -> str:
    """A file's name without the ending of its type."""
    for ending in (*VOLUME, *RASTER, *DICOM):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def posix_below(file: Path, folder: Path) -> str:
    """The path below the folder as text; bytes that are no UTF-8 become a replacement character."""
    return os.fsencode(file.relative_to(folder).as_posix()).decode("utf-8", "replace")
