"""A gallery of synthetic fetal heads, by plane, age and abnormality, as the documentation shows it.

python benchmarks/synthetic_heads.py OUT.png [--seed 0]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.random import RandomState

SHAPE = (270, 400)
ROWS = (
    [("trans_ventricular", weeks, None, None) for weeks in (18, 24, 32)],
    [("trans_thalamic", weeks, None, None) for weeks in (18, 24, 32)],
    [("trans_cerebellar", weeks, None, None) for weeks in (18, 24, 32)],
    [("trans_ventricular", 24, "ventriculomegaly", mm) for mm in (11, 14, 18)],
    [
        ("trans_thalamic", 24, "absent_cavum", None),
        ("trans_cerebellar", 26, "large_cisterna_magna", 13),
        ("trans_thalamic", 24, "deformed_skull", 7),
    ],
)


def main() -> None:
    from PIL import Image, ImageDraw, ImageFont

    from fetal_monai.synthesis.ultrasound import synthesise_head

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    line = 22
    height, width = SHAPE[0] + line, SHAPE[1]
    gallery = Image.new("L", (3 * width, len(ROWS) * height), 255)
    pen, font = ImageDraw.Draw(gallery), ImageFont.load_default(14)
    for row, cells in enumerate(ROWS):
        for column, (plane, weeks, abnormality, millimetres) in enumerate(cells):
            random = RandomState(arguments.seed + 10 * row + column)
            head = synthesise_head(
                random, plane, weeks, abnormality, millimetres, SHAPE, with_marks=column == 2
            )
            at = column * width, row * height
            gallery.paste(Image.fromarray(np.uint8(np.round(255 * head.image))), (at[0], at[1] + line))
            words = [plane.replace("_", "-"), f"{weeks} weeks"]
            words += [abnormality.replace("_", " ")] if abnormality else []
            words += [f"{millimetres} mm"] if millimetres else []
            pen.text((at[0] + 6, at[1] + 3), ", ".join(words), font=font, fill=0)
    gallery.quantize(64).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
