"""Structures of the fetal brain drawn as boxes into ultrasound pictures, in COCO's format."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.datasets.roles import ROLES, with_roles
from fetal_monai.measure.structures import STRUCTURES

__all__ = ["structure_items", "turn_structures"]

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
    PNG of its name, ``mask``: the filled ellipse of the head. An object has ``label`` (one of ``STRUCTURES`` of
    ``fetal_monai.measure.structures``; ``brain`` stands for ``head``), ``bbox`` (x, y, width, height in pixels) and
    ``corners`` (4 of (x, y)) where it was drawn as a turned rectangle, else None. A structure without a box is not
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


def turn_structures(source: str | Path, target: str | Path, seed: int = 0, most_deg: float = 30.0) -> int:
    """Write a copy of a folder that :func:`structure_items` reads, each picture turned and every other one mirrored.

    Angles are drawn evenly up to ``most_deg`` either way, from ``seed`` and the picture's place. The canvas grows so
    that nothing is lost; corners and masks turn with it, and a box is that of the turned corners or mask, else of its
    own turned corners. Returns the number of pictures. Raises ``ValueError`` when ``target`` is the folder itself.
    """
    import numpy as np
    from PIL import Image

    from fetal_monai.files import write_json
    from fetal_monai.measure.structures import bounding_box, box_points

    items, target = structure_items(source), Path(target)
    if target.resolve() == Path(source).resolve():
        raise ValueError(f"{target}: holds the pictures that would be turned; give another folder")
    pictures: list[Mapping[str, Any]] = []
    entries: list[Mapping[str, Any]] = []
    names = sorted({one["label"] for item in items for one in item["objects"]})
    for number, item in enumerate(items, 1):
        random = np.random.default_rng([seed, number])
        angle, mirrored = float(random.uniform(-most_deg, most_deg)), bool(random.random() < 0.5)
        path = Path(item["image"])
        with Image.open(path) as opened:
            picture = opened.convert("L")
        width, height = picture.size
        turned = _turned(picture, angle, mirrored, Image.Resampling.BICUBIC)
        (target / "images").mkdir(parents=True, exist_ok=True)
        turned.save(target / "images" / f"{path.stem}.png")
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn, size = (
            np.array([[cos, -sin], [sin, cos]]),
            np.array(turned.size),
        )  # Pillow turns against the clock
        mask_box = None
        if "mask" in item:
            mask = _turned(Image.open(item["mask"]).convert("L"), angle, mirrored, Image.Resampling.NEAREST)
            (target / "brain_masks").mkdir(parents=True, exist_ok=True)
            mask.save(target / "brain_masks" / f"{path.stem}.png")
            left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
            mask_box = [left, top, right - left, bottom - top]
        for one in item["objects"]:
            points = (
                np.asarray(one["corners"] or box_points(one["bbox"]), dtype=float)
                - np.array([width, height]) / 2
            )
            points = points * [-1 if mirrored else 1, 1] @ turn + size / 2
            low, high = np.clip(points.min(axis=0), 0, size), np.clip(points.max(axis=0), 0, size)
            box = bounding_box([low, high]) if one["label"] != "head" or mask_box is None else mask_box
            entry = {
                "id": len(entries) + 1,
                "image_id": number,
                "category_id": names.index(one["label"]) + 1,
                "bbox": box,
            }
            entries.append(entry | ({"corners": points} if one["corners"] else {}))
        pictures.append(
            {"id": number, "file_name": f"{path.stem}.png", "width": turned.width, "height": turned.height}
            | {"patient": item["subject"]}
        )
    categories = [{"id": place, "name": name} for place, name in enumerate(names, 1)]
    write_json(target / TABLE, {"categories": categories, "images": pictures, "annotations": entries})
    return len(pictures)


def _turned(picture: Any, angle_deg: float, mirrored: bool, resample: Any) -> Any:
    from PIL import ImageOps

    return (ImageOps.mirror(picture) if mirrored else picture).rotate(angle_deg, resample, expand=True)
