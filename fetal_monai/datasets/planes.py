"""FETAL_PLANES_DB as it lies on disk: pictures with the plane that each shows, split by patient."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.datasets.roles import ROLES, patient_role, read_roles
from fetal_monai.measure.plane import PLANES
from fetal_monai.settings import as_bool

__all__ = ["PLANE_COLUMNS", "PLANE_NAMES", "PLANE_TABLE", "class_weights", "plane_items", "plane_of"]

PLANE_TABLE = "FETAL_PLANES_DB_data.csv"
FOLDER = "Images"
PLANE_COLUMNS = ("Image_name", "Patient_num", "Plane", "Brain_plane", "Operator", "US_Machine", "Train ")
PLANE_NAMES = {  # of the columns Plane and Brain_plane
    "trans_thalamic": ("Fetal brain", "Trans-thalamic"),
    "trans_cerebellar": ("Fetal brain", "Trans-cerebellum"),
    "trans_ventricular": ("Fetal brain", "Trans-ventricular"),
    "abdomen": ("Fetal abdomen", "Not A Brain"),
    "thorax": ("Fetal thorax", "Not A Brain"),
    "femur": ("Fetal femur", "Not A Brain"),
    "cervix": ("Maternal cervix", "Not A Brain"),
    "other": ("Other", "Not A Brain"),
}
_BY_NAMES = {names: plane for plane, names in PLANE_NAMES.items()} | {("Fetal brain", "Other"): "other"}


def plane_of(plane: str, brain_plane: str) -> str:
    """One of ``PLANES`` of what stands in the columns Plane and Brain_plane; ValueError for anything else.

    A brain in no standard plane (``Other``) is ``other``.
    """
    names = plane.strip(), brain_plane.strip()
    if names not in _BY_NAMES:
        known = ", ".join(sorted({name for name, _ in _BY_NAMES}))
        raise ValueError(f"Plane {names[0]!r} with Brain_plane {names[1]!r} is not known; planes are {known}")
    return _BY_NAMES[names]


def plane_items(
    dataset_dir: str | Path,
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.1, 0.1),
    roles_file: str | Path | None = None,
    partial: bool | str = False,
) -> list[dict[str, Any]]:
    """The pictures of FETAL_PLANES_DB as published whose patients have one of the ``roles``.

    ``dataset_dir`` holds ``FETAL_PLANES_DB_data.csv`` (separated by semicolons) and the folder ``Images`` with a PNG
    for each row, or the PNGs themselves. Each item has ``image`` (path), ``plane`` (one of ``PLANES``), ``label`` (its
    place), ``subject``, ``role`` and ``machine``. Patients of the official test part (``Train`` 0) test; the others
    train, validate or calibrate by :func:`fetal_monai.datasets.patient_role`; those in ``roles_file`` keep their role.
    With ``partial`` the pictures that are not there are left out. Raises ``ValueError`` for a table that is none, a
    patient in both parts, missing pictures, or when nobody has such a role.
    """
    root, rows = Path(dataset_dir), _rows(Path(dataset_dir))
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    table = root / PLANE_TABLE
    listed, wanted = read_roles(roles_file), {roles} if isinstance(roles, str) else set(roles)
    unknown = wanted - set(ROLES)
    if unknown:
        raise ValueError(f"role {sorted(unknown)[0]!r} is not one of {', '.join(ROLES)}")
    parts: dict[str, str] = {}
    items, missing = [], []
    there = {path.name for path in folder.glob("*.png")}
    for number, row in enumerate(rows, 2):
        try:
            plane = plane_of(row["Plane"], row["Brain_plane"])
            if row["Train"] not in ("0", "1"):
                raise ValueError(f"Train is {row['Train']!r}; it must be 0 or 1")
        except ValueError as error:
            raise ValueError(f"{table}, line {number}: {error}") from None
        name, subject = row["Image_name"], row["Patient_num"]
        name = name if name.lower().endswith(".png") else f"{name}.png"
        if parts.setdefault(subject, row["Train"]) != row["Train"]:
            raise ValueError(f"{table}, line {number}: patient {subject} is in both parts, Train 0 and 1")
        role = listed.get(subject) or (
            "test" if row["Train"] == "0" else patient_role(subject, seed, fractions)
        )
        if name not in there:
            missing.append(name)
        elif role in wanted:
            item = {"image": str(folder / name), "plane": plane, "label": PLANES.index(plane)}
            items.append(item | {"subject": subject, "role": role, "machine": row["US_Machine"]})
    if missing and not as_bool(partial, "partial"):
        raise ValueError(
            f"{table}: {len(missing)} of its {len(rows)} pictures are not in {folder}, first {missing[0]}; unpack "
            f"FETAL_PLANES_ZENODO.zip there, or take those that are there with --partial true"
        )
    if not items:
        raise ValueError(
            f"{table}: no picture in {folder} is of a patient with the role {' or '.join(sorted(wanted))}"
        )
    return items


def _rows(root: Path) -> list[dict[str, str]]:
    """The rows of the table, names of columns and cells without blanks around them."""
    table = root / PLANE_TABLE
    if not table.is_file():
        raise ValueError(
            f"{root}: no {PLANE_TABLE}; expected FETAL_PLANES_DB as published (doi 10.5281/zenodo.3904280): that table "
            f"and the folder {FOLDER} beside it"
        )
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=";")
        names = [(name or "").strip() for name in reader.fieldnames or ()]
        missing = [name for name in map(str.strip, PLANE_COLUMNS) if name not in names]
        if missing:
            raise ValueError(
                f"{table}: no column {missing[0]!r}; the columns are {'; '.join(PLANE_COLUMNS)}, by semicolons"
            )
        reader.fieldnames = names
        return [{name: (row[name] or "").strip() for name in names} for row in reader]


def class_weights(items: Sequence[Mapping[str, Any]], power: float = 0.5) -> list[float]:
    """Weight of each of ``PLANES`` in the loss: its number of items to the power of ``-power``, in the mean of items 1.

    A plane without items has the weight 0. ValueError without any.
    """
    counts = [sum(item["plane"] == plane for item in items) for plane in PLANES]
    if not sum(counts):
        raise ValueError("there are no items to weigh")
    weights = [count**-power if count else 0.0 for count in counts]
    mean = sum(w * n for w, n in zip(weights, counts, strict=True)) / sum(counts)
    return [weight / mean for weight in weights]
