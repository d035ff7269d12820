from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.tumour import TUMOUR_MEASURES, TumourMeasurement, measure_tumour
from fetal_monai.measure.tumour_change import CHANGE_MEASURES, CHANGE_THRESHOLDS, compare_tumours


def measured(
    oedema: float = 40.0,
    necrosis: float = 8.0,
    enhancing: float = 12.0,
    diameters: tuple[float, float] = (30.0, 20.0),
    region: str | None = "enhancing",
) -> TumourMeasurement:
    """A tumour of given volumes in mL and RANO diameters in mm."""
    core = necrosis + enhancing
    measures = dict.fromkeys(TUMOUR_MEASURES, math.nan) | {
        "whole_tumour_ml": oedema + core,
        "tumour_core_ml": core,
        "enhancing_ml": enhancing,
        "oedema_ml": oedema,
        "necrosis_ml": necrosis,
        "rano_diameter_mm": diameters[0],
        "rano_perpendicular_mm": diameters[1],
    }
    return TumourMeasurement(measures, extra={"rano_region": region})


FIRST = measured()
NO_TUMOUR = measure_tumour(np.zeros((4, 4, 4), np.uint8), np.eye(4))


def test_changes_by_hand():
    found = compare_tumours(FIRST, measured(50, 4, 18, (33, 20)), days=60)
    assert tuple(found.measures) == CHANGE_MEASURES
    assert found.measures == pytest.approx(
        {
            "whole_tumour_change_ml": 12,
            "whole_tumour_change_percent": 20,
            "tumour_core_change_ml": 2,
            "tumour_core_change_percent": 10,
            "enhancing_change_ml": 6,
            "enhancing_change_percent": 50,
            "oedema_change_ml": 10,
            "oedema_change_percent": 25,
            "necrosis_change_ml": -4,
            "necrosis_change_percent": -50,
            "whole_tumour_change_ml_per_30_days": 6,
            "tumour_core_change_ml_per_30_days": 1,
            "enhancing_change_ml_per_30_days": 3,
            "oedema_change_ml_per_30_days": 5,
            "necrosis_change_ml_per_30_days": -2,
            "rano_product_first_mm2": 600,
            "rano_product_second_mm2": 660,
            "rano_product_change_percent": 10,
            "days": 60,
        }
    )
    assert found.flags == []
    assert found.thresholds == {
        "enhancing_volume_up_40_percent": "the volume of the enhancing tumour grew by 40 % or more"
    }


def test_nothing_changed():
    found = compare_tumours(FIRST, FIRST)
    assert (found.thresholds, found.flags) == ({}, [])
    assert math.isnan(found.measures["days"])
    assert all(
        math.isnan(value) if name.endswith("30_days") else value == 0
        for name, value in found.measures.items()
        if "change" in name
    )


@pytest.mark.parametrize(
    ("diameters", "passed"),
    [
        ((30, 24.9), []),
        ((30, 25), ["rano_product_up_25_percent"]),  # 750 of 600
        ((37.5, 20), ["rano_product_up_25_percent"]),
        ((30, 10.1), []),
        ((25, 12), ["rano_product_down_50_percent"]),  # 300 of 600
        ((9, 9), ["rano_product_down_50_percent"]),
    ],
)
def test_thresholds_of_the_product(diameters, passed):
    assert list(compare_tumours(FIRST, measured(diameters=diameters)).thresholds) == passed


@pytest.mark.parametrize(
    ("necrosis", "passed"),
    [
        (15.9, []),
        (16.0, ["tumour_core_volume_up_40_percent"]),  # a core of 28 mL after 20
        (44.0, ["whole_tumour_volume_up_40_percent", "tumour_core_volume_up_40_percent"]),  # 96 after 60
    ],
)
def test_thresholds_of_a_volume_that_grows(necrosis, passed):
    assert list(compare_tumours(FIRST, measured(necrosis=necrosis)).thresholds) == passed


@pytest.mark.parametrize(
    ("oedema", "enhancing", "passed"),
    [
        (40.0, 4.3, []),
        (40.0, 4.2, ["enhancing_volume_down_65_percent"]),  # of 12
        (6.8, 6.2, ["whole_tumour_volume_down_65_percent"]),  # 21 of 60
    ],
)
def test_thresholds_of_a_volume_that_shrinks(oedema, enhancing, passed):
    found = compare_tumours(FIRST, measured(oedema=oedema, enhancing=enhancing))
    assert list(found.thresholds) == passed
    assert all(found.thresholds[name] == CHANGE_THRESHOLDS[name] for name in passed)


def test_enhancement_that_disappears():
    """The core that is left has a larger product, which is not compared with that of the enhancing tumour."""
    found = compare_tumours(FIRST, measured(enhancing=0.0, diameters=(40, 30), region="tumour_core"))
    assert found.measures["rano_product_second_mm2"] == 0
    assert found.measures["rano_product_change_percent"] == -100
    assert found.measures["enhancing_change_percent"] == -100
    assert list(found.thresholds) == [
        "rano_product_down_50_percent",
        "enhancing_volume_down_65_percent",
        "enhancing_disappeared",
    ]
    assert found.flags == []


def test_enhancement_that_appears():
    found = compare_tumours(measured(enhancing=0.0, region="tumour_core"), FIRST)
    assert found.flags == ["rano_regions_differ"]
    assert math.isnan(found.measures["rano_product_change_percent"])
    assert math.isnan(found.measures["enhancing_change_percent"])
    assert found.measures["enhancing_change_ml"] == 12
    assert list(found.thresholds) == ["tumour_core_volume_up_40_percent", "enhancing_appeared"]


def test_a_small_tumour_is_not_measurable():
    assert compare_tumours(measured(diameters=(30, 9.9)), FIRST).flags == ["rano_not_measurable"]
    assert compare_tumours(FIRST, measured(diameters=(30, 9.9))).flags == []
    assert compare_tumours(measured(diameters=(10, 10)), FIRST).flags == []


def test_a_tumour_that_goes_and_one_that_comes():
    gone = compare_tumours(FIRST, NO_TUMOUR)
    assert gone.flags == ["no_tumour"]
    assert gone.measures["whole_tumour_change_ml"] == -60
    assert gone.measures["rano_product_change_percent"] == -100
    assert "enhancing_disappeared" in gone.thresholds
    come = compare_tumours(NO_TUMOUR, FIRST)
    assert come.flags == ["no_tumour"]
    assert come.measures["whole_tumour_change_ml"] == 60
    assert math.isnan(come.measures["whole_tumour_change_percent"])
    assert math.isnan(come.measures["rano_product_first_mm2"])
    assert list(come.thresholds) == ["enhancing_appeared"]
    assert compare_tumours(NO_TUMOUR, NO_TUMOUR).thresholds == {}


def test_two_dates_of_label_maps():
    """A tumour that grows to twice its length has four times the product and eight times the volume."""
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[10:22, 10:20, 10:15] = 4
    first, second = (measure_tumour(labels, np.diag([mm, mm, mm, 1.0])) for mm in (1.0, 2.0))
    found = compare_tumours(first, second, days=30)
    assert found.measures["enhancing_change_percent"] == pytest.approx(700)
    assert found.measures["enhancing_change_ml_per_30_days"] == pytest.approx(7 * 0.6)
    assert found.measures["rano_product_change_percent"] == pytest.approx(300)
    assert found.flags == []


@pytest.mark.parametrize("days", [0, -7, math.nan, math.inf])
def test_bad_days(days):
    with pytest.raises(ValueError, match="days from the first date"):
        compare_tumours(FIRST, FIRST, days)
