from __future__ import annotations

import numpy as np
import pytest

from fetal_monai.measure.head_frame import frame_mask
from fetal_monai.synthesis.alterations import ALTERATIONS, LEAST_CHANGE, alter, blob, rounded

SHAPE = (48, 64)
INSIDE = frame_mask(SHAPE)


def head() -> np.ndarray:
    random = np.random.RandomState(0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    picture = 0.35 + 0.2 * np.sin(rows / 5) * np.cos(columns / 7) + 0.1 * random.rand(*SHAPE)
    return (picture * INSIDE).astype(np.float32)


@pytest.mark.parametrize("draw", [blob, rounded])
def test_shapes_are_smooth_and_inside(draw):
    sizes = []
    for seed in range(20):
        shape = draw(INSIDE, np.random.RandomState(seed))
        assert shape.dtype == np.float32 and 0 <= shape.min() <= shape.max() <= 1
        assert not shape[INSIDE <= 0.5].any()
        sizes.append(shape.sum())
    assert min(sizes) > 3 and max(sizes) < 0.35 * INSIDE.sum() and np.std(sizes) > 10
    assert not draw(np.zeros(SHAPE, np.float32), np.random.RandomState(0)).any()


@pytest.mark.parametrize("kind", ALTERATIONS)
@pytest.mark.parametrize("seed", range(6))
def test_alteration_is_where_it_says(kind, seed):
    before = head()
    kept = before.copy()
    after, altered = ALTERATIONS[kind](before, INSIDE, np.random.RandomState(seed))
    np.testing.assert_array_equal(before, kept)
    assert after.dtype == altered.dtype == np.float32 and after.shape == altered.shape == SHAPE
    assert 0 <= after.min() <= after.max() <= 1 and 0 <= altered.min() <= altered.max() <= 1
    assert not altered[INSIDE <= 0.5].any()
    if kind == "no_head":
        assert altered.sum() > 0.99 * (INSIDE > 0.5).sum()
        assert np.abs(after - before).mean() > 0.01
    elif altered.any():
        assert np.abs(after - before)[altered > 0.5].mean() >= LEAST_CHANGE
        if kind != "fluid":  # whose wall stands on its edge
            assert np.abs(after - before)[(altered == 0) & (INSIDE > 0.99)].max() < 0.2
    else:
        np.testing.assert_array_equal(after, before)


def test_fluid_is_dark_and_a_mass_bright():
    before = head()
    for kind, sign in (("fluid", -1), ("mass", 1)):
        changes = []
        for seed in range(10):
            after, altered = ALTERATIONS[kind](before, INSIDE, np.random.RandomState(seed))
            if (altered > 0.9).any():
                changes.append(sign * (after - before)[altered > 0.9].mean())
        assert len(changes) >= 5 and np.mean(changes) > LEAST_CHANGE


def test_a_seed_reproduces_and_kinds_are_kept_to():
    first, second = (alter(head(), INSIDE, np.random.RandomState(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    only = [alter(head(), INSIDE, np.random.RandomState(seed), {"no_head": 1})[1].sum() for seed in range(3)]
    assert min(only) > 0.99 * (INSIDE > 0.5).sum()
