import base64
import io
import math
import os

import numpy as np
import pytest
from PIL import Image

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.record import Record
from fetal_monai.report.overlay import (
    axis_labels,
    draw_overlay,
    head_caption,
    save_overlay,
    thumbnail,
)

TEAL, AMBER, RED = (45, 212, 191), (255, 176, 32), (255, 92, 92)
HEAD = Ellipse((260.0, 400.0), (180.0, 140.0), 0.4)


def scan(height=540, width=800):
    return np.full((height, width), 60, np.uint8)


def near(picture, colour, tolerance=40):
    """Pixels (N, 2) of about that colour."""
    return np.argwhere(np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance)


def decoded(uri):
    assert uri.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"))


def test_ellipse_is_drawn_where_it_is():
    picture = draw_overlay(scan(), ellipse=HEAD, axes=False)
    assert picture.shape == (540, 800, 3)
    assert picture.dtype == np.uint8
    coloured = near(picture, TEAL)
    assert len(coloured) > 800
    assert np.abs(HEAD.distance(coloured)).max() < 1.5
    around = np.round(HEAD.points(400)).astype(int)
    assert (np.abs(picture[tuple(around.T)].astype(int) - TEAL).max(axis=1) < 120).all()
    untouched = np.abs(HEAD.distance(np.argwhere(scan() > 0))).reshape(540, 800) > 3
    assert (picture[untouched] == 60).all()


def test_edges_of_the_line_are_smooth():
    picture = draw_overlay(scan(), ellipse=HEAD, axes=False)
    assert len(np.unique(picture[..., 1])) > 6


def test_axes_end_on_the_ellipse_and_outline_lies_on_its_points():
    outline = Ellipse((260.0, 400.0), (200.0, 160.0), 0.4).points(300)
    picture = draw_overlay(scan(), ellipse=HEAD, outline=outline)
    blue, pink = near(picture, (109, 162, 206), 25), near(picture, (206, 142, 176), 25)
    center = np.array(HEAD.center)
    assert np.linalg.norm(blue - center, axis=1).max() == pytest.approx(140, abs=4)
    assert np.linalg.norm(pink - center, axis=1).max() == pytest.approx(180, abs=4)
    row, column = np.round(outline[75]).astype(int)
    assert picture[row, column].max() > 90


@pytest.mark.parametrize(
    ("flags", "colour"),
    [
        ((), TEAL),
        (("sixteen_bit",), TEAL),
        (("head_cut_off",), AMBER),
        (("low_contrast", "poor_ellipse_fit"), RED),
    ],
)
def test_flags_colour_the_ellipse(flags, colour):
    picture = draw_overlay(scan(), ellipse=HEAD, axes=False, flags=flags)[:540]
    assert len(near(picture, colour)) > 800
    assert sum(len(near(picture, other)) for other in (TEAL, AMBER, RED) if other != colour) == 0


def test_text_stands_below_the_scan_and_covers_none_of_it():
    plain = draw_overlay(scan(), ellipse=HEAD)
    written = draw_overlay(
        scan(), ellipse=HEAD, axis_labels=("BPD 50 mm", "OFD 60 mm"), caption=["HC 170 mm", "Spacing 0.1"]
    )
    assert (written[:540] == plain).all()
    strip = written[540:]
    assert len(near(strip, (243, 244, 246))) > 50
    assert len(near(strip, (125, 196, 255))) > 50


def test_long_text_wraps_instead_of_leaving_the_picture():
    caption = ["HC 170.0 mm", "a long sentence about where the spacing came from " * 8]
    short = draw_overlay(scan(), caption=caption[:1])
    long = draw_overlay(scan(), caption=caption, flags=["low_contrast"] * 12)
    assert long.shape[1] == 800
    assert len(long) > len(short) + 100
    assert (long[540:, -8:] == long[-1, -1]).mean() > 0.95


@pytest.mark.parametrize(
    ("height", "width"), [(150, 200), (540, 800), (2000, 3000), (1500, 100), (32, 900), (400, 400)]
)
def test_any_size_is_readable(height, width):
    ellipse = Ellipse((height / 2, width / 2), (0.4 * min(height, width), 0.3 * min(height, width)), 0.0)
    picture = draw_overlay(
        scan(height, width), ellipse=ellipse, caption=["HC 170.0 mm"], flags=["low_contrast"]
    )
    assert 480 <= picture.shape[1] <= 1600
    assert picture.shape[0] <= 1600 + 300
    assert len(near(picture, AMBER)) > 100


