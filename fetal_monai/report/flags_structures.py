"""Flags of structures found in the fetal brain: badge, what was seen, what to do, and the level."""

__all__ = ["STRUCTURE_FLAGS"]

STRUCTURE_FLAGS = {
    "cavum_not_found": (
        "cavum not found",
        "No cavum septi pellucidi was found in this head.",
        "Another plane, shadow, or an absent cavum: look at the picture. Not finding it is no evidence of absence.",
    ),
    "low_score": (
        "low score",
        "At least one of the structures was found with a score little above the threshold.",
        "Look at its box before use.",
    ),
}
