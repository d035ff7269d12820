"""What a run left, as MONAI Label's clients take it: a file that lies on the image, and ``params``.

Files are the bundle's own, byte for byte, unless the client asks for another type (Slicer wants ``.nrrd``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai.files import plain, write_json
from fetal_monai.label.served import VOLUMES, Model
from fetal_monai.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["answer_file", "answer_params", "box_of_markup"]

ENDINGS = {"segmentation": "_seg", "others": "_map", "detection": "_boxes"}
MARKUPS = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"


def answer_file(
    model: Model, image: Path, records: Sequence[Record], out: Path, extension: str = ""
) -> Path | None:
    """The file that answers for an image: labels, a map, or boxes as Slicer's markups; None where there is none.

    ``extension`` is what the client wants labels and maps as: one of ``VOLUMES``, else as the bundle wrote them. Frames
    of a multi-frame file become one volume. Raises ValueError for an extension that is not written.
    """
    if model.kind not in ENDINGS:
        return None
    files = [path for path in (_output(record, out, ENDINGS[model.kind]) for record in records) if path]
    if not files:
        return None
    if model.kind == "detection":
        return _markups(image, files, out)
    if extension and extension not in VOLUMES and extension != files[0].suffix:
        raise ValueError(f"result_extension is {extension!r}; give one of {', '.join(VOLUMES)}")
    if len(files) == 1 and (not extension or files[0].name.endswith(extension)):
        return files[0]
    return _volume(image, files, out, extension if extension in VOLUMES else ".nrrd")


def answer_params(
    model: Model, records: Sequence[Record], info: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """``measurements``, ``flags`` and spacing of the scan, and what made them; with ``frames`` where it has several.

    Units stand in the names; what is not known is null. A classification adds ``prediction``, as MONAI Label has it, a
    detection ``boxes`` in pixels, as in ``<stem>_boxes.json``.
    """
    frames = [_of_record(model, record, out) for record in records]
    made = {name: info[name] for name in ("bundle", "bundle_version", "weights", "weights_sha256", "title")}
    answer = {**frames[0], **made, "model": model.name, "intended_use": "Research only"}
    if len(frames) > 1:
        answer["frames"] = frames
    return dict(plain(answer))


def _of_record(model: Model, record: Record, out: Path) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "measurements": record.measures,
        "flags": record.all_flags,
        "spacing_mm": record.spacing_mm,
        "spacing_source": record.spacing_source,
        "seconds": {name: round(value, 3) for name, value in record.seconds.items()},
    }
    if record.frame is not None:
        answer["frame"] = record.frame_number
    if model.kind == "classification":
        answer["prediction"] = _prediction(model, record)
    boxes = _output(record, out, ENDINGS["detection"])
    if boxes is not None:
        answer["boxes"] = json.loads(boxes.read_text(encoding="utf-8"))["boxes"]
    return answer


def _prediction(model: Model, record: Record) -> list[dict[str, Any]]:
    """Every class with its score, best first."""
    scores = [
        {"idx": place, "label": name, "score": record.measures.get(f"probability_{name}")}
        for name, place in model.labels.items()
    ]
    known = [entry for entry in scores if isinstance(entry["score"], float | int)]
    return sorted(known, key=lambda entry: -float(entry["score"]))


def _output(record: Record, out: Path, ending: str) -> Path | None:
    found = [name for name in record.outputs if Path(name).name.split(".")[0].endswith(ending)]
    found += [name for name in record.outputs if f"{ending}." in name and name not in found]
    return out / found[0] if found else None


def _volume(image: Path, files: Sequence[Path], out: Path, extension: str) -> Path:
    """The labels or maps of all frames in one file, where the image lies as ITK's readers place it."""
    import SimpleITK

    if files[0].name.endswith(".nii.gz"):
        answer = SimpleITK.ReadImage(str(files[0]))
    else:
        planes = np.stack([_plane(file) for file in files])
        answer = SimpleITK.GetImageFromArray(planes)
        spacing, origin, direction = _place(image)
        answer.SetSpacing(spacing)
        answer.SetOrigin(origin)
        answer.SetDirection(direction)
    path = out / f"answer{extension}"
    SimpleITK.WriteImage(answer, str(path), useCompression=True)
    return path


