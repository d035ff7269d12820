"""What the detection bundle makes of simulated wide ventricles in real heads, by their true width.

    python benchmarks/wide_ventricles.py DATA [--roles validation] [--model FILE] [--sizes 8,12,15,20] [--keep FOLDER]

DATA as for the bundle's ``evaluate.yaml``. Two kinds: ``inserted`` is what
``fetal_monai.synthesis.ultrasound_insert.insert_abnormality`` draws, in the lower or, in one of seven, the upper half;
``stretched`` is the head's own ventricle pulled wide. The pictures have no scale: that of the mean BPD of 21 weeks is
taken. ``found`` is the share of the heads with a ventricle that lies over the true one, the best that counts;
``called normal`` the share for which an atrial width below 10 mm is reported, whatever it was measured on,
with and without those that have the flag ``atrial_width_unsure``.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUNDLE = "fetal_brain_ultrasound_detection"
VENTRICLE = "lateral_ventricle"
ASSUMED_WEEKS = 21.0
NORMAL_MM = 10.0
UNSURE = "atrial_width_unsure"


def write_pictures(
    data: Path, roles: list[str], sizes: list[float], patients: Path, folder: Path
) -> dict[str, dict[str, Any]]:
    """Write the pictures and a CSV of their spacing; kind, width and place of what each shows, by name."""
    from PIL import Image

    from fetal_monai.datasets import structure_items
    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask
    from fetal_monai.measure.growth import growth_mean_sd

    bpd_mm = float(growth_mean_sd("bpd_mm", ASSUMED_WEEKS)[0])
    shown: dict[str, dict[str, Any]] = {}
    for item in structure_items(data, roles, roles_file=patients):
        drawn = {one["label"]: one for one in item["objects"]}
        if not (VENTRICLE in drawn and drawn[VENTRICLE]["corners"] and "mask" in item):
            continue
        outline = outline_from_mask(np.asarray(Image.open(item["mask"]).convert("L")) > 0)
        fit = None if outline is None else fit_ellipse(outline)
        if fit is None:
            continue
        pixel_mm = bpd_mm / (2 * fit.ellipse.semi_axes[1])
        path = Path(item["image"])
        gray = np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255
        for kind, width_mm, picture, changed in _altered(
            path.name, gray, fit.ellipse, drawn[VENTRICLE]["corners"], sizes, pixel_mm
        ):
            name = f"{kind}_{width_mm:g}__{path.stem}.png"
            Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(folder / name)
            rows, columns = np.nonzero(changed)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            shown[name] = {"kind": kind, "width_mm": width_mm, "pixel_mm": pixel_mm, "box": box}
    with (folder / "spacing.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "pixel size(mm)"])
        table.writerows([name, one["pixel_mm"]] for name, one in shown.items())
    return shown


def _altered(
    name: str, gray: NDArray, head: Any, corners: Any, sizes: list[float], pixel_mm: float
) -> list[tuple[str, float, NDArray, NDArray]]:
    from fetal_monai.synthesis.ultrasound_insert import insert_abnormality
    from fetal_monai.synthesis.ultrasound_ventricle import stretch_ventricle

    toward = np.mean(corners, axis=0)[::-1] - 0.5 - np.asarray(head.center)
    found = [("as it is", 0.0, gray, _covered(gray.shape, corners))]
    for width_mm in sizes:
        random = np.random.RandomState(zlib.crc32(f"{width_mm:g}:{name}".encode()))
        for kind in ("inserted", "stretched"):
            try:
                if kind == "inserted":
                    picture, changed = insert_abnormality(
                        gray, head, "ventriculomegaly", width_mm, pixel_mm, random, forehead=-toward
                    )
                else:
                    picture, changed, _ = stretch_ventricle(gray, head, corners, width_mm / pixel_mm)
            except ValueError:  # does not fit this head, or its own is as wide
                continue
            found.append((kind, width_mm, picture, changed))
    return found


def _covered(shape: tuple[int, ...], corners: Any) -> NDArray[np.bool_]:
    from skimage.draw import polygon2mask

    return np.asarray(polygon2mask(shape, np.asarray(corners)[:, ::-1]))


def measure(folder: Path, model: str | None) -> list[dict[str, str]]:
    """The rows of ``measurements.csv`` with the boxes of each picture."""
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir

    root = bundle_dir(BUNDLE)
    with tempfile.TemporaryDirectory() as out:
        parser = ConfigParser()
        parser.read_config(str(root / "configs" / "inference.yaml"))
        given = {"bundle_root": str(root), "dataset_dir": str(folder), "output_dir": out, "progress": False}
        parser.update(given | ({"model_path": model} if model else {}))
        parser.get_parsed_content("network").eval()
        parser.get_parsed_content("evaluator").run()
        with (Path(out) / "measurements.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            content = json.loads(
                (Path(out) / f"{Path(row['filename']).stem}_boxes.json").read_text(encoding="utf-8")
            )
            row["boxes"] = [one for one in content["boxes"] if one["label"] == VENTRICLE and one["shown"]]
    return rows


def summarise(rows: list[dict[str, Any]], shown: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for row in rows:
        one = shown[Path(row["filename"]).name]
        width = float(row["atrial_width_mm"] or "nan")
        best = row["boxes"][0]["bbox"] if row["boxes"] else None
        over = best is not None and _over(best, one["box"])
        entry = {"width": width, "over": over, "true": one["width_mm"], "flags": row["flags"]}
        groups.setdefault((one["kind"], one["width_mm"]), []).append(entry)
    lines = []
    for (kind, width_mm), entries in sorted(groups.items()):
        widths, over = (np.array([one[name] for one in entries]) for name in ("width", "over"))
        error = (widths - width_mm)[over]
        lines.append(
            {
                "kind": kind,
                "width_mm": width_mm,
                "heads": len(entries),
                "found": round(float(over.mean()), 3),
                "no_width": round(float(np.isnan(widths).mean()), 3),
                "error_mm_median": round(float(np.median(error)), 2) if len(error) else None,
                "error_mm_quartiles": [round(float(q), 2) for q in np.percentile(error, (25, 75))]
                if len(error)
                else [],
                "within_2_mm": round(float((np.abs(error) <= 2).sum() / len(entries)), 3),
                "called_normal": round(float((widths < NORMAL_MM).mean()), 3),
                "called_normal_and_not_unsure": round(
                    float(
                        np.mean(
                            [
                                w < NORMAL_MM and UNSURE not in one["flags"]
                                for w, one in zip(widths, entries, strict=True)
                            ]
                        )
                    ),
                    3,
                ),
            }
        )
    return lines


def _over(found: list[float], true: list[float]) -> bool:
    """Whether the middle of either box lies within the other."""
    middles = [(x + w / 2, y + h / 2) for x, y, w, h in (found, true)]
    return any(
        x <= mx <= x + w and y <= my <= y + h
        for (mx, my), (x, y, w, h) in zip(middles, (true, found), strict=True)
    )


def main() -> None:
    from fetal_monai.bundles import bundle_dir

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--roles", default="validation")
    parser.add_argument("--model")
    parser.add_argument("--sizes", default="8,10,12,15,20")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    patients = bundle_dir(BUNDLE) / "docs" / "patients.csv"
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = [float(size) for size in given.sizes.split(",")]
        shown = write_pictures(given.data, given.roles.split(","), sizes, patients, folder)
        for line in summarise(measure(folder, given.model), shown):
            print(json.dumps(line))


if __name__ == "__main__":
    main()
