"""Flags of standard planes: badge, what was seen, what to do, and the level."""

__all__ = ["PLANE_FLAGS"]

PLANE_FLAGS = {
    "experimental_weights": (
        "experimental",
        "The weights learned mostly from synthetic pictures and were tried on few real ones.",
        "Do not rely on the plane without looking at each picture; train on FETAL_PLANES_DB for more.",
    ),
    "none_of_these": (
        "none of these",
        "The picture lies farther from every plane that was learned than known pictures do.",
        "Another view, scanner or crop, or no ultrasound at all: look at it. The second plane is the likeliest one.",
    ),
    "unsure_plane": (
        "unsure plane",
        "No plane is more likely than all others together.",
        "Look at the picture and at the second plane.",
    ),
}
