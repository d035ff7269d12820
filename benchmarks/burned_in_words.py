"""How much of the words on ultrasound pictures is found, and how much of the head is taken for words.

    python benchmarks/burned_in_words.py FOLDER [--masks FOLDER] [--every 1] [--out words.json]

Names, dates and measures of 11 to 22 pixels are drawn over tissue, sharp and anti-aliased, in white, grays and colours;
told are the share of their pixels that is hidden, of words hidden all but 5 %, and the worst picture. On the pictures
as they are: the share of the picture that is hidden, and of the head, where ``--masks`` has a mask of it by the
picture's name, or HC18's outline lies beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import tell

WORDS = ("MUELLER ANNA", "12.03.1987", "GA 21w3d", "HC 18.2 cm", "ID 4711-88", "Dr. Smith")
COLOURS = {
    "white": (255, 255, 255),
    "gray 200": (200, 200, 200),
    "gray 160": (160, 160, 160),
    "gray 128": (128, 128, 128),
    "yellow": (255, 220, 60),
    "blue": (60, 90, 255),
}
PER_PICTURE, LIT, HIDDEN = 4, 25, 0.95


def write_words(
    picture: NDArray[np.uint8], colour: tuple[int, ...], rng: np.random.Generator, sharp: bool
) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """Words over lit parts of a picture (H, W, 3); the picture, and the pixels of each word."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    image, boxes, masks = Image.fromarray(picture), [], []
    drawing = ImageDraw.Draw(image)
    drawing.fontmode = "1" if sharp else "L"
    for _ in range(40 * PER_PICTURE):
        font = ImageFont.load_default(int(rng.integers(11, 23)))
        text, at = str(rng.choice(WORDS)), (int(rng.integers(width)), int(rng.integers(height)))
        left, top, right, bottom = map(int, drawing.textbbox(at, text, font=font))
        clear = all(left > b[2] + 8 or b[0] > right + 8 or top > b[3] + 8 or b[1] > bottom + 8 for b in boxes)
        if right >= width or bottom >= height or not clear or picture[top:bottom, left:right].mean() < LIT:
            continue
        drawing.text(at, text, font=font, fill=colour)
        mask = Image.new("L", (width, height))
        pen = ImageDraw.Draw(mask)
        pen.fontmode = drawing.fontmode
        pen.text(at, text, font=font, fill=255)
        boxes.append((left, top, right, bottom))
        masks.append(np.asarray(mask) > 110)
        if len(masks) == PER_PICTURE:
            break
    return np.asarray(image), masks


def head_of(path: Path, masks: Path | None) -> NDArray[np.bool_] | None:
    """The head's mask of a picture, None where none is known."""
    from PIL import Image
    from scipy import ndimage

    drawn = path.with_name(f"{path.stem}_Annotation.png")
    mask = masks / f"{path.stem}.png" if masks is not None else drawn
    if not mask.is_file():
        return None
    return np.asarray(ndimage.binary_fill_holes(np.asarray(Image.open(mask).convert("L")) > 0))


def main() -> None:
    from fetal_monai.enhance.marks import find_marks
    from fetal_monai.scan import find_scans, read_scan
    from fetal_monai.scan.pixels import gray_from_rgb

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    shares: dict[str, list[float]] = {name: [] for name in COLOURS}
    whole: dict[str, list[bool]] = {name: [] for name in COLOURS}
    false: dict[str, list[float]] = {"picture": [], "head": []}
    for number, source in enumerate(find_scans(arguments.folder)[0][:: arguments.every]):
        gray = np.asarray(read_scan(source).image, np.uint8)
        taken = find_marks(gray, whole_words=True)
        head = head_of(source.path, arguments.masks)
        false["picture"].append(100 * float(taken.mean()))
        if head is not None:
            false["head"].append(100 * float(taken[head].mean()))
        rng = np.random.default_rng(number)
        for name, colour in COLOURS.items():
            rgb, words = write_words(np.repeat(gray[..., None], 3, axis=2), colour, rng, number % 2 == 0)
            hidden = find_marks(gray_from_rgb(rgb), rgb=rgb, whole_words=True)
            parts = [float(hidden[word].mean()) for word in words]
            whole[name] += [part >= HIDDEN for part in parts]
            shares[name] += [float(hidden[np.any(words, axis=0)].mean())] if words else []
    results: dict[str, Any] = {
        name: {
            "pixels_percent": round(100 * float(np.mean(values)), 1),
            "worst_picture_percent": round(100 * min(values), 1),
            "words_percent": round(100 * float(np.mean(whole[name])), 1),
            "words": len(whole[name]),
        }
        for name, values in shares.items()
    }
    for name, values in false.items():
        if values:
            results[f"false in the {name}, percent"] = {
                "mean": round(float(np.mean(values)), 3),
                "most": round(max(values), 3),
                "pictures": len(values),
                "with none": int(np.count_nonzero(np.array(values) == 0)),
            }
    tell(results, arguments.out)


if __name__ == "__main__":
    main()
