"""The patients that a folder, file or CSV holds: volumes told apart by sequence, before any voxel is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fetal_monai.scan.dicomdir import dicomdir_of
from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.patient_groups import PatientVolume, at_home, contains, folder_of, group_volumes
from fetal_monai.scan.patient_names import (
    is_label_name,
    kind_of_words,
    patient_prefix,
    sequence_of,
    words_of,
)
from fetal_monai.scan.patient_source import COLUMNS, SEQUENCES, PatientSource, patient_of
from fetal_monai.scan.series_choice import Asked, only_series
from fetal_monai.scan.source import ScanSource, bare_name, kind_of, posix_below
from fetal_monai.scan.volume_source import find_volumes

__all__ = ["SEQUENCES", "PatientSource", "find_patients"]

LABEL_REASON = "a label file by its name"
BESIDE_REASON = "a picture beside volumes"
OTHER_REASON = "shows none of t1, t1c, t2 and flair by its name or headers"
SAME_OUTPUTS = "would write the same outputs"  # as find_volumes says
CHANNELS_FILE = "dataset.json"  # of the Medical Segmentation Decathlon, whose files hold all sequences


def find_patients(
    path: str | Path, unnamed: str | None = None, series: Asked = None
) -> tuple[list[PatientSource], list[dict[str, str]]]:
    """List the patients of a folder (recursively and sorted), of one file or of a CSV, and what is left out and why.

    The volumes of a folder are one patient, named after the folder, unless their names begin differently: then each
    beginning is one, named `<folder>/<beginning>`; numbers of series, as in `4_flair` and `7_t1`, are no such
    beginning where each stands before one file and no sequence comes twice. Folders for each sequence belong to
    the folder above them. DICOM series are put together by study. Files of four axes count as several sequences
    where a dataset.json says which (Medical Segmentation Decathlon). A CSV is read as :func:`read_patient_table`
    says. PNG, JPEG, BMP and TIFF are slices. Label files, volumes that show another sequence beside a patient's,
    and pictures beside its volumes are left out. `unnamed` is the sequence of files that say nothing of it, each
    of which then is a patient. Of DICOM only the `series` that are asked for count. Raises ScanError if the path does
    not exist, or holds no patient, or no such series; what is wrong with one patient is its `error`.
    """
    path = Path(path)
    if path.name.lower().endswith(".csv") and path.is_file():
        from fetal_monai.scan.patient_table import read_patient_table

        return read_patient_table(path), []
    found, skipped = only_series(find_volumes(path, pictures=True), series)
    if path.is_file() and dicomdir_of(path)[0] is None:
        return [_of_one_file(path, found[0], unnamed)], []
    images = []
    for row in skipped:
        if is_label_name(row["filename"]):
            row["reason"] = LABEL_REASON
    for source in found:
        if _is_label(source):
            skipped.append({"filename": source.filename, "reason": LABEL_REASON})
        elif SAME_OUTPUTS in source.error:  # a sequence has no outputs of its own
            images.append(replace(source, error=""))
        else:
            images.append(source)
    volumes = at_home([volume for source in images for volume in _volumes(source, path)], path.resolve().name)
    patients: list[PatientSource] = []
    groups = group_volumes(volumes, path.resolve().name or "patient")
    if unnamed is not None:
        groups = [part for name, members in groups for part in _told(name, members, unnamed)]
    homes = {volume.home for volume in volumes if volume.sequence}
    for name, members in groups:
        unknown = [volume.source for volume in members if volume.sequence is None]
        recognised = len(unknown) < len(members)
        if recognised or any(contains(home, members[0].home) for home in homes):
            for source in unknown:
                skipped.append({"filename": source.filename, "reason": source.error or OTHER_REASON})
            members = [volume for volume in members if volume.sequence]
        if any(not _is_picture(volume) for volume in members):
            for volume in filter(_is_picture, members):
                skipped.append({"filename": volume.source.filename, "reason": BESIDE_REASON})
            members = [volume for volume in members if not _is_picture(volume)]
        if members:
            folder = folder_of(members, path)
            patients.append(patient_of(folder, name, [(one.sequence, one.source) for one in members]))
    if not patients:
        raise ScanError(
            f"{path}: no patient found among its {len(skipped)} files; give folders with the sequences of a patient "
            f"({', '.join(SEQUENCES)}), or a CSV ({COLUMNS})"
        )
    patients.sort(key=lambda patient: patient.filename)
    return [_alone(patient, patients) for patient in patients], skipped


def _alone(patient: PatientSource, patients: Sequence[PatientSource]) -> PatientSource:
    """The patient, with an error if another has its name."""
    same = [one.sequences[0][1].filename for one in patients if one.stem == patient.stem and one.sequences]
    if len(same) < 2:
        return patient
    return replace(
        patient,
        error=f"{patient.filename}: is the name of several patients (with {' and with '.join(same)}); rename one",
    )


def _told(name: str, members: list[PatientVolume], unnamed: str) -> list[tuple[str, list[PatientVolume]]]:
    """A group of which nothing is recognised, as a patient for each file that is silent of its sequence."""
    silent = [volume for volume in members if _is_silent(volume)]
    if not silent or any(volume.sequence for volume in members):
        return [(name, members)]
    told = [replace(volume, sequence=unnamed) for volume in silent]
    if len(members) == 1:
        return [(name, told)]
    rest = [volume for volume in members if volume not in silent]
    parts = [(volume.source.stem, [volume]) for volume in told]
    return [*parts[:-1], (parts[-1][0], [*parts[-1][1], *rest])]


def _is_silent(volume: PatientVolume) -> bool:
    """Whether a file's name says nothing of its sequence; DICOM has its headers for that."""
    name = volume.source.path.name
    return not (
        volume.sequence or volume.study or volume.source.files or kind_of_words(words_of(bare_name(name)))
    )


