from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fetal_monai.anomaly.plane_calibration import FeatureSpace, PlaneCalibration, fit_temperature
from fetal_monai.measure.plane import PLANES


def test_temperature_by_hand():
    """A margin of ln 9 says 9 of 10; if 3 of 4 are right, the temperature makes it 3 of 4: ln 9 / ln 3 = 2."""
    logits = [[math.log(9), 0.0]] * 4
    assert fit_temperature(logits, [0, 0, 0, 1]) == pytest.approx(2, rel=1e-3)
    assert fit_temperature(logits[:2], [0, 1], [3, 1]) == pytest.approx(2, rel=1e-3)
    assert fit_temperature(logits, [0, 0, 0, 0]) < 0.2
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature([], [])


def space(n: int = 400) -> FeatureSpace:
    """Two classes 10 apart, with a spread of 2 along the first axis and 1 along the second."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(2 * n, 2)) * [2, 1] + np.repeat([[0, 0], [10, 0]], n, axis=0)
    return FeatureSpace.fit(rows, np.repeat([3, 5], n))


def test_distance_is_to_the_nearest_class_and_knows_its_spread():
    known = space()
    assert known.distance([0, 0]) < 0.15 and known.distance([10, 0]) < 0.15
    assert known.distance([0, 4]) == pytest.approx(4 / math.sqrt(2), rel=0.1)
    assert known.distance([-4, 0]) == pytest.approx(2 / math.sqrt(2), rel=0.15)
    assert known.distance([5, 0]) == pytest.approx(known.distance([5, 0.0]), rel=1e-9)
    with pytest.raises(ValueError, match=r"features have shape \(3,\)"):
        known.distance([0, 0, 0])


def test_files_come_back(tmp_path: Path):
    known = space()
    known.save(tmp_path / "features.npz")
    read = FeatureSpace.load(tmp_path / "features.npz")
    assert read.distance([2, 3]) == pytest.approx(known.distance([2, 3]), rel=1e-5)
    PlaneCalibration(1.5, (1.0, 2.0, 3.0), "by hand").save(tmp_path / "c.json")
    calibration = PlaneCalibration.load(tmp_path / "c.json")
    assert (calibration.temperature, calibration.source, calibration.planes) == (1.5, "by hand", PLANES)
    assert calibration.p_value(2.5) == 0.5  # (1 + 1) / (3 + 1)
    assert math.isnan(PlaneCalibration(1.0, ()).p_value(1.0))
    assert calibration.probabilities([1.5 * math.log(4), 0])[0] == pytest.approx(0.8)


def test_says_what_is_wrong_with_a_file(tmp_path: Path):
    for load in (FeatureSpace.load, PlaneCalibration.load):
        with pytest.raises(ValueError, match=r"none: no such .* calibrate first, or do without"):
            load(tmp_path / "none")
        (tmp_path / "text").write_text("a letter", encoding="utf-8")
        with pytest.raises(ValueError, match=r"text (is no calibration|holds no features)"):
            load(tmp_path / "text")
    PlaneCalibration(1.0, (), planes=("a", "b")).save(tmp_path / "other.json")
    with pytest.raises(ValueError, match="it is of the planes a, b"):
        PlaneCalibration.load(tmp_path / "other.json")
    np.savez(tmp_path / "odd.npz", means=np.zeros((2, 3)), precision=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="do not fit"):
        FeatureSpace.load(tmp_path / "odd.npz")
    with pytest.raises(ValueError, match="must be above 0"):
        PlaneCalibration(float("nan"), ())
