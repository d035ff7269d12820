"""Which DICOM series of a study are meant: those asked for, else the one that fits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.patient_headers import OTHER_TYPES, OTHER_WORDS, image_types
from fetal_monai.scan.patient_names import OTHER, T1_OR_FLAIR, kind_of_words, words_of
from fetal_monai.scan.source import ScanSource, kind_of

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["ALL", "Asked", "Series", "asked_series", "choose_pictures", "choose_volumes", "only_series"]

ALL = "all"
LOCALIZERS = {"localizer", "localiser", "loc", "scout", "survey"}
OTHER_KINDS = {"t1": "T1-weighted", "t1c": "T1-weighted", "flair": "FLAIR", T1_OR_FLAIR: "T1 FLAIR"}
PICTURES = ("US", "IVUS", "OT", "XC", "")  # modalities, see `fetal_monai.scan.dicom`
VOLUMES = ("MR", "OT", "")
NAMED = 12  # series, at most, in a message
Asked = str | tuple[str, ...] | None
Found = tuple[list[ScanSource], list[dict[str, str]]]


@dataclass(frozen=True)
class Series:
    """A series as its first image describes it; `unfit` says why it can be no T2-weighted stack, nothing if it may."""

    study: str
    uid: str
    number: str
    description: str = ""
    images: int = 1
    unfit: str = ""

    @property
    def names(self) -> set[str]:
        """What it may be asked for by."""
        return {self.number, self.uid} - {""}

    @property
    def text(self) -> str:
        """As messages name it: `5 (T2 HASTE COR, 24 images)`."""
        words = [self.description, f"{self.images} image{'s' if self.images != 1 else ''}", self.unfit]
        return f"{self.number or self.uid} ({', '.join(filter(None, words))})"


def asked_series(value: Any) -> Asked:
    """`all`, the numbers or UIDs that a value names, or None of none; ValueError for what is neither."""
    values = value if isinstance(value, (list, tuple)) else str("" if value is None else value).split(",")
    names = tuple(str(one).strip().lower() for one in values if str(one).strip())
    if not names or names[0] in ("null", "none", "~"):
        return None
    if names == (ALL,):
        return ALL
    if wrong := [name for name in names if not name.replace(".", "").isdigit()]:
        raise ValueError(f"series is {', '.join(wrong)}; give numbers of series, their UIDs, or {ALL}")
    return names


def choose_volumes(found: Found, asked: Asked) -> Found:
    """The volumes that are meant, and what is left out and why.

    Of a study with several DICOM series the one counts that fits: no localizer, diffusion, T1-weighted or single image.
    With `all`, each that fits does. Where several fit, or none, the study carries an error that lists them. Files that
    are no DICOM stay, unless series are asked for by name. Raises ScanError if such a one is not there, and if there is
    nothing but studies of which it must be asked.
    """
    sources, skipped = list(found[0]), list(found[1])
    known = {place: one for place, source in enumerate(sources) if (one := _series_of(source)) is not None}
    if isinstance(asked, tuple):
        return _only(sources, skipped, known, asked)
    studies: dict[str, list[int]] = defaultdict(list)
    for place, series in known.items():
        studies[series.study or series.uid].append(place)
    dropped: set[int] = set()
    questions: dict[int, ScanSource] = {}
    for places in studies.values():
        fitting = [place for place in places if not known[place].unfit]
        if len(places) == 1:
            continue
        if not fitting or (len(fitting) > 1 and asked != ALL):
            told = fitting or places
            questions[told[0]] = _question(
                [sources[n] for n in told], [known[n] for n in told], bool(fitting)
            )
            dropped |= set(places) - {told[0]}
            continue
        dropped |= set(places) - set(fitting)
    for place in sorted(dropped):
        reason = known[place].unfit or "which series is meant must be asked"
        skipped.append({"filename": sources[place].filename, "reason": reason})
    kept = [questions.get(place, source) for place, source in enumerate(sources) if place not in dropped]
    if questions and len(kept) == len(questions):
        raise ScanError("; ".join(question.error for question in questions.values()))
    return kept, skipped


def only_series(found: Found, asked: Asked) -> Found:
    """The volumes of series that are asked for by name, all of them where none is; raises as `choose_volumes` does."""
    if not isinstance(asked, tuple):
        return found
    sources, skipped = list(found[0]), list(found[1])
    known = {place: one for place, source in enumerate(sources) if (one := _series_of(source)) is not None}
    return _only(sources, skipped, known, asked)


def choose_pictures(found: Found, asked: Asked) -> Found:
    """The 2D scans that are meant, and what is left out and why: of DICOM, ultrasound in the series asked for.

    Files without an image, and of other modalities, stay where there is nothing else, so that they say what is wrong.
    Raises ScanError if a series that is asked for is not there.
    """
    sources, skipped = list(found[0]), list(found[1])
    headers = {path: _header(path) for path in dict.fromkeys(one.path for one in sources if not one.error)}
    reasons = {path: reason for path, header in headers.items() if header and (reason := _no_picture(header))}
    if len(reasons) < len({source.path for source in sources}):
        left_out = {source.path: source.filename for source in sources if source.path in reasons}
        skipped += [{"filename": name, "reason": reasons[path]} for path, name in left_out.items()]
        sources = [source for source in sources if source.path not in reasons]
    if not isinstance(asked, tuple):
        return sources, skipped
    series = {path: _describe(header) for path, header in headers.items() if header is not None}
    known = {place: series[one.path] for place, one in enumerate(sources) if one.path in series}
    return _only(sources, skipped, known, asked)


def _only(
    sources: Sequence[ScanSource],
    skipped: list[dict[str, str]],
    known: Mapping[int, Series],
    asked: tuple[str, ...],
) -> Found:
    names = {name for one in known.values() for name in one.names}
    if missing := [name for name in asked if name not in names]:
        there = list({one.uid: one for one in known.values()}.values())
        told = f"there are {_listed(there)}" if there else "there is no DICOM series"
        raise ScanError(f"there is no series {', '.join(missing)}; {told}")
    wanted = {place for place, one in known.items() if one.names & set(asked)}
    others = dict.fromkeys(source.filename for place, source in enumerate(sources) if place not in wanted)
    skipped += [{"filename": name, "reason": "another series was asked for"} for name in others]
    return [sources[place] for place in sorted(wanted)], skipped


def _question(sources: Sequence[ScanSource], series: Sequence[Series], fit: bool) -> ScanSource:
    """The first of the sources, with an error that asks which is meant."""
    name = os.path.commonpath([source.filename for source in sources]) or _root(sources[0])
    what = f"{len(series)} series fit" if fit else f"none of {len(series)} series fits"
    first = min(series, key=_order)
    example = f"choose with --series {first.number or first.uid}" + (f", or --series {ALL}" if fit else "")
    return replace(sources[0], filename=name, error=f"{name}: {what}: {_listed(series)}; {example}")


def _root(source: ScanSource) -> str:
    """The name of the folder that a source's filename is below."""
    path, parts = source.path.resolve(), Path(source.filename).parts
    return path.parents[len(parts) - 1].name if path.name == parts[-1] else path.name


