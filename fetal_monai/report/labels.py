"""How measures are named and written for people: labels, units, decimals, and where a spacing came from."""

from __future__ import annotations

import math
from typing import Any

from fetal_monai.measure.plane import NONE_OF_THESE, PLANES
from fetal_monai.record import Record

__all__ = ["describe_spacing", "heading", "interval_text", "label", "number_text", "unit", "value_text"]

PLANE_WORDS = {
    plane: plane.replace("trans_", "trans-").replace("_", " ") for plane in (*PLANES, NONE_OF_THESE)
}
LABELS = {
    "hc": "Head circumference",
    "hc_px": "Head circumference in pixels",
    "residual": "Outline off the ellipse (RMS)",
    "bpd": "Biparietal diameter",
    "ofd": "Occipitofrontal diameter",
    "tcd": "Transcerebellar diameter",
    "cephalic_index": "Cephalic index",
    "head_area": "Head area",
    "ga": "Age given",
    "ga_weeks": "Age given",
    "ga_weeks_hadlock": "Age by HC, Hadlock",
    "ga_weeks_intergrowth": "Age by HC, INTERGROWTH-21st",
    "hc_centile": "HC centile for the age",
    "extra_axial_csf": "Extra-axial CSF",
    "brain": "Brain",
    "brain_mask": "Brain mask",
    "brain_slices": "Slices with brain",
    "brain_in_plane": "Brain, longest in the slices",
    "brain_through_plane": "Brain, across the slices",
    "slice_spacing": "Slice spacing",
    "intracranial": "Intracranial space",
    "ventricle_asymmetry": "Ventricle asymmetry",
    "cortical_surface": "Cortical surface",
    "gyrification_index": "Gyrification index",
    "mean_curvature": "Mean cortical curvature",
    "brain_bpd": "Brain biparietal diameter",
    "brain_ofd": "Brain occipitofrontal diameter",
    "transcerebellar_diameter": "Transcerebellar diameter",
    "atrial_width_left": "Atrial width, left",
    "atrial_width_right": "Atrial width, right",
    "atrial_width": "Atrial width",
    "cavum_width": "Width of the cavum",
    "n_found": "Structures found",
    "score_head": "Score, head",
    "score_midline_falx": "Score, midline",
    "score_cavum_septi_pellucidi": "Score, cavum septi pellucidi",
    "score_choroid_plexus": "Score, choroid plexus",
    "score_lateral_ventricle": "Score, lateral ventricle",
    "deviation_score": "Deviation of the whole brain",
    "whole_tumour": "Whole tumour",
    "tumour_core": "Tumour core",
    "enhancing": "Enhancing tumour",
    "non_enhancing_core": "Core that does not enhance",
    "rano_diameter": "Longest diameter, axial (RANO)",
    "rano_perpendicular": "Perpendicular to it",
    "longest_diameter_3d": "Longest diameter, 3D",
    "n_lesions": "Lesions",
    "n_sequences": "Sequences",
    "oedema_ratio": "Oedema of the whole tumour",
    "necrosis_ratio": "Necrosis of the core",
    "tumour_uncertainty": "Uncertainty of the whole tumour",
    "anomaly_score": "Anomaly score",
    "p_value": "p-value against healthy heads",
    "mse": "Reconstruction error (MSE)",
    "structural_error": "Structural error (1 − SSIM)",
    "latent_distance": "Distance of the code",
    "alteration": "Altered (logit)",
    "head_doubt": "Doubt of the head",
    "plane": "Plane",
    "plane_second": "Second plane",
    **{f"probability_{plane}": f"Probability, {words}" for plane, words in PLANE_WORDS.items()},
    "plane_distance": "Distance from known planes",
    "plane_p_value": "p-value against known planes",
    "spacing": "Spacing",
    "spacing_row": "Spacing of rows",
    "spacing_column": "Spacing of columns",
    "spacing_source": "Spacing from",
    "ruler_confidence": "Confidence in the depth ruler",
    "filename": "File",
}
HEADINGS = {  # shorter, for tables
    "hc_mm": "HC",
    "hc_px": "HC",
    "residual_mm": "Ellipse residual",
    "bpd_mm": "BPD",
    "ofd_mm": "OFD",
    "tcd_mm": "TCD",
    "brain_bpd_mm": "Brain BPD",
    "brain_ofd_mm": "Brain OFD",
    "transcerebellar_diameter_mm": "TCD",
    "brain_in_plane_mm": "In plane",
    "brain_through_plane_mm": "Through plane",
    "intracranial_ml": "Intra\u00adcranial",
    "cortical_gray_matter_ml": "Cortical GM",
    "deep_gray_matter_ml": "Deep GM",
    "mean_curvature_per_mm": "Mean curvature",
    "ga_weeks": "GA given",
    "ga_weeks_hadlock": "GA by HC, Hadlock",
    "ga_weeks_intergrowth": "GA by HC, INTER\u00adGROWTH",
    "hc_centile": "HC centile",
    "p_value": "p-value",
    **{f"probability_{plane}": PLANE_WORDS[plane].capitalize() for plane in PLANES},
    "plane_distance": "Distance",
    "plane_p_value": "p-value",
    "mse": "MSE",
    "structural_error": "1 − SSIM",
}
SPACING_SOURCES = {
    "dicom_region": "the DICOM ultrasound region",
    "pixel_spacing": "the DICOM header (PixelSpacing)",
    "affine": "the file's header (affine)",
    "sform": "the file's header (sform)",
    "qform": "the file's header (qform)",
    "pixdim": "the file's header (pixdim)",
    "dicom": "the DICOM series",
    "csv": "the CSV beside the images",
    "argument": "--spacing_mm as given",
    "ruler": "the depth ruler in the picture",
}
PLAIN = {"ruler_confidence": 2, "deviation_score": 2, "gyrification_index": 2, "ventricle_asymmetry": 2} | {
    "oedema_ratio": 2,
    "necrosis_ratio": 2,
    "tumour_uncertainty": 2,
    "n_lesions": 0,
    "n_sequences": 0,
    "n_found": 0,
    "anomaly_score": 2,
    "p_value": 3,
    "mse": 5,
    "structural_error": 3,
    "latent_distance": 2,
    "alteration": 2,
    "head_doubt": 3,
    **{f"probability_{plane}": 2 for plane in PLANES},
    "plane_distance": 2,
    "plane_p_value": 3,
}  # without a unit; decimals
RELATIVE = {"_z": "z-score", "_centile": "centile"}  # after the whole name of a measure
ENDINGS = {  # of a measure's name: unit, decimals
    "_per_mm": ("per mm", 3),
    "_mm": ("mm", 1),
    "_mm2": ("mm²", 0),
    "_ml": ("mL", 1),
    "_px": ("px", 1),
    "_weeks": ("weeks", 1),
    "_centile": ("centile", 1),
    "_index": ("%", 1),
    "_z": ("SD", 2),
}
_ACRONYMS = {"hc", "bpd", "ofd", "tcd", "ga", "hd95", "mse", "px", "ml", "id"}


