"""What each flag means, in plain words, and how much it weighs. The one place where flags are explained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FLAGS", "LEVELS", "Flag", "explain", "level_of"]

LEVELS = ("", "note", "check", "stop")  # none; good to know; look before use; do not use the numbers


@dataclass(frozen=True)
class Flag:
    """`label` for a badge, `meaning` what was seen, `advice` what to do about it, `level` one of `LEVELS`."""

    label: str
    meaning: str
    advice: str
    level: str = "check"

    @property
    def sentence(self) -> str:
        return f"{self.meaning} {self.advice}".strip()


FLAGS = {
    "failed": Flag(
        "failed",
        "This file could not be measured, so it has no numbers.",
        "The reason stands beside it.",
        "stop",
    ),
    "no_head": Flag(
        "no head found",
        "No fetal head was found in this picture, so nothing was measured.",
        "Check that it shows a head in cross-section and fills a fair part of the picture.",
        "stop",
    ),
    "poor_ellipse_fit": Flag(
        "poor ellipse fit",
        "The outline that was found is not close to an ellipse, so lengths taken from it may be wrong.",
        "Look at the overlay; do not use the numbers unless the ellipse follows the skull.",
        "stop",
    ),
    "hc_out_of_range": Flag(
        "HC out of range",
        "The head circumference is outside what is seen from 12 to 42 weeks.",
        "The outline or the spacing is likely wrong; do not use the numbers until both are checked.",
        "stop",
    ),
    "implausible_cephalic_index": Flag(
        "unusual cephalic index",
        "The head is much longer or rounder than heads usually are.",
        "The outline, the plane or uneven spacing may be at fault; look at the overlay.",
    ),
    "head_cut_off": Flag(
        "head cut off",
        "Part of the head lies outside the picture or the ultrasound sector; the ellipse was completed there.",
        "Check the completed part; a picture that shows the whole head is better.",
    ),
    "several_regions": Flag(
        "several regions",
        "More than one region looks like a head; the largest was measured.",
        "Twins, or tissue taken for a head: check that the outline is round the head that is meant.",
    ),
    "low_contrast": Flag(
        "low contrast",
        "The skull stands out little from what is around it, so the outline is less sure.",
        "Compare the outline with the skull before use.",
    ),
    "no_spacing": Flag(
        "no spacing",
        "The size of a pixel is not known, so there are no millimetres and no age.",
        "Give it with --spacing_mm or a CSV beside the images (filename, pixel size(mm)).",
    ),
    "spacing_conflict": Flag(
        "spacing contradicts",
        "Two places give different sizes of a pixel, in the file's header or in the CSV beside it.",
        "Find out which is right before any length is used; --spacing_mm overrules both.",
        "stop",
    ),
    "regions_differ": Flag(
        "several scales",
        "The picture holds ultrasound regions of different scale; the one that holds the head was used.",
        "Check that the head lies in one region.",
    ),
    "region_outside_image": Flag(
        "region outside",
        "The ultrasound region in the header does not fit the picture, which was likely resized since.",
        "The header's spacing was not used; give it with --spacing_mm or a CSV.",
    ),
    "image_cropped": Flag(
        "cropped",
        "The picture is smaller than the ultrasound region in its header, as after cropping.",
        "Check that it was not resized, which would make all lengths wrong.",
    ),
    "anisotropic_spacing": Flag(
        "uneven pixels",
        "Pixels are not square: rows and columns have different spacing. All lengths take that into account.",
        "Check that the spacing is meant so.",
        "note",
    ),
    "colour_marks": Flag(
        "coloured marks",
        "Coloured text or calipers are drawn into the picture.",
        "They were read as gray; check that they do not cross the skull.",
        "note",
    ),
    "no_affine": Flag(
        "no affine",
        "The file holds no position and no voxel size that can be relied on, so its spacing was not used.",
        "Give the spacing with --spacing_mm or a CSV.",
    ),
    "tinted": Flag(
        "tinted",
        "The picture has one colour throughout, such as sepia; it was read as gray.",
        "",
        "note",
    ),
    "sixteen_bit": Flag(
        "16-bit",
        "The picture has more than 256 gray levels; they were scaled to 256.",
        "",
        "note",
    ),
}


def explain(flag: str) -> Flag:
    """The explanation of a flag; one that is not known is named and weighs as `check`."""
    words = flag.replace("_", " ")
    return FLAGS.get(flag) or Flag(words, f"Flagged as “{words}”.", "See the bundle's README.")


def level_of(flags: Iterable[str]) -> str:
    """The heaviest level among `flags`, "" if there are none."""
    return max((explain(flag).level for flag in flags), key=LEVELS.index, default="")
