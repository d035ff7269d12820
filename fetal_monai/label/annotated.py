"""The annotated studies as what a bundle's training reads."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai.label.answers import box_of_markup
from fetal_monai.label.served import TUMOUR_SETTINGS, Model
from fetal_monai.scan import SEQUENCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ITEMS", "Annotated", "suits", "training_items"]

Annotated = Mapping[str, Any]  # image and label (paths), and info, what the store knows of the label
Item = dict[str, Any]
NOMINAL_HC_MM = 250.0  # of a head on a picture without spacing, so that errors of all heads weigh alike


def suits(model: Model, annotated: Annotated) -> bool:
    """Whether a label is one that this model could have made.

    It is if the label says so (``model`` in its info). Else a volume's is by the sequence that its name tells and by
    the values: all must be the model's, and more than half of the model's must be there, as a few may be of anything.
    """
    image, label, info = str(annotated["image"]), str(annotated["label"]), annotated.get("info", {})
    if not image.lower().endswith(model.reads) or (model.kind == "detection") != label.endswith(".json"):
        return False
    if info.get("model"):
        return bool(info["model"] == model.name)
    if model.kind != "segmentation" or model.dimension == 2:
        return True
    from fetal_monai.scan import sequence_of

    sequence = sequence_of(Path(image).name)
    if sequence not in (SEQUENCES if model.is_patient else (None, "t2")):
        return False
    found = set(np.unique(read_label(Path(label))).tolist()) - {0}
    return found <= set(model.labels.values()) and 2 * len(found) > len(model.labels)


def training_items(model: Model, studies: Sequence[Annotated], folder: Path) -> list[Item]:
    """What ``train#dataset#data`` of the bundle takes; labels that need another format are written to ``folder``.

    Raises ValueError, with the name of the file, for a label that can't be trained with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [ITEMS[model.name](Path(one["image"]), Path(one["label"]), folder) for one in studies]


def read_label(path: Path) -> NDArray[Any]:
    """The values of a label file, in the order of ITK's arrays; ValueError if it can't be read."""
    import SimpleITK

    try:
        return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))))
    except RuntimeError as error:
        raise ValueError(f"{path.name}: is no label file that can be read") from error


def _head(image: Path, label: Path, folder: Path) -> Item:
    from PIL import Image

    from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask
    from fetal_monai.scan import read_scan, read_spacing_csv, source_of

    mask = (np.squeeze(read_label(label)) > 0).astype(np.uint8)
    mask = mask.max(-1) if mask.ndim == 3 else mask  # a colour picture
    scan = read_scan(source_of(image), spacing_table=read_spacing_csv(image.parent))
    outline = None if mask.shape != scan.image.shape else outline_from_mask(mask)
    fit = None if outline is None else fit_ellipse(outline)
    if fit is None:
        raise ValueError(f"{label.name}: is no outline or mask of one head on {image.name}")
    spacing = scan.spacing_mm or (NOMINAL_HC_MM / fit.ellipse.perimeter,) * 2
    fitted = fit_ellipse(np.asarray(outline) * spacing)
    path = folder / f"{image.stem}.png"
    Image.fromarray(mask * np.uint8(255)).save(path)
    hc_mm = math.nan if fitted is None else float(fitted.ellipse.perimeter)
    return {"image": str(image), "label": str(path), "hc_mm": hc_mm, "spacing_mm": tuple(map(float, spacing))}


def _brain(label_key: str) -> Callable[[Path, Path, Path], Item]:
    def item(image: Path, label: Path, folder: Path) -> Item:
        return {
            "image": str(image),
            "label": str(_nifti(label, folder)),
            "label_key": label_key,
            "ga_weeks": math.nan,
            "subject": _stem(image),
        }

    return item


def _tumour(image: Path, label: Path, folder: Path) -> Item:
    from fetal_monai.scan import find_patients

    patient, _ = patient_folder(image, folder)
    found, _ = find_patients(patient)
    return {
        "image": found[0],
        "label": str(_nifti(label, folder)),
        **TUMOUR_SETTINGS,
        "subject": patient.name,
    }


def _structures(image: Path, label: Path, folder: Path) -> Item:
    from fetal_monai.measure.structures import STRUCTURES

    content = json.loads(label.read_text(encoding="utf-8"))
    boxes = [box for box in content.get("boxes", []) if box.get("shown", True)]
    boxes += [box_of_markup(markup, image) for markup in content.get("markups", [])]
    unknown = [box["label"] for box in boxes if box["label"] not in STRUCTURES]
    if unknown or not boxes:
        raise ValueError(
            f"{label.name}: {f'box {unknown[0]!r}' if unknown else 'no box'}; boxes are named {', '.join(STRUCTURES)}"
        )
    objects = [
        {"label": box["label"], "bbox": [float(n) for n in box["bbox"]], "corners": None} for box in boxes
    ]
    return {"image": str(image), "objects": objects, "subject": image.stem.split("_")[0]}


ITEMS: dict[str, Callable[[Path, Path, Path], Item]] = {
    "fetal_head_ultrasound_segmentation": _head,
    "fetal_brain_mri_segmentation": _brain("feta"),
    "fetal_brain_stack_segmentation": _brain("brain"),
    "brain_tumour_mri_segmentation": _tumour,
    "fetal_brain_ultrasound_detection": _structures,
}


def patient_folder(image: Path, folder: Path) -> tuple[Path, str | None]:
    """A folder with a sequence of a patient and those beside it whose names begin alike; and which sequence it is.

    A file whose name says nothing of its sequence stands alone: it is returned itself, and None.
    """
    from fetal_monai.scan import sequence_of
    from fetal_monai.scan.patient_names import patient_prefix

    sequence, prefix = sequence_of(image.name), patient_prefix(image.name)
    if sequence is None:
        return image, None
    patient = folder / (prefix or "patient")
    patient.mkdir(parents=True, exist_ok=True)
    for file in sorted(image.parent.iterdir()):
        if file.is_file() and sequence_of(file.name) and patient_prefix(file.name) == prefix:
            with suppress(FileExistsError):
                os.symlink(file.resolve(), patient / file.name)
    return patient, sequence


def _nifti(label: Path, folder: Path) -> Path:
    """A label file as NIfTI."""
    import SimpleITK

    if label.name.endswith((".nii", ".nii.gz")):
        return label
    path = folder / f"{_stem(label)}_label.nii.gz"
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(label)), str(path))
    return path


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
