from __future__ import annotations

import numpy as np
import pytest
import torch
from heads import save_png

from fetal_monai.transforms.style import RandStyled, match_grays, mix_amplitude, style_paths

SHAPE = (32, 48)
RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.uniform(0.2, 0.6, SHAPE).astype(np.float32)


def test_no_share_changes_nothing():
    style = RANDOM.uniform(0.2, 0.9, SHAPE).astype(np.float32)
    np.testing.assert_allclose(mix_amplitude(PICTURE, style, 0.0, 0.5), PICTURE, atol=1e-6)
    np.testing.assert_allclose(match_grays(PICTURE, style, 0.0), PICTURE, atol=1e-6)


def test_the_lowest_frequency_is_the_mean():
    style = np.full(SHAPE, 0.7, np.float32)
    mixed = mix_amplitude(PICTURE, style, 1.0, 0.0)
    assert mixed.mean() == pytest.approx(0.7, abs=1e-3)
    np.testing.assert_allclose(mixed - mixed.mean(), PICTURE - PICTURE.mean(), atol=1e-5)


def test_grays_take_the_style_in_their_order():
    style = (0.3 + 0.5 * PICTURE[::-1]).astype(np.float32)
    out = match_grays(PICTURE, style, 1.0)
    np.testing.assert_allclose(out, 0.3 + 0.5 * PICTURE, atol=0.01)
    half_black = np.where(np.arange(48) < 24, 0, PICTURE).astype(np.float32)
    assert (match_grays(half_black, style, 1.0)[:, :24] == 0).all()
    black = np.zeros(SHAPE, np.float32)
    np.testing.assert_array_equal(match_grays(black, style, 1.0), black)


def test_styles_come_from_every_machine_alike():
    items = [{"image": f"a{n}", "machine": "a"} for n in range(50)] + [{"image": "b0", "machine": "b"}]
    chosen = style_paths(items, 8, seed=1)
    assert len(chosen) == 5 and "b0" in chosen  # four of a, all of b
    assert chosen == style_paths(items, 8, seed=1) != style_paths(items, 8, seed=2)
    assert style_paths([], 8) == []


def test_a_seed_repeats_it(tmp_path):
    path = save_png(tmp_path / "s.png", np.uint8(RANDOM.uniform(100, 250, SHAPE)))
    styled = RandStyled("image", 1.0, [str(path)], SHAPE)
    image = torch.from_numpy(PICTURE[None].copy())
    first, again, other = (styled.set_random_state(seed)({"image": image})["image"] for seed in (0, 0, 1))
    torch.testing.assert_close(first, again)
    assert not torch.equal(first, other) and first.shape == (1, *SHAPE)
    np.testing.assert_array_equal(image[0].numpy(), PICTURE)  # untouched
    none = RandStyled("image", 1.0, [])({"image": image})["image"]
    assert none is image
    with pytest.raises(ValueError, match="see shape"):
        RandStyled("image", 1.0, [str(path)], (16, 24))({"image": image})
