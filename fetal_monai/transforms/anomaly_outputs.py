"""From an anomaly network's answer back to the scan: score, p-value, map and overlay.

Items are those of :mod:`fetal_monai.transforms.anomaly_inputs`, with ``pred`` (2 + code, h, w) as
:class:`fetal_monai.inference.CodeInferer` gives it; ``record``, ``reconstruction`` and ``heat`` are added.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Transform
from numpy.typing import NDArray

from fetal_monai.measure.head_frame import frame_mask
from fetal_monai.settings import as_optional
from fetal_monai.transforms.outputs import add_overlay, picture_record

__all__ = ["ANOMALY_COLUMNS", "TERMS", "MeasureAnomalyd", "SaveMapd", "anomaly_output"]

Item = dict[Hashable, Any]

TERMS = ("mse", "structural_error", "latent_distance", "alteration", "head_doubt")
ANOMALY_COLUMNS = ["anomaly_score", "p_value", *TERMS]  # the promised ones, in order
HEAD_FLAGS = (
    "low_contrast",
    "no_head",
    "poor_ellipse_fit",
    "implausible_cephalic_index",
    "head_cut_off",
    "several_regions",
)
ALTERED_SHARE = 0.02  # of the head, whose logits count


class MeasureAnomalyd(Transform):
    """Score a head: adds ``record``, ``reconstruction`` and ``heat``, the probability of being altered, both (h, w).

    Args:
        calibration: file of the :class:`fetal_monai.anomaly.calibration.ScoreCalibration`; None for no score.
        usual_codes: file of the :class:`fetal_monai.anomaly.reconstruction.Gaussian`; None for no distance.
        false_alarm_rate: the p-value up to which a head gets the flag ``unlike_normal_heads``.
        code_stride: pixels of the frame along each side for one place of the code.
    """

    def __init__(
        self,
        calibration: str | None = None,
        usual_codes: str | None = None,
        false_alarm_rate: float = 0.05,
        code_stride: int = 8,
    ) -> None:
        from fetal_monai.anomaly.calibration import ScoreCalibration
        from fetal_monai.anomaly.reconstruction import Gaussian

        paths = as_optional(calibration), as_optional(usual_codes)
        self.calibration = None if paths[0] is None else ScoreCalibration.load(paths[0])
        self.usual = None if paths[1] is None else Gaussian.load(paths[1])
        self.false_alarm_rate, self.code_stride = false_alarm_rate, code_stride

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.anomaly import reconstruction as errors

        out = dict(data)
        pred, picture, head = np.asarray(out["pred"], dtype=np.float32), out["picture"], out["head"]
        inside = frame_mask(picture.shape)
        remade, logit = np.clip(pred[0], 0, 1) * (inside > 0), pred[1]
        out["code"] = pooled_code(pred[2:, :: self.code_stride, :: self.code_stride])
        terms = {
            "mse": errors.mean_squared_error(picture, remade, inside),
            "structural_error": errors.structural_error(picture, remade, inside),
            "latent_distance": np.nan if self.usual is None else self.usual.distance(out["code"]),
            "alteration": errors.upper_mean(logit, inside, ALTERED_SHARE),
            "head_doubt": out["head_doubt"],
        }
        score = np.nan if self.calibration is None else self.calibration.score(terms)
        chance = np.nan if self.calibration is None else self.calibration.p_value(score)
        flags = [flag for flag in head.flags if flag in HEAD_FLAGS]
        if chance <= self.false_alarm_rate:
            flags.append("unlike_normal_heads")
        measures = {"anomaly_score": score, "p_value": chance, **terms}
        extra = {"ellipse_px": head.extra.get("ellipse_px")}
        out["record"] = picture_record(out["scan"], head, measures, flags, out, extra)
        out["reconstruction"] = remade
        out["heat"] = (1 / (1 + np.exp(-np.clip(logit, -30, 30)))).astype(np.float32) * (inside > 0)
        return out


def pooled_code(code: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean and standard deviation of each channel of a code (C, h, w) in 2 x 3 parts of the frame, (12 C,)."""
    rows, columns = (
        np.array_split(np.arange(n), parts) for n, parts in zip(code.shape[1:], (2, 3), strict=True)
    )
    parts = [code[:, r[:, None], c].reshape(len(code), -1) for r in rows for c in columns]
    return np.concatenate([f(part, axis=1) for part in parts for f in (np.mean, np.std)]).astype(float)


class SaveMapd(Transform):
    """Write ``<stem>_map`` (the probability of being altered, on the scan's own grid) and ``<stem>_overlay.png``."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report import anomaly
        from fetal_monai.scan import write_map

        out = dict(data)
        scan, record, head = out["scan"], out["record"], out["head"]
        heat = out["frame"].paint(out["heat"], scan.image.shape)
        path = write_map(heat, scan, self.output_dir)
        record.outputs.append(path.relative_to(self.output_dir).as_posix())
        drawn = {"flags": record.all_flags, "spacing_mm": record.spacing_mm}
        shown = anomaly.heated(scan.image, heat)
        frames = [out["picture"], out["reconstruction"], out["heat"]]
        picture = anomaly.draw_anomaly(
            shown, head.ellipse, frames, caption=anomaly.anomaly_caption(record), **drawn
        )
        add_overlay(record, self.output_dir, picture, anomaly.thumbnail(shown, ellipse=head.ellipse, **drawn))
        return out


def anomaly_output(
    output_dir: str,
    calibration: str | None = None,
    usual_codes: str | None = None,
    false_alarm_rate: float = 0.05,
    code_stride: int = 8,
) -> list[Callable[[Item], Item]]:
    """What becomes of an anomaly network's answer: score, map and overlay."""
    return [MeasureAnomalyd(calibration, usual_codes, false_alarm_rate, code_stride), SaveMapd(output_dir)]
