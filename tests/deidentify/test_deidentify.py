"""Nothing of the patient is left: in headers, in words on the picture, under the names of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_sources import SECRETS, SERIES, STUDY, errors_of, write_enhanced, write_mr, write_ultrasound
from scipy import ndimage

pytest.importorskip("dicomanonymizer")

from fetal_monai.cli import main
from fetal_monai.deidentify import KEY_VARIABLE, Deidentifier, deidentify_files

SHAPE = (80, 100)
SPECKLE = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 2)
PIXELS = np.interp(SPECKLE, (SPECKLE.min(), SPECKLE.max()), (20, 200)).astype(np.uint8)
VOLUME = np.random.default_rng(0).integers(0, 900, (8, 7, 3)).astype(np.int16)


def leaks(path: Path) -> list[str]:
    """Secrets in the bytes of a file, in the encodings that DICOM writes them in."""
    data = path.read_bytes()
    return [word for word in SECRETS if any(word.encode(code) in data for code in ("utf-8", "latin-1"))]


def one(tmp_path, source, **options):
    (outcome,) = deidentify_files(source, tmp_path / "out", Deidentifier("key"), **options)
    assert outcome.written is not None, outcome.reason
    return outcome.written


def test_source_holds_every_secret(tmp_path):
    assert leaks(write_ultrasound(tmp_path / "a.dcm", PIXELS)) == SECRETS  # or the other tests prove nothing


def test_nothing_is_left_of_an_ultrasound_picture(tmp_path):
    written = one(tmp_path, write_ultrasound(tmp_path / "Geheimnis_4711.dcm", PIXELS))
    assert leaks(written) == []
    assert not any(word in str(written.relative_to(tmp_path)) for word in ("Geheimnis", "4711"))
    dataset = pydicom.dcmread(written)
    assert dataset.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence] == ["113100", "113101"]
    assert dataset.BurnedInAnnotation == "NO"
    assert (
        str(dataset.PatientName).rstrip("^")
        == dataset.PatientID
        == written.relative_to(tmp_path / "out").parts[0]
    )
    assert not [element for element in dataset if element.tag.is_private]
    assert errors_of(written) == []


def test_pixels_outside_of_regions_are_black_and_all_others_as_they_were(tmp_path):
    back = pydicom.dcmread(one(tmp_path, write_ultrasound(tmp_path / "a.dcm", PIXELS))).pixel_array
    assert not back[:30].any() and not back[:, :10].any()
    assert np.array_equal(back[30:, 10:], PIXELS[30:, 10:])


def test_all_frames_are_blackened(tmp_path):
    clip = np.stack([PIXELS, PIXELS // 2, PIXELS // 3])
    back = pydicom.dcmread(one(tmp_path, write_ultrasound(tmp_path / "a.dcm", clip, frames=3))).pixel_array
    assert back.shape == clip.shape and not back[:, :30].any()
    assert np.array_equal(back[:, 30:, 10:], clip[:, 30:, 10:])


def with_name(frames: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Smooth tissue with a patient's name over it, inside of the region, and the name's pixels."""
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = np.mgrid[:160, :240]
    tissue = (70 + 30 * np.sin(rows / 9) * np.cos(columns / 13)).astype(np.uint8)
    mask = Image.new("L", (240, 160))
    ImageDraw.Draw(mask).text((60, 90), "MUELLER ANNA", font=ImageFont.load_default(14), fill=255)
    name = np.asarray(mask) > 110
    clip = np.stack([np.where(name, 190, tissue - n) for n in range(frames)]).astype(np.uint8)
    return (clip if frames > 1 else clip[0]), name


def test_words_inside_of_a_region_are_black_and_the_rest_of_it_as_it_was(tmp_path):
    pixels, name = with_name()
    (outcome,) = deidentify_files(
        write_ultrasound(tmp_path / "a.dcm", pixels), tmp_path / "out", Deidentifier()
    )
    dataset = pydicom.dcmread(outcome.written)
    back = dataset.pixel_array
    assert not back[name].any()
    kept = back[30:, 10:] == pixels[30:, 10:]
    assert kept.mean() == pytest.approx(1 - outcome.words, abs=1e-6)
    assert 0 < outcome.words < 0.1
    assert "not reviewed" in " ".join(dataset.DeidentificationMethod)
    assert errors_of(outcome.written) == []


