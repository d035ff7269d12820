"""The patient taken out of DICOM: headers by the Basic Profile of PS3.15, words on ultrasound blackened.

The profile's table comes from the package dicom-anonymizer: ``pip install "fetal_monai[dicom]"``.
"""

from fetal_monai.deidentify.files import Outcome, deidentify_files
from fetal_monai.deidentify.pixels import blacken_words, without_words
from fetal_monai.deidentify.profile import KEY_VARIABLE, Deidentifier

__all__ = ["KEY_VARIABLE", "Deidentifier", "Outcome", "blacken_words", "deidentify_files", "without_words"]
