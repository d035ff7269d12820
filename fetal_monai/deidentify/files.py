"""DICOM files without the patient: which are written, under which names, and which are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fetal_monai.deidentify.pixels import blacken_words, may_show_text
from fetal_monai.deidentify.profile import Deidentifier

__all__ = ["Outcome", "deidentify_files"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `written` is None, and `reason` says why, where it was refused.

    `blackened` is the share of the picture outside of its regions, `words` that of the regions which words and marks
    took up.
    """

    path: Path
    written: Path | None = None
    reason: str = ""
    blackened: float = 0.0
    words: float = 0.0


def deidentify_files(
    source: str | Path, out_dir: str | Path, deidentifier: Deidentifier, keep_pixels: bool = False
) -> Iterator[Outcome]:
    """De-identify the DICOM images of a folder, or one, one after the other.

    They are written to `<out_dir>/<patient>/<series>/<instance>.dcm`, all three pseudonyms. Text burned into ultrasound
    is blacked unless `keep_pixels`; a file where that can't be done is refused, as is what is no image. Raises
    ValueError if there is no DICOM file, or if `out_dir` lies in the source.
    """
    from fetal_monai.scan.source import has_dicom_magic, walk

    source, out_dir = Path(source), Path(out_dir)
    if source.is_dir() and out_dir.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{out_dir} lies in {source}; choose a folder outside of what is de-identified")
    files = sorted(walk(source)) if source.is_dir() else [source]
    found = [path for path in files if has_dicom_magic(path) and path.name.upper() != "DICOMDIR"]
    if not found:
        raise ValueError(f"{source}: holds no DICOM file")
    for path in found:
        yield _deidentify(path, out_dir, deidentifier, keep_pixels)


def _deidentify(path: Path, out_dir: Path, deidentifier: Deidentifier, keep_pixels: bool) -> Outcome:
    from pydicom import dcmread

    from fetal_monai.files import atomic_path

    try:
        dataset = dcmread(path)
        if "Rows" not in dataset or "PixelData" not in dataset:
            raise ValueError("is no image; reports and other objects hold words that no rule can clean")
        cleaned = deidentifier(dataset)
        shares = 0.0, 0.0
        if not keep_pixels and may_show_text(dataset):
            shares = blacken_words(cleaned)
            deidentifier.cleaned_pixels(cleaned)
        folder = out_dir / str(cleaned.PatientID) / str(cleaned.SeriesInstanceUID)
        target = folder / f"{cleaned.SOPInstanceUID}.dcm"
        if target.exists():
            raise ValueError("is there already under its pseudonym: one image twice, or OUT is not empty")
        with atomic_path(target) as temporary:
            cleaned.save_as(temporary, enforce_file_format=True)
    except OSError as error:
        return Outcome(path, reason=error.strerror or str(error))
    except Exception as error:  # whatever a damaged file leads to
        return Outcome(path, reason=" ".join(str(error).split()) or type(error).__name__)
    return Outcome(path, target, "", *shares)
