from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import RandomState

from fetal_monai.synthesis.ultrasound_image import compress, envelope, scatter
from fetal_monai.synthesis.ultrasound_sector import Sector, draw_sector

FLAT = np.ones((400, 300), np.float32)


def test_the_envelope_of_plain_tissue_is_rayleigh():
    echo = np.abs(scatter(FLAT, RandomState(0), (1.6, 1.8)))
    # mean over SD of a Rayleigh distribution is sqrt(pi / (4 - pi)) = 1.91, its mean square what was asked
    assert echo.mean() / echo.std() == pytest.approx(math.sqrt(math.pi / (4 - math.pi)), rel=0.04)
    inner = echo[20:-20, 20:-20]
    assert (inner**2).mean() == pytest.approx(1, rel=0.05)
    for part in (
        inner[:60],
        inner[150:210],
        inner[-60:],
    ):  # the spread widens away from the focus, not the power
        assert (part**2).mean() == pytest.approx(1, rel=0.15)


def test_speckle_is_as_wide_as_its_point_spread_and_widest_away_from_the_focus():
    echo = np.abs(scatter(FLAT, RandomState(1), (1.5, 2.0))) ** 2

    def alike(part, axis, lag=2):
        part = part - part.mean()
        ahead, behind = (np.delete(part, np.s_[s], axis) for s in (slice(-lag, None), slice(0, lag)))
        return (ahead * behind).mean() / (part**2).mean()

    middle, end = echo[170:230], echo[-60:-5]
    # intensity of a field blurred with sigma s is correlated by exp(-lag^2 / 2 s^2)
    assert alike(echo, 0) == pytest.approx(math.exp(-(2**2) / (2 * 1.5**2)), abs=0.05)
    assert alike(middle, 1) == pytest.approx(math.exp(-(2**2) / (2 * 2.0**2)), abs=0.1)
    assert alike(end, 1) > alike(middle, 1) + 0.05


def test_compounding_evens_speckle_and_reflection_adds():
    flat = np.zeros_like(FLAT)
    one, many = (envelope(FLAT, flat, RandomState(2), (1.5, 2.0), looks) for looks in (1, 4))
    assert many.std() == pytest.approx(one.std() / 2, rel=0.1)  # 4 pictures of other speckle
    wall = flat.copy()
    wall[200] = 10
    assert envelope(FLAT, wall, RandomState(2), (1.5, 2.0))[200].mean() == pytest.approx(10, abs=0.3)


def test_compression_by_hand():
    echo = np.array([[1e-9, 0.1, 1.0, 10.0, 1e6]], np.float32)
    assert compress(echo, -20, 60, 1.0)[0] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1], abs=1e-6)
    assert compress(echo, -20, 60, 2.0)[0] == pytest.approx([0, 0, 1 / 9, 4 / 9, 1], abs=1e-6)


def test_a_sector_comes_back_where_it_was_looked_at():
    sector = Sector((-100.0, 100.0), 0.5, 60.0, 140.0, 0.4, (0.4, 0.4), 60.0, 145.0, (0.25, 0.004))
    rows, columns = sector.pixels()
    assert rows.shape == (len(sector.depths), len(sector.angles))
    picture, inside = sector.scan_convert(columns.astype(np.float32), (160, 200))
    expected = np.broadcast_to(np.arange(200, dtype=np.float32), (160, 200))
    assert picture[inside] == pytest.approx(expected[inside], abs=0.1)
    assert (picture[~inside] == 0).all()
    # straight below the apex: 60 mm are 120 pixels from row -100, 140 mm are 280
    assert np.flatnonzero(inside[:, 100])[[0, -1]].tolist() == [20, 159]
    assert np.flatnonzero(inside[100])[0] == 100 - int(200 * math.tan(0.4))


def test_a_probe_sees_the_middle_of_the_head():
    for seed in range(20):
        sector = draw_sector(RandomState(seed), (300, 400), 0.3, (60.0, 240.0), 200.0, 120.0, (0.4, 1.0))
        _, inside = sector.scan_convert(
            np.ones((len(sector.depths), len(sector.angles)), np.float32), (300, 400)
        )
        assert inside[60:240, 200].all()
