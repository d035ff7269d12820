"""Measured against the truth: what a bundle's inference gives on scans whose answer is known."""

from fetal_monai.evaluation.head import CalibrateHead, EvaluateHead, describe, summarise
from fetal_monai.evaluation.labels import EvaluateLabels, describe_labels, summarise_labels

__all__ = [
    "CalibrateHead",
    "EvaluateHead",
    "EvaluateLabels",
    "describe",
    "describe_labels",
    "summarise",
    "summarise_labels",
]
