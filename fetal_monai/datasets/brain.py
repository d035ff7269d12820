"""Fetal MR datasets as they lie on disk: atlases and volumes with tissue labels, stacks with brain masks."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.datasets.roles import ROLES, with_roles

__all__ = [
    "feta_items",
    "fetal_atlas_items",
    "ga_weeks_of",
    "stack_items",
]

IMAGE_TO_LABELS = {"t2w": "labels", "srr": "parcellation"}  # of one case's folder
GA_WEEKS = (10.0, 45.0)  # what can be the gestational age of a fetus or newborn


def ga_weeks_of(name: str) -> float:
    """Gestational age in whole weeks that an atlas's name tells: 21 of ``STA21``, ``GA21_notoperated``; else NaN."""
    found = re.search(r"(?:STA|GA|Chinese)[-_]?(\d{2})(?!\d)", name)
    return _plausible(float(found[1])) if found else math.nan


def fetal_atlas_items(
    dataset_dirs: str | Path | Sequence[str | Path],
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.0, 0.0),
    roles_file: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Brains with tissue labels of one folder or several: atlases, and what lies as FeTA does (:func:`feta_items`).

    An atlas's case is a folder with ``t2w.nii.gz`` and ``labels.nii.gz``, or ``srr.nii.gz`` and
    ``parcellation.nii.gz`` as Fidon published them, at any depth; its name tells the age. Each item has ``image`` and
    ``label`` (paths), ``ga_weeks`` (NaN if not known), ``subject``, ``dataset`` (the name of the folder that holds the
    cases), ``label_key`` for :func:`remap_labels`, and ``role``: as ``roles_file`` lists the subject, else drawn
    (:func:`patient_role`). By default nothing validates: neighbouring weeks of one atlas are nearly the same image.
    Raises ``ValueError`` for a folder without cases, or if none has one of the ``roles``.
    """
    folders = [dataset_dirs] if isinstance(dataset_dirs, (str, Path)) else list(dataset_dirs)
    if not folders:
        raise ValueError("dataset_dirs is empty; give the folder of an atlas, or several")
    found = [item for folder in folders for item in _tissue_items(Path(folder))]
    return with_roles(found, roles, seed, fractions, roles_file, ", ".join(map(str, folders)))


def feta_items(
    dataset_dir: str | Path,
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.15, 0.0),
    roles_file: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Reconstructed volumes laid out as FeTA 2.x: ``sub-NNN/anat/*_T2w.nii.gz`` and ``*_dseg.nii.gz`` beside.

    Ages are those of ``participants.tsv``. Items are as :func:`fetal_atlas_items` gives them. Raises ``ValueError``
    when there are none, or an image is missing.
    """
    return with_roles(_feta(Path(dataset_dir)), roles, seed, fractions, roles_file, str(dataset_dir))


