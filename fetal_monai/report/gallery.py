"""Training pictures beside their labels, so that a person can see what a network learns from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fetal_monai.report.overlay import save_overlay
from fetal_monai.report.planes import label_colours

__all__ = ["draw_gallery"]

COLUMNS, HEIGHT, GAP = 6, 200, 4


def draw_gallery(items: Iterable[Mapping[Any, Any]], path: str | Path, labels: int = 7) -> None:
    """Draw a slice of each item's ``image`` and ``label`` (1, X, Y, Z), side by side, as a PNG.

    The slice is the one across the last axis with most of the labels; the first axis points right, the second up.
    Gray values from 0 to 1.5 are shown from black to white. Raises ``ValueError`` without an item.
    """
    tiles = [_tile(np.asarray(item["image"])[0], np.asarray(item["label"])[0], labels) for item in items]
    if not tiles:
        raise ValueError("no items; give some training pictures")
    width = max(tile.shape[1] for tile in tiles)
    blank = np.zeros((HEIGHT, width, 3), np.uint8)
    rows: list[NDArray[np.uint8]] = []
    for start in range(0, len(tiles), COLUMNS):
        row = tiles[start : start + COLUMNS]
        row = [np.pad(tile, ((0, GAP), (0, width - tile.shape[1] + GAP), (0, 0))) for tile in row]
        row += [np.pad(blank, ((0, GAP), (0, GAP), (0, 0)))] * (COLUMNS - len(row) if rows else 0)
        rows.append(np.hstack(row))
    save_overlay(path, np.vstack(rows))


def _tile(image: NDArray[Any], label: NDArray[Any], labels: int) -> NDArray[np.uint8]:
    place = int(np.argmax((label > 0).sum(axis=(0, 1))))
    gray = np.clip(image[:, :, place] * (255 / 1.5), 0, 255).astype(np.uint8).T[::-1]
    palette = np.array([(0, 0, 0), *label_colours(labels)], np.uint8)
    colours = palette[label[:, :, place].astype(int).T[::-1]]
    both = Image.fromarray(np.hstack([np.repeat(gray[..., None], 3, axis=2), colours]))
    width = round(both.width * HEIGHT / both.height)
    return np.asarray(both.resize((width, HEIGHT), Image.Resampling.NEAREST))
