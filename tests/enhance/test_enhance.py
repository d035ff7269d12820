"""Sector, marks, speckle, gain and contrast on pictures whose truth is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from rulers import fan_picture

from fetal_monai.enhance import STEPS, enhance, find_sector
from fetal_monai.enhance.contrast import depth_profile, equalise_locally, level_gain
from fetal_monai.enhance.marks import fill_marks, find_marks
from fetal_monai.enhance.sector import Sector
from fetal_monai.enhance.speckle import homogeneous_region, non_local_means, reduce_speckle, srad


def whole(shape: tuple[int, int]) -> Sector:
    return Sector(np.ones(shape, bool), "whole")


def test_a_fan_is_found_with_its_apex() -> None:
    picture, fan = fan_picture()
    sector = find_sector(picture)
    assert sector.kind == "fan"
    assert sector.apex_px == pytest.approx((-72, 320), abs=12)
    assert (sector.mask & fan).sum() / (sector.mask | fan).sum() > 0.95
    assert sector.depth_px[60, 320] == pytest.approx(12, abs=8)  # the near arc lies at row 48


def test_a_shadow_and_a_black_corner_stay_in_the_fan() -> None:
    picture, fan = fan_picture()
    dark = picture.copy()
    dark[150:, 300:330] = 0
    sector = find_sector(dark)
    assert (sector.mask & fan).sum() / (sector.mask | fan).sum() > 0.93


def test_a_shadow_along_one_side_makes_no_crooked_fan() -> None:
    picture, fan = fan_picture()
    rows, columns = np.indices(fan.shape)
    cut = picture * (columns > 330 - 0.1 * rows)
    sector = find_sector(cut)
    assert sector.kind == "hull"
    assert not sector.is_certain
    assert sector.mask[cut > 30].mean() > 0.99


def test_text_beside_the_sector_is_not_in_it() -> None:
    picture, fan = fan_picture()
    noted = picture.copy()
    noted[20:60, 20:22] = noted[20:22, 20:60] = 255
    assert not find_sector(noted).mask[20:60, 20:60][~fan[20:60, 20:60]].any()


def test_straight_sides_are_linear_and_an_empty_picture_is_whole() -> None:
    picture = np.zeros((300, 400), np.uint8)
    picture[40:280, 90:310] = np.random.default_rng(0).integers(30, 160, (240, 220))
    sector = find_sector(picture)
    assert sector.kind == "linear"
    assert sector.mask.sum() == pytest.approx(240 * 220, rel=0.08)  # found on a reduced picture
    assert find_sector(np.zeros((64, 64))).kind == "whole"


def test_marks_are_found_and_filled() -> None:
    picture, fan = fan_picture()
    marked = picture.copy()
    marked[299:301, 290:302] = marked[294:306, 295:297] = 255  # a caliper
    marked[20:28, 20:60:4] = 255  # text outside
    marks = find_marks(marked, fan)
    assert marks[295:305, 295].all() and marks[20:28, 20].all()
    assert marks[fan].mean() < 0.01, "speckle is no mark"
    filled = fill_marks(marked, marks, fan)
    assert filled[294:306, 290:302].max() < 200
    assert filled[20:28, 20:60].max() == 0
    untouched = fan & ~marks
    assert np.array_equal(filled[untouched], marked[untouched])


def test_coloured_pixels_are_marks_unless_all_is_coloured() -> None:
    picture, fan = fan_picture()
    rgb = np.repeat(picture[..., None], 3, axis=2)
    rgb[200:204, 300:340] = (255, 200, 0)
    assert find_marks(picture, fan, rgb)[200:204, 300:340].all()
    tinted = np.stack([picture, picture // 2, picture // 8], axis=2)
    assert np.array_equal(find_marks(picture, fan, tinted), find_marks(picture, fan))
    with pytest.raises(ValueError, match="the picture"):
        find_marks(picture, fan[:-1])


def speckled(level: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Amplitude under fully developed speckle, without correlation."""
    return level * np.random.default_rng(seed).rayleigh(math.sqrt(2 / math.pi), level.shape) + 0.05


def test_diffusion_smooths_speckle_and_keeps_an_edge() -> None:
    level = np.ones((96, 96))
    level[:, 48:] = 6
    noisy = speckled(level)
    done = srad(noisy, 60, region=(slice(10, 40), slice(8, 40)))
    assert done.mean() == pytest.approx(noisy.mean(), rel=1e-3), (
        "what flows out of a pixel flows into another"
    )
    for part in (slice(6, 42), slice(54, 90)):
        before, after = noisy[:, part], done[:, part]
        assert after.std() / after.mean() < 0.35 * before.std() / before.mean()
    assert done[:, 54:60].mean() - done[:, 36:42].mean() > 4.5


