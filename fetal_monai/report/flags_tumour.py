"""What the flags of patients with several sequences and of brain tumours mean: the fields of a ``Flag``."""

from __future__ import annotations

__all__ = ["TUMOUR_FLAGS"]

TUMOUR_FLAGS: dict[str, tuple[str, ...]] = {
    "no_tumour": (
        "no tumour found",
        "No tumour was found, or only parts below the smallest volume that counts.",
        "That is no proof that there is none: look at the scan.",
    ),
    "tumour_at_edge": (
        "tumour at the edge",
        "The tumour reaches the end of the volume, so part of it may lie outside.",
        "Volumes and lengths may be too small.",
    ),
    "uncertain_tumour": (
        "uncertain tumour",
        "The network was unsure of the tumour's extent; where it was as unsure on known patients, it was mostly wrong.",
        "Look at the overlay before any number is used.",
    ),
    "sequences_differ": (
        "other sequences at the other date",
        "The two dates were not measured from the same sequences, and a result changes with these alone.",
        "Measure both from the same ones (--sequences) before a change is believed.",
        "stop",
    ),
    "runs_differ": (
        "another network or other settings at the other date",
        "The two dates were not measured with the same weights and settings, and a result changes with these alone.",
        "Measure both in the same way before a change is believed.",
        "stop",
    ),
    "rano_regions_differ": (
        "lengths of the core",
        "The two diameters are of the enhancing tumour at one date and of the core at the other.",
        "Their products were not compared.",
    ),
    "rano_not_measurable": (
        "too small to measure",
        "The lesion is too small for bidimensional measurement as RANO defines it.",
        "Do not build on its diameters.",
        "note",
    ),
    "no_t1c": (
        "no contrast-enhanced T1",
        "Without a T1w scan after contrast, enhancing tumour and core can hardly be told from the rest.",
        "Trust the whole tumour at most.",
    ),
    "no_flair_or_t2": (
        "neither FLAIR nor T2",
        "Without FLAIR or T2w, oedema and tumour that does not enhance can hardly be seen.",
        "Trust the enhancing tumour at most.",
    ),
    "one_sequence": (
        "one sequence only",
        "There was one sequence of the four, so the result stands on less than usual.",
        "Look at the overlay before use.",
    ),
    "single_slice": (
        "single slice",
        "There was one slice only. The network learnt on volumes, and cannot see here what lies above and below.",
        "It is less reliable than on the volume, there are no mL, and the slice may not be the tumour's largest.",
    ),
    "size_assumed": (
        "size assumed",
        "The size of a pixel is not known; for the network alone the head was taken to be 170 mm long.",
        "Give it with --spacing_mm or a CSV beside the pictures (filename, pixel size(mm)): the mask may change.",
    ),
    "skull_present": (
        "with skull",
        "The head is larger than any brain, so skull and scalp are there; the network only ever saw brains without.",
        "Run again with --skull_strip true, or give scans without skull.",
    ),
    "skull_stripped": (
        "skull stripped",
        "Skull and scalp were taken off by thresholds and shape, on the reference; what was cut off was not looked at.",
        "Check in the overlay that no tumour and no brain is missing.",
    ),
    "skull_strip_failed": (
        "skull not stripped",
        "No part of the head was found that is as large as an adult's brain and apart from the scalp.",
        "Nothing was taken off: strip the skull with another tool, such as HD-BET or SynthStrip.",
    ),
    "no_skull_found": (
        "no skull found",
        "The head is no larger than a brain, so nothing was taken off.",
        "Check that skull and scalp are not there, and that the scan holds the whole head.",
    ),
    "resampled": (
        "resampled",
        "A sequence lay on another grid and was resampled to the reference's.",
        "Its fine detail is lost.",
        "note",
    ),
    "registered": (
        "registered",
        "A sequence was moved onto the reference, by a voxel or more.",
        "Check that they lie on each other.",
        "note",
    ),
    "sequences_misaligned": (
        "sequences do not lie on each other",
        "The heads of two sequences lie apart, so the network saw them shifted.",
        "Run again with --register true, or give registered files.",
        "stop",
    ),
    "sequences_differ_in_extent": (
        "with and without skull",
        "One sequence shows a much larger head than another, as with and without skull.",
        "Give all with the skull, or all without it.",
    ),
    "sequence_covers_part": (
        "sequence covers part",
        "A sequence shows only part of the head; where it ends, the result stands on the others.",
        "Look at the overlay there.",
    ),
}
