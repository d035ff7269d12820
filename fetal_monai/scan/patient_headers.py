"""Which MR sequence a DICOM series holds, by its headers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fetal_monai.scan.patient_names import OTHER, T1_OR_FLAIR, kind_of_words, words_of

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["OTHER_TYPES", "OTHER_WORDS", "image_types", "sequence_of_headers"]

MODALITIES = ("MR", "OT", "")  # and files that do not say
OTHER_TYPES = {
    "LOCALIZER", "ADC", "DIFFUSION", "TRACEW", "FA", "PERFUSION", "SUBTRACT", "SUBTRACTION", "PROJECTION IMAGE",
    "MIP", "MIN IP", "PHASE MAP", "T2_STAR", "T1 MAP", "T2 MAP", "ASL", "SCREENSHOT",
}  # fmt: skip
OTHER_WORDS = {"sub", "loc", "fa", "md", "pd", "phase"}  # in a description; in a name they may be anything
NO_AGENT = ("", "no", "none", "n", "0", "-", "without", "no contrast")
LONG_TI_MS, LONG_TR_MS, LONG_TE_MS = 1500.0, 4000.0, 60.0  # FLAIR
T1_TI_MS, T1_IR_TR_MS, T1_IR_TE_MS = (500.0, 1400.0), 3500.0, 10.0  # MPRAGE
T1_TR_MS, T1_TE_MS = 1000.0, 30.0  # spin echo
T2_TR_MS, T2_TE_MS = 2000.0, 70.0


def sequence_of_headers(dataset: Dataset) -> str | None:
    """`t1`, `t1c`, `t2` or `flair` by the headers of one image of a series; None where they leave a doubt.

    The words of SeriesDescription count first, else those of ProtocolName; T1 is with contrast where they say so, or
    where they are silent and ContrastBolusAgent names one. Without such words, it is read from RepetitionTime,
    EchoTime and InversionTime (ms) of spin echo and of inversion recovery. Diffusion, perfusion, angiography, T2*,
    echo-planar, subtractions and localizers are None.
    """
    scanning = set(_texts(dataset, "ScanningSequence"))
    types = image_types(dataset)
    modality = str(dataset.get("Modality") or "")
    if modality not in MODALITIES or types & OTHER_TYPES or "EP" in scanning:
        return None
    words = _words(dataset)
    kind = OTHER if OTHER_WORDS & set(words) else kind_of_words(words)
    ti_ms, te_ms = _number(dataset, "InversionTime", "InversionTimes"), _echo_time(dataset)
    if kind == OTHER:
        return None
    if kind == "":
        kind = _by_times(scanning, _number(dataset, "RepetitionTime"), te_ms, ti_ms)
    elif kind == T1_OR_FLAIR:
        kind = "t1" if te_ms < LONG_TE_MS else "flair" if te_ms >= LONG_TE_MS else ""
    elif kind == "t2" and scanning:
        if ti_ms >= LONG_TI_MS and te_ms >= LONG_TE_MS:
            return "flair"
        if "GR" in scanning and "SE" not in scanning:  # T2*
            return None
    if kind == "t1" and not _says_plain(words) and _has_agent(dataset):
        return "t1c"
    return kind or None


def _words(dataset: Dataset) -> list[str]:
    words: list[str] = []
    for keyword in ("SeriesDescription", "ProtocolName"):
        words = words_of(str(dataset.get(keyword) or ""), anywhere=True)
        if kind_of_words(words):
            break
    return words


def image_types(dataset: Dataset) -> set[str]:
    """The values of ImageType, in capitals."""
    return set(_texts(dataset, "ImageType"))


def _says_plain(words: list[str]) -> bool:
    return kind_of_words([*words, "t1", "contrast"]) == "t1"


def _by_times(scanning: set[str], tr_ms: float, te_ms: float, ti_ms: float) -> str:
    inverted = "IR" in scanning or ti_ms > 0
    if ti_ms >= LONG_TI_MS and tr_ms >= LONG_TR_MS and te_ms >= LONG_TE_MS:
        return "flair"
    if "GR" in scanning and T1_TI_MS[0] <= ti_ms <= T1_TI_MS[1]:
        return "t1" if tr_ms <= T1_IR_TR_MS and te_ms <= T1_IR_TE_MS else ""
    if "SE" in scanning and "GR" not in scanning and not inverted:
        if tr_ms <= T1_TR_MS and te_ms <= T1_TE_MS:
            return "t1"
        if tr_ms >= T2_TR_MS and te_ms >= T2_TE_MS:
            return "t2"
    return ""


def _has_agent(dataset: Dataset) -> bool:
    agent = str(dataset.get("ContrastBolusAgent") or "").strip().lower()
    return agent not in NO_AGENT or bool(dataset.get("ContrastBolusAgentSequence"))


def _echo_time(dataset: Dataset) -> float:
    return _number(dataset, "EchoTime", "EffectiveEchoTime")


def _number(dataset: Dataset, *keywords: str) -> float:
    """The first that is a number above 0, of the header or of what all frames of an enhanced file share; else NaN."""
    found: list[Any] = [dataset.get(keyword) for keyword in keywords]
    for group in dataset.get("SharedFunctionalGroupsSequence") or ():
        found += [element.value for element in group.iterall() if element.keyword in keywords]
    for value in found:
        try:
            number = float(value if isinstance(value, (str, int, float)) else value[0])
        except (TypeError, ValueError, IndexError):
            continue
        if number > 0:
            return number
    return math.nan


def _texts(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword)
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return [str(one).strip().upper() for one in values if one not in (None, "")]