def test_reduced_scan_keeps_its_ellipse_in_place():
    # 3000 x 2000 becomes 1600 wide: a pixel p lies at (p + 0.5) * 8 / 15 - 0.5
    big = Ellipse((1000.0, 1500.0), (800.0, 600.0), 0.0)
    coloured = near(draw_overlay(scan(2000, 3000), ellipse=big, axes=False), TEAL)
    scale = 1600 / 3000
    drawn = Ellipse((1000.5 * scale - 0.5, 1500.5 * scale - 0.5), (800 * scale, 600 * scale), 0.0)
    assert np.abs(drawn.distance(coloured)).mean() < 1.2


def test_uneven_pixels_are_shown_in_their_true_shape():
    # a circle of 100 mm in pixels of 1 mm (rows) and 0.5 mm (columns)
    ellipse = Ellipse((150.0, 300.0), (200.0, 100.0), 0.0)
    picture = draw_overlay(scan(300, 600), ellipse=ellipse, axes=False, spacing_mm=(1.0, 0.5))
    assert picture.shape == (600, 600, 3)
    coloured = near(picture, TEAL)
    assert np.linalg.norm(coloured - [300.5, 300], axis=1) == pytest.approx(200, abs=3)


def test_image_of_any_number_type_is_taken_and_left_alone():
    image = np.linspace(-20, 300, 540 * 800).reshape(540, 800).astype(np.float32)
    image[0, 0] = np.nan
    before = image.copy()
    picture = draw_overlay(image, ellipse=HEAD)
    assert np.array_equal(image, before, equal_nan=True)
    assert picture[-1, -1].tolist() == [255, 255, 255]
    assert draw_overlay(np.zeros((500, 500, 3), np.uint8)).shape == (500, 500, 3)


@pytest.mark.parametrize("shape", [(10,), (10, 10, 4), (0, 10)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="image is"):
        draw_overlay(np.zeros(shape))


def test_ellipse_outside_the_picture_is_no_error():
    picture = draw_overlay(
        scan(), ellipse=Ellipse((-500.0, -500.0), (100.0, 50.0), 0.0), outline=[[-9, -9], [-5, -5]]
    )
    assert (picture == 60).all()


def test_overlay_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    save_overlay(tmp_path / "sub" / "a_overlay.png", scan(20, 20))
    with Image.open(tmp_path / "sub" / "a_overlay.png") as picture:
        assert picture.size == (20, 20)

    def fail(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        save_overlay(tmp_path / "b_overlay.png", scan(20, 20))
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


@pytest.mark.parametrize(("height", "width"), [(540, 800), (75, 100), (900, 100), (50, 2000)])
def test_thumbnail_is_small_and_shows_the_ellipse(height, width):
    ellipse = Ellipse((height / 2, width / 2), (0.4 * min(height, width), 0.3 * min(height, width)), 0.0)
    picture = decoded(thumbnail(scan(height, width), ellipse=ellipse))
    assert picture.shape[1] <= 320
    assert picture.shape[0] <= 240
    assert max(picture.shape[1] / 320, picture.shape[0] / 240) > 0.98
    assert (picture[..., 1].astype(int) - picture[..., 0] > 60).any()


def test_caption_says_interval_age_and_source_of_the_spacing():
    measures = {"hc_mm": 172.48, "hc_mm_low": 170.06, "hc_mm_high": 174.94, "bpd_mm": 48.0, "ofd_mm": 61.26}
    measures |= {"ga_weeks": 20.0, "ga_weeks_hadlock": 19.8143, "hc_centile": 50.0}
    record = Record("a.png", "a", measures=measures, spacing_mm=(0.1, 0.1), spacing_source="pixel_spacing")
    title, ages, spacing = head_caption(record)
    assert title == "HC 172.5 mm  (90 % interval 170.1 to 174.9 mm)"
    assert ages == "Age given 20.0 weeks (20+0)  ·  Age by HC 19.8 weeks (19+6)  ·  HC centile 50th"
    assert spacing.startswith("Spacing 0.1 mm per pixel, from the DICOM header (PixelSpacing)")
    assert axis_labels(record) == ("BPD 48.0 mm", "OFD 61.3 mm")


def test_caption_without_spacing_has_no_millimetres():
    record = Record("a.png", "a", measures={"hc_mm": math.nan, "cephalic_index": 78.0})
    title, spacing = head_caption(record)
    assert title == "HC without millimetres"
    assert "unknown" in spacing
    assert axis_labels(record) == ("", "")
