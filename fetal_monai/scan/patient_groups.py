"""Which volumes are one patient's: those of a folder, of a beginning of a name, of a DICOM study."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fetal_monai.scan.patient_names import patient_prefix, sequence_of, without_series_number
from fetal_monai.scan.source import ScanSource

__all__ = ["PatientVolume", "at_home", "contains", "folder_of", "group_volumes"]


@dataclass(frozen=True)
class PatientVolume:
    """A volume, its sequence if it is known, and what it belongs to: a DICOM study, or a folder and a prefix."""

    source: ScanSource
    sequence: str | None
    home: str
    prefix: str
    study: str = ""


def at_home(volumes: Sequence[PatientVolume], root_name: str) -> list[PatientVolume]:
    """The volumes of folders that are named after their one sequence, as files of the folder above."""
    by_folder: dict[str, list[PatientVolume]] = defaultdict(list)
    for volume in volumes:
        by_folder[volume.home].append(volume)
    out: list[PatientVolume] = []
    moved: dict[str, list[list[PatientVolume]]] = defaultdict(list)
    own_prefix: dict[str, list[str]] = defaultdict(list)
    for home, members in by_folder.items():
        above, _, own = home.rpartition("/")
        named = sequence_of(own or root_name)
        if named and patient_prefix(own or root_name) == "":
            members = [replace(one, sequence=one.sequence or named) for one in members if not one.study] + [
                one for one in members if one.study
            ]
        if home and named and {one.sequence for one in members} == {named}:
            moved[above].append([replace(one, home=above) for one in members])
            own_prefix[above].append(patient_prefix(own))
        else:
            out += members
    for above, folders in moved.items():
        alone = all(len(members) == 1 for members in folders)
        for members, prefix in zip(folders, own_prefix[above], strict=True):
            out += [replace(one, prefix=prefix if alone else one.prefix) for one in members]
    return out


def group_volumes(volumes: Sequence[PatientVolume], root_name: str) -> list[tuple[str, list[PatientVolume]]]:
    """The volumes of each patient, and its name."""
    studies: dict[str, list[PatientVolume]] = defaultdict(list)
    files: dict[str, dict[str, list[PatientVolume]]] = defaultdict(lambda: defaultdict(list))
    for volume in volumes:
        if volume.study:
            studies[volume.study].append(volume)
        else:
            files[volume.home][volume.prefix].append(volume)
    groups = []
    for home, by_prefix in files.items():
        kept = _by_prefix(by_prefix)
        for prefix, members in kept.items():
            name = home or root_name
            if prefix and (len(kept) > 1 or members[0].source.frame is not None):
                name = f"{home}/{prefix}".lstrip("/")
            groups.append((name, members))
    by_name: dict[str, list[list[PatientVolume]]] = defaultdict(list)
    for members in studies.values():
        by_name[_common(one.home for one in members) or root_name].append(members)
    for name, several in by_name.items():
        for place, members in enumerate(several, start=1):
            groups.append((f"{name}/study_{place}" if len(several) > 1 else name, members))
    return groups


def _by_prefix(by_prefix: dict[str, list[PatientVolume]]) -> dict[str, list[PatientVolume]]:
    """One group where no more than one prefix has a sequence and others are empty; else those with a sequence."""
    known = {prefix: members for prefix, members in by_prefix.items() if any(one.sequence for one in members)}
    known = _without_series(known)
    rest = [one for members in by_prefix.values() if not any(m.sequence for m in members) for one in members]
    named = [prefix for prefix in known if prefix]
    if len(named) <= 1:
        name = named[0] if named else ""
        return {name: [one for members in known.values() for one in members] + rest}
    first = named[0]
    return {**known, first: known[first] + rest}


def _without_series(known: dict[str, list[PatientVolume]]) -> dict[str, list[PatientVolume]]:
    """Prefixes that differ by the number of a series only as one, if each has one volume, all of other sequences."""
    alike: dict[str, list[str]] = defaultdict(list)
    for prefix in known:
        alike[without_series_number(prefix)].append(prefix)
    out: dict[str, list[PatientVolume]] = {}
    for shared, prefixes in alike.items():
        members = [one for prefix in prefixes for one in known[prefix]]
        if len(prefixes) > 1 and len({one.sequence for one in members}) == len(members) == len(prefixes):
            out[shared] = members
        else:
            out |= {prefix: known[prefix] for prefix in prefixes}
    return out


def _common(homes: Iterable[str]) -> str:
    return posixpath.commonpath([f"/{home}" for home in homes]).strip("/")


def contains(home: str, other: str) -> bool:
    """Whether a patient's folder lies above or below another one, whose unknown volumes then are no patient."""
    return not home or other == home or other.startswith(f"{home}/") or not other


def folder_of(members: Sequence[PatientVolume], root: Path) -> Path:
    files = {one.source.path for one in members}
    if len(files) == 1 and not members[0].study:
        return files.pop()
    return root / _common(one.home for one in members)
