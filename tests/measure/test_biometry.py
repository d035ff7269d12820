from __future__ import annotations

import math

import pytest

from fetal_monai.measure.biometry import head_biometry, head_flags, head_shape
from fetal_monai.measure.ellipse import Ellipse, EllipseFit


def fit(a: float, b: float, residual: float = 0.3, inliers: float = 1.0, arc: float = 1.0) -> EllipseFit:
    return EllipseFit(Ellipse((0, 0), (a, b), 0), residual, inliers, arc)


def test_sizes_of_an_ellipse_by_hand():
    found = head_biometry(Ellipse((100, 100), (50, 40), 1.1))
    assert found["ofd_mm"] == 100
    assert found["bpd_mm"] == 80
    assert found["cephalic_index"] == pytest.approx(80)
    assert found["head_area_mm2"] == pytest.approx(2000 * math.pi)
    # 4 * 50 * E(1 - 0.8^2)
    assert found["hc_mm"] == pytest.approx(283.6166789, abs=1e-5)


def test_a_head_measured_at_uneven_spacing():
    # an ellipse of 50 by 40 mm, seen at 0.2 mm a row and 0.4 mm a column
    in_pixels = Ellipse((500, 250), (50, 40), 0.6).scaled((1 / 0.2, 1 / 0.4))
    assert in_pixels.semi_axes[0] > 200
    found = head_biometry(in_pixels.scaled((0.2, 0.4)))
    assert found["hc_mm"] == pytest.approx(283.6166789, abs=1e-5)
    assert found["bpd_mm"] == pytest.approx(80)


def test_an_ordinary_head_has_no_flag():
    assert head_flags(fit(50, 40), in_mm=True) == []


@pytest.mark.parametrize(
    ("found", "more", "flag"),
    [
        (None, {}, "no_head"),
        (fit(50, 40), {"cut_fraction": 0.1}, "head_cut_off"),
        (fit(50, 40, residual=2.5), {}, "poor_ellipse_fit"),
        (fit(50, 40, inliers=0.7), {}, "poor_ellipse_fit"),
        (fit(50, 40, arc=0.5), {}, "poor_ellipse_fit"),
        (fit(50, 30), {}, "implausible_cephalic_index"),
        (fit(50, 48), {}, "implausible_cephalic_index"),
        (fit(8, 7), {}, "hc_out_of_range"),
        (fit(70, 55), {}, "hc_out_of_range"),
    ],
)
def test_each_flag_alone(found, more, flag):
    assert head_flags(found, in_mm=True, **more) == [flag]


def test_without_millimetres_no_size_is_doubted():
    assert head_flags(fit(250, 200), in_mm=False) == []
    assert head_flags(fit(250, 200), in_mm=True) == ["hc_out_of_range"]


def test_head_shape():
    assert [head_shape(index) for index in (73.9, 74, 78.3, 83, 83.1)] == [
        "long",
        "usual",
        "usual",
        "usual",
        "round",
    ]
    assert head_shape(math.nan) == ""
