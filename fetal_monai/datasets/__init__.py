"""Public datasets as they lie on disk, and who of their patients trains, validates, calibrates or tests."""

from fetal_monai.datasets.brain import feta_items, fetal_atlas_items, ga_weeks_of, stack_items
from fetal_monai.datasets.labels import ATLAS_TO_FETA, read_labels, remap_labels
from fetal_monai.datasets.planes import class_weights, plane_items
from fetal_monai.datasets.roles import ROLES, patient_role, read_roles
from fetal_monai.datasets.structures import structure_items, turn_structures
from fetal_monai.datasets.tumour import read_tumour_labels, tumour_items
from fetal_monai.datasets.ultrasound import hc18_items, hc18_patient, head_items, mask_items, reduce_hc18

__all__ = [
    "ATLAS_TO_FETA",
    "ROLES",
    "class_weights",
    "feta_items",
    "fetal_atlas_items",
    "ga_weeks_of",
    "hc18_items",
    "hc18_patient",
    "head_items",
    "mask_items",
    "patient_role",
    "plane_items",
    "read_labels",
    "read_roles",
    "read_tumour_labels",
    "reduce_hc18",
    "remap_labels",
    "stack_items",
    "structure_items",
    "tumour_items",
    "turn_structures",
]
