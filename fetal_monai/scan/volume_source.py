"""The volumes that a folder holds: files, and DICOM series gathered from their slices, before any voxel is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fetal_monai.scan.dicomdir import ListedImage, dicomdir_of, missing_text
from fetal_monai.scan.errors import ScanError, is_of_the_system
from fetal_monai.scan.source import (
    OWN_OUTPUTS,
    ScanSource,
    bare_name,
    kind_of,
    posix_below,
    unique_stems,
    walk,
)

__all__ = ["find_volumes"]

LABEL_NAMES = (
    "mask",
    "dseg",
    "probseg",
    "label",
    "labels",
    "parcellation",
)  # as BIDS and the atlases name them
READ_TYPES = "NIfTI, MHA, NRRD and DICOM series are read"
PICTURES = "2D pictures are for the bundle fetal_head_ultrasound_segmentation"


class _Slice(NamedTuple):
    path: Path
    filename: str
    series: str
    number: str


def find_volumes(path: str | Path, pictures: bool = False) -> tuple[list[ScanSource], list[dict[str, str]]]:
    """List the volumes of a file or, recursively and sorted, of a folder, and what is left out and why.

    Slices of one folder with one SeriesInstanceUID are a volume, named after the folder, or
    `<folder>/series_<number>` where it holds several; those of a DICOMDIR, or of a folder that has one, wherever they
    lie. Masks, label maps and outputs of earlier runs are known by
    their names. With `pictures`, PNG, JPEG, BMP and TIFF count as volumes of one slice. Two inputs that would write the
    same outputs both carry an error. Raises ScanError if the path does not exist or holds no volume at all.
    """
    path = Path(path)
    skipped: list[dict[str, str]] = []
    dicomdir, listed = dicomdir_of(path)
    if dicomdir == path:
        root, files = path.parent, [image.path for image in listed if image.path is not None]
    elif path.is_file():
        root, files = path.parent, [path]
        if (kind := kind_of(path)) in ("", *(() if pictures else ("raster",))):
            raise ScanError(
                f"{path}: is a 2D picture, not a volume; {PICTURES}"
                if kind
                else f"{path}: is no volume by its name and content; {READ_TYPES}"
            )
    elif path.is_dir():
        root, files = path, []
        for file in sorted(walk(path), key=lambda file: posix_below(file, path)):
            if why := _reason_to_skip(file, pictures):
                skipped.append({"filename": posix_below(file, path), "reason": why})
            else:
                files.append(file)
    else:
        raise ScanError(f"{path}: does not exist; give a folder of volumes, or one volume")
    sources: list[ScanSource] = []
    slices: dict[Path, list[_Slice]] = defaultdict(list)
    for file in files:
        filename = posix_below(file, root)
        try:
            if file.stat().st_size == 0:
                raise ScanError("is empty (0 bytes); copy it again from its source")
            if kind_of(file) != "dicom":
                sources.append(_file(file, filename))
            elif (found := _slice(file, filename)) is not None:
                slices[root if dicomdir else file.parent].append(found)
            else:
                skipped.append({"filename": filename, "reason": "a DICOM without an image"})
        except ScanError as error:
            sources.append(replace(_file(file, filename), error=f"{filename}: {error}"))
        except OSError as error:
            text = f"{filename}: cannot be opened ({error.strerror})"
            sources.append(replace(_file(file, filename), error=text))
    for folder, members in slices.items():
        below = posix_below(folder, root)
        sources += _series(folder, "" if below == "." else below, members, root, listed)
    if not sources:
        among = f" among its {len(skipped)} files" if skipped else ""
        hint = f"; {PICTURES}" if any("2D" in entry["reason"] for entry in skipped) else ""
        raise ScanError(f"{path}: no volume found{among}; {READ_TYPES}{hint}")
    return unique_stems(sorted(sources, key=lambda source: source.filename)), skipped


def _reason_to_skip(path: Path, pictures: bool) -> str:
    name = bare_name(path.name)
    if name.endswith((*OWN_OUTPUTS, "_crop")):
        return "an output of an earlier run"
    kind = kind_of(path)
    if kind == "raster" and not pictures:
        return "a 2D picture, not a volume"
    if kind in ("volume", "raster") and name.lower().replace("-", "_").rpartition("_")[2] in LABEL_NAMES:
        return "a mask or label map by its name"
    return "" if kind else "not a volume type that is read"


def _file(path: Path, filename: str) -> ScanSource:
    parent, _, name = filename.rpartition("/")
    return ScanSource(path, filename, f"{parent}/{bare_name(name)}" if parent else bare_name(name))


def _slice(path: Path, filename: str) -> _Slice | None:
    from fetal_monai.scan.dicom import read_header

    try:
        header = read_header(path, ["SeriesInstanceUID", "SeriesNumber", "Rows"])
        if not header.get("Rows"):
            return None
        number = header.get("SeriesNumber")
        uid, number = str(header.get("SeriesInstanceUID") or ""), "" if number is None else str(int(number))
    except Exception as error:  # whatever pydicom makes of such bytes
        if isinstance(error, ScanError) or is_of_the_system(error):
            raise
        raise ScanError(f"its DICOM header is damaged ({error}); copy it again from its source") from error
    return _Slice(path, filename, uid, number)


def _series(
    folder: Path, below: str, slices: Sequence[_Slice], root: Path, listed: Sequence[ListedImage]
) -> list[ScanSource]:
    """The volumes of one folder: a series of one file is named after it. What is `listed` must be there."""
    by_series: dict[str, list[_Slice]] = defaultdict(list)
    for one in slices:
        by_series[one.series].append(one)
    missing: dict[str, list[ListedImage]] = defaultdict(list)
    for image in listed:
        if image.path is None:
            missing[image.series].append(image)
    sources: list[ScanSource] = []
    several = [members for members in by_series.values() if len(members) > 1]
    numbers = [members[0].number for members in several]
    for series, members in by_series.items():
        files = tuple(one.path for one in members)
        if len(members) == 1:
            source = replace(_file(members[0].path, members[0].filename), files=files)
        else:
            name, number = below or root.resolve().name or "series", members[0].number
            if len(several) > 1:
                again = f"_{several.index(members) + 1}" if numbers.count(number) > 1 else ""
                name = f"{below}/series_{number}{again}".lstrip("/")
            source = ScanSource(folder, name, name, files=files)
        if series in missing:
            source = replace(source, error=f"{source.filename}: {missing_text(missing[series])}")
        sources.append(source)
    return sources
