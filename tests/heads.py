"""Heads that the tests draw themselves: probability maps, pictures, and HC18's layout on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.ellipse import Ellipse

HC18_CSV = "training_set_pixel_size_and_HC.csv"


def probability_of(ellipse: Ellipse, shape: tuple[int, int], blur_px: float = 2.0) -> NDArray[np.float32]:
    """A map (H, W) that falls from 1 to 0 across the ellipse as a network's does, 0.5 on it."""
    points = np.stack(np.meshgrid(*(np.arange(side) for side in shape), indexing="ij"), axis=-1)
    distance = ellipse.distance(points.reshape(-1, 2).astype(float)).reshape(shape)
    return (1 / (1 + np.exp(np.clip(distance / blur_px, -50, 50)))).astype(np.float32)


def picture_of(ellipse: Ellipse, shape: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Speckle with a bright skull: gray (H, W)."""
    soft = ellipse.soft_mask(shape)
    a, b = ellipse.semi_axes
    inner = Ellipse(ellipse.center, (0.9 * a, 0.9 * b), ellipse.angle).soft_mask(shape)
    noise = np.random.default_rng(seed).uniform(0.6, 1, shape)
    return np.uint8(noise * (60 + 40 * soft + 140 * np.clip(soft - inner, 0, 1)))


def draw_outline(ellipse: Ellipse, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The ellipse as a closed line of one pixel, 255 on 0."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", shape[::-1])
    points = ellipse.points(720)[:, ::-1].round().astype(int).tolist()
    ImageDraw.Draw(canvas).line([tuple(point) for point in [*points, points[0]]], fill=255)
    return np.asarray(canvas)


def save_png(path: Path, array: NDArray[np.uint8]) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def write_hc18(
    folder: Path, names: list[str], shape: tuple[int, int] = (72, 104), pixel_mm: float = 0.8, seed: int = 0
) -> dict[str, Ellipse]:
    """Pictures, drawn outlines and the CSV of HC18 for these names; returns the heads, in pixels."""
    rng = np.random.default_rng(seed)
    height, width = shape
    heads, lines = {}, ["filename,pixel size(mm),head circumference (mm)"]
    for place, name in enumerate(names):
        center = (height / 2 + rng.uniform(-3, 3), width / 2 + rng.uniform(-4, 4))
        major = rng.uniform(0.36, 0.42) * height
        head = Ellipse(center, (major, rng.uniform(0.74, 0.82) * major), rng.uniform(-0.7, 0.7))
        save_png(folder / name, picture_of(head, shape, seed=place))
        save_png(folder / f"{Path(name).stem}_Annotation.png", draw_outline(head, shape))
        lines.append(f"{name},{pixel_mm},{head.perimeter * pixel_mm:.2f}")
        heads[name] = head
    (folder / HC18_CSV).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return heads
