"""Ultrasound DICOM: pixels in every interpretation, and what is damaged."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import convert_color_space
from pydicom.uid import JPEGBaseline8Bit, JPEGLSLossless, RLELossless
from scan_files import palette, save_dicom, speckle

from fetal_monai.scan import ScanError, find_scans, read_scan

IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)
PLAIN_SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, RLELossless)
GRAY_RAMP = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)


# Pixels


@pytest.mark.parametrize("syntax", PLAIN_SYNTAXES)
def test_gray(tmp_path, gray, read, syntax):
    scan = read(save_dicom(tmp_path / "a.dcm", gray, syntax=syntax))
    assert scan.image.dtype == np.uint8 and scan.image.flags.writeable
    np.testing.assert_array_equal(scan.image, gray)
    assert (scan.spacing_mm, scan.spacing_source, scan.flags) == (None, "none", ())


def test_monochrome1_is_turned(tmp_path, gray, read):
    np.testing.assert_array_equal(read(save_dicom(tmp_path / "a.dcm", gray, "MONOCHROME1")).image, 255 - gray)


@pytest.mark.parametrize("syntax", PLAIN_SYNTAXES)
@pytest.mark.parametrize("wide", [True, False])
def test_gray_palette_in_either_byte_order(tmp_path, gray, read, syntax, wide):
    colours = palette(GRAY_RAMP, ">" if syntax == EXPLICIT_BIG else "<", wide)
    scan = read(save_dicom(tmp_path / "a.dcm", gray, "PALETTE COLOR", syntax=syntax, **colours))
    np.testing.assert_array_equal(scan.image, 255 - gray)
    assert scan.flags == ()


def test_palette_of_colours_keeps_its_marks(tmp_path, gray, read):
    indices = gray.copy()
    indices[20:22, 20:60] = 255
    ramp = GRAY_RAMP[::-1].copy()
    ramp[255] = (0, 255, 0)
    scan = read(save_dicom(tmp_path / "a.dcm", indices, "PALETTE COLOR", **palette(ramp)))
    assert scan.flags == ("colour_marks",)
    assert (scan.image[20, 20:60] == 150).all()  # 0.587 * 255


@pytest.mark.parametrize("syntax", PLAIN_SYNTAXES)
def test_rgb(tmp_path, gray, read, syntax):
    rgb = np.repeat(gray[..., None], 3, axis=-1)
    scan = read(save_dicom(tmp_path / "a.dcm", rgb, "RGB", syntax=syntax))
    np.testing.assert_array_equal(scan.image, gray)
    assert scan.flags == ()


def test_ybr_full(tmp_path, gray, read):
    ybr = convert_color_space(np.repeat(gray[..., None], 3, axis=-1), "RGB", "YBR_FULL")
    scan = read(save_dicom(tmp_path / "a.dcm", ybr, "YBR_FULL"))
    assert np.abs(scan.image.astype(int) - gray).max() <= 1
    assert scan.flags == ()


def test_ybr_jpeg_baseline(tmp_path, gray, read):
    stream = io.BytesIO()
    Image.fromarray(gray).convert("RGB").save(stream, "JPEG", quality=95, subsampling="4:2:2")
    path = save_dicom(
        tmp_path / "a.dcm",
        np.zeros((*gray.shape, 3), np.uint8),
        "YBR_FULL_422",
        syntax=JPEGBaseline8Bit,
        encoded=[stream.getvalue()],
    )
    assert np.abs(read(path).image.astype(int) - gray).mean() < 5


@pytest.mark.parametrize("syntax", PLAIN_SYNTAXES)
def test_16_bit_is_scaled_by_the_bits_stored(tmp_path, gray, read, syntax):
    scan = read(
        save_dicom(tmp_path / "a.dcm", gray.astype(np.uint16) * 16, syntax=syntax, BitsStored=12, HighBit=11)
    )
    assert scan.image.dtype == np.float32 and scan.flags == ("sixteen_bit",)
    np.testing.assert_allclose(scan.image, gray * (16 * 255 / 4095), rtol=1e-5)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, EXPLICIT_BIG, RLELossless])
def test_each_frame_is_its_own(tmp_path, gray, syntax):
    frames = np.stack([gray, 255 - gray, gray // 2])
    sources, _ = find_scans(save_dicom(tmp_path / "a.dcm", frames, frames=3, syntax=syntax))
    for source, frame in zip(sources, frames, strict=True):
        np.testing.assert_array_equal(read_scan(source).image, frame)


def test_doppler_frame(tmp_path, gray, read, region):
    rgb = np.repeat(gray[..., None], 3, axis=-1)
    rgb[40:80, 50:110, 2] = 0
    rgb[40:80, 50:110, 0] = 255
    path = save_dicom(tmp_path / "a.dcm", rgb, "RGB", regions=[region()])
    with pytest.raises(ScanError, match=r"^a\.dcm: colours cover \d+\.\d % of it: a colour Doppler frame"):
        read(path)


def test_a_colour_flow_region_needs_less_colour_to_be_doppler(tmp_path, gray, read, region):
    rgb = np.repeat(gray[..., None], 3, axis=-1)
    rgb[50:62, 60:74] = (255, 80, 0)  # 1.1 % of the region
    path = save_dicom(tmp_path / "a.dcm", rgb, "RGB", regions=[region()])
    assert read(path).flags == ("colour_marks",)
    path = save_dicom(tmp_path / "b.dcm", rgb, "RGB", regions=[region(RegionDataType=2)])
    with pytest.raises(ScanError, match="colour Doppler"):
        read(path)


def test_colours_outside_the_regions_do_not_count(tmp_path, gray, read, region):
    rgb = np.repeat(gray[..., None], 3, axis=-1)
    rgb[85:118, 20:140] = (200, 0, 60)
    path = save_dicom(tmp_path / "a.dcm", rgb, "RGB", regions=[region(RegionLocationMaxY1=80)])
    assert read(path).flags == ()


# Bad input


def reason(path: Path) -> str:
    (source,) = find_scans(path)[0]
    with pytest.raises(ScanError) as caught:
        read_scan(source)
    return str(caught.value)


def test_text_named_dcm(tmp_path):
    (tmp_path / "a.dcm").write_text("hello, this is no image\n" * 20)
    assert reason(tmp_path / "a.dcm").startswith("a.dcm: ")
    (tmp_path / "b.dcm").write_bytes(b"")
    assert reason(tmp_path / "b.dcm") == "b.dcm: is empty (0 bytes); copy it again from its source"


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, RLELossless])
def test_truncated(tmp_path, gray, syntax):
    path = save_dicom(tmp_path / "a.dcm", gray, syntax=syntax)
    path.write_bytes(path.read_bytes()[:-8000])
    text = reason(path)
    assert text.startswith("a.dcm: its pixels cannot be decoded (")
    assert text.endswith("the file may be truncated: copy it again from its source")


def test_truncated_in_its_header(tmp_path, gray):
    path = save_dicom(tmp_path / "a.dcm", gray)
    path.write_bytes(path.read_bytes()[:400])
    assert reason(path).startswith("a.dcm: ")


def test_no_pixels(tmp_path, gray):
    path = save_dicom(tmp_path / "a.dcm", gray)
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    assert reason(path).startswith("a.dcm: its pixels cannot be decoded (")
    del dataset.Rows
    dataset.save_as(path)
    assert reason(path) == "a.dcm: is a DICOM without an image"


def test_other_modalities(tmp_path, gray):
    text = reason(save_dicom(tmp_path / "a.dcm", gray, Modality="MR"))
    assert text == "a.dcm: is a DICOM of modality MR; ultrasound (US) is needed"


def test_too_small_and_too_large(tmp_path, gray):
    assert "1x1 pixels" in reason(save_dicom(tmp_path / "a.dcm", np.ones((1, 1), np.uint8)))
    text = reason(save_dicom(tmp_path / "b.dcm", gray, Rows=20_000, Columns=20_000))
    assert text == "b.dcm: is 20000x20000 pixels, over 100 megapixels; reduce it or cut out the scan"


def test_all_black(tmp_path, gray):
    text = reason(save_dicom(tmp_path / "a.dcm", gray * 0))
    assert text == "a.dcm: shows nothing: all pixels have the same value (0)"


def test_a_frame_that_fails_names_itself(tmp_path, gray):
    sources, _ = find_scans(save_dicom(tmp_path / "a.dcm", np.stack([gray, gray * 0]), frames=2))
    assert read_scan(sources[0]).image.any()
    with pytest.raises(ScanError, match=r"^a\.dcm, frame 2: shows nothing"):
        read_scan(sources[1])


def test_a_missing_decoder_says_what_to_install(tmp_path, gray, monkeypatch):
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    path = save_dicom(tmp_path / "a.dcm", gray, syntax=JPEGLSLossless, encoded=[b"\xff\xd8\xff\xd9"])
    assert 'needs a decoder: pip install "fetal_monai[dicom]"' in reason(path)


def test_without_preamble_it_is_still_read(tmp_path, gray, read):
    path = save_dicom(tmp_path / "a.dcm", gray, syntax=IMPLICIT_LITTLE)
    dataset = dcmread(path)
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read(path).image, gray)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_scan_or_a_reason_and_nothing_else(tmp_path, region, data):
    path = save_dicom(tmp_path / "a.dcm", speckle(40, 40), regions=[region()])
    blob = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(128, 900))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(blob))
    for source in find_scans(path)[0][:3]:
        with suppress(ScanError):  # anything else fails the test
            read_scan(source)
