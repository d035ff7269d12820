"""Flags of structures found in the fetal brain: badge, what was seen, what to do, and the level."""

__all__ = ["STRUCTURE_FLAGS"]

STRUCTURE_FLAGS = {
    "cavum_not_found": (
        "cavum not found",
        "No cavum septi pellucidi was found in this head.",
        "Another plane, shadow, or an absent cavum: look at the picture. Not finding it is no evidence of absence.",
    ),
    "atrium_wide": (
        "wide atrium",
        "The ventricle's box is 8 mm wide or wider: the atrium may reach 10 mm and more.",
        "Measure it by hand: boxes are about 2 mm narrower than dilated ventricles, tried on simulated ones only.",
    ),
    "atrial_width_unsure": (
        "atrial width unsure",
        "Another box for a ventricle is much wider than the one that was measured, and has a score near its.",
        "The atrium may be much wider than the number says: do not use it, measure by hand.",
    ),
    "low_score": (
        "low score",
        "At least one of the structures was found with a score little above the threshold.",
        "Look at its box before use.",
    ),
}
