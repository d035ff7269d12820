"""PNG, JPEG, BMP and TIFF."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fetal_monai.scan import ScanError, find_scans, read_scan


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_8_bit_gray_comes_through_untouched(tmp_path, gray, read, name):
    Image.fromarray(gray).save(tmp_path / name)
    scan = read(tmp_path / name)
    assert scan.image.dtype == np.uint8 and scan.image.flags.writeable and scan.image.flags.c_contiguous
    np.testing.assert_array_equal(scan.image, gray)
    assert (scan.spacing_mm, scan.spacing_source, scan.flags, scan.grid) == (None, "none", (), None)


def test_jpeg_and_dpi_are_no_spacing(tmp_path, gray, read):
    Image.fromarray(gray).save(tmp_path / "a.jpg", quality=95, dpi=(300, 300))
    scan = read(tmp_path / "a.jpg")
    assert np.abs(scan.image.astype(int) - gray).mean() < 5
    assert scan.spacing_mm is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_gray_in_other_modes_is_the_same_gray(tmp_path, gray, read, mode):
    Image.fromarray(gray).convert(mode).save(tmp_path / "a.png")
    scan = read(tmp_path / "a.png")
    np.testing.assert_array_equal(scan.image, gray)
    assert scan.flags == ()


def test_one_bit_becomes_black_and_white(tmp_path, gray, read):
    Image.fromarray(gray > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").image, np.where(gray > 100, 255, 0))


def test_palette_of_colours_is_looked_up(tmp_path, read):
    indices = np.indices((64, 64)).sum(axis=0) % 2
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([10, 10, 10, 200, 200, 200])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").image, np.where(indices, 200, 10))


def test_what_is_transparent_is_black(tmp_path, gray, read):
    alpha = np.full_like(gray, 255)
    alpha[:, :80] = 0
    Image.fromarray(np.dstack([gray, gray, gray, alpha])).save(tmp_path / "a.png")
    image = read(tmp_path / "a.png").image
    assert not image[:, :80].any()
    np.testing.assert_array_equal(image[:, 80:], gray[:, 80:])


@pytest.mark.parametrize(("factor", "expected"), [(257, 1.0), (16, 255 / 4095 * 16), (1, 1.0)])
def test_16_bit_looks_as_8_bit_does(tmp_path, gray, read, factor, expected):
    Image.fromarray(gray.astype(np.uint16) * np.uint16(factor)).save(tmp_path / "a.png")
    scan = read(tmp_path / "a.png")
    assert scan.image.dtype == np.float32
    np.testing.assert_allclose(scan.image, gray * expected, rtol=1e-5)
    assert scan.flags == (("sixteen_bit",) if factor > 1 else ())


def test_float_tiff(tmp_path, gray, read):
    Image.fromarray(gray.astype(np.float32) / 255).save(tmp_path / "a.tif")
    np.testing.assert_allclose(read(tmp_path / "a.tif").image, gray, atol=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_shows_the_picture_upright(tmp_path, gray, read, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gray).save(tmp_path / "a.jpg", quality=100, exif=exif)
    from PIL import ImageOps

    with Image.open(tmp_path / "a.jpg") as image:
        upright = np.array(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read(tmp_path / "a.jpg").image, upright)


# Bad input


def png(gray: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "PNG")
    return stream.getvalue()


def reason(path: Path, data: bytes | None = None) -> str:
    if data is not None:
        path.write_bytes(data)
    (source,) = find_scans(path)[0]
    with pytest.raises(ScanError) as caught:
        read_scan(source)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.nii.gz", "a.mha"])
def test_empty_file(tmp_path, name):
    assert reason(tmp_path / name, b"") == f"{name}: is empty (0 bytes); copy it again from its source"


def test_truncated_png(tmp_path, gray):
    data = png(gray)
    text = reason(tmp_path / "a.png", data[: len(data) // 2])
    assert text == "a.png: is damaged or truncated (image file is truncated); copy it again from its source"


def test_truncated_jpeg(tmp_path, gray):
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "JPEG")
    text = reason(tmp_path / "a.jpg", stream.getvalue()[:3000])
    assert text.startswith("a.jpg: is damaged or truncated (image file is truncated")


def test_damaged_png(tmp_path, gray):
    data = bytearray(png(gray))
    data[200:400] = bytes(200)
    assert reason(tmp_path / "a.png", bytes(data)).startswith("a.png: is damaged or truncated (")


@pytest.mark.parametrize(
    "text", [b"hello, this is no image\n", b"<html>404</html>", b"\x89PNG\r\n\x1a\nrubbish"]
)
def test_text_named_png(tmp_path, text):
    assert (
        reason(tmp_path / "a.png", text)
        == "a.png: is not a PNG, JPEG, BMP or TIFF image, although named .png"
    )


@pytest.mark.parametrize("value", [0, 77])
def test_all_pixels_equal(tmp_path, value):
    text = reason(tmp_path / "a.png", png(np.full((64, 64), value, np.uint8)))
    assert text == f"a.png: shows nothing: all pixels have the same value ({value})"


def test_all_black_colour_image(tmp_path):
    text = reason(tmp_path / "a.png", png(np.zeros((64, 64, 3), np.uint8)))
    assert text == "a.png: shows nothing: all pixels have the same value (0)"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 400), (400, 31)])
def test_too_small(tmp_path, height, width):
    text = reason(tmp_path / "a.png", png(np.zeros((height, width), np.uint8)))
    assert text == f"a.png: is {width}x{height} pixels; at least 32x32 are needed"


def header_only_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_100, 40_000])
def test_huge_is_refused_before_it_is_decoded(tmp_path, side):
    text = reason(tmp_path / "a.png", header_only_png(side, side))
    assert "over 100 megapixels; reduce it or cut out the scan" in text


def test_tiff_with_pages(tmp_path, gray):
    pages = [Image.fromarray(gray), Image.fromarray(gray)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert reason(tmp_path / "a.tif") == "a.tif: holds several pages; save each as a file of its own"


def test_nan_in_float_tiff(tmp_path, gray):
    pixels = gray.astype(np.float32)
    pixels[0, 0] = np.nan
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    assert reason(tmp_path / "a.tif") == "a.tif: has pixels that are NaN or infinite; replace them by numbers"


def test_a_file_that_went_away(tmp_path, gray):
    Image.fromarray(gray).save(tmp_path / "a.png")
    (source,) = find_scans(tmp_path)[0]
    source.path.unlink()
    with pytest.raises(ScanError, match=r"^a\.png: cannot be opened \(No such file or directory\)$"):
        read_scan(source)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_scan_or_a_reason_and_nothing_else(tmp_path, gray, data):
    blob = bytearray(png(gray[:40, :40]))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.png"
    path.write_bytes(bytes(blob[: data.draw(st.integers(1, len(blob)))]))
    (source,) = find_scans(path)[0]
    with suppress(ScanError):  # anything else fails the test
        read_scan(source)