def _plane(file: Path) -> NDArray[Any]:
    """A mask as 0 and 1, labels as they are, a map as fractions."""
    from PIL import Image

    with Image.open(file) as opened:
        pixels = np.asarray(opened.convert("L"))
    if ENDINGS["others"] in file.stem:
        return pixels.astype(np.float32) / 255
    return np.where(pixels == 255, 1, pixels).astype(np.uint8)  # a mask is written to be looked at


def _place(image: Path) -> tuple[list[float], list[float], list[float]]:
    """Spacing, origin and direction (LPS, mm) of a picture for three axes, as Slicer and other ITK readers do."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(image))
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # what ITK does not read it does not place
        return [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], np.eye(3).ravel().tolist()
    axes = reader.GetDimension()
    spacing, origin = list(reader.GetSpacing())[:3], list(reader.GetOrigin())[:3]
    direction = np.eye(3)
    n = min(axes, 3)
    direction[:n, :n] = np.reshape(reader.GetDirection(), (axes, axes))[:n, :n]
    return [*spacing, *[1.0] * (3 - axes)], [*origin, *[0.0] * (3 - axes)], direction.ravel().tolist()


def _markups(image: Path, files: Sequence[Path], out: Path) -> Path:
    """The boxes of all frames as boxes of Slicer's markups (LPS, mm), those that count alone."""
    spacing, origin, axes = _place(image)
    turn = np.reshape(axes, (3, 3))
    markups = []
    for place, file in enumerate(files):
        for box in json.loads(file.read_text(encoding="utf-8"))["boxes"]:
            if not box["shown"]:
                continue
            x, y, width, height = box["bbox"]  # edges of pixels, whose middles are whole numbers to ITK
            middle = np.array([x + width / 2 - 0.5, y + height / 2 - 0.5, place]) * spacing
            center = (np.array(origin) + turn @ middle).tolist()
            markups.append(
                {
                    "type": "ROI",
                    "name": f"{box['label']} {box['score']:.2f}",
                    "coordinateSystem": "LPS",
                    "coordinateUnits": "mm",
                    "locked": False,
                    "roiType": "Box",
                    "center": center,
                    "orientation": turn.ravel().tolist(),
                    "size": [width * spacing[0], height * spacing[1], spacing[2]],
                    "insideOut": False,
                    "controlPoints": [
                        {
                            "id": "1",
                            "label": box["label"],
                            "position": center,
                            "orientation": turn.ravel().tolist(),
                        }
                    ],
                }
            )
    path = out / "answer.json"
    write_json(path, {"@schema": MARKUPS, "markups": markups})
    return path


def box_of_markup(markup: Mapping[str, Any], image: Path) -> dict[str, Any]:
    """A box of Slicer's markups as one of ``<stem>_boxes.json``: ``label`` and ``bbox`` in pixels of the image.

    Slicer's plugin renames boxes, so the label is that of the control point, else the first word of the name.
    """
    spacing, origin, axes = _place(image)
    flip = -1.0 if markup.get("coordinateSystem", "LPS") == "RAS" else 1.0
    center = np.array(markup["center"], float) * [flip, flip, 1.0]
    x, y, _ = np.linalg.solve(np.reshape(axes, (3, 3)), center - origin) / spacing
    width, height = np.array(markup["size"][:2], float) / spacing[:2]
    points = markup.get("controlPoints") or [{}]
    words = str(points[0].get("label") or "").split() or str(markup.get("name", "")).split() or [""]
    bbox = [float(x - width / 2 + 0.5), float(y - height / 2 + 0.5), float(width), float(height)]
    return {"label": words[0], "bbox": bbox}
