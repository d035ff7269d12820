"""Public ultrasound datasets as they lie on disk: images with the outline or mask of a head."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.datasets.roles import ROLES, patient_role, read_roles, read_rows, with_roles
from fetal_monai.settings import as_paths

__all__ = ["hc18_items", "hc18_patient", "head_items", "mask_items", "reduce_hc18"]

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
HC18_COLUMNS = ("filename", "pixel size(mm)", "head circumference (mm)")


def hc18_patient(filename: str) -> str:
    """The patient's number that starts a file name of HC18: ``018`` for ``018_2HC.png``."""
    return Path(filename).name.split("_")[0]


def _hc18_table(folder: Path) -> Path:
    tables = sorted(folder.glob("*pixel_size_and_HC.csv"))
    if not tables:
        raise ValueError(
            f"{folder}: no *pixel_size_and_HC.csv; expected HC18 as published: NNN_HC.png, NNN_HC_Annotation.png "
            "and training_set_pixel_size_and_HC.csv (the CSV may lie beside the folder training_set)"
        )
    return tables[0]


def hc18_items(
    dataset_dir: str | Path,
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.1, 0.15),
    roles_file: str | Path | None = None,
) -> list[dict[str, Any]]:
    """The annotated images of HC18 in its published layout whose patients have one of the ``roles``.

    Each item has ``image`` and ``label`` (paths), ``hc_mm``, ``spacing_mm`` (row, column), ``patient`` and ``role``.
    ``dataset_dir`` is the folder with the images, or the one above ``training_set``. Patients listed in ``roles_file``
    keep their role, others get theirs from :func:`patient_role`. Raises ``ValueError`` when images are missing.
    """
    root = Path(dataset_dir)
    folder = root / "training_set" if (root / "training_set").is_dir() else root
    table = _hc18_table(folder if list(folder.glob("*pixel_size_and_HC.csv")) else root)
    listed, wanted = read_roles(roles_file), {roles} if isinstance(roles, str) else set(roles)
    items, missing = [], []
    for row in read_rows(table, HC18_COLUMNS):
        name = row["filename"]
        image = folder / name
        label = image.with_name(f"{image.stem}_Annotation.png")
        if not (image.is_file() and label.is_file()):
            missing.append(name)
            continue
        patient = hc18_patient(name)
        role = listed.get(patient) or patient_role(patient, seed, fractions)
        if role in wanted:
            pixel_mm, hc_mm = float(row["pixel size(mm)"]), float(row["head circumference (mm)"])
            items.append(
                {
                    "image": str(image),
                    "label": str(label),
                    "hc_mm": hc_mm,
                    "spacing_mm": (pixel_mm, pixel_mm),
                    "patient": patient,
                    "role": role,
                }
            )
    if missing:
        raise ValueError(
            f"{table}: {len(missing)} of its images or outlines are not in {folder}, first {missing[0]}"
        )
    if not items:
        raise ValueError(f"{table}: no image of the roles {', '.join(sorted(wanted))}")
    return items


def head_items(
    folders: str | Path | Sequence[str | Path | Sequence[str | Path]],
    roles: str | Iterable[str] = ROLES,
    seed: int = 0,
    fractions: Sequence[float] = (0.1, 0.15),
    roles_file: str | Path | None = None,
    repeats: int = 1,
) -> list[dict[str, Any]]:
    """Pictures of heads in some folders, as HC18 and FETAL_PLANES_DB have them: ``image``, ``subject``, ``role``.

    The subject is what stands before the first ``_`` of a name. Drawn outlines (``…_Annotation.png``) are no pictures.
    Roles are those of :func:`hc18_items`. Each item comes ``repeats`` times. Raises ``ValueError`` for a folder without
    pictures, or when nobody has such a role.
    """
    paths, items = as_paths(folders), []
    for folder in paths:
        files = sorted(
            p for p in folder.glob("*") if p.suffix.lower() in PICTURES and not p.stem.endswith("_Annotation")
        )
        if not files:
            raise ValueError(f"{folder}: no picture in it ({', '.join(sorted(PICTURES))})")
        items += [{"image": str(path), "subject": path.stem.split("_")[0]} for path in files]
    where = ", ".join(map(str, paths))
    return with_roles(items, roles, seed, fractions, roles_file, where) * int(repeats)


def reduce_hc18(source: str | Path, target: str | Path, factor: int = 2) -> int:
    """Write a copy of HC18 reduced by a whole ``factor`` (area average); returns the number of images.

    Pixel sizes are multiplied by ``factor`` and outlines drawn anew, one pixel wide, from the fitted ellipse. An image
    that is no multiple of ``factor`` loses its last rows and columns. Raises ``ValueError`` when ``target`` holds the
    images themselves.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask

    target, items = Path(target), hc18_items(source)
    if Path(items[0]["image"]).resolve().parent == target.resolve():
        raise ValueError(f"{target}: holds the images that would be reduced; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    rows = []
    for item in items:
        path = Path(item["image"])
        with Image.open(path) as picture:
            gray = picture.convert("L")
        size = (gray.width // factor * factor, gray.height // factor * factor)
        small = gray.crop((0, 0, *size)).reduce(factor)
        small.save(target / path.name)
        points = outline_from_mask(np.asarray(Image.open(item["label"]).convert("L")) > 0)
        fit = None if points is None else fit_ellipse((points + 0.5) / factor - 0.5)
        if fit is None:
            raise ValueError(f"{item['label']}: no ellipse fits the drawn outline")
        outline = Image.new("L", small.size)
        closed = fit.ellipse.points(720)[:, ::-1].round().astype(int)
        ImageDraw.Draw(outline).line([(int(x), int(y)) for x, y in np.vstack([closed, closed[:1]])], fill=255)
        outline.save(target / Path(item["label"]).name)
        rows.append((path.name, f"{item['spacing_mm'][0] * factor:.12g}", f"{item['hc_mm']:.2f}"))
    with open(target / "pixel_size_and_HC.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HC18_COLUMNS)
        writer.writerows(rows)
    return len(rows)


def mask_items(image_dir: str | Path, mask_dir: str | Path) -> list[dict[str, Any]]:
    """Images that have a filled mask of the same name (any suffix) in ``mask_dir``: ``image``, ``label``, ``patient``.

    The name of a mask may end in ``_mask``; the patient is what stands before the first ``_``. Raises ``ValueError``
    when there is no pair.
    """
    files = sorted((path.stem.endswith("_mask"), path) for path in Path(mask_dir).iterdir() if path.is_file())
    masks = {path.stem.removesuffix("_mask"): path for _, path in files}
    images = sorted(p for p in Path(image_dir).iterdir() if p.stem in masks and p != masks[p.stem])
    if not images:
        raise ValueError(f"{image_dir}: no image has a mask of its name in {mask_dir}")
    return [{"image": str(p), "label": str(masks[p.stem]), "patient": p.stem.split("_")[0]} for p in images]
