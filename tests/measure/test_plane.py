from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.plane import PLANES, plane_measures, probabilities


def test_probabilities_by_hand():
    """Logits 0 and ln 4 give 1 : 4; a temperature of 2 halves the logarithm, 1 : 2."""
    logits = [[0.0, math.log(4)]]
    assert probabilities(logits).tolist() == [pytest.approx([0.2, 0.8])]
    assert probabilities(logits, 2.0).tolist() == [pytest.approx([1 / 3, 2 / 3])]
    np.testing.assert_allclose(probabilities(np.array([1000.0, 1000.0])), [0.5, 0.5])
    with pytest.raises(ValueError, match="must be above 0"):
        probabilities(logits, 0)


def test_first_and_second():
    chances = [0.0, 0.1, 0.6, 0.3, 0, 0, 0, 0]
    measures, flags = plane_measures(chances)
    assert (measures["plane"], measures["plane_second"]) == ("trans_ventricular", "abdomen")
    assert [*measures][2:] == [f"probability_{plane}" for plane in PLANES]
    assert measures["probability_abdomen"] == 0.3 and flags == []


def test_unsure_and_none_of_these():
    chances = [0.4, 0.3, 0.3, 0, 0, 0, 0, 0]
    assert plane_measures(chances)[1] == ["unsure_plane"]
    measures, flags = plane_measures(chances, is_none=True)
    assert (measures["plane"], measures["plane_second"]) == ("none_of_these", "trans_thalamic")
    assert flags == ["none_of_these"] and measures["probability_trans_thalamic"] == 0.4
    with pytest.raises(ValueError, match="2 probabilities for 8 planes"):
        plane_measures([0.5, 0.5])
