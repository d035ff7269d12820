"""The tissues of the fetal brain, in the order of the FeTA challenge, and what belongs together."""

from __future__ import annotations

__all__ = ["BRAIN_LABELS", "CSF_LABELS", "TISSUES"]

TISSUES = (  # label 1, 2, … 7; 0 is outside
    "extra_axial_csf",
    "cortical_gray_matter",
    "white_matter",
    "ventricles",
    "cerebellum",
    "deep_gray_matter",
    "brainstem",
)
CSF_LABELS = (1, 4)
BRAIN_LABELS = (2, 3, 5, 6, 7)  # what `brain_ml` counts; with the CSF it is the intracranial space
