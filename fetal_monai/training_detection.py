"""What training a detector needs beside `fetal_monai.training`: average precision over a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine
from ignite.metrics import Metric

from fetal_monai.measure.structures import STRUCTURES

__all__ = ["BoxPrecision"]


class BoxPrecision(Metric):
    """Mean average precision over the ``labels`` that a validation set knows, at the overlaps ``ious``.

    Reads the decollated ``pred`` (a detector's maps) of ``engine.state.output``, and ``truth`` and ``known`` of
    ``engine.state.batch``, as :class:`fetal_monai.transforms.detection.TrueBoxesd` gives them. A picture of which a
    label is not known does not count for it.
    """

    def __init__(self, ious: float | Sequence[float] = 0.5, labels: Sequence[str] = STRUCTURES) -> None:
        self.ious, self.labels = ious, tuple(labels)
        super().__init__()

    def reset(self) -> None:
        self.pictures: dict[str, list[Any]] = {label: [] for label in self.labels}

    def iteration_completed(self, engine: Engine) -> None:
        self.update(
            [{**item, **output} for item, output in zip(engine.state.batch, engine.state.output, strict=True)]
        )

    def update(self, output: Sequence[dict[str, Any]]) -> None:
        from fetal_monai.metrics_detection import Detections
        from fetal_monai.networks.heatmap import find_peaks

        for item in output:
            peaks = find_peaks(item["pred"].detach().cpu(), threshold=0.01)
            truth, known = item["truth"].cpu().numpy(), item["known"].cpu().numpy()
            for label in self.labels:
                place = STRUCTURES.index(label)
                if known[place]:
                    one = (peaks.label == place).numpy()
                    boxes, scores = peaks.box.numpy()[one], peaks.score.numpy()[one]
                    self.pictures[label].append(Detections(boxes, scores, truth[truth[:, 0] == place, 1:]))

    def by_label(self) -> dict[str, float]:
        """Average precision of each label; NaN where no picture has one."""
        from fetal_monai.metrics_detection import average_precision

        return {label: average_precision(pictures, self.ious) for label, pictures in self.pictures.items()}

    def compute(self) -> float:
        values = np.array([*self.by_label().values()])
        return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
