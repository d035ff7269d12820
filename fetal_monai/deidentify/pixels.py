"""Burned-in text of ultrasound: black outside of the regions that the file declares, and over words found inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset

    from fetal_monai.scan import Scan

__all__ = ["blacken_words", "may_show_text", "region_mask", "without_words"]

SCREENS = ("US", "IVUS", "OT", "XC", "ES", "SC")  # modalities whose pictures are screens with words on them
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
FLOW_SHARE = 0.004  # of a picture in solid colours, from which they are blood flow
STILL = 0.2  # share of a clip's frames, from which what is found in them is blackened in all
WHOLE = 0.99  # of the picture, from which its regions leave no room for text outside


def may_show_text(dataset: Dataset) -> bool:
    """Whether words may be part of the picture: ultrasound, screens, and what says so of itself."""
    return (
        str(dataset.get("Modality") or "") in SCREENS
        or str(dataset.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE)
        or dataset.get("BurnedInAnnotation") == "YES"
    )


def region_mask(dataset: Dataset) -> NDArray[np.bool_]:
    """Where (rows, columns) the SequenceOfUltrasoundRegions says that there is ultrasound.

    Raises ValueError, with what would help, if there is no region, or if they leave nothing outside.
    """
    inside = np.zeros((int(dataset.Rows), int(dataset.Columns)), bool)
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        try:
            rows = slice(max(0, int(item.RegionLocationMinY0)), int(item.RegionLocationMaxY1) + 1)
            columns = slice(max(0, int(item.RegionLocationMinX0)), int(item.RegionLocationMaxX1) + 1)
        except (AttributeError, TypeError, ValueError):
            continue
        inside[rows, columns] = True
    what = (
        "says of no region that it is ultrasound"
        if not inside.any()
        else "calls all of the picture ultrasound"
    )
    if not inside.any() or inside.mean() >= WHOLE:
        raise ValueError(
            f"{what}, so text on it can't be told from it; blacken it by hand, or give --keep-pixels if none names the "
            "patient"
        )
    return inside


def blacken_words(dataset: Dataset) -> tuple[float, float]:
    """Blacken, in place and in all frames, what lies outside of the regions, and words and marks found inside of them.

    Returns the shares of the picture, and of the regions, that were blackened. What is found in a fifth of the frames
    is blackened in all. The pixels are stored uncompressed afterwards, colours as RGB. Raises ValueError as
    `region_mask` does.
    """
    from pydicom.pixels import pixel_array

    inside = region_mask(dataset)
    pixels = np.array(pixel_array(dataset))
    photometric = str(dataset.PhotometricInterpretation)
    is_colour = int(dataset.SamplesPerPixel) == 3
    view = pixels if is_colour else pixels[..., None]
    frames = view.reshape(-1, *view.shape[-3:])
    black = _black(dataset, photometric, pixels)
    frames[:, ~inside] = black
    words = np.stack([_words(dataset, frame, photometric) & inside for frame in frames])
    words |= words.mean(axis=0) >= STILL
    frames[words] = black
    keywords = [word for word in dataset.dir("Overlay") if word in dataset]
    for keyword in keywords:
        del dataset[keyword]
    dataset.set_pixel_data(
        pixels, "RGB" if is_colour else photometric, int(dataset.BitsStored), generate_instance_uid=False
    )
    return float((~inside).mean()), float(words[:, inside].mean())


def without_words(scan: Scan) -> Scan:
    """The scan with words and marks that are found in it black, and all outside of its regions where it has some.

    It gets the flag `words_hidden`.
    """
    from dataclasses import replace

    from fetal_monai.enhance.marks import find_marks
    from fetal_monai.scan.reader import read_colours

    hidden = find_marks(scan.image, rgb=read_colours(scan), whole_words=True)
    inside = np.zeros(hidden.shape, bool)
    for region in scan.regions:
        inside[region.row0 : region.row1 + 1, region.column0 : region.column1 + 1] = True
    if scan.regions:
        hidden |= ~inside
    image = np.where(hidden, 0, scan.image).astype(scan.image.dtype)
    return replace(scan, image=image, flags=(*scan.flags, "words_hidden"))


def _words(dataset: Dataset, frame: NDArray[Any], photometric: str) -> NDArray[np.bool_]:
    """Where (rows, columns) words and marks are found in a frame (rows, columns, 1 or 3) as it is stored."""
    from fetal_monai.enhance.marks import find_marks
    from fetal_monai.scan.pixels import colour_use, gray_from_rgb

    shown = _shown(dataset, frame, photometric)
    if shown.ndim == 2:
        return find_marks(shown, whole_words=True)
    has_flow = colour_use(shown).solid > FLOW_SHARE  # its colours are no marks
    return find_marks(gray_from_rgb(shown), rgb=None if has_flow else shown, whole_words=True)


def _shown(dataset: Dataset, frame: NDArray[Any], photometric: str) -> NDArray[Any]:
    """A frame as a screen shows it: gray 0 to 255 (rows, columns), or RGB (rows, columns, 3)."""
    from pydicom.pixels import apply_color_lut

    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(frame[..., 0], dataset)[..., :3]
        return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)
    if frame.shape[-1] == 3 and frame.dtype == np.uint8:
        return frame
    gray = frame.astype(np.float32).mean(axis=-1)
    gray -= gray.min()
    gray *= 255 / max(float(gray.max()), 1.0)
    return 255 - gray if photometric == "MONOCHROME1" else gray


def _black(dataset: Dataset, photometric: str, pixels: NDArray[Any]) -> int:
    if photometric == "MONOCHROME1":
        return int(pixels.max())
    if photometric != "PALETTE COLOR":
        return 0 if not int(dataset.PixelRepresentation) else int(pixels.min())
    from pydicom.pixels import apply_color_lut

    first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
    count = min(
        int(dataset.RedPaletteColorLookupTableDescriptor[0]) or 2**16, int(np.iinfo(pixels.dtype).max) + 1
    )
    entries = np.arange(first, first + count).astype(pixels.dtype)
    return int(entries[apply_color_lut(entries[None], dataset)[0].sum(axis=-1).argmin()])
