"""Pictures with structures that the tests draw themselves, in the layout that the detector trains on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from heads import picture_of, save_png
from numpy.typing import NDArray

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.structures import bounding_box, ellipse_points, rectangle_points

SHAPE = (96, 136)
CATEGORIES = {"brain": 1, "cavum_septi_pellucidi": 2, "lateral_ventricle": 3}


def head_in(shape: tuple[int, int] = SHAPE, angle_deg: float = 5.0) -> Ellipse:
    height, width = shape
    return Ellipse((0.5 * height, 0.48 * width), (0.4 * height, 0.32 * height), math.radians(angle_deg))


def corners_in(head: Ellipse) -> dict[str, NDArray[np.float64]]:
    """A cavum on the axis and a ventricle beside it, (x, y)."""
    along, across = head.directions[:, ::-1]
    center, (long, short) = np.array(head.center[::-1]) + 0.5, head.semi_axes
    return {
        "cavum_septi_pellucidi": rectangle_points(
            center + 0.45 * long * along, head.angle, 0.4 * long, 0.2 * long
        ),
        "lateral_ventricle": rectangle_points(
            center - 0.4 * long * along + 0.5 * short * across, head.angle + 0.2, 0.45 * long, 0.25 * long
        ),
    }


def write_structures(folder: Path, patients: list[str], leave_out: dict[str, str] | None = None) -> Path:
    """One picture a patient with `annotations.json` and `brain_masks`; `leave_out` a structure by patient."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, patient in enumerate(patients, 1):
        head, name = head_in(angle_deg=7.0 * (number % 3 - 1)), f"{patient}_Plane3_1_of_1.png"
        save_png(folder / "images" / name, picture_of(head, SHAPE, seed=number))
        images.append({"id": number, "file_name": name, "patient": patient})
        drawn: dict[str, Any] = {"brain": None, **corners_in(head)}
        drawn.pop((leave_out or {}).get(patient, ""), None)
        if "brain" in drawn:
            save_png(folder / "brain_masks" / name, np.uint8(255) * head.mask(SHAPE))
        for label, corners in drawn.items():
            points = ellipse_points(head) if corners is None else corners
            entry = {
                "image_id": number,
                "category_id": CATEGORIES[label],
                "bbox": bounding_box(points).tolist(),
            }
            annotations.append(entry | ({} if corners is None else {"corners": corners.tolist()}))
    content = {
        "categories": [{"id": place, "name": name} for name, place in CATEGORIES.items()],
        "images": images,
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