def stack_items(
    dataset_dir: str | Path,
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.0, 0.0),
    roles_file: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Thick-slice stacks named as in BIDS: ``*_T2w.nii.gz`` with ``*_desc-brain_mask.nii.gz``, at any depth.

    The mask may lie in another folder (``derivatives``) and carry the ``_T2w`` or not. Items are as
    :func:`fetal_atlas_items` gives them, with ``label_key`` ``brain``. Raises ``ValueError`` when there are none, or an
    image is missing.
    """
    root = _folder(dataset_dir)
    images = {_stem(path): path for path in _nifti(root, "*_T2w.nii*")}
    ages, items, missing = _participants(root), [], []
    for mask in _nifti(root, "*_desc-brain_mask.nii*"):
        name = _stem(mask).removesuffix("_desc-brain_mask").removesuffix("_T2w") + "_T2w"
        if name not in images:
            missing.append(mask.name)
            continue
        subject = name.split("_")[0]
        items.append(_item(images[name], mask, ages.get(subject, math.nan), subject, root.name, "brain"))
    _tell_missing(root, missing)
    if not items:
        raise ValueError(f"{root}: no *_desc-brain_mask.nii.gz with its *_T2w.nii.gz")
    return with_roles(items, roles, seed, fractions, roles_file, str(root))


def _tissue_items(root: Path) -> list[dict[str, Any]]:
    """The cases of one folder, whichever way it is laid out."""
    items = _feta(root) if next(_nifti(_folder(root), "*_dseg.nii*"), None) else []
    for image in _nifti(root, "*.nii*"):
        labels = IMAGE_TO_LABELS.get(_stem(image))
        found = [image.with_name(f"{labels}{end}") for end in (".nii.gz", ".nii")] if labels else []
        label = next((path for path in found if path.is_file()), None)
        if label:
            case = image.parent
            dataset = case.resolve().parent.name
            items.append(_item(image, label, ga_weeks_of(case.name), case.name, dataset, "atlas"))
    if not items:
        hint = ""
        if next(_nifti(root, "STA[0-9][0-9]*.nii*"), None):
            hint = (
                "; this is CRL's atlas as published, whose labels have another key: get those refined by Fidon and "
                "Aertsen (fetal-monai fetch fetal_atlas_crl says where)"
            )
        raise ValueError(
            f"{root}: no case with t2w.nii.gz and labels.nii.gz, srr.nii.gz and parcellation.nii.gz, or "
            f"sub-*/anat/*_T2w.nii.gz and *_dseg.nii.gz{hint}"
        )
    return items


def _feta(root: Path) -> list[dict[str, Any]]:
    ages, items, missing = _participants(_folder(root)), [], []
    for label in _nifti(root, "*_dseg.nii*"):
        stem = _stem(label).removesuffix("_dseg")
        found = [label.with_name(f"{stem}_T2w{end}") for end in (".nii.gz", ".nii")]
        image = next((path for path in found if path.is_file()), None)
        if image is None:
            missing.append(label.name)
            continue
        subject = stem.split("_")[0]
        items.append(_item(image, label, ages.get(subject, math.nan), subject, root.resolve().name, "feta"))
    _tell_missing(root, missing)
    if not items:
        raise ValueError(f"{root}: no *_dseg.nii.gz with its *_T2w.nii.gz; expected FeTA as published")
    return items


def _item(
    image: Path, label: Path, ga_weeks: float, subject: str, dataset: str, label_key: str
) -> dict[str, Any]:
    return {
        "image": str(image),
        "label": str(label),
        "ga_weeks": ga_weeks,
        "subject": subject,
        "dataset": dataset,
        "label_key": label_key,
    }


def _participants(root: Path) -> dict[str, float]:
    """Gestational ages in weeks of a BIDS folder's ``participants.tsv``; empty without one, or without ages."""
    table = root / "participants.tsv"
    if not table.is_file():
        return {}
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter="\t")
        names = {re.sub(r"[^a-z]", "", name.lower()): name for name in reader.fieldnames or ()}
        if "participantid" not in names:
            raise ValueError(f"{table}: no column 'participant_id'; a table separated by tabs")
        age = next((names[name] for name in ("gestationalage", "gaweeks", "ga") if name in names), None)
        return {row[names["participantid"]]: _weeks(row[age]) for row in reader} if age else {}


def _weeks(cell: str | None) -> float:
    try:
        return _plausible(float(cell or "nan"))
    except ValueError:
        return math.nan


def _plausible(weeks: float) -> float:
    return weeks if GA_WEEKS[0] <= weeks <= GA_WEEKS[1] else math.nan


def _folder(path: str | Path) -> Path:
    if not Path(path).is_dir():
        raise ValueError(f"{path}: no such folder")
    return Path(path)


def _nifti(root: Path, pattern: str) -> Iterator[Path]:
    """NIfTI files of the pattern below a folder, in order, without hidden ones."""
    return (
        p for p in sorted(root.rglob(pattern)) if p.name.endswith((".nii", ".nii.gz")) and p.name[0] != "."
    )


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _tell_missing(root: Path, missing: Sequence[str]) -> None:
    if missing:
        raise ValueError(
            f"{root}: the *_T2w.nii.gz of {len(missing)} labels are missing, first of {missing[0]}"
        )
