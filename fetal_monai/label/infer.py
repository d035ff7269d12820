"""Inference as MONAI Label asks for it: a bundle's own configuration, run over one scan."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.utils.others.generic import device_list, name_to_device

from fetal_monai.label.annotated import patient_folder
from fetal_monai.label.answers import answer_file, answer_params
from fetal_monai.label.served import Model, checked_settings
from fetal_monai.label.weights import SHIPPED, WeightsStore
from fetal_monai.record import Record, load_run
from fetal_monai.run import reason_of
from fetal_monai.workflow import overrides, read_config, run_inference

__all__ = ["BundleInfer"]

logger = logging.getLogger(__name__)
DEVICE = re.compile(r"(cpu|mps|cuda(:\d+)?)")
ONE_AT_A_TIME = threading.Lock()  # a run sets torch's threads and Python's warnings for the whole process


class BundleInfer(InferTask):
    """Runs ``inference.yaml`` of a bundle over the image of a request, and answers with what it left.

    A scan that gives no result is HTTP 422 with the reason that ``run.json`` has, a wrong request HTTP 400.
    """

    def __init__(self, model: Model, weights: WeightsStore) -> None:
        super().__init__(model.kind, model.labels, model.dimension, model.bundle.description)
        self.model, self.weights = model, weights

    def config(self) -> dict[str, Any]:
        """What a client may choose, with the values that stand first; lists are choices."""
        choices = {"device": device_list(), "model_filename": self.weights.names(self.model)}
        return {**choices, **{name: _shown(value) for name, value in self.model.settings.items()}}

    def info(self) -> dict[str, Any]:
        return {**super().info(), "version": self.model.bundle.version}

    def get_path(self, validate: bool = True) -> str:
        return str(self.weights.path(self.model))

    def version(self) -> str:
        """What says whether an earlier answer still holds: the bundle's version and the weights' name."""
        return f"{self.model.bundle.version} {self.weights.path(self.model).name}"

    def is_valid(self) -> bool:
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """The file of the answer, which the caller removes, or None, and ``params``.

        ``request`` has ``image``, a path, and what :meth:`config` names; ``result_extension`` is the type of the file.
        """
        start = time.perf_counter()
        image = Path(str(request["image"]))
        with tempfile.TemporaryDirectory() as folder:
            records, info = self.run(image, request, Path(folder, "out"))
            try:
                file = answer_file(
                    self.model,
                    image,
                    records,
                    Path(folder, "out"),
                    str(request.get("result_extension") or ""),
                )
            except ValueError as error:
                raise HTTPException(status_code=400, detail=reason_of(error, image.name)) from error
            params = answer_params(self.model, records, info, Path(folder, "out"))
            if info["weights"] != SHIPPED:
                params["flags"].append("trained_here")
            kept = None if file is None else _kept(file)
        params["label_names"] = self.model.labels
        params["latencies"] = {"total": round(time.perf_counter() - start, 2)}
        return kept, params

    @contextmanager
    def answer(self, image: str, request: Mapping[str, Any]) -> Iterator[tuple[list[Record], Path | None]]:
        """The records of an image and the file that answers for it, which goes when the block ends."""
        with tempfile.TemporaryDirectory() as folder:
            records, _ = self.run(Path(image), request, Path(folder, "out"))
            yield records, answer_file(self.model, Path(image), records, Path(folder, "out"))

    def run(self, image: Path, request: Mapping[str, Any], out: Path) -> tuple[list[Record], dict[str, Any]]:
        """The records of the scan's frames and the ``run.json`` of a run into ``out``; HTTPException if it fails."""
        try:
            configs, values = self._run_values(image, request, out)
            with ONE_AT_A_TIME:
                run_inference(configs, values)
        except (ValueError, RuntimeError) as error:
            raise HTTPException(status_code=422, detail=_reason(error, image)) from error
        records, info = load_run(out)
        failed = [record.reason for record in records if record.failed]
        if failed:
            raise HTTPException(status_code=422, detail=failed[0])
        return records, info

    def _run_values(
        self, image: Path, request: Mapping[str, Any], out: Path
    ) -> tuple[list[str], dict[str, Any]]:
        try:
            asked = {**self.model.fixed, **checked_settings(self.model, request)}
            weights = self.weights.path(self.model, _first(request.get("model_filename")))
        except ValueError as error:
            raise HTTPException(status_code=400, detail=str(error)) from error
        device = name_to_device(_first(request.get("device")))
        if not DEVICE.fullmatch(device):
            raise HTTPException(status_code=400, detail=f"device is {device!r}; give one of {device_list()}")
        scan = image
        if self.model.is_patient:
            scan, sequence = patient_folder(image, out.parent / "patients")
            asked = {
                **({} if sequence is None else {"reference": sequence}),
                **asked,
            }  # answer on its own grid
        folder = self.model.bundle.path
        configs, values = overrides(
            folder, [], [], {"dataset_dir": str(scan), "output_dir": str(out), "progress": False, **asked}
        )
        values |= {"bundle_root": str(folder), "device": f"$torch.device('{device}')"}
        values |= self.of_weights(weights)
        return configs, values

    def of_weights(self, weights: Path) -> dict[str, Any]:
        """The settings that run these weights. An interval holds for the weights that it was measured with alone."""
        values: dict[str, Any] = {"model_path": str(weights)}
        known = read_config(self.model.bundle.path / "configs" / "inference.yaml")
        if self.weights.is_trained_here(weights) and "calibration_path" in known:
            values["calibration_path"] = "$None"
        return values


def _kept(file: Path) -> str:
    """A copy that outlives the folder of the run."""
    suffix = "".join(
        file.suffixes[-2:] if file.name.endswith((".nii.gz", ".seg.nrrd")) else file.suffixes[-1:]
    )
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as kept:
        shutil.copyfile(file, kept.name)
    return kept.name


def _reason(error: BaseException, image: Path) -> str:
    from fetal_monai.commands import explain

    return explain(error).replace(f"{image.parent}{os.sep}", "")


def _first(value: Any) -> Any:
    """MONAI Label's clients send back the list of choices where nobody chose."""
    return value[0] if isinstance(value, list) and value else value or None


def _shown(value: Any) -> Any:
    """A default as Slicer's table of options can show it: a list there is a choice, so lists become text."""
    return str(value) if isinstance(value, list) else "" if value is None else value
