"""One patient to read: the files of the sequences that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_monai.scan.source import ScanSource

__all__ = ["COLUMNS", "SEQUENCES", "PatientSource", "patient_of"]

SEQUENCES = ("t1", "t1c", "t2", "flair")
COLUMNS = f"columns patient, {', '.join(SEQUENCES)}"
NAMED = 4  # files, at most, in a message


@dataclass(frozen=True)
class PatientSource(ScanSource):
    """One patient at one date: `sequences` are pairs of a name in SEQUENCES, in that order, and its volume.

    `path` is the folder, or the only file; `filename` and `stem` are the patient's name, a POSIX path below the
    input; `files` are all files of all sequences. A volume's `frame` is its place in a file of four axes.
    """

    sequences: tuple[tuple[str, ScanSource], ...] = ()


def patient_of(
    path: Path, name: str, volumes: Sequence[tuple[str | None, ScanSource]], stem: str = ""
) -> PatientSource:
    """The patient that has these volumes, each with its sequence or None.

    The error is that of the first volume that has one; else it says that two are one sequence, or that none is known.
    """
    by_sequence = {
        sequence: [source for known, source in volumes if known == sequence] for sequence in SEQUENCES
    }
    error = next((source.error for _, source in volumes if source.error), "")
    if not error:
        doubled = [
            f"{_counted(len(found))} files for {sequence} ({_listed(found, ' and ')})"
            for sequence, found in by_sequence.items()
            if len(found) > 1
        ]
        if doubled:
            choose = ", choose DICOM by --series" if any(source.files for _, source in volumes) else ""
            error = f"{name}: {'; '.join(doubled)}; keep one{choose}, or list the files in a CSV ({COLUMNS})"
        elif not any(by_sequence.values()):
            among = [source for _, source in volumes]
            error = (
                f"{name}: no sequence recognised ({_listed(among, ', ')}); name the files as BraTS does, such as "
                "case_t1.nii.gz, case_t1ce.nii.gz, case_t2.nii.gz and case_flair.nii.gz, or list them in a CSV "
                f"({COLUMNS}); if all files show one sequence, say which, such as --sequences flair"
            )
    inner = [source for found in by_sequence.values() for source in found]
    inner += [source for sequence, source in volumes if sequence is None]
    files = dict.fromkeys(file for source in inner for file in source.files or (source.path,))
    pairs = tuple((sequence, found[0]) for sequence, found in by_sequence.items() if len(found) == 1)
    return PatientSource(path, name, stem or name, error=error, files=tuple(files), sequences=pairs)


def _counted(number: int) -> str:
    return "two" if number == 2 else str(number)


def _listed(sources: Sequence[ScanSource], between: str) -> str:
    more = f"{between}{len(sources) - NAMED} more" if len(sources) > NAMED else ""
    return between.join(source.filename for source in sources[:NAMED]) + more
