"""What bundles find, in the codes of DICOM: one entry in `KINDS` for each kind of bundle, one in `MEASURES` for each
measure that a standard has a code for. All others get a code of our own, `99FETALMONAI`, and their unit by their name.

Segments take their codes from CID 7151 (segmentation property types), biometry from CID 12005, 12004, 12007 and 12019
(LOINC), equations of age from CID 12013. SNOMED CT is used wherever these groups offer it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydicom.sr.coding import Code

from fetal_monai.measure.tissues import TISSUES

__all__ = [
    "KINDS",
    "MEASURES",
    "OWN_SCHEME",
    "UNITS",
    "Kind",
    "MeasureTerm",
    "Segment",
    "finding_code",
    "own_code",
    "unit_of",
]

OWN_SCHEME = "99FETALMONAI"

STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
SUBSTANCE = Code("91720002", "SCT", "Body Substance")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
HEAD = Code("69536005", "SCT", "Head")
BRAIN = Code("12738006", "SCT", "Brain")
INTRACRANIAL = Code("1101003", "SCT", "Intracranial")
CSF = Code("65216001", "SCT", "Cerebrospinal Fluid")
SUBARACHNOID = Code("35951006", "SCT", "Subarachnoid space")
LATERAL_VENTRICLE = Code("66720007", "SCT", "Lateral Ventricle")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
CAVUM = Code("74968005", "SCT", "Cavum of septum pellucidum")  # CID 7140
CHOROID_PLEXUS = Code("80621003", "SCT", "Structure of choroid plexus")
MIDLINE = Code("125030", "DCM", "Inter-Hemispheric Plane")  # of the brain, where the falx lies
FETUS = Code("121026", "DCM", "Fetus")
VIEW = Code("111031", "DCM", "Image View")
LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
VOLUME = Code("118565006", "SCT", "Volume")
LATERAL_WIDTH = Code("12171-5", "LN", "Lateral Ventricle width")
AGE = Code("18185-9", "LN", "Gestational Age")
RANO = Code("C114879", "NCIt", "RANO")

UNITS = {  # ending of a measure's name: unit
    "_per_mm": Code("/mm", "UCUM", "/mm"),
    "_mm": Code("mm", "UCUM", "mm"),
    "_mm2": Code("mm2", "UCUM", "mm2"),
    "_cm2": Code("cm2", "UCUM", "cm2"),
    "_ml": Code("ml", "UCUM", "ml"),
    "_weeks": Code("wk", "UCUM", "week"),
    "cephalic_index": Code("%", "UCUM", "Percent"),
}
NO_UNIT = Code("1", "UCUM", "no units")


@dataclass(frozen=True)
class MeasureTerm:
    """A measure's code, where it was taken, and the published equation or method that it comes from."""

    code: Code
    site: Code | None = None
    laterality: Code | None = None
    equation: Code | None = None
    citation: str = ""
    method: Code | None = None


@dataclass(frozen=True)
class Segment:
    """One label of a mask: `labels` are the values that stand for it, `measures` what is told of it alone."""

    name: str
    labels: tuple[int, ...]
    category: Code
    code: Code
    site: Code | None
    measures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """What a kind of bundle finds: `finding` heads the measures that belong to no single segment.

    `population` says what centiles and z-scores refer to. `findings` are the codes of regions by their label, with the
    site of each; `evaluations` the concepts of measures that are words; `notes` what a reader must always know.
    """

    name: str
    finding: Code
    site: Code
    segments: tuple[Segment, ...]
    of_fetus: bool
    population: str = ""
    findings: Mapping[str, tuple[Code, Code]] = field(default_factory=dict)
    evaluations: Mapping[str, Code] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def own_code(name: str) -> Code:
    """A code of our own for a measure that no standard has one for."""
    from fetal_monai.report.labels import label

    return Code(name, OWN_SCHEME, label(name)[:64])


MEASURES = {
    "hc_mm": MeasureTerm(Code("11984-2", "LN", "Head Circumference")),
    "bpd_mm": MeasureTerm(Code("11820-8", "LN", "Biparietal Diameter")),
    "ofd_mm": MeasureTerm(Code("11851-3", "LN", "Occipital-Frontal Diameter")),
    "cephalic_index": MeasureTerm(Code("11823-2", "LN", "Cephalic Index")),
    "ga_weeks": MeasureTerm(AGE, citation="Given with the scan, not measured"),
    "ga_weeks_hadlock": MeasureTerm(AGE, equation=Code("11932-1", "LN", "HC, Hadlock 1984")),
    "ga_weeks_intergrowth": MeasureTerm(AGE, citation="HC, INTERGROWTH-21st (doi 10.1002/uog.15894)"),
    "tcd_mm": MeasureTerm(Code("11863-8", "LN", "Transverse Cerebellar Diameter")),
    "transcerebellar_diameter_mm": MeasureTerm(Code("11863-8", "LN", "Transverse Cerebellar Diameter")),
    "brain_ml": MeasureTerm(VOLUME, BRAIN),
    "intracranial_ml": MeasureTerm(VOLUME, INTRACRANIAL),
    "whole_tumour_ml": MeasureTerm(VOLUME, citation="Whole tumour: core, enhancing tumour and oedema"),
    "tumour_core_ml": MeasureTerm(
        VOLUME, citation="Tumour core: necrosis, non-enhancing and enhancing tumour"
    ),
    "rano_diameter_mm": MeasureTerm(Code("103339001", "SCT", "Long axis"), method=RANO),
    "rano_perpendicular_mm": MeasureTerm(Code("131189007", "SCT", "Perpendicular Axis"), method=RANO),
}
BOX_WIDTH = "Short side of a box that a detector found, across the head; no caliper was put there"
MEASURES |= {
    "atrial_width_mm": MeasureTerm(LATERAL_WIDTH, LATERAL_VENTRICLE, citation=BOX_WIDTH),
    "cavum_width_mm": MeasureTerm(Code("103355008", "SCT", "Width"), CAVUM, citation=BOX_WIDTH),
    "p_value": MeasureTerm(
        own_code("p_value"),
        citation="Conformal: the share of healthy heads that score as high, of those that calibrated the score",
    ),
}
for _side, _laterality in (("left", LEFT), ("right", RIGHT)):
    MEASURES[f"atrial_width_{_side}_mm"] = MeasureTerm(LATERAL_WIDTH, LATERAL_VENTRICLE, _laterality)

