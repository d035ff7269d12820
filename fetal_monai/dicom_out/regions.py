"""Parts of a picture that measures were taken on, as a report draws them: boxes of structures, and lines across."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.measure.detected import WIDTHS, StructureMeasurement
from fetal_monai.measure.structures import box_points

__all__ = ["Region", "structure_regions"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """A closed outline `points` (N, 2), x and y in pixels from the corner of the first one.

    `label` is a key of the kind's `findings`, `name` tells it from others of its label. `measures` are told with it, by
    their names; `lines` (2, 2) are those that lengths of the whole picture were taken along, by the lengths' names.
    """

    label: str
    name: str
    points: Points
    measures: Mapping[str, float] = field(default_factory=dict)
    lines: Mapping[str, Points] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What tells this region from another, in plain numbers."""
        lines = {name: np.round(ends, 3).tolist() for name, ends in self.lines.items()}
        return {
            "name": self.name,
            "points": np.round(self.points, 3).tolist(),
            "measures": dict(self.measures),
            "lines": lines,
        }


def structure_regions(measured: StructureMeasurement) -> list[Region]:
    """The structures that count, each on its box with its score; the best of a label has the line of its width."""
    regions: list[Region] = []
    seen: Counter[str] = Counter()
    for one in (one for one in measured.found if one.shown):
        seen[one.label] += 1
        scores = {f"score_{one.label}": one.score}
        is_measured = seen[one.label] == 1 and one.label in WIDTHS
        lines = {f"{WIDTHS[one.label]}_mm": one.width_ends} if is_measured else {}
        name = one.label.replace("_", " ").capitalize()
        name += f" {seen[one.label]}" if seen[one.label] > 1 else ""
        regions.append(Region(one.label, name, box_points(one.box), scores, lines))
    return regions


def closed(points: Points | Sequence[Points]) -> Points:
    """The outline with its first point once more at its end, as a closed POLYLINE has it."""
    outline = np.asarray(points, dtype=float)
    return np.concatenate([outline, outline[:1]])
