"""Training as MONAI Label asks for it: a bundle's own configuration, over the annotated studies."""

from __future__ import annotations

import csv
import datetime
import logging
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.generic import device_list, name_to_device

from fetal_monai.label.annotated import ITEMS, suits, training_items
from fetal_monai.label.served import Model
from fetal_monai.label.weights import WeightsStore
from fetal_monai.workflow import read_config

__all__ = ["BundleTrain", "can_train"]

logger = logging.getLogger(__name__)
GENTLE = 0.1  # of the bundle's own learning rate: it starts from trained weights, and studies are few
# What differs from the bundle's own training because what is annotated does.
SETTINGS: dict[str, dict[str, Any]] = {
    "fetal_brain_stack_segmentation": {
        "synthetic": 0.0,
        "mask_margin_mm": 0.0,
    },  # masks, as readers draw them
    "fetal_brain_ultrasound_detection": {"synthetic": 0},
}


def can_train(model: Model) -> bool:
    return model.name in ITEMS and "train" in model.bundle.workflows


class BundleTrain(TrainTask):
    """Runs ``train.yaml`` of a bundle from the current weights on; the new ones are then the current ones.

    Which of the annotated studies train is said by ``images``, else by :func:`fetal_monai.label.annotated.suits`.
    """

    def __init__(self, model: Model, weights: WeightsStore) -> None:
        super().__init__(model.bundle.description)
        self.model, self.weights = model, weights
        self.known = read_config(model.bundle.path / "configs" / "train.yaml")

    def config(self) -> dict[str, Any]:
        return {
            "device": device_list(),
            "model_filename": self.weights.names(self.model),
            "max_epochs": 10,
            "val_split": 0.2,
            "learning_rate": self.known["learning_rate"] * GENTLE,
            "repeats": 1,
            "images": "",
        }

    def stats(self) -> dict[str, Any]:
        """How the weights that were trained here came about; the last one's at the top, as Slicer shows them."""
        history = self.weights.history(self.model)
        return {**history[-1], "history": history} if history else {}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, and return how the new weights came about. Raises HTTPException 400 for what can't be trained."""
        start = time.perf_counter()
        asked = {**self.config(), **{k: v for k, v in request.items() if v not in (None, "")}}
        before = self.weights.path(self.model, _first(asked["model_filename"]))
        self.weights.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".training-", dir=self.weights.folder) as folder:
            run = Path(folder)
            try:
                studies = self._studies(asked, datastore)
                items = training_items(self.model, studies, run / "labels")
                train, validate = _split(items, float(asked["val_split"]))
                self._run(asked, before, train * int(asked["repeats"]), validate, run)
            except ValueError as error:
                raise HTTPException(status_code=400, detail=str(error)) from error
            history = {
                "studies": [Path(one["image"]).name for one in studies],
                "validated_with": len(validate),
                "started_from": before.name,
                "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "total_time": round(time.perf_counter() - start, 1),
                **_curves(run / "runs" / "curves.csv"),
            }
            kept = self.weights.keep(self.model, run / "model.pt", history)
            for name in ("curves.csv", "curves.png"):
                shutil.copyfile(run / "runs" / name, kept.with_name(f"{kept.stem}_{name}"))
        logger.info(f"{self.model.name}: trained {kept.name} with {len(studies)} studies")
        return {"weights": kept.name, **history}

    def _studies(self, asked: Mapping[str, Any], datastore: Datastore) -> list[dict[str, Any]]:
        tag = DefaultLabelTag.FINAL.value
        named = asked.get("images") or []
        named = named.split(",") if isinstance(named, str) else named
        if self.model.kind == "detection" and not datastore.get_labeled_images(tag, None):
            raise ValueError("no study has boxes yet; save them as its label")
        found = []
        for image_id in datastore.get_labeled_images(tag, None):
            one = {
                "image": datastore.get_image_uri(image_id),
                "label": datastore.get_label_uri(image_id, tag),
                "info": datastore.get_label_info(image_id, tag),
            }
            if image_id in named if named else suits(self.model, one):
                found.append(one)
        if not found:
            raise ValueError(f"no study has a final label that {self.model.name} can be trained with")
        return found

    def _run(
        self, asked: Mapping[str, Any], before: Path, train: list[Any], validate: list[Any], run: Path
    ) -> None:
        from monai.bundle import run as monai_run

        from fetal_monai.inference import has_fast_bfloat16

        device = name_to_device(_first(asked["device"]))
        values = {
            "bundle_root": str(self.model.bundle.path),
            "output_dir": str(run / "runs"),
            "model_path": str(run / "model.pt"),
            "pretrained": str(before),
            "device": f"$torch.device({device!r})",
            "amp": has_fast_bfloat16(device),
            "max_epochs": int(asked["max_epochs"]),
            "learning_rate": float(asked["learning_rate"]),
            "batch_size": min(int(self.known["batch_size"]), len(train)),
            **SETTINGS.get(self.model.name, {}),
        }
        unknown = [name for name in values if name not in self.known]
        if unknown:
            raise ValueError(f"{self.model.name}: its training has no setting {unknown[0]}")
        monai_run(
            config_file=[str(self.model.bundle.path / "configs" / "train.yaml")],
            logging_file=False,
            **values,
            **{"train#dataset#data": train, "validate#dataset#data": validate},
        )


def _split(items: list[Any], share: float) -> tuple[list[Any], list[Any]]:
    """Which train and which validate: the last ones, at least one; of a single study it does both."""
    if not 0 <= share < 1:
        raise ValueError(f"val_split is {share:g}; give a share from 0 to below 1")
    count = max(1, round(len(items) * share))
    return (items[:-count], items[-count:]) if len(items) > count else (items, items)


def _curves(path: Path) -> dict[str, Any]:
    """The metric that chose the weights, at its best, and the number of epochs."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    metric = next(name for name in rows[-1] if name.startswith("val_"))
    values = [float(row[metric]) for row in rows if row[metric]]
    best = min if metric.endswith(("_mm", "_mse")) else max
    return {"epoch": len(rows), "total_epochs": len(rows), "metric": metric, "best_metric": best(values)}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value