def test_diffusion_leaves_what_is_flat_and_refuses_what_is_not_positive() -> None:
    assert np.array_equal(srad(np.full((32, 32), 3.0)), np.full((32, 32), 3.0))
    with pytest.raises(ValueError, match="positive"):
        srad(np.zeros((32, 32)))
    with pytest.raises(ValueError, match="time_step"):
        srad(np.ones((32, 32)), time_step=0.5)


def test_one_step_of_diffusion_by_hand() -> None:
    # q0 = 1; at the peak: gradient 4·(1/2)² = 1, Laplacian −2; q² = (1/2 − 1/4)/(1 − 1/2)² = 1 = q0², so c = 1.
    # North and west use the peak's c. To the south c is that neighbour's: gradient 1, Laplacian 1,
    # q² = (1/2 − 1/16)/(5/4)² = 0.28, c = 1/(1 + (0.28 − 1)/2) = 1/0.64 = 1.5625, bounded to 1.
    picture = np.ones((5, 5))
    picture[2, 2] = 2
    done = srad(picture, 1, time_step=0.1, speckle_scale=1.0)
    assert done[2, 2] == pytest.approx(2 - 0.1 * 4)
    assert done[1, 2] == pytest.approx(1 + 0.1)
    assert done[0, 0] == pytest.approx(1)


def test_the_homogeneous_region_holds_no_edge() -> None:
    level = np.full((140, 140), 40.0)
    level[:70] = np.where(np.indices((70, 140)).sum(axis=0) // 6 % 2, 20, 90)
    rows, _ = homogeneous_region(level + np.random.default_rng(0).normal(0, 2, level.shape))
    assert rows.start >= 70


@pytest.mark.parametrize("method", ["srad", "nlm"])
def test_both_filters_lessen_the_noise_of_a_log_compressed_picture(method: str) -> None:
    picture = np.clip(120 + 40 * np.log10(speckled(np.ones((80, 80)))), 0, 255)
    done = reduce_speckle(picture, method=method)
    assert done.std() < 0.6 * picture.std()
    assert (done.shape, done.dtype) == ((80, 80), np.float32)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="srad and nlm"):
        reduce_speckle(np.ones((32, 32)), method="magic")
    with pytest.raises(ValueError, match="no step 'sharpen'"):
        enhance(np.zeros((64, 64), np.uint8), ["sharpen"])
    with pytest.raises(ValueError, match="strength"):
        level_gain(np.ones((32, 32)), whole((32, 32)), 2)


def test_nothing_is_done_to_a_flat_picture() -> None:
    flat = np.full((64, 64), 80, np.uint8)
    assert np.array_equal(non_local_means(flat), flat)
    assert np.array_equal(equalise_locally(flat, whole((64, 64))), flat)


def test_gain_is_levelled_and_black_stays_black() -> None:
    depth = np.linspace(1, 0.25, 200)[:, None]
    picture = np.tile(160 * depth, (1, 100))
    picture[90:110, 40:60] = 0
    done = level_gain(picture, whole((200, 100)), 1.0)
    profile = depth_profile(done, whole((200, 100)))[1]
    assert profile.max() / profile.min() < 1.15
    assert done[90:110, 40:60].max() == 0
    assert np.array_equal(level_gain(picture, whole((200, 100)), 0.0), picture.astype(np.float32))


def test_local_contrast_grows_inside_and_nothing_changes_outside() -> None:
    _, fan = fan_picture()
    rows, columns = np.indices(fan.shape)
    faint = np.where(fan, 90 + 6 * ((rows // 8 + columns // 8) % 2) + columns / 8, 7).astype(np.float32)
    done = equalise_locally(faint, Sector(fan, "hull"), clip_limit=0.03)
    assert np.hypot(*np.gradient(done))[fan].mean() > 1.2 * np.hypot(*np.gradient(faint))[fan].mean()
    assert (done[~fan] == 7).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_type_shape_and_input_are_kept(dtype: type) -> None:
    picture = fan_picture((240, 320))[0].astype(dtype)
    before = picture.copy()
    done = enhance(picture)
    assert (done.image.dtype, done.image.shape) == (picture.dtype, picture.shape)
    assert np.array_equal(picture, before)
    assert done.image.min() >= 0 and done.image.max() <= 255
    assert np.array_equal(enhance(picture, []).image, picture)
    assert STEPS == ("marks", "gain", "speckle", "contrast")
