"""Codes against the dictionaries of DICOM that pydicom carries."""

from __future__ import annotations

import pytest
from pydicom.sr import _cid_dict, _concepts_dict

from fetal_monai.dicom_out.terms import KINDS, MEASURES, unit_of
from fetal_monai.measure.tissues import TISSUES

BIOMETRY = (12004, 12005, 12007, 12013, 12019)


def values_of(cid: int, scheme: str) -> set[str]:
    names = _cid_dict.cid_concepts[cid].get(scheme, [])
    concepts = _concepts_dict.concepts[scheme]
    return {code for name in names for code, (_, cids) in concepts[name].items() if cid in cids}


def has_check_digit(code: str) -> bool:
    """LOINC's check digit is Luhn's."""
    digits = [int(digit) for digit in reversed(code.replace("-", ""))]
    return sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0


LOINC = {term.code.value: name for name, term in MEASURES.items() if term.code.scheme_designator == "LN"}


@pytest.mark.parametrize("code", LOINC)
def test_loinc_codes_stand_in_the_context_groups_of_biometry(code):
    assert any(code in values_of(cid, "LN") for cid in BIOMETRY)
    assert has_check_digit(code)


def test_head_circumference_is_the_code_of_cid_12005():
    assert MEASURES["hc_mm"].code.value == "11984-2"
    assert not has_check_digit("11984-6")  # as it is sometimes written


def test_equation_of_age_stands_in_cid_12013():
    assert MEASURES["ga_weeks_hadlock"].equation.value in values_of(12013, "LN")


@pytest.mark.parametrize(
    "segment", [s for kind in KINDS.values() for s in kind.segments], ids=lambda s: s.name
)
def test_segments_are_coded_as_cid_7151_and_7150_have_them(segment):
    assert segment.code.value in values_of(7151, segment.code.scheme_designator)
    assert segment.category.value in values_of(7150, "SCT")


@pytest.mark.parametrize(
    ("code", "cid"),
    [
        (KINDS["fetal_structures"].findings["head"][0], 7151),
        (KINDS["fetal_structures"].findings["midline_falx"][0], 7101),
        (KINDS["fetal_structures"].findings["cavum_septi_pellucidi"][0], 7140),
        (KINDS["fetal_structures"].findings["lateral_ventricle"][0], 7151),
        (MEASURES["cavum_width_mm"].code, 7470),
        (MEASURES["cavum_width_mm"].site, 7140),
    ],
)
def test_structures_and_widths_are_coded_as_their_context_groups_have_them(code, cid):
    assert code.value in values_of(cid, code.scheme_designator)


def test_choroid_plexus_is_the_code_of_snomed():
    code = KINDS["fetal_structures"].findings["choroid_plexus"][0]
    meanings = [
        codes[code.value][0] for codes in _concepts_dict.concepts["SCT"].values() if code.value in codes
    ]
    assert meanings and all("choroid plexus" in meaning for meaning in meanings)


def test_tissues_stand_in_the_order_of_feta():
    segments = KINDS["fetal_brain"].segments
    assert [s.labels for s in segments] == [(n,) for n in range(1, 8)]
    assert [s.measures for s in segments] == [(f"{tissue}_ml",) for tissue in TISSUES]
    assert [s.code.meaning for s in segments][3:5] == ["Brain ventricle", "Cerebellum"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("hc_mm", "mm"),
        ("brain_ml", "ml"),
        ("ga_weeks_hadlock", "wk"),
        ("mean_curvature_per_mm", "/mm"),
        ("cephalic_index", "%"),
        ("head_area_mm2", "mm2"),
        ("n_lesions", "1"),
    ],
)
def test_units_follow_from_names(name, unit):
    assert unit_of(name).value == unit