_TISSUE_CODES = (  # in the order of TISSUES
    ("Extra-axial CSF", SUBSTANCE, CSF, SUBARACHNOID),
    ("Cortical gray matter", STRUCTURE, Code("40146001", "SCT", "Cerebral cortex"), BRAIN),
    ("White matter", STRUCTURE, Code("68523003", "SCT", "Cerebral White Matter"), BRAIN),
    ("Ventricles", STRUCTURE, Code("35764002", "SCT", "Brain ventricle"), BRAIN),
    ("Cerebellum", STRUCTURE, Code("113305005", "SCT", "Cerebellum"), BRAIN),
    (
        "Deep gray matter",
        STRUCTURE,
        Code("223151", "FMA", "Subcortical gray matter"),
        BRAIN,
    ),  # CID 7151 has no SNOMED code
    ("Brainstem", STRUCTURE, Code("119238007", "SCT", "Brain Stem"), BRAIN),
)
_TISSUES = tuple(
    Segment(name, (number,), category, code, site, (f"{tissue}_ml",))
    for number, (tissue, (name, category, code, site)) in enumerate(
        zip(TISSUES, _TISSUE_CODES, strict=True), start=1
    )
)
_TUMOUR = (
    Segment(
        "Necrosis and non-enhancing tumour",
        (1,),
        ABNORMAL,
        Code("C81175", "NCIt", "Non-Enhancing Lesion"),  # CID 7168; SNOMED CT has none
        BRAIN,
        ("necrosis_ml",),
    ),
    Segment("Oedema", (2,), ABNORMAL, Code("79654002", "SCT", "Edema"), BRAIN, ("oedema_ml",)),
    Segment(
        "Enhancing tumour",
        (3, 4),  # BraTS 2023, BraTS 2018
        ABNORMAL,
        Code("C113842", "NCIt", "Enhancing Lesion"),
        BRAIN,
        ("enhancing_ml",),
    ),
)
KINDS = {
    "fetal_head": Kind(
        "Fetal head",
        HEAD,
        HEAD,
        (Segment("Fetal head", (1,), STRUCTURE, HEAD, None),),
        True,
        "INTERGROWTH-21st, for the age given (doi 10.1016/S0140-6736(14)61490-2)",
    ),
    "fetal_brain": Kind(
        "Fetal brain", BRAIN, BRAIN, _TISSUES, True, "The bundle's own curves by gestational age"
    ),
    "fetal_brain_mask": Kind(
        "Fetal brain",
        BRAIN,
        BRAIN,
        (Segment("Fetal brain", (1,), STRUCTURE, BRAIN, None, ("brain_mask_ml",)),),
        True,
    ),
    "brain_tumour": Kind("Brain tumour", NEOPLASM, BRAIN, _TUMOUR, False),
    "fetal_structures": Kind(
        "Structures of the fetal brain",
        BRAIN,
        HEAD,
        (),
        True,
        findings={
            "head": (HEAD, HEAD),
            "midline_falx": (MIDLINE, BRAIN),
            "cavum_septi_pellucidi": (CAVUM, BRAIN),
            "choroid_plexus": (CHOROID_PLEXUS, BRAIN),
            "lateral_ventricle": (LATERAL_VENTRICLE, BRAIN),
        },
        notes=(
            "Regions are boxes round structures, not their outlines. Scores rank boxes and are no probabilities.",
            "A structure that is not told of was not found, which is no evidence that it is missing.",
            "The choroid plexus was learned from synthetic pictures alone and never compared with a real one.",
        ),
    ),
    "fetal_anomaly": Kind(
        "Fetal brain anomaly score",
        HEAD,
        HEAD,
        (),
        True,
        notes=(
            "The score says how unlike healthy heads this one looks. It names no disease and rules none out.",
            "A poor picture, another plane or another scanner scores high too.",
        ),
    ),
    "fetal_plane": Kind(
        "Plane of a fetal ultrasound",
        FETUS,
        FETUS,
        (),
        True,
        evaluations={"plane": VIEW},
        notes=("The plane is a guess by a network that was trained on few real pictures.",),
    ),
}


def finding_code(concept: str) -> Code:
    """A code of our own for a word of a table, such as the name of a plane."""
    words = re.sub(r"[^A-Za-z0-9]+", " ", concept).strip()
    return Code(words.lower().replace(" ", "_"), OWN_SCHEME, words.capitalize()[:64])


def unit_of(name: str) -> Code:
    """The unit that a measure's name says, "no units" where it says none."""
    if name.startswith("ga_weeks"):
        return UNITS["_weeks"]
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), NO_UNIT)