def _is_picture(volume: PatientVolume) -> bool:
    return not volume.source.files and kind_of(volume.source.path) == "raster"


def _of_one_file(path: Path, source: ScanSource, unnamed: str | None) -> PatientSource:
    volumes = _volumes(source, path.parent)
    if unnamed is not None:
        volumes = [replace(volume, sequence=unnamed) if _is_silent(volume) else volume for volume in volumes]
    if _is_label(source):
        label = f"{source.filename}: is a label file by its name; give the image itself"
        volumes = [replace(volume, source=replace(volume.source, error=label)) for volume in volumes]
    pairs = [(volume.sequence, volume.source) for volume in volumes]
    return patient_of(path, source.filename, pairs, stem=source.stem)


def _is_label(source: ScanSource) -> bool:
    parent = source.filename.rpartition("/")[0].rpartition("/")[2]
    is_file = source.path.name == source.filename.rpartition("/")[2]
    return is_file and (is_label_name(source.path.name) or parent.lower() in ("labelstr", "labelsts"))


def _volumes(source: ScanSource, root: Path) -> list[PatientVolume]:
    """One, or one for each sequence of a file of four axes."""
    below = posix_below((source.files or (source.path,))[0].parent, root)
    home = "" if below == "." else below
    name = source.path.name
    if source.files:
        sequence, study = _of_headers(source)
        return [PatientVolume(source, sequence, home, "", study or f"{source.files[0].parent}")]
    sequence, prefix = sequence_of(name), patient_prefix(name)
    if sequence is None and (channels := _channels(source.path)):
        return [
            PatientVolume(replace(source, frame=frame), sequence_of(channel), home, prefix)
            for frame, channel in enumerate(channels)
        ]
    return [PatientVolume(source, sequence, home, prefix)]


def _of_headers(source: ScanSource) -> tuple[str | None, str]:
    """The sequence of a DICOM series, and its study; by its folder's name if its headers have no description."""
    from fetal_monai.scan.dicom import read_header
    from fetal_monai.scan.patient_headers import sequence_of_headers

    try:
        header = read_header(source.files[0])
        study = str(header.get("StudyInstanceUID") or "")
        sequence = sequence_of_headers(header)
        if sequence is None and not header.get("SeriesDescription") and not header.get("ProtocolName"):
            sequence = sequence_of(source.path.name)
    except Exception as error:  # whatever pydicom makes of such bytes; reading the voxels tells why
        if isinstance(error, MemoryError):
            raise
        return None, ""
    return sequence, study


def _channels(path: Path) -> list[str]:
    """The sequences that a dataset.json beside the file, or beside its folder, says it holds, one for each volume."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return []
    for folder in (path.parent, path.absolute().parent.parent):
        try:
            modality = json.loads((folder / CHANNELS_FILE).read_text("utf-8"))["modality"]
            channels = [str(modality[str(place)]) for place in range(len(modality))]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return channels if len(channels) > 1 and any(map(sequence_of, channels)) else []
    return []
