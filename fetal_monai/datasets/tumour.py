"""Brain tumour MR datasets as they lie on disk: BraTS of any year, and the Medical Segmentation Decathlon's Task01."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetal_monai.datasets.roles import ROLES, with_roles

__all__ = ["DECATHLON", "read_tumour_labels", "tumour_items"]

DECATHLON = {
    0: 0,
    1: 2,
    2: 1,
    3: 4,
}  # its labels in BraTS 2018's: 1 oedema, 2 core that does not enhance, 3 enhancing
BRATS_2023 = re.compile(r"BraTS-[A-Za-z]+-\d+-\d+-seg\.")
OPTION = "--label_convention in an evaluation, --convention in a training: brats2023 or brats2013"
LABEL_ENDS = ("seg", "dseg", "segmentation", "label", "labels")


def tumour_items(
    dataset_dirs: str | Path | Sequence[str | Path],
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.0, 0.0),
    roles_file: str | Path | None = None,
    convention: str | None = None,
) -> list[dict[str, Any]]:
    """Patients with tumour labels of one folder or several.

    A patient's files are found as :func:`fetal_monai.scan.find_patients` finds them; their labels lie beside, as
    ``seg.nii.gz``, ``*_seg.nii.gz`` or ``*-seg.nii.gz``, or in the Decathlon's ``labelsTr`` under the same name. Each
    item has ``image`` (:class:`fetal_monai.scan.PatientSource`), ``label`` (path), ``convention`` (see
    :func:`fetal_monai.measure.tumour_regions.labels_to_regions`, or ``decathlon``), ``subject``, ``dataset`` and
    ``role``: as ``roles_file`` lists the subject, else drawn (:func:`patient_role`). Patients without labels are left
    out. Raises ``ValueError`` for a folder without a patient that has labels, for two label files of one, or if none
    has one of the ``roles``.
    """
    folders = [dataset_dirs] if isinstance(dataset_dirs, (str, Path)) else list(dataset_dirs)
    if not folders:
        raise ValueError("dataset_dirs is empty; give the folder of the patients, or several")
    items = [item for folder in folders for item in _of_folder(Path(folder), convention)]
    return with_roles(items, roles, seed, fractions, roles_file, ", ".join(map(str, folders)))


def _of_folder(root: Path, convention: str | None) -> list[dict[str, Any]]:
    from fetal_monai.scan import ScanError, find_patients

    if not root.is_dir():
        raise ValueError(f"{root}: no such folder of patients")
    is_decathlon = (root / "labelsTr").is_dir() and (root / "imagesTr").is_dir()
    if is_decathlon:
        convention = "decathlon"
        _check_decathlon(root)
    try:
        patients, _ = find_patients(root / "imagesTr" if is_decathlon else root)
    except ScanError as error:
        raise ValueError(str(error)) from error
    items = []
    for patient in patients:
        if patient.error:
            raise ValueError(f"{root}: {patient.error}")
        label = _labels_of(patient, root / "labelsTr" if is_decathlon else None)
        if label is not None:
            item = {"image": patient, "label": label, "convention": convention or _named_convention(label)}
            items.append({**item, "subject": patient.filename, "dataset": root.resolve().name})
    if not items:
        raise ValueError(
            f"{root}: {len(patients)} patients, none with labels; they lie beside the sequences, as seg.nii.gz, "
            "*_seg.nii.gz or *-seg.nii.gz, or in labelsTr as in the Medical Segmentation Decathlon"
        )
    return items


def _named_convention(label: Path) -> str | None:
    """BraTS 2023 by how it names files; what others hold is told by the labels."""
    return "brats2023" if BRATS_2023.match(label.name) else None


def _labels_of(patient: Any, folder: Path | None) -> Path | None:
    files = [source.path for _, source in patient.sequences]
    if folder is not None:
        label = folder / files[0].name
        return label if label.is_file() else None
    beside = sorted({file.parent for file in files})
    found = [
        path
        for parent in beside
        for path in sorted(parent.glob("*.nii*"))
        if _stem(path).replace("-", "_").rpartition("_")[2].lower() in LABEL_ENDS
    ]
    if len(found) > 1:  # several patients in one folder
        found = [path for path in found if all(_shared(_stem(path), _stem(file)) for file in files)]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise ValueError(f"{beside[0]}: {names} are both labels of {patient.filename}; keep one")
    return found[0] if found else None


def _shared(label: str, image: str) -> bool:
    """Whether both names begin with the same patient: all of the label's but its last word, which may be all it has."""
    prefix = label.replace("-", "_").rpartition("_")[0]
    return not prefix or image.replace("-", "_").startswith(f"{prefix}_")


def _check_decathlon(root: Path) -> None:
    try:
        described = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
        labels = {int(key): str(name).lower() for key, name in described["labels"].items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{root}: no dataset.json that names the labels, as the Decathlon has it ({error})"
        ) from error
    is_task01 = len(labels) == 4 and "dema" in labels.get(1, "") and labels.get(3, "").startswith("enhanc")
    if not is_task01:
        raise ValueError(f"{root}: labels are {labels}; expected those of Task01_BrainTumour")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def read_tumour_labels(
    path: str | Path, convention: str | None, shape: Sequence[int], affine: ArrayLike
) -> NDArray[np.uint8]:
    """Labels (I, J, K) on the grid of their scan: 1 core that does not enhance, 2 oedema, 3 enhancing.

    ``convention`` is that of the item (:func:`tumour_items`). Raises ``ValueError``, with the file's name, as
    :func:`fetal_monai.datasets.labels.read_on_grid` and ``labels_to_regions`` do, and for a 3 without a 4 where no
    convention is known: it enhances in BraTS 2023, and does not in 2013.
    """
    from fetal_monai.datasets.labels import read_on_grid
    from fetal_monai.measure.tumour_regions import check_not_ambiguous, labels_to_regions, regions_to_labels

    found = read_on_grid(path, shape, affine)
    try:
        if convention == "decathlon":
            if not set(np.unique(found)) <= set(DECATHLON):
                raise ValueError(f"labels go up to {found.max():g}; Task01 has 0 to 3")
            found = np.array([DECATHLON[label] for label in sorted(DECATHLON)], np.uint8)[found.astype(int)]
            convention = "brats2018"
        check_not_ambiguous(found, convention, OPTION)
        return regions_to_labels(labels_to_regions(found, convention), "brats2023")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
