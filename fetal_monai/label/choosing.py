"""Which study to annotate next, and how good labels are: MONAI Label's strategies and scoring methods."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from fetal_monai.label.annotated import read_label
from fetal_monai.label.infer import BundleInfer
from fetal_monai.record import Record

__all__ = ["DiceScore", "HighestFirst", "StudyScore", "anomaly", "uncertainty"]

logger = logging.getLogger(__name__)
Infers = Mapping[str, BundleInfer]
Score = Callable[[BundleInfer, str], float]


def uncertainty(infer: BundleInfer, image: str) -> float:
    """How unsure a model is of an image, from 0 to 1 or so; 1 where it finds nothing.

    In this order: the tumour's entropy, the chance that another class is right, the mean entropy of the scores of
    structures, the 90 % interval of HC over HC, else 1 minus the Dice of the answers with and without mirrored copies.
    """
    with infer.answer(image, {}) as (records, labels):
        measures = _mean_measures(records)
        chances = [value for name, value in measures.items() if name.startswith("probability_")]
        scores = [value for name, value in measures.items() if name.startswith("score_")]
        width = measures.get("hc_mm_high", math.nan) - measures.get("hc_mm_low", math.nan)
        known = [
            measures.get("tumour_uncertainty", math.nan),
            1 - max(chances, default=math.nan),
            float(np.mean([_entropy_bits(score) for score in scores])) if scores else math.nan,
            width / measures.get("hc_mm", math.nan),
        ]
        first = next((value for value in known if math.isfinite(value)), None)
        if first is not None:
            return first
        plain = None if labels is None or labels.suffix == ".json" else read_label(labels)
    if plain is None or not plain.any() or "flips" not in infer.model.settings:
        return 1.0
    flips = [] if infer.model.settings["flips"] else [infer.model.dimension - 1]
    with infer.answer(image, {"flips": flips}) as (_, labels):
        return 1.0 if labels is None else 1 - dice(plain, read_label(labels))["mean"]


def anomaly(infer: BundleInfer, image: str) -> float:
    """The anomaly score of a picture, or how far a brain's measures are from the usual at its age; NaN if neither."""
    with infer.answer(image, {}) as (records, _):
        measures = _mean_measures(records)
    return measures.get("anomaly_score", measures.get("deviation_score", math.nan))


class StudyScore(ScoringMethod):
    """Scores the images without a final label by a model, and notes it with them under ``name``.

    ``request``: ``model``, by default the first that reads them; ``max_samples``, the most images to score, 0 for all.
    What is scored already with the same weights is left. An image that can't be scored gets null.
    """

    def __init__(self, name: str, score: Score, infers: Infers, default: str, description: str) -> None:
        super().__init__(description)
        self.name, self.score, self.infers, self.default = name, score, infers, default

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        infer, images = self.infer(request), self.images(request, datastore)
        left = [image for image in images if not self.known(infer, datastore, image)]
        most = int(request.get("max_samples") or 0)
        for image in left[: most or None]:
            try:
                value = self.score(infer, datastore.get_image_uri(image))
            except HTTPException as error:
                logger.warning(f"{image}: {error.detail}")
                value = math.nan
            noted = {"score": value if math.isfinite(value) else None, "weights": infer.version()}
            info = datastore.get_image_info(image).get(self.name) or {}
            datastore.update_image_info(image, {self.name: {**info, infer.model.name: noted}})
        return {image: (self.known(infer, datastore, image) or {}).get("score") for image in images}

    def infer(self, request: Mapping[str, Any]) -> BundleInfer:
        """The model to score with; HTTPException 404 if there is none of that name."""
        name = str(request.get("model") or self.default)
        if name not in self.infers:
            raise HTTPException(404, f"there is no model {name!r}; there are: {', '.join(self.infers)}")
        return self.infers[name]

    def images(self, request: Mapping[str, Any], datastore: Datastore) -> list[str]:
        """Those without a final label that the model reads, by name."""
        reads = self.infer(request).model.reads
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        return sorted(i for i in images if datastore.get_image_uri(i).lower().endswith(reads))

    def known(self, infer: BundleInfer, datastore: Datastore, image: str) -> dict[str, Any] | None:
        """What was noted of an image with the weights that the model has now."""
        noted = (datastore.get_image_info(image).get(self.name) or {}).get(infer.model.name)
        return noted if noted and noted["weights"] == infer.version() else None


class HighestFirst(Strategy):
    """The image with the highest score, of those without a final label; ``limit`` of them are scored at a time."""

    def __init__(self, scores: StudyScore, limit: int = 10) -> None:
        super().__init__(f"The next by {scores.name}: {scores.description}")
        self.scores, self.limit = scores, limit

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        asked = {**request, "max_samples": request.get("limit") or self.limit}
        found = {image: score for image, score in self.scores(asked, datastore).items() if score is not None}
        unscored = [image for image in self.scores.images(request, datastore) if image not in found]
        if not found and not unscored:
            return None
        image = max(found, key=lambda image: found[image]) if found else unscored[0]
        return {"id": image, "model": self.scores.infer(request).model.name, "score": found.get(image)}


class DiceScore(ScoringMethod):
    """Dice of final labels with what the model had made, by label value and in the mean; noted with the images."""

    def __init__(self) -> None:
        super().__init__("Dice of final labels with those that models made")

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        tags = (
            request.get("y") or DefaultLabelTag.FINAL.value,
            request.get("y_pred") or DefaultLabelTag.ORIGINAL.value,
        )
        result = {}
        for image in sorted(datastore.list_images()):
            paths = [datastore.get_label_uri(image, tag) for tag in tags]
            if not all(paths) or any(path.endswith(".json") for path in paths):
                continue
            labels = [read_label(Path(path)) for path in paths]
            if labels[0].size != labels[1].size:
                logger.warning(f"{image}: labels of {labels[0].shape} and {labels[1].shape} voxels")
                continue
            result[image] = dice(*labels)
            datastore.update_image_info(image, {"dice": result[image]["mean"]})
        return result


def dice(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Dice of each label value that either has, by its number, and ``mean``, 1 where both are empty.

    A picture's mask of 0 and 255 is one of 0 and 1.
    """
    one, other = (np.where(a == 255, 1, a).ravel() for a in (first, second))
    values = sorted(set(np.unique(one)) | set(np.unique(other)) - {0})
    found = {
        f"{value:g}": float(
            2 * ((one == value) & (other == value)).sum() / ((one == value).sum() + (other == value).sum())
        )
        for value in values
        if value != 0
    }
    return {**found, "mean": float(np.mean([*found.values()])) if found else 1.0}


def _mean_measures(records: Sequence[Record]) -> dict[str, float]:
    """Numbers of the scan, of several frames their mean."""
    names = [name for name, value in records[0].measures.items() if not isinstance(value, str)]
    return {name: float(np.mean([float(r.measures.get(name, math.nan)) for r in records])) for name in names}


def _entropy_bits(chance: float) -> float:
    """Of a yes or no; 0 for a chance that is not known, as what was not found at all is no doubt."""
    parts = [p * math.log2(p) for p in (chance, 1 - chance) if 0 < p < 1]
    return -sum(parts)
