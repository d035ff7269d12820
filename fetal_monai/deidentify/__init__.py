"""The patient taken out of DICOM: headers by the Basic Profile of PS3.15, pixels outside of ultrasound regions blacked.

The profile's table comes from the package dicom-anonymizer: ``pip install "fetal_monai[dicom]"``.
"""

from fetal_monai.deidentify.files import Outcome, deidentify_files
from fetal_monai.deidentify.pixels import blacken_outside_regions
from fetal_monai.deidentify.profile import KEY_VARIABLE, Deidentifier

__all__ = ["KEY_VARIABLE", "Deidentifier", "Outcome", "blacken_outside_regions", "deidentify_files"]
