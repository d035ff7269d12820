from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_monai.measure.growth import (
    atrial_width_grade,
    centile,
    centile_curve,
    ga_weeks_hadlock,
    ga_weeks_intergrowth,
    growth_mean_sd,
    trimester,
    z_score,
)

quick = settings(max_examples=50, deadline=None, derandomize=True)
MEASURES = ("hc_mm", "bpd_mm", "ofd_mm", "tcd_mm")


@pytest.mark.parametrize(
    ("weeks", "mean", "sd"),
    [(14, 97.88, 5.58), (20, 172.48, 7.44), (28, 260.36, 8.94), (36, 319.40, 10.76), (40, 333.95, 12.92)],
)
def test_head_circumference_of_the_published_table(weeks, mean, sd):
    assert growth_mean_sd("hc_mm", weeks) == pytest.approx((mean, sd), abs=0.005)


def test_other_charts():
    assert growth_mean_sd("tcd_mm", 20)[0] == pytest.approx(20.47, abs=0.005)
    # at 20 weeks: 5.60878 + 63.3476 - 20.51032, and -12.4097 + 250.5368 - 59.23 ln 20
    assert growth_mean_sd("bpd_mm", 20)[0] == pytest.approx(48.44606, abs=1e-5)
    assert growth_mean_sd("ofd_mm", 20)[0] == pytest.approx(238.1271 - 59.23 * math.log(20), abs=1e-9)


@pytest.mark.parametrize("weeks", np.arange(14, 41, 2))
def test_charts_agree_with_each_other(weeks):
    bpd, ofd, hc = (growth_mean_sd(measure, weeks)[0] for measure in ("bpd_mm", "ofd_mm", "hc_mm"))
    assert hc == pytest.approx(math.pi * (bpd + ofd) / 2, rel=0.03)
    assert 74 < 100 * bpd / ofd < 90


def test_ages_by_hand():
    # 30 cm: 8.96 + 16.2 + 8.1
    assert ga_weeks_hadlock(300) == pytest.approx(33.26)
    assert ga_weeks_hadlock(100) == pytest.approx(8.96 + 5.4 + 0.3)
    # ln 100 squared is 21.2076; exp(1.26609 + 0.006409 + 3.3258) is 99.31 days
    assert ga_weeks_intergrowth(100) == pytest.approx(99.31 / 7, abs=0.01)


@pytest.mark.parametrize("weeks", range(14, 35))
def test_age_returns_from_the_mean_size_of_that_age(weeks):
    mean_hc = growth_mean_sd("hc_mm", weeks)[0]
    assert ga_weeks_intergrowth(mean_hc) == pytest.approx(weeks, abs=0.35)
    assert ga_weeks_hadlock(mean_hc) == pytest.approx(weeks, abs=0.8)


@quick
@given(st.floats(60, 350), st.floats(60, 350))
def test_a_larger_head_is_older(first, second):
    small, large = sorted((first, second))
    for age in (ga_weeks_hadlock, ga_weeks_intergrowth):
        assert age(small) <= age(large)


@pytest.mark.parametrize("age", [ga_weeks_hadlock, ga_weeks_intergrowth])
def test_no_age_without_a_size(age):
    assert all(math.isnan(age(value)) for value in (0, -3, math.nan))
    both = age(np.array([200.0, -1.0]))
    assert both.shape == (2,) and both[0] == age(200) and math.isnan(both[1])


@quick
@given(st.sampled_from(MEASURES), st.floats(14, 40), st.floats(0.1, 99.9))
def test_the_centile_of_a_curve_is_the_curves(measure, weeks, percent):
    value = centile_curve(measure, [weeks], [percent])[0, 0]
    assert centile(measure, value, weeks) == pytest.approx(percent, abs=1e-6)


def test_centiles_by_hand():
    mean, sd = growth_mean_sd("hc_mm", 28)
    assert centile("hc_mm", mean, 28) == pytest.approx(50)
    assert centile("hc_mm", mean + sd, 28) == pytest.approx(84.13447, abs=1e-4)
    assert z_score("hc_mm", mean - 2 * sd, 28) == pytest.approx(-2)
    curves = centile_curve("hc_mm", np.arange(14, 41), (3, 50, 97))
    assert curves.shape == (3, 27)
    assert (np.diff(curves, axis=0) > 0).all() and (np.diff(curves, axis=1) > 0).all()
    assert curves[1, 14] == pytest.approx(mean)
    assert curves[2] - curves[1] == pytest.approx(1.880794 * growth_mean_sd("hc_mm", np.arange(14, 41))[1])


@pytest.mark.parametrize("measure", MEASURES)
def test_charts_end_at_14_and_40_weeks(measure):
    assert all(
        math.isnan(value) for weeks in (13.9, 40.1, math.nan) for value in growth_mean_sd(measure, weeks)
    )
    assert math.isnan(centile(measure, 100, 12))
    mean, _ = growth_mean_sd(measure, np.array([13.0, 14, 40, 41]))
    assert np.isnan(mean).tolist() == [True, False, False, True]
    assert np.isnan(centile_curve(measure, [13, 20], [50])).tolist() == [[True, False]]


def test_numbers_in_are_numbers_out():
    for value in (ga_weeks_hadlock(200), centile("hc_mm", 200, 22), z_score("hc_mm", 200, 22)):
        assert type(value) is float
        json.dumps(value)


def test_a_measure_without_a_chart():
    with pytest.raises(ValueError, match=r"'femur_mm'.*hc_mm"):
        growth_mean_sd("femur_mm", 20)


def test_trimesters():
    ages = (9, 13.99, 14, 27.99, 28, 41)
    assert [trimester(weeks) for weeks in ages] == ["first", "first", "second", "second", "third", "third"]
    assert trimester(math.nan) == ""


def test_atrial_width():
    widths = (0, 9.9, 10, 12, 12.1, 14.9, 15, 40)
    grades = ["normal", "normal", "mild", "mild", "moderate", "moderate", "severe", "severe"]
    assert [atrial_width_grade(width) for width in widths] == grades
    assert atrial_width_grade(math.nan) == atrial_width_grade(-1) == ""
