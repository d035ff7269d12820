"""From a classifier's answer back to the scan: plane, probabilities, overlay and what the network looked at.

Items hold ``pred`` (C + h * w + F,) as :class:`fetal_monai.classification_inference.GradCamInferer` gives it, ``scan``
and ``grid``; the transforms add ``record``, ``logits``, ``features`` and ``heat``, and write the files that it lists.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Transform
from PIL import Image

from fetal_monai.measure.plane import PLANES, plane_measures, probabilities
from fetal_monai.settings import as_bool, as_optional
from fetal_monai.transforms.outputs import add_overlay, picture_record

__all__ = ["PLANE_COLUMNS", "MeasurePlaned", "SavePlaned", "classification_output"]

Item = dict[Hashable, Any]

PLANE_COLUMNS = [  # the promised ones, in order
    "plane",
    "plane_second",
    *(f"probability_{plane}" for plane in PLANES),
    "plane_distance",
    "plane_p_value",
]


class MeasurePlaned(Transform):
    """Tell the plane: adds ``record``, ``logits`` (C,), ``features`` (F,) and ``heat`` (h, w) of the picture, 0 to 1.

    Args:
        calibration: file of the :class:`fetal_monai.anomaly.plane_calibration.PlaneCalibration`; None for a temperature
            of 1.
        features: file of the :class:`fetal_monai.anomaly.plane_calibration.FeatureSpace`; None for no distance.
        none_rate: the p-value of the distance up to which a picture is none of the planes.
        experimental: whether every record gets the flag ``experimental_weights``.
        cam_stride: pixels of the grid for one place of the map.
    """

    def __init__(
        self,
        calibration: str | None = None,
        features: str | None = None,
        none_rate: float = 0.01,
        experimental: bool | str = False,
        cam_stride: int = 16,
    ) -> None:
        from fetal_monai.anomaly.plane_calibration import FeatureSpace, PlaneCalibration

        if not 0 <= none_rate < 1:
            raise ValueError(f"none_rate is {none_rate}; it must lie between 0 and 1")
        paths = as_optional(calibration), as_optional(features)
        self.calibration = None if paths[0] is None else PlaneCalibration.load(paths[0])
        self.space = None if paths[1] is None else FeatureSpace.load(paths[1])
        self.none_rate, self.cam_stride = none_rate, cam_stride
        self.experimental = as_bool(experimental, "experimental")

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        scan, grid = out["scan"], out["grid"]
        pred = np.asarray(out["pred"], dtype=np.float64)
        rows, columns = (-(-side // self.cam_stride) for side in grid.shape)
        logits, heat, features = np.split(pred, [len(PLANES), len(PLANES) + rows * columns])
        temperature = 1.0 if self.calibration is None else self.calibration.temperature
        distance = np.nan if self.space is None else self.space.distance(features)
        chance = np.nan if self.calibration is None else self.calibration.p_value(distance)
        measures, flags = plane_measures(
            probabilities(logits, temperature).tolist(), bool(chance <= self.none_rate)
        )
        measures |= {"plane_distance": distance, "plane_p_value": chance}
        if self.experimental:
            flags.append("experimental_weights")
        extra = {"cam_plane": PLANES[int(logits.argmax())]}
        out["record"] = picture_record(scan, scan, measures, flags, out, extra)
        out["logits"], out["features"] = logits, features
        out["heat"] = self._heat(heat.reshape(rows, columns), grid)
        return out

    def _heat(self, heat: np.ndarray, grid: Any) -> np.ndarray:
        """The map over the picture alone, its largest value 1."""
        small = Image.fromarray((heat / max(float(heat.max()), 1e-9)).astype(np.float32))
        wide = np.asarray(small.resize(grid.shape[::-1], Image.Resampling.BILINEAR))
        return np.clip(grid.crop(wide), 0, 1)


class SavePlaned(Transform):
    """Write ``<stem>_overlay.png`` with plane and probabilities, and ``<stem>_cam.png`` with what was looked at."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report.classification import draw_cam, draw_plane
        from fetal_monai.report.overlay import save_overlay

        out = dict(data)
        record, image = out["record"], out["scan"].image
        name = f"{record.stem}_cam.png"
        picture, thumbnail = draw_cam(image, out["heat"], record)
        save_overlay(Path(self.output_dir) / name, picture)
        record.outputs.append(name)
        add_overlay(record, self.output_dir, draw_plane(image, record), thumbnail)
        return out


def classification_output(
    output_dir: str,
    calibration: str | None = None,
    features: str | None = None,
    none_rate: float = 0.01,
    experimental: bool | str = False,
    cam_stride: int = 16,
) -> list[Callable[[Item], Item]]:
    """What becomes of a classifier's answer: plane and probabilities, overlay and map."""
    return [MeasurePlaned(calibration, features, none_rate, experimental, cam_stride), SavePlaned(output_dir)]
