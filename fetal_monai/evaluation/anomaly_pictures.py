"""Pictures to try an anomaly score on: healthy heads, the same with something put into them, and no heads at all."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.settings import as_mapping, as_paths

if TYPE_CHECKING:
    from fetal_monai.measure.ellipse import Ellipse

__all__ = ["NORMAL", "SIZES_MM", "cavum_boxes", "write_trial_pictures"]

NORMAL = "normal"
SIZES_MM: dict[str, Sequence[float]] = {
    "ventriculomegaly": (10, 12, 15, 20),
    "mass": (8, 15),
    "cyst": (8, 15),
    "deformed_skull": (4, 8),
    "absent_cavum": (0,),  # has no size
}
ASSUMED_WEEKS = (
    21.0  # for pictures without spacing: the week of most screening scans, whose mean BPD gives the scale
)

Find = Callable[[Path], "tuple[NDArray[np.uint8], Ellipse | None, float | None]"]


def cavum_boxes(path: str | Path | None) -> dict[str, tuple[float, float, float, float]]:
    """Boxes (x, y, w, h) of the cavum septi pellucidi by file name, from COCO annotations; none of None."""
    if path is None:
        return {}
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    wanted = {c["id"] for c in content["categories"] if c["name"] == "cavum_septi_pellucidi"}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    boxes = (entry for entry in content["annotations"] if entry["category_id"] in wanted)
    return {names[entry["image_id"]]: _box(*entry["bbox"]) for entry in boxes}


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return float(x), float(y), float(width), float(height)


def write_trial_pictures(
    items: Sequence[Mapping[str, Any]],
    folder: str | Path,
    find: Find,
    sizes_mm: Mapping[str, Sequence[float]] | None = None,
    boxes: Mapping[str, tuple[float, float, float, float]] | None = None,
    further: Mapping[str, Sequence[str | Path] | str | Path] | str | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Write pictures into ``folder`` and return what they are: ``image``, ``kind``, ``size_mm``, ``subject``, ``role``,
    ``folder`` (the name of that of the healthy heads).

    Args:
        items: healthy heads as :func:`fetal_monai.datasets.head_items` gives them; each is copied as ``normal``.
        find: gives gray values, ellipse (None where no head is found) and mm per pixel (None where unknown) of a file.
        sizes_mm: what :func:`fetal_monai.synthesis.ultrasound_insert.insert_abnormality` puts into each head, by kind;
            a head is left out where it does not fit. Empty for nothing: then no noise and no head upside down either.
        boxes: of the cavum, by file name; without one there is no ``absent_cavum``.
        further: files, or a folder of them, by their kind.
        seed: of what is put in.
    """
    sizes_mm = SIZES_MM if sizes_mm is None else sizes_mm
    folder, trials = Path(folder), []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for item in items:
        path = Path(item["image"])
        shared = {"subject": item["subject"], "role": item["role"], "folder": path.parent.name}
        name = f"{NORMAL}__{path.name}"
        shutil.copyfile(path, folder / name)
        trials.append({"image": str(folder / name), "kind": NORMAL, "size_mm": 0.0, **shared})
        for kind, size_mm, picture in _altered(path, find, sizes_mm, boxes or {}, seed) if sizes_mm else ():
            name = f"{kind}_{size_mm:g}__{path.stem}.png"
            _save(picture, folder / name)
            trials.append({"image": str(folder / name), "kind": kind, "size_mm": float(size_mm), **shared})
    for kind, files in as_mapping(further, "further").items():
        for path in _pictures(files):
            name = f"{kind}__{path.name}"
            shutil.copyfile(path, folder / name)
            shared = {"subject": path.stem.split("_")[0], "role": "", "folder": ""}
            trials.append({"image": str(folder / name), "kind": kind, "size_mm": 0.0, **shared})
    return trials


def _pictures(files: Any) -> list[Path]:
    """The files, and the pictures in those that are folders; ValueError where there is none."""
    from fetal_monai.datasets.ultrasound import PICTURES

    found = []
    for path in as_paths(files):
        inside = (
            [p for p in sorted(path.glob("*")) if p.suffix.lower() in PICTURES] if path.is_dir() else [path]
        )
        if not (inside and inside[0].is_file()):
            raise ValueError(f"{path}: no picture there ({', '.join(sorted(PICTURES))})")
        found += inside
    return found


def _altered(
    path: Path,
    find: Find,
    sizes_mm: Mapping[str, Sequence[float]],
    boxes: Mapping[str, tuple[float, float, float, float]],
    seed: int,
) -> list[tuple[str, float, NDArray]]:
    """Kind, size and picture of all that fits a head; and noise, and the head upside down."""
    from fetal_monai.measure.growth import growth_mean_sd
    from fetal_monai.synthesis.ultrasound_insert import insert_abnormality

    gray, head, pixel_mm = find(path)
    random = np.random.RandomState(zlib.crc32(f"{seed}:{path.name}".encode()))
    found = [("upside_down", 0.0, gray[::-1]), ("noise", 0.0, _noise(gray.shape, random))]
    if head is None:
        return found
    if pixel_mm is None:
        pixel_mm = float(growth_mean_sd("bpd_mm", ASSUMED_WEEKS)[0]) / (2 * head.semi_axes[1])
    for kind, sizes in sizes_mm.items():
        if kind == "absent_cavum" and path.name not in boxes:
            continue
        for size_mm in sizes:
            try:
                picture, changed = insert_abnormality(
                    gray.astype(np.float32) / 255, head, kind, size_mm, pixel_mm, random, boxes.get(path.name)
                )
            except ValueError:  # does not fit a head so small
                continue
            if changed.any():
                found.append((kind, size_mm, picture * 255))
    return found


def _noise(shape: tuple[int, ...], random: np.random.RandomState) -> NDArray:
    """Speckle of a random grain, brighter here and there."""
    from scipy.ndimage import gaussian_filter

    grain = gaussian_filter(random.rand(*shape), random.uniform(0.5, 4))
    coarse = gaussian_filter(random.rand(*shape), random.uniform(10, 60))
    parts = [(field - field.min()) / np.ptp(field) for field in (grain, coarse)]
    return 255 * parts[0] * parts[1]


def _save(picture: NDArray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)).save(path)
