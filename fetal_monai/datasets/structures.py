"""Structures of the fetal brain drawn as boxes into ultrasound pictures, in COCO's format."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.datasets.roles import ROLES, with_roles
from fetal_monai.measure.structures import STRUCTURES

__all__ = ["structure_items"]

TABLE = "annotations.json"
NAMES = {
    "brain": "head",
    "csp": "cavum_septi_pellucidi",
    "lv": "lateral_ventricle",
}  # as datasets also call them


def structure_items(
    dataset_dir: str | Path,
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.1, 0.0),
    roles_file: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Pictures of ``images/`` with the boxes of ``annotations.json`` (COCO), whose patients have one of the ``roles``.

    Each item has ``image`` (path), ``objects``, ``subject`` (the picture's ``patient``, else what stands before the
    first ``_`` of its name), ``role`` (see :func:`fetal_monai.datasets.patient_role`) and, where ``brain_masks`` has a
    PNG of its name, ``mask``: the filled ellipse of the head. An object has ``label`` (of
    ``fetal_monai.measure.structures.STRUCTURES``; ``brain`` stands for ``head``), ``bbox`` (x, y, width, height in
    pixels) and ``corners`` (4 of (x, y)) where it was drawn as a turned rectangle, else None. A structure without a box is not
    known to be missing. Raises ``ValueError`` when the table is no such thing, names structures that are not known, or
    pictures that are not there.
    """
    root = Path(dataset_dir)
    table = root / TABLE
    if not table.is_file():
        raise ValueError(f"{root}: no {TABLE}; expected COCO boxes beside the folder images")
    try:
        content = json.loads(table.read_text(encoding="utf-8"))
        names = {category["id"]: category["name"] for category in content["categories"]}
        objects = defaultdict(list)
        for entry in content["annotations"]:
            name = names[entry["category_id"]]
            box = [float(value) for value in entry["bbox"]]
            if len(box) != 4:
                raise ValueError(f"a box of {len(box)} numbers; COCO's have 4")
            found = {"label": NAMES.get(name, name), "bbox": box, "corners": entry.get("corners")}
            objects[entry["image_id"]].append(found)
        pictures = [(p["id"], p["file_name"], p.get("patient")) for p in content["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{table}: is not in COCO's format ({type(error).__name__}: {error})") from error
    unknown = {entry["label"] for found in objects.values() for entry in found} - {*STRUCTURES}
    if unknown:
        raise ValueError(f"{table}: {sorted(unknown)[0]!r} is not one of {', '.join(STRUCTURES)}")
    items = []
    for number, name, patient in pictures:
        image = root / "images" / name
        mask = (root / "brain_masks" / name).with_suffix(".png")
        item = {"image": str(image), "objects": objects[number], "subject": patient or name.split("_")[0]}
        items.append(item | ({"mask": str(mask)} if mask.is_file() else {}))
    missing = [item["image"] for item in items if not Path(item["image"]).is_file()]
    if missing:
        raise ValueError(f"{table}: {len(missing)} of its pictures are not there, first {missing[0]}")
    return with_roles(items, roles, seed, fractions, roles_file, str(root))
