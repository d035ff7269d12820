"""The depth ruler: read where its ticks leave one meaning, and not read otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from rulers import as_jpeg, draw_ruler, fan_picture, fifths, halves

from fetal_monai.enhance import read_ruler
from fetal_monai.scan import read_scan, source_of


@pytest.mark.parametrize(
    ("step_px", "length", "step_cm"),
    [(31.4, fifths, 1.0), (38.0, fifths, 1.0), (17.3, halves, 0.5), (24.5, halves, 0.5)],
)
@pytest.mark.parametrize("column", [16, 600])
def test_the_step_is_found_within_half_a_percent(
    step_px: float, length: Callable[[int], int], step_cm: float, column: int
) -> None:
    ruler = read_ruler(draw_ruler(fan_picture()[0] // 2, step_px, length, column))
    assert ruler is not None
    assert ruler.spacing_mm == pytest.approx(10 * step_cm / step_px, rel=5e-3)
    assert abs(ruler.column_px - column) < 12
    assert ruler.confidence > 0.9


def test_ticks_over_tissue_are_read() -> None:
    picture, fan = fan_picture()
    picture //= 4
    column = 200
    assert fan[200:400, column].all()
    drawn = draw_ruler(picture[:, 120:], 31.4, fifths, column - 120)
    ruler = read_ruler(drawn)
    assert ruler is not None
    assert ruler.spacing_mm == pytest.approx(10 / 31.4, rel=5e-3)


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_jpeg_gives_the_same_or_nothing(quality: int) -> None:
    ruler = read_ruler(as_jpeg(draw_ruler(fan_picture()[0], 31.4, fifths), quality))
    assert ruler is not None or quality < 75
    assert ruler is None or ruler.spacing_mm == pytest.approx(10 / 31.4, rel=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_bright_tissue_behind_the_ticks_gives_the_same_or_nothing(seed: int) -> None:
    ruler = read_ruler(draw_ruler(fan_picture(seed=seed)[0][:, 120:], 17.3, halves, 80))
    assert ruler is None or ruler.spacing_mm == pytest.approx(5 / 17.3, rel=1e-2)


def test_text_beside_the_ruler_changes_nothing() -> None:
    image = Image.fromarray(draw_ruler(fan_picture()[0], 31.4, fifths))
    draw = ImageDraw.Draw(image)
    for row, text in ((40, "Gn 60"), (60, "C5-1"), (210, "11cm"), (300, "P21 MI 0.9")):
        draw.text((34, row), text, fill=220)
    ruler = read_ruler(np.asarray(image))
    assert ruler is not None
    assert ruler.spacing_mm == pytest.approx(10 / 31.4, rel=5e-3)


@pytest.mark.parametrize(
    ("step_px", "length"),
    [
        (30.0, lambda n: 4),  # all alike: 1 cm as well as 5 mm
        (18.0, fifths),  # 25 ticks: 25 cm in steps of 1 cm, or 5 cm in steps of 2 mm
        (30.0, lambda n: 9 if n == 5 else 4),  # one large tick says nothing of how often they come
        (30.0, lambda n: 9 if n in (5, 12) else 4),  # not every fifth
        (20.0, lambda n: 9 if n % 10 == 0 else 4),  # 5 mm and 5 cm, or 1 cm and 10 cm
    ],
)
def test_what_two_scales_explain_is_not_read(step_px: float, length: Callable[[int], int]) -> None:
    assert read_ruler(draw_ruler(fan_picture()[0], step_px, length)) is None


def test_uneven_ticks_are_no_ruler() -> None:
    picture = fan_picture()[0].copy()
    rows = np.cumsum(np.random.default_rng(3).integers(18, 48, 12))
    for n, row in enumerate(rows):
        picture[row : row + 2, 16 : 16 + fifths(n)] = 230
    assert read_ruler(picture) is None


@pytest.mark.parametrize("seed", range(4))
def test_speckle_and_text_alone_are_no_ruler(seed: int) -> None:
    image = Image.fromarray(fan_picture(seed=seed)[0])
    draw = ImageDraw.Draw(image)
    for line in range(14):
        draw.text((8, 20 + 30 * line), f"+ {line} Har-mid {line * 7}", fill=230)
    assert read_ruler(np.asarray(image)) is None


def test_below_the_confidence_asked_for_nothing_is_read() -> None:
    assert read_ruler(draw_ruler(fan_picture()[0], 31.4, fifths), min_confidence=1.01) is None


def test_a_colour_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64, 3\); a gray picture"):
        read_ruler(np.zeros((64, 64, 3)))


def test_a_scan_takes_it_only_when_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_ruler(fan_picture()[0], 31.4, fifths)).save(path)
    silent = read_scan(source_of(path))
    assert (silent.spacing_mm, silent.spacing_source, silent.ruler) == (None, "none", None)
    scan = read_scan(source_of(path), allow_ruler=True)
    assert scan.spacing_mm == pytest.approx((10 / 31.4, 10 / 31.4), rel=5e-3)
    assert scan.spacing_source == "ruler"
    assert "spacing_from_ruler" in scan.flags
    given = read_scan(source_of(path), spacing_mm=0.2, allow_ruler=True)
    assert (given.spacing_mm, given.spacing_source, given.flags) == ((0.2, 0.2), "argument", ())
    Image.fromarray(fan_picture()[0]).save(path)
    without = read_scan(source_of(path), allow_ruler=True)
    assert (without.spacing_mm, without.spacing_source, without.flags) == (None, "none", ())