def unit(name: str) -> str:
    """The unit that a measure's name says, "" if none."""
    return _ending(name)[1]


def label(name: str) -> str:
    """A measure's name for people, without its unit: `hc_mm_low` is "Head circumference, low"."""
    if name in LABELS:
        return LABELS[name]
    for bound in ("low", "high"):
        if name.endswith(f"_{bound}"):
            return f"{label(name[: -len(bound) - 1])}, {bound}"
    for ending, kind in RELATIVE.items():
        rest = name.removesuffix(ending)
        if rest != name and (rest in PLAIN or unit(rest)):
            return f"{label(rest)}, {kind}"
    stem = _ending(name)[0]
    if stem in LABELS:
        return LABELS[stem]
    words = " ".join(word.upper() if word in _ACRONYMS else word for word in stem.split("_"))
    return words[:1].upper() + words[1:]


def heading(name: str) -> str:
    """A measure's name for the head of a column: short, without its unit."""
    for bound in ("low", "high"):
        if name.endswith(f"_{bound}"):
            return f"90 % {bound}"
    return HEADINGS.get(name) or label(name)


def number_text(name: str, value: Any) -> str:
    """A value without unit and with as many decimals as it deserves; "" where undefined."""
    if value is None or isinstance(value, str | bool):
        return "" if value is None else PLANE_WORDS.get(str(value), str(value))
    if not math.isfinite(value):
        return ""
    decimals = _ending(name)[2]
    if name.startswith("spacing") or decimals is None:
        return f"{value:.4g}"
    return f"{value:.{decimals}f}"


def value_text(name: str, value: Any) -> str:
    """A value with its unit, "" where undefined; weeks also as weeks+days, a centile as "45th"."""
    text = number_text(name, value)
    if not text or isinstance(value, str | bool):
        return text
    if unit(name) == "centile":
        return _centile(value)
    if unit(name) == "weeks":
        weeks, days = divmod(round(value * 7), 7)
        return f"{text} weeks ({weeks}+{days})"
    return f"{text} {unit(name)}".strip()


def interval_text(record: Record, name: str) -> str:
    """The 90 % interval of a measure, "" where it has none: "170.1 to 174.9 mm"."""
    low, high = (record.measures.get(f"{name}_{bound}") for bound in ("low", "high"))
    if low is None or high is None or not (number_text(name, low) and number_text(name, high)):
        return ""
    return f"{number_text(name, low)} to {number_text(name, high)} {unit(name)}".strip()


def describe_spacing(record: Record) -> str:
    """Spacing with its source: "0.0691 mm per pixel, from the CSV beside the images"."""
    if record.spacing_mm is None:
        return "unknown, so there are no millimetres"
    source = SPACING_SOURCES.get(record.spacing_source, record.spacing_source.replace("_", " "))
    if record.is_volume:
        known = [side for side in record.spacing_mm if not math.isnan(side)]
        size = " × ".join(f"{side:.4g}" for side in known) + " mm per voxel"
    elif "anisotropic_spacing" in record.all_flags:
        row, column = record.spacing_mm
        size = f"{row:.4g} mm per row, {column:.4g} mm per column"
    else:
        size = f"{record.spacing_isotropic_mm:.4g} mm per pixel"
    return f"{size}, from {source}"


def _ending(name: str) -> tuple[str, str, int | None]:
    """The name without its unit, the unit and the decimals."""
    for bound in ("_low", "_high"):
        if name.endswith(bound):
            name = name[: -len(bound)]
    if name.startswith("ga_weeks"):
        return name, "weeks", 1
    if name in PLAIN:
        return name, "", PLAIN[name]
    for ending, (text, decimals) in ENDINGS.items():
        if name.endswith(ending):
            keeps = ending in ("_centile", "_index", "_z")
            return name if keeps else name[: -len(ending)], text, decimals
    return name, "", None


def _centile(value: float) -> str:
    if value < 1:
        return "below the 1st"
    if value > 99:
        return "above the 99th"
    whole = round(value)
    ending = "th" if 10 <= whole % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(whole % 10, "th")
    return f"{whole}{ending}"
