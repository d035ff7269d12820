"""Measured against the truth: what a bundle's inference gives on scans whose answer is known."""

from fetal_monai.evaluation.anomaly import (
    CalibrateAnomaly,
    EvaluateAnomaly,
    describe_anomalies,
    summarise_anomalies,
)
from fetal_monai.evaluation.head import CalibrateHead, EvaluateHead, describe, summarise
from fetal_monai.evaluation.labels import EvaluateLabels, describe_labels, summarise_labels
from fetal_monai.evaluation.planes import CalibratePlanes, EvaluatePlanes, describe_planes, summarise_planes
from fetal_monai.evaluation.structures import EvaluateStructures, describe_structures, summarise_structures
from fetal_monai.evaluation.tumour import EvaluateTumours, describe_tumours, summarise_tumours

__all__ = [
    "CalibrateAnomaly",
    "CalibrateHead",
    "CalibratePlanes",
    "EvaluateAnomaly",
    "EvaluateHead",
    "EvaluateLabels",
    "EvaluatePlanes",
    "EvaluateStructures",
    "EvaluateTumours",
    "describe",
    "describe_anomalies",
    "describe_labels",
    "describe_planes",
    "describe_structures",
    "describe_tumours",
    "summarise",
    "summarise_anomalies",
    "summarise_labels",
    "summarise_planes",
    "summarise_structures",
    "summarise_tumours",
]
