"""What training a classifier needs beside `fetal_monai.training`: how often it is right, each class counting alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine
from ignite.metrics import Metric

__all__ = ["BalancedAccuracy"]


class BalancedAccuracy(Metric):
    """Mean over the classes that a validation set holds of the share of their pictures that are told right.

    Reads the decollated ``pred`` (logits, (C,)) and ``label`` of ``engine.state.output``. ``top`` is how many of the
    likeliest classes may hold the right one.
    """

    def __init__(self, top: int = 1) -> None:
        self.top = top
        super().__init__()

    def reset(self) -> None:
        self.right: dict[int, list[bool]] = {}

    def iteration_completed(self, engine: Engine) -> None:
        self.update(engine.state.output)

    def update(self, output: Sequence[dict[str, Any]]) -> None:
        for item in output:
            label = int(item["label"])
            likeliest = item["pred"].detach().float().cpu().numpy().argsort()[::-1][: self.top]
            self.right.setdefault(label, []).append(label in likeliest)

    def compute(self) -> float:
        return float(np.mean([np.mean(told) for told in self.right.values()])) if self.right else float("nan")