def _listed(series: Iterable[Series]) -> str:
    told = [one.text for one in sorted(series, key=_order)]
    more = f", and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return ", ".join(told[:NAMED]) + more


def _order(series: Series) -> tuple[int, str]:
    return int(series.number) if series.number.lstrip("-").isdigit() else 2**31, series.uid


def _series_of(source: ScanSource) -> Series | None:
    """None where a volume is no DICOM series, or its header is damaged: reading it tells why."""
    header = None if source.error or not source.files else _header(source.files[0])
    if header is None:
        return None
    series = _describe(header)
    images = series.images if len(source.files) == 1 else len(source.files)
    return replace(series, images=images, unfit=_unfit(header, images))


def _describe(header: Dataset) -> Series:
    def text(keyword: str) -> str:
        value = header.get(keyword)
        return "" if value is None else " ".join(str(value).split())

    return Series(
        study=text("StudyInstanceUID"),
        uid=text("SeriesInstanceUID"),
        number=text("SeriesNumber"),
        description=text("SeriesDescription") or text("ProtocolName"),
        images=int(header.get("NumberOfFrames") or 1),
    )


def _unfit(header: Dataset, images: int) -> str:
    """Why a series can be no T2-weighted stack; nothing where its headers leave it open."""
    modality, types = str(header.get("Modality") or ""), image_types(header)
    words = words_of(_describe(header).description, anywhere=True)
    kind = OTHER if types & OTHER_TYPES or OTHER_WORDS & set(words) else kind_of_words(words)
    if modality not in VOLUMES:
        return f"of modality {modality}"
    if "LOCALIZER" in types or LOCALIZERS & set(words):
        return "a localizer"
    if kind == OTHER:
        return "not T2-weighted by its headers"
    if kind in OTHER_KINDS:
        return OTHER_KINDS[kind]
    return "a single image" if images == 1 else ""


def _no_picture(header: Dataset) -> str:
    """Why a DICOM file holds no ultrasound picture."""
    modality = str(header.get("Modality") or "")
    if not header.get("Rows"):
        return "a DICOM without an image"
    return "" if modality in PICTURES else f"a DICOM of modality {modality}, not ultrasound"


def _header(path: Path) -> Dataset | None:
    from fetal_monai.scan.dicom import read_header

    if kind_of(path) != "dicom":
        return None
    try:
        header = read_header(path)
        _describe(header), image_types(header)
    except Exception as error:  # whatever pydicom makes of such bytes; reading the image tells why
        if isinstance(error, MemoryError):
            raise
        return None
    return header
