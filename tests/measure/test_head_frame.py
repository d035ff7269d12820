from __future__ import annotations

import math

import numpy as np
import pytest

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.head_frame import FILL, HeadFrame, frame_mask

SHAPE = (48, 64)


def place_in(frame: HeadFrame, point: tuple[float, float]) -> np.ndarray:
    """Where a point of the picture lies in the frame."""
    return np.linalg.solve(frame.matrix, np.asarray(point) - frame.centre) + (np.asarray(frame.shape) - 1) / 2


@pytest.mark.parametrize("angle", [-1.2, -0.3, 0.0, 0.4, 1.5, math.pi / 2])
def test_ellipse_lies_level_and_its_lower_half_below(angle):
    ellipse = Ellipse((100, 120), (60, 45), angle)
    frame = HeadFrame.of(ellipse, SHAPE)
    around = np.array([place_in(frame, point) for point in ellipse.points(90)])
    middle, radii = (np.asarray(SHAPE) - 1) / 2, FILL * np.asarray(SHAPE) / 2
    np.testing.assert_allclose((((around - middle) / radii) ** 2).sum(axis=1), 1, atol=1e-9)
    ends = ellipse.center + ellipse.directions[1][:, None].T * [[45], [-45]]
    lower = ends[ends[:, 0].argmax()]
    if abs(angle) < 1.55:  # an upright head has no lower side
        assert place_in(frame, tuple(lower))[0] > middle[0]


def test_level_head_is_neither_turned_nor_mirrored():
    """A frame of the picture's own size and place: an identity."""
    ellipse = Ellipse((23.5, 31.5), (FILL * 32, FILL * 24), 0.0)
    frame = HeadFrame.of(ellipse, SHAPE)
    np.testing.assert_allclose(frame.matrix, np.eye(2), atol=1e-12)
    image = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    np.testing.assert_allclose(frame.sample(image, fine=1), image, atol=1e-6)
    np.testing.assert_allclose(frame.paint(image, SHAPE), image, atol=1e-6)


def test_there_and_back():
    ellipse = Ellipse((80, 95), (50, 38), 0.5)
    frame = HeadFrame.of(ellipse, (96, 128))
    rows, columns = np.mgrid[:160, :200]
    smooth = (0.5 + 0.3 * np.sin(rows / 14) * np.cos(columns / 17)).astype(np.float32)
    back = frame.paint(frame.sample(smooth), smooth.shape)
    inside = Ellipse((80, 95), (47, 35), 0.5).mask(smooth.shape)
    assert np.abs(back - smooth)[inside].max() < 0.01
    assert not back[0, 0] and not back[-1, -1]


def test_a_resized_picture_gives_the_same_frame():
    ellipse = Ellipse((80, 95), (50, 38), 0.5)
    frame = HeadFrame.of(ellipse, (96, 128))
    half = frame.through((0.5, 0.5), (frame.centre + 0.5) * 0.5 - 0.5)
    rows, columns = np.mgrid[:160, :200]
    smooth = (np.sin(rows / 20) + np.cos(columns / 25)).astype(np.float32)
    reduced = smooth.reshape(80, 2, 100, 2).mean((1, 3))
    inside = frame_mask((96, 128)) > 0.5
    assert np.abs(half.sample(reduced) - frame.sample(smooth))[inside].max() < 0.02


def test_mask_has_the_ellipse_s_area():
    mask = frame_mask((96, 128))
    assert mask.sum() == pytest.approx(math.pi * 48 * 64 * FILL**2, rel=1e-3)
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])
    with pytest.raises(ValueError, match="give more of them"):
        frame_mask((128, 96))
