"""The bundles as MONAI Label sees them: kind of task, labels, and the settings that a client may change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fetal_monai.bundles import Bundle, UsageError, list_bundles
from fetal_monai.settings import as_optional

__all__ = ["PICTURES", "TUMOUR_SETTINGS", "VOLUMES", "Model", "checked_settings", "served_models"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm")
VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha")

# By the last word of a bundle's name, as MONAI Label's own bundle app does. What Slicer can't show is "others".
KINDS = {"segmentation": "segmentation", "classification": "classification", "detection": "detection"}
SETTINGS = (
    *("spacing_mm", "allow_ruler", "ga_weeks", "time_point", "flips", "false_alarm_rate", "min_score"),
    *("sequences", "register", "skull_strip", "reference", "min_ml", "min_sure"),
    *("grow_mm", "uncertain_above"),
)
WORD = re.compile(r"[A-Za-z0-9_.+-]*")
# Of tumours, whose channels are regions. Slicer takes the first label for 1, the second for 2 and so on: the 4 of BraTS
# 2018, which the bundle writes by itself, would be lost there.
TUMOUR_LABELS = {"non_enhancing_core": 1, "oedema": 2, "enhancing": 3}
TUMOUR_SETTINGS = {"convention": "brats2023"}


@dataclass(frozen=True)
class Model:
    """A bundle to serve: ``kind`` is MONAI Label's type, ``dimension`` 2 or 3, ``labels`` values by name.

    ``settings`` are the values of its inference that a client may change, as they are unless it does; ``fixed`` are
    those that are others here. ``is_patient``: it looks at several sequences of one patient.
    """

    bundle: Bundle
    kind: str
    dimension: int
    labels: dict[str, int]
    settings: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    is_patient: bool = False

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def reads(self) -> tuple[str, ...]:
        """Endings of the files that it is asked about where nobody says which."""
        return PICTURES if self.dimension == 2 else VOLUMES


def served_models(names: str = "all") -> dict[str, Model]:
    """The models of ``names``, separated by commas, by name; ``all`` is every bundle that can infer and has weights.

    Raises UsageError for a name that is none of them.
    """
    ready = {b.name: b for b in list_bundles() if "inference" in b.workflows and b.weights}
    wanted = list(ready) if names.strip() in ("", "all") else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in ready:
            raise UsageError(f"there is no model {name!r}; there are: {', '.join(ready) or 'none'}, or all")
    return {name: _model(ready[name]) for name in wanted}


def checked_settings(model: Model, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the request's values that change a setting of the model; ValueError for one that is not of its kind.

    Values reach a configuration in which text may be an expression, so text must be a plain word. A value that is empty
    or null leaves the setting as it is.
    """
    values = {}
    for name, default in model.settings.items():
        value = _plain_value(name, as_optional(asked.get(name)))
        if value is not None and value != default:
            values[name] = value
    return values


def _plain_value(name: str, value: Any) -> Any:
    """Numbers, words and lists of them; text that is a YAML value, such as ``[1]``, as that."""
    if isinstance(value, str):
        import yaml

        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"{name} is {value!r}; give a number, a word or a list of them") from None
    if isinstance(value, list):
        return [_plain_value(name, item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and WORD.fullmatch(value):
        return value
    raise ValueError(f"{name} is {value!r}; give a number, a word or a list of them")


def _model(bundle: Bundle) -> Model:
    from fetal_monai.workflow import read_config

    metadata = json.loads((bundle.path / "configs" / "metadata.json").read_text(encoding="utf-8"))
    config = read_config(bundle.path / "configs" / "inference.yaml")
    formats = metadata["network_data_format"]
    image = next(iter(formats["inputs"].values()))
    channels = next(iter(formats["outputs"].values())).get("channel_def", {})
    kind = KINDS.get(bundle.name.rpartition("_")[2], "others")
    run = str(config.get("scan_run", {}).get("_target_", ""))
    is_patient = run.endswith("PatientRun")
    settings = {name: config[name] for name in SETTINGS if name in config and _is_plain(config[name])}
    fixed = dict(TUMOUR_SETTINGS) if is_patient else {}
    labels = _labels(kind, {int(place): str(name) for place, name in channels.items()}, is_patient)
    return Model(bundle, kind, len(image["spatial_shape"]), labels, settings, fixed, is_patient)


def _labels(kind: str, channels: dict[int, str], is_patient: bool) -> dict[str, int]:
    """What a value in the answer stands for."""
    if kind == "detection":
        from fetal_monai.measure.structures import STRUCTURES

        return {name: place for place, name in enumerate(STRUCTURES)}
    if kind == "segmentation" and is_patient:
        return dict(TUMOUR_LABELS)
    if kind == "segmentation" and len(channels) == 1:  # of one class, inside is 1
        return {channels[0]: 1}
    if kind in ("segmentation", "classification"):
        return {name: place for place, name in sorted(channels.items()) if name != "background"}
    return {}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float) or _is_word(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and WORD.fullmatch(value) is not None
