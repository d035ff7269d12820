"""The MONAI Label app: every bundle as a model, over the images of one folder."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import monailabel
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random
from monailabel.utils.others.generic import strtobool

from fetal_monai.label import workarounds
from fetal_monai.label.choosing import DiceScore, HighestFirst, StudyScore, anomaly, uncertainty
from fetal_monai.label.datastore import StudiesDatastore
from fetal_monai.label.infer import BundleInfer
from fetal_monai.label.served import served_models
from fetal_monai.label.train import BundleTrain, can_train
from fetal_monai.label.weights import WeightsStore

__all__ = ["FetalMonaiLabel"]

logger = logging.getLogger(__name__)
OWN_TAGS = {"detection": "boxes", "others": "map"}  # of answers that are no labels to edit


class FetalMonaiLabel(MONAILabelApp):
    """Serves the bundles that ``--conf models`` names, ``all`` by default, over the images of ``studies``.

    Weights that are trained here go to ``<studies>/models``; other ``--conf`` keys: ``auto_scoring`` scores all images
    for active learning at start and after each (false).
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        conf = conf or {}
        self.models = served_models(conf.get("models", "all"))
        is_folder = not studies.startswith(("http://", "https://"))
        self.weights = WeightsStore(Path(studies if is_folder else app_dir, "models"))
        super().__init__(
            app_dir,
            studies,
            conf,
            name="fetal_monai",
            description="Fetal ultrasound and MR, and brain tumour MR. For research use only.",
            version=monailabel.__version__,
        )
        self._auto_update_scoring = bool(strtobool(conf.get("auto_scoring", "false")))
        # Uploads land where nobody else writes, so that a path that a client names is told from an upload.
        self.uploads = Path(tempfile.mkdtemp(prefix="fetal_monai_label_"))
        tempfile.tempdir = str(self.uploads)
        atexit.register(shutil.rmtree, self.uploads, ignore_errors=True)

    def init_datastore(self) -> Any:
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        return StudiesDatastore(
            self.studies, settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD, settings.MONAI_LABEL_DATASTORE_READ_ONLY
        )

    def init_infers(self) -> dict[str, Any]:
        return {name: BundleInfer(model, self.weights) for name, model in self.models.items()}

    def init_trainers(self) -> dict[str, Any]:
        models = {name: model for name, model in self.models.items() if can_train(model)}
        return {name: BundleTrain(model, self.weights) for name, model in models.items()}

    def init_scoring_methods(self) -> dict[str, Any]:
        return {**self._scores(), "dice": DiceScore()}

    def init_strategies(self) -> dict[str, Any]:
        by_score = {name: HighestFirst(scores) for name, scores in self._scores().items()}
        return {**by_score, "first": First(), "random": Random()}

    def _scores(self) -> dict[str, StudyScore]:
        """Of studies, by the first model that segments and the first that is about anomalies, unless one is named."""
        by_use = sorted(self.models.values(), key=lambda model: model.is_patient)  # one scan each is the rule
        segments = [model.name for model in by_use if model.kind == "segmentation"]
        anomalies = [name for name in self.models if name.endswith("_anomaly")]
        anomalies += [name for name in self.models if name == "fetal_brain_mri_segmentation"]
        of = {
            "uncertainty": (uncertainty, [*segments, *self.models], "how unsure the model is of it"),
            "anomaly": (anomaly, anomalies, "how unlike healthy ones it is"),
        }
        return {
            name: StudyScore(name, score, self._infers, self._default(models), about)
            for name, (score, models, about) in of.items()
            if models
        }

    def _default(self, models: Sequence[str]) -> str:
        """The first of the models that reads any of the studies, else the first."""
        store = self.datastore()
        is_local = isinstance(store, StudiesDatastore)  # a remote one would fetch them all
        files = [store.get_image_uri(image).lower() for image in store.list_images()] if is_local else []
        return next((m for m in models if any(f.endswith(self.models[m].reads) for f in files)), models[0])

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """As MONAI Label's, with HTTP 404 for a model or image that is not there, also where the image is a path.

        Where the answer is saved, its measurements and flags are noted with the image, under the model's name.
        """
        model, image = str(request.get("model")), str(request.get("image"))
        if model not in self.models:
            raise HTTPException(404, f"there is no model {model!r}; there are: {', '.join(self.models)}")
        store = datastore if datastore is not None else self.datastore()
        is_known = image in store.list_images()
        path = store.get_image_uri(image) if is_known else self._uploaded(image)
        file, params = self._infers[model]({**request, "image": path})
        label, tag = file, str(request.get("label_tag") or DefaultLabelTag.ORIGINAL.value)
        if is_known and strtobool(request.get("save_label", False)):
            if tag == DefaultLabelTag.ORIGINAL.value:
                tag = OWN_TAGS.get(self.models[model].kind, tag)
            if file is not None:
                label = store.save_label(image, file, tag, {"model": model, "params": params})
            noted = {name: params[name] for name in ("measurements", "flags", "weights_sha256")}
            store.update_image_info(image, {model: noted})
        return {"label": label, "tag": tag, "file": file, "params": params}

    def batch_infer(self, request: Mapping[str, Any], datastore: Any = None) -> Any:
        """As MONAI Label's; a scan that gives no result stops no other, its ``params`` hold the ``reason``."""
        store = datastore if datastore is not None else self.datastore()
        return self._batch_infer(workarounds.batch_request(request), store, self._infer_or_tell)

    def _infer_or_tell(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        try:
            return self.infer(request, datastore)
        except HTTPException as error:
            logger.warning(f"{request.get('image')}: {error.detail}")
            return {"label": None, "file": None, "params": {"reason": error.detail}}

    _download_dcmqi_tools = workarounds.no_download

    def _uploaded(self, image: str) -> str:
        """The path of an upload or of a session's image; HTTP 404 for any other."""
        sessions = self.sessions()
        folders = [self.uploads, *([Path(sessions.store_path)] if sessions else [])]
        path = Path(image)
        if path.is_absolute() and any(folder.resolve() in path.resolve().parents for folder in folders):
            return image
        raise HTTPException(404, f"there is no image {image!r} among the studies")
