"""A folder in the layout of FETAL_PLANES_DB, made of synthetic planes and of real pictures of heads.

It stands in where the dataset itself is not at hand. Real pictures keep their patient; a synthetic view that is put
into the surroundings of a real picture belongs to that patient, so that no patient is in two parts.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fetal_monai.datasets.planes import FOLDER, PLANE_COLUMNS, PLANE_NAMES, PLANE_TABLE
from fetal_monai.measure.plane import PLANES
from fetal_monai.measure.shape import Ellipse

__all__ = ["write_planes"]

Image = NDArray[np.float32]
HEADS, TRUNKS = PLANES[:3], ("abdomen", "thorax")
SMALL_HEAD = 0.36  # semi-axis over height, up to which a trunk can cover it and be seen whole
FIRST_MADE = 100_000  # patients' numbers from here on are of synthetic pictures


@dataclass(frozen=True)
class Real:
    """A real picture of a head in 0..1, at the size it is written in, and where its head is."""

    name: str
    source: str
    plane: str
    patient: int
    image: Image
    head: Ellipse


def write_planes(
    output_dir: str | Path,
    folders: Mapping[str, Mapping[str, str]],
    synthetic: Mapping[str, int],
    transplanted: float = 0.5,
    beside: int = 0,
    test: float = 0.15,
    exclude: Sequence[str | int] = (),
    width: int = 320,
    seed: int = 0,
    most: int | None = None,
) -> int:
    """Write the table and the folder ``Images`` to ``output_dir``; returns the number of pictures.

    Args:
        folders: real pictures by the name of their source: ``images`` (folder), ``masks`` (folder; None for HC18, whose
            outlines lie beside the pictures) and ``plane``. A name starts with its patient and ``_``.
        synthetic: number of pictures by plane.
        transplanted: share of them that come in the surroundings of a real picture, but for the cervix.
        beside: number of pictures, for ``other``, of what lies beside real heads.
        test: share of the patients that are the test part.
        exclude: patients' numbers that are left out.
        width: of the pictures written; what is larger is reduced.
        most: real pictures to take of each folder at most; None for all.

    Raises:
        ValueError: a plane is not known, or a folder holds no picture with a head.
    """
    unknown = [plane for plane in synthetic if plane not in PLANES]
    if unknown:
        raise ValueError(f"there is no plane {unknown[0]!r}; there are {', '.join(PLANES)}")
    out = Path(output_dir)
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    left_out = {int(number) for number in exclude}
    reals = [
        real
        for number, (source, entry) in enumerate(folders.items())
        for real in _real_pictures(source, entry, number, left_out, width, most)
    ]
    rows: list[list[str]] = []
    written: dict[tuple[int, str], int] = {}

    def write(image: Image, plane: str, patient: int, machine: str) -> None:
        from PIL import Image as PilImage

        kind = str(1 + PLANES.index(plane))
        number = written[patient, plane] = written.get((patient, plane), 0) + 1
        name = f"Patient{patient:05d}_Plane{kind}_{number}"
        PilImage.fromarray(np.uint8(np.round(255 * image))).save(out / FOLDER / f"{name}.png")
        train = "0" if _draw(seed, patient) < test else "1"
        rows.append([name, str(patient), *PLANE_NAMES[plane], "Op. 1", machine, f"{train} "])

    for real in reals:
        write(real.image, real.plane, real.patient, real.source)
    random = RandomState(seed)
    for image, real in _besides(reals, beside, random):
        write(image, "other", real.patient, real.source)
    patient = FIRST_MADE
    for plane in PLANES:
        for number in range(int(synthetic.get(plane, 0))):
            state = RandomState(np.random.SeedSequence([seed, PLANES.index(plane), number]).generate_state(4))
            image, at = _made(plane, reals if state.rand() < transplanted else [], width, state)
            patient += 1
            write(image, plane, at.patient if at else patient, at.source if at else "synthetic")
    with open(out / PLANE_TABLE, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(PLANE_COLUMNS)
        writer.writerows(rows)
    return len(rows)


def _made(plane: str, reals: Sequence[Real], width: int, random: RandomState) -> tuple[Image, Real | None]:
    """A synthetic picture, and the real one in whose surroundings it is."""
    from fetal_monai.synthesis.ultrasound_planes import synthesise_plane
    from fetal_monai.synthesis.ultrasound_transplant import beside, transplant

    shape = round(width / random.uniform(1.4, 1.6)), width
    made = synthesise_plane(random, plane, shape=shape)
    if not reals or plane == "cervix":
        return made.image, None
    sources = sorted({real.source for real in reals})
    source = sources[random.randint(len(sources))]  # each as often, however many pictures it has
    of_source = [real for real in reals if real.source == source]
    for _ in range(10):
        real = of_source[random.randint(len(of_source))]
        if plane in HEADS or (plane in TRUNKS and real.head.semi_axes[0] < SMALL_HEAD * len(real.image)):
            stretched = plane in HEADS
            return transplant(made.image, made.ellipse, real.image, real.head, random, stretched), real
        scene = beside(real.image, real.head, random)
        if scene is not None:
            return transplant(made.image, made.ellipse, scene, None, random), real
    return made.image, None


def _besides(reals: Sequence[Real], count: int, random: RandomState) -> Iterator[tuple[Image, Real]]:
    from fetal_monai.synthesis.ultrasound_transplant import beside

    found = 0
    for _ in range(20 * count):
        if found == count or not reals:
            return
        real = reals[random.randint(len(reals))]
        scene = beside(real.image, real.head, random)
        if scene is not None:
            found += 1
            yield scene, real


def _real_pictures(
    source: str, entry: Mapping[str, Any], number: int, exclude: set[int], width: int, most: int | None
) -> Iterator[Real]:
    """Patients' numbers of the second folder and later ones are moved, so that they do not meet."""
    from PIL import Image as PilImage

    from fetal_monai.datasets.ultrasound import head_items
    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask

    if entry["plane"] not in PLANES:
        raise ValueError(f"{source}: there is no plane {entry['plane']!r}; there are {', '.join(PLANES)}")
    count = 0
    for item in head_items(entry["images"]):
        path = Path(item["image"])
        masks = entry.get("masks")
        mask = path.with_name(f"{path.stem}_Annotation.png")
        mask = Path(masks) / f"{path.stem}.png" if masks else mask
        digits = re.sub(r"\D", "", item["subject"])
        if not mask.is_file() or not digits or int(digits) in exclude or (most is not None and count >= most):
            continue
        outline = outline_from_mask(np.asarray(PilImage.open(mask).convert("L")) > 0)
        fit = None if outline is None else fit_ellipse(outline)
        if fit is None:
            continue
        with PilImage.open(path) as picture:
            gray = picture.convert("L")
        factor = min(1.0, width / gray.width)
        size = max(1, round(factor * gray.width)), max(1, round(factor * gray.height))
        small = np.asarray(gray.resize(size, PilImage.Resampling.BOX), dtype=np.float32) / np.float32(255)
        head = fit.ellipse.scaled((size[1] / gray.height, size[0] / gray.width))
        count += 1
        yield Real(path.stem, source, entry["plane"], 10_000 * number + int(digits), small, head)
    if not count:
        raise ValueError(
            f"{entry['images']}: no picture with an outline or mask of its head, for source {source}"
        )


def _draw(seed: int, patient: int) -> float:
    """Uniform in 0..1, the same for a patient whichever others there are."""
    digest = hashlib.sha256(f"test {seed}:{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
