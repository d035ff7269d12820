"""Which sequence the headers of a DICOM series mean."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from fetal_monai.scan import sequence_of_headers


def headers(description="", **values):
    dataset = Dataset()
    dataset.Modality = "MR"
    if description:
        dataset.SeriesDescription = description
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


SPIN_ECHO, GRADIENT, INVERSION = (
    {"ScanningSequence": "SE"},
    {"ScanningSequence": "GR"},
    {"ScanningSequence": ["SE", "IR"]},
)


@pytest.mark.parametrize(
    ("description", "sequence"),
    [
        ("AX T1", "t1"),
        ("Ax T1 PRE", "t1"),
        ("t1_mprage_sag_p2_iso", "t1"),
        ("T1 W/O CONTRAST", "t1"),
        ("SAG T1 POST OP", "t1"),
        ("POST AX T1", "t1c"),
        ("AX T1 +C", "t1c"),
        ("t1_mprage_sag_KM", "t1c"),
        ("AX T1 FSE FS POST GAD", "t1c"),
        ("AX T2 FSE", "t2"),
        ("t2_tse_tra_512", "t2"),
        ("AX T2 POST", "t2"),
        ("AX T2 FLAIR", "flair"),
        ("t2_tirm_tra_dark-fluid", "flair"),
        ("FLAIR_longTR", "flair"),
        ("AX T2* GRE", None),
        ("ep2d_diff_3scan_trace_ADC", None),
        ("AX T1 PRE AND POST", None),
        ("T1 SUB", None),
        ("T1 FLAIR", None),
        ("3-plane localizer T2", None),
        ("PD+T2 dual echo", None),
        ("AX BRAIN", None),
        ("", None),
    ],
)
def test_words(description, sequence):
    assert sequence_of_headers(headers(description)) == sequence


def test_the_agent_tells_where_words_are_silent():
    agent = {"ContrastBolusAgent": "GADAVIST"}
    assert sequence_of_headers(headers("AX T1", **agent)) == "t1c"
    assert sequence_of_headers(headers("AX T1 PRE", **agent)) == "t1"
    assert sequence_of_headers(headers("AX T2", **agent)) == "t2"
    assert sequence_of_headers(headers("AX T1", ContrastBolusAgent="None")) == "t1"
    assert sequence_of_headers(headers("AX T1", ContrastBolusAgentSequence=[Dataset()])) == "t1c"


def test_the_protocol_where_the_description_says_nothing():
    assert sequence_of_headers(headers("series 4", ProtocolName="AX T2 TSE")) == "t2"
    assert sequence_of_headers(headers("AX FLAIR", ProtocolName="AX T2 TSE")) == "flair"


@pytest.mark.parametrize(
    ("values", "sequence"),
    [
        ({**SPIN_ECHO, "RepetitionTime": 500, "EchoTime": 12}, "t1"),
        ({**SPIN_ECHO, "RepetitionTime": 4500, "EchoTime": 95}, "t2"),
        ({**INVERSION, "RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500}, "flair"),
        ({**GRADIENT, "RepetitionTime": 1900, "EchoTime": 2.5, "InversionTime": 900}, "t1"),
        ({**SPIN_ECHO, "RepetitionTime": 500, "EchoTime": 12, "ContrastBolusAgent": "Dotarem"}, "t1c"),
        ({**SPIN_ECHO, "RepetitionTime": 3000, "EchoTime": 15}, None),  # proton density
        ({**GRADIENT, "RepetitionTime": 20, "EchoTime": 4}, None),  # as in angiography
        ({**INVERSION, "RepetitionTime": 5000, "EchoTime": 70, "InversionTime": 160}, None),  # STIR
        ({"RepetitionTime": 500, "EchoTime": 12}, None),
        ({**SPIN_ECHO}, None),
    ],
)
def test_times_where_there_are_no_words(values, sequence):
    assert sequence_of_headers(headers(**values)) == sequence


def test_times_against_words():
    long = {**INVERSION, "RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500}
    assert sequence_of_headers(headers("t2_tirm_tra", **long)) == "flair"
    assert sequence_of_headers(headers("AX T2", **GRADIENT, EchoTime=20)) is None
    assert sequence_of_headers(headers("T1 FLAIR", **INVERSION, EchoTime=10)) == "t1"
    assert sequence_of_headers(headers("T1 FLAIR", **long)) == "flair"
    assert sequence_of_headers(headers("AX T2", ScanningSequence="EP")) is None


def test_times_of_an_enhanced_file():
    timing, echo, group = Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, echo.EffectiveEchoTime = 500.0, 12.0
    group.MRTimingAndRelatedParametersSequence, group.MREchoSequence = [timing], [echo]
    dataset = headers(ScanningSequence="SE", SharedFunctionalGroupsSequence=[group])
    assert sequence_of_headers(dataset) == "t1"


def test_what_is_no_image_of_a_sequence():
    assert sequence_of_headers(headers("T2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])) is None
    assert sequence_of_headers(headers("T2", ImageType=["DERIVED", "PRIMARY", "ADC"])) is None
    assert sequence_of_headers(headers("T1", ImageType=["DERIVED", "PRIMARY", "MPR"])) == "t1"
    assert sequence_of_headers(headers("T1", Modality="CT")) is None