def test_words_of_a_clip_are_black_in_all_frames(tmp_path):
    clip, name = with_name(frames=3)
    back = pydicom.dcmread(one(tmp_path, write_ultrasound(tmp_path / "a.dcm", clip, frames=3))).pixel_array
    assert not back[:, name].any()
    assert (back[:, 30:, 10:] == clip[:, 30:, 10:]).mean() > 0.9


def compressed(path: Path, pixels: np.ndarray, how: str) -> Path:
    """A file with these pixels as RLE, JPEG 2000 or JPEG (YBR, lossy) has them."""
    import io

    from PIL import Image
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

    dataset = pydicom.dcmread(write_ultrasound(path, pixels if pixels.ndim == 2 else pixels[..., 0]))
    if pixels.ndim == 3:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.set_pixel_data(pixels, "RGB", 8, generate_instance_uid=False)
    if how == "rle":
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        data = io.BytesIO()
        options = (
            {"format": "JPEG2000", "no_jp2": True} if how == "j2k" else {"format": "JPEG", "quality": 95}
        )
        Image.fromarray(pixels).save(data, **options)
        dataset.PixelData = encapsulate([data.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if how == "j2k" else JPEGBaseline8Bit
        if how == "jpeg" and pixels.ndim == 3:
            dataset.PhotometricInterpretation = "YBR_FULL_422"
        elif how == "j2k" and pixels.ndim == 3:
            dataset.PhotometricInterpretation = "YBR_RCT"
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("how", ["rle", "j2k", "jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_words_are_black_in_compressed_pictures(tmp_path, how, channels):
    pixels, name = with_name()
    if channels == 3:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    path = compressed(tmp_path / "a.dcm", pixels, how)
    shown = pydicom.dcmread(path).pixel_array.astype(int)
    assert abs(shown - pixels).max() <= (0 if how != "jpeg" else 40)
    back = pydicom.dcmread(one(tmp_path, path)).pixel_array.astype(int)
    assert back.shape == pixels.shape and not back[name].any()
    assert (abs(back - shown)[30:, 10:] == 0).mean() > 0.9


def test_words_are_black_before_a_run_measures_and_draws(tmp_path):
    from fetal_monai.deidentify import without_words
    from fetal_monai.scan import find_scans, read_scan

    pixels, name = with_name()
    scan = read_scan(find_scans(write_ultrasound(tmp_path / "a.dcm", pixels))[0][0])
    hidden = without_words(scan)
    assert not hidden.image[name].any() and not hidden.image[:30].any()
    assert (hidden.image[30:, 10:] == scan.image[30:, 10:]).mean() > 0.9
    assert "words_hidden" in hidden.flags and scan.image[name].all()
    assert hidden.spacing_mm == scan.spacing_mm


def test_white_is_not_what_inverted_pictures_are_blackened_with(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", PIXELS, PhotometricInterpretation="MONOCHROME1")
    assert (pydicom.dcmread(one(tmp_path, path)).pixel_array[:30] == PIXELS.max()).all()


def test_ultrasound_without_regions_is_refused_unless_pixels_are_to_be_kept(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", PIXELS, calibrated=False)
    (outcome,) = deidentify_files(path, tmp_path / "out", Deidentifier())
    assert outcome.written is None
    assert "--keep-pixels" in outcome.reason
    assert not list((tmp_path / "out").rglob("*.dcm"))
    kept = pydicom.dcmread(one(tmp_path, path, keep_pixels=True))
    assert np.array_equal(kept.pixel_array, PIXELS)
    assert [item.CodeValue for item in kept.DeidentificationMethodCodeSequence] == ["113100"]
    assert kept.get("BurnedInAnnotation") != "NO"


def test_region_over_the_whole_picture_is_no_region(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", PIXELS)
    dataset = pydicom.dcmread(path)
    item = dataset.SequenceOfUltrasoundRegions[0]
    item.RegionLocationMinX0 = item.RegionLocationMinY0 = 0
    dataset.save_as(path)
    (outcome,) = deidentify_files(path, tmp_path / "out", Deidentifier())
    assert "calls all of the picture ultrasound" in outcome.reason


def test_series_stays_together_and_in_its_place(tmp_path):
    source = write_mr(tmp_path / "s", VOLUME, np.diag([-1.0, 1, 3, 1]))
    outcomes = list(deidentify_files(source, tmp_path / "out", Deidentifier("key")))
    cleaned = [pydicom.dcmread(outcome.written) for outcome in outcomes]
    assert [leaks(outcome.written) for outcome in outcomes] == [[], [], []]
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({dataset[keyword].value for dataset in cleaned}) == 1
    assert len({dataset.SOPInstanceUID for dataset in cleaned}) == 3
    for dataset, file in zip(cleaned, sorted(source.iterdir()), strict=True):
        before = pydicom.dcmread(file)
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert dataset.ImagePositionPatient == before.ImagePositionPatient
        assert np.array_equal(dataset.pixel_array, before.pixel_array)


def test_nothing_is_left_in_nested_items(tmp_path):
    path = write_enhanced(tmp_path / "e.dcm", VOLUME, np.diag([-1.0, 1, 3, 1]))
    dataset = pydicom.dcmread(path)
    inner = pydicom.Dataset()
    inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = dataset.SOPClassUID, f"{SERIES}.5"
    inner.PatientName, inner.OperatorsName = "Geheimnis", "Bediener^Olga"
    inner.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "PRIVATE-NOTE")
    dataset.PerFrameFunctionalGroupsSequence[0].ReferencedImageSequence = [inner]
    dataset.save_as(path)
    written = one(tmp_path, path)
    assert leaks(written) == []
    kept = pydicom.dcmread(written).PerFrameFunctionalGroupsSequence[0]
    assert kept.ReferencedImageSequence[0].ReferencedSOPInstanceUID == Deidentifier("key").uid(f"{SERIES}.5")
    assert kept.PlanePositionSequence[0].ImagePositionPatient is not None


def test_pseudonyms_are_one_for_each_and_follow_from_the_key():
    first, again, other = Deidentifier("one"), Deidentifier("one"), Deidentifier("two")
    assert first.uid(STUDY) == again.uid(STUDY) != other.uid(STUDY)
    assert first.uid(STUDY) != first.uid(SERIES)
    assert pydicom.uid.UID(first.uid(STUDY)).is_valid
    assert first.uid("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"
    assert Deidentifier().uid(STUDY) != Deidentifier().uid(STUDY)


def test_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "one")
    assert Deidentifier.from_environment().uid(STUDY) == Deidentifier("one").uid(STUDY)


def test_source_is_not_changed(tmp_path):
    path = write_ultrasound(tmp_path / "a.dcm", PIXELS)
    before = path.read_bytes()
    one(tmp_path, path)
    assert path.read_bytes() == before


def test_command_says_what_it_refused(tmp_path, capsys):
    write_ultrasound(tmp_path / "in" / "a.dcm", PIXELS)
    write_ultrasound(tmp_path / "in" / "b.dcm", PIXELS, calibrated=False, number=2)
    assert main(["deidentify", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 3
    told = capsys.readouterr()
    assert "1 of 2 images" in told.out
    assert "b.dcm" in told.err
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


@pytest.mark.parametrize("inside", ["out", "."])
def test_output_inside_of_the_input_is_refused(tmp_path, inside, capsys):
    write_ultrasound(tmp_path / "a.dcm", PIXELS)
    assert main(["deidentify", str(tmp_path), "--out", str(tmp_path / inside)]) == 1
    assert "choose a folder outside" in capsys.readouterr().err


def test_one_image_twice_is_written_once(tmp_path):
    for name in ("a.dcm", "b.dcm"):
        write_ultrasound(tmp_path / "in" / name, PIXELS)
    outcomes = list(deidentify_files(tmp_path / "in", tmp_path / "out", Deidentifier()))
    assert [outcome.written is None for outcome in outcomes] == [False, True]
