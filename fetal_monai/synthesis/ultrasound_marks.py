"""What a scanner draws over a picture of a head, at known places: depth ruler, calipers with their words, settings."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fetal_monai.measure.shape import Ellipse

__all__ = ["draw_marks"]

SETTINGS = (
    "2.Trim",
    "Har-mid",
    "Pwr 100",
    "Gn -2",
    "C7 / M5",
    "FF2 / E2",
    "C1-5-D",
    "28Hz/14.2cm",
    "OB MI 1.1",
    "TIb 0.3",
)
STEPS_CM = (0.5, 1.0, 2.0)  # of a ruler's small ticks
LEAST_STEP_PX = 7


def draw_marks(
    random: RandomState, image: NDArray[np.float32], pixel_mm: float, ellipse: Ellipse, width_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw marks over a picture (H, W) in 0..1; the marked picture, and the mask (H, W) of what was drawn.

    A ruler with ticks each 5 mm (larger ones each 1 and 5 cm, or only those where they would be too dense), three to
    six lines of settings, and in half of the pictures calipers across the `ellipse` with `width_mm` in words. The
    ruler's scale is that of `pixel_mm`.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = image.shape
    canvas = Image.fromarray(np.uint8(np.round(np.clip(image, 0, 1) * 255)))
    before = np.asarray(canvas).copy()
    pen = ImageDraw.Draw(canvas)
    pen.fontmode = "L" if random.rand() < 0.5 else "1"
    shade = int(random.uniform(170, 256))
    size = max(9, round(height / 40))
    font = ImageFont.load_default(size)
    left = random.rand() < 0.5
    for count, row in enumerate(np.arange(3.0, height - 3, _step(pixel_mm))):
        long = 2 + 3 * (count % 2 == 0) + 4 * (count % 10 == 0)
        start = 3 if left else width - 4 - long
        pen.line([(start, round(row)), (start + long, round(row))], fill=shade)
    for line, text in enumerate(random.choice(SETTINGS, random.randint(3, 7), replace=False)):
        at = (width - 14 if left else 14, 6 + line * 1.25 * size)
        pen.text(at, str(text), font=font, fill=shade, anchor="ra" if left else "la")
    if random.rand() < 0.5:
        _calipers(pen, ellipse, shade)
        words = f"BPD {width_mm:.1f} mm"
        pen.text((14, height - 2.2 * size), words, font=font, fill=shade)
    after = np.asarray(canvas)
    return (after / np.float32(255)).astype(np.float32), after != before


def _step(pixel_mm: float) -> float:
    """Pixels between two ticks."""
    return next(
        (px for cm in STEPS_CM if (px := 10 * cm / pixel_mm) >= LEAST_STEP_PX), 10 * STEPS_CM[-1] / pixel_mm
    )


def _calipers(pen: object, ellipse: Ellipse, shade: int) -> None:
    """Crosses at both ends of the short axis, and dots between them."""
    row, column = ellipse.center
    short = ellipse.semi_axes[1]
    across = np.array([np.cos(ellipse.angle), -np.sin(ellipse.angle)]) * short  # row, column
    arm = max(3, round(short / 30))
    for sign in (-1, 1):
        y, x = row + sign * across[0], column + sign * across[1]
        pen.line([(x - arm, y), (x + arm, y)], fill=shade)  # type: ignore[attr-defined]
        pen.line([(x, y - arm), (x, y + arm)], fill=shade)  # type: ignore[attr-defined]
    for share in np.linspace(-1, 1, max(8, round(short / 4))):
        pen.point((column + share * across[1], row + share * across[0]), fill=shade)  # type: ignore[attr-defined]
