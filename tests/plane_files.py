"""A small made-up copy of FETAL_PLANES_DB's layout: its table, by semicolons, and a folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from heads import picture_of, save_png

from fetal_monai.measure.ellipse import Ellipse

HEADER = "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "
BRAIN, ABDOMEN, FEMUR = (
    ("Fetal brain", "Trans-thalamic"),
    ("Fetal abdomen", "Not A Brain"),
    ("Fetal femur", "Not A Brain"),
)
SHAPE = (64, 96)

Row = tuple[str, str, tuple[str, str], int]  # name, patient, plane and brain plane, part


def write_plane_files(folder: Path, rows: Sequence[Row], pictures: bool = True) -> Path:
    """The table, and a picture for each row: a head, a round trunk, or a bar."""
    lines = [HEADER]
    for number, (name, patient, planes, train) in enumerate(rows):
        lines.append(f"{name};{patient};{planes[0]};{planes[1]};Op. 1;Voluson E6;{train} ")
        if not pictures:
            continue
        if planes == FEMUR:
            image = np.random.default_rng(number).integers(20, 60, SHAPE, dtype=np.uint8)
            image[28:33, 20:76] = 250
        else:
            minor = 20 if planes == BRAIN else 26
            image = picture_of(Ellipse((32.0, 48.0), (26.0, minor), 0.1), SHAPE, seed=number)
        save_png(folder / "Images" / f"{name}.png", image)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "FETAL_PLANES_DB_data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
