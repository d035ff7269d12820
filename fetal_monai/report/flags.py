"""What each flag means, in plain words, and how much it weighs. The one place where flags are explained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fetal_monai.report.flags_planes import PLANE_FLAGS
from fetal_monai.report.flags_structures import STRUCTURE_FLAGS
from fetal_monai.report.flags_tumour import TUMOUR_FLAGS

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
    "dicom_failed": Flag(
        "no DICOM objects",
        "The DICOM Segmentation and report of this scan could not be made; its other results are not affected.",
        "The reason stands in run.json.",
        "note",
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
    "unlike_normal_heads": Flag(
        "unlike normal heads",
        "The picture scores as high as few of the healthy heads that the score was calibrated on.",
        "Look where the map glows. A poor picture, another plane or another scanner does this too; it is no diagnosis.",
    ),
    "low_contrast": Flag(
        "low contrast",
        "The skull stands out little from what is around it, so the outline is less sure.",
        "Compare the outline with the skull before use.",
    ),
    "no_spacing": Flag(
        "no spacing",
        "The size of a pixel is not known, so there are no millimetres and no age.",
        "Give it with --spacing_mm or a CSV beside the images (filename, pixel size(mm)); 2D ultrasound may have a "
        "depth ruler that --allow_ruler true reads.",
    ),
    "spacing_from_ruler": Flag(
        "spacing from ruler",
        "The size of a pixel was read from the depth ruler drawn into the picture; pixels were taken for square.",
        "Check the ticks marked in the overlay, and that the picture was not stretched, before any length is used.",
    ),
    "words_hidden": Flag(
        "words hidden",
        "Words and marks in the picture were looked for and blackened before it was measured and drawn.",
        "Some may be left: look at every picture before it leaves.",
        "note",
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
    "no_orientation": Flag(
        "no orientation",
        "The file says how large its voxels are, but not how they lie in the body.",
        "Left and right may be exchanged; look at the picture, or save the file with its affine.",
    ),
    "sform_qform_differ": Flag(
        "two orientations",
        "The file says in two ways where its voxels lie, sform and qform, and they differ; the sform was used.",
        "Check sides and lengths in a viewer; set the one that is wrong to the other.",
    ),
    "non_finite_voxels": Flag(
        "voxels without a number",
        "Some voxels are NaN or infinite; they were taken for the lowest value of the scan.",
        "Check that they lie outside the brain.",
    ),
    "few_slices": Flag(
        "few slices",
        "The stack has fewer than 6 slices, so there is little to tell the brain by.",
        "Check the outline in every slice.",
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
    "no_brain": Flag(
        "no brain found",
        "No fetal brain was found in this volume, so nothing was measured.",
        "Check that it is a T2-weighted volume of a fetal brain and that the brain lies inside of it.",
        "stop",
    ),
    "implausible_volume": Flag(
        "implausible volume",
        "The brain is smaller or larger than that of any fetus of 18 to 40 weeks.",
        "Another age, another organ, or a wrong voxel size: do not use the numbers.",
        "stop",
    ),
    "missing_tissue": Flag(
        "tissue missing",
        "At least one of the seven tissues was hardly found.",
        "Look at the labels; volumes of the others may hold what belongs to it.",
    ),
    "brain_axes_unsure": Flag(
        "axes unsure",
        "Front, top and sides of the brain could not be told from its tissues, so no length was measured.",
        "Look at the labels; volumes do not depend on the axes.",
    ),
    "brain_cut_off": Flag(
        "brain cut off",
        "The brain reaches the edge of the volume, so part of it may be missing.",
        "Volumes and diameters may be too small; a volume that holds the whole brain is better.",
    ),
    "csf_not_bright": Flag(
        "CSF is not bright",
        "The ventricles are no brighter than the white matter, which T2-weighted images of a fetus do not show.",
        "CT, T1-weighted or wrongly labelled: do not use the numbers unless the labels fit the image.",
        "stop",
    ),
    "cortex_incomplete": Flag(
        "cortex incomplete",
        "On over a quarter of the brain's surface white matter lies bare: the cortex was not found there.",
        "Do not use the volumes of cortex, white matter and extra-axial fluid, nor surface and folding.",
    ),
    "atrium_not_found": Flag(
        "atrium not found",
        "The atrium of a lateral ventricle could not be told, so its width is empty.",
        "Measure it by hand if it matters.",
    ),
    "ventriculomegaly_mild": Flag(
        "atrium 10 to 12 mm",
        "The wider atrium of the lateral ventricles measures 10 to 12 mm, the range of mild ventriculomegaly.",
        "Check the line in the picture.",
    ),
    "ventriculomegaly_moderate": Flag(
        "atrium 12 to 15 mm",
        "The wider atrium of the lateral ventricles measures over 12 and under 15 mm, the range of moderate "
        "ventriculomegaly.",
        "Check the line in the picture.",
    ),
    "ventriculomegaly_severe": Flag(
        "atrium 15 mm or more",
        "The wider atrium of the lateral ventricles measures 15 mm or more, the range of severe ventriculomegaly.",
        "Check the line in the picture.",
    ),
    "no_ga": Flag(
        "no age",
        "The gestational age is not known, so nothing could be compared with what is usual at that age.",
        "Give it with --ga_weeks or a CSV beside the scans.",
        "note",
    ),
    "ga_out_of_range": Flag(
        "age out of range",
        "The gestational age lies outside of the weeks that the age curves hold for.",
        "z-scores and centiles are empty; the measures themselves are not affected.",
    ),
}
FLAGS |= {name: Flag(*texts) for name, texts in (TUMOUR_FLAGS | STRUCTURE_FLAGS | PLANE_FLAGS).items()}


def explain(flag: str) -> Flag:
    """The explanation of a flag; one that is not known is named and weighs as `check`."""
    words = flag.replace("_", " ")
    return FLAGS.get(flag) or Flag(words, f"Flagged as “{words}”.", "See the bundle's README.")


def level_of(flags: Iterable[str]) -> str:
    """The heaviest level among `flags`, "" if there are none."""
    return max((explain(flag).level for flag in flags), key=LEVELS.index, default="")
