"""Which MR sequence a file holds, by its name: BraTS 2013 to 2023, Decathlon, BIDS, and the usual words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from fetal_monai.scan.source import bare_name

__all__ = [
    "OTHER",
    "T1_OR_FLAIR",
    "is_label_name",
    "kind_of_words",
    "patient_prefix",
    "sequence_of",
    "without_series_number",
    "words_of",
]

OTHER = "other"  # words that name something else, or contradict each other
T1_OR_FLAIR = "t1 or flair"  # T1-weighted FLAIR, or FLAIR at the first of several dates

T1_NAMES = {"t1", "mprage", "spgr", "fspgr", "bravo"}
FLAIR_NAMES = {"flair", "darkfluid"}
PLANES = {"ax", "axial", "sag", "sagittal", "cor", "coronal", "tra", "trans", "2d", "3d"}
CONTRAST = {
    "ce", "gd", "gad", "gado", "gadolinium", "km", "contrast", "enhanced", "postcontrast", "postgad", "postgd",
    "+c", "c+", "+gd", "gd+", "+",
}  # fmt: skip
PLAIN = {
    "pre", "precontrast", "native", "nativ", "nat", "plain", "without", "wo", "non", "no", "noncontrast",
    "unenhanced",
}  # fmt: skip
OTHERS = {
    "adc", "dwi", "dti", "diff", "diffusion", "trace", "tracew", "swi", "swan", "perf", "perfusion", "dsc", "dce",
    "dyn", "dynamic", "asl", "cbv", "rcbv", "cbf", "mtt", "tof", "mra", "mrv", "angio", "bold", "fmri", "epi",
    "ep2d", "localizer", "localiser", "scout", "survey", "t2star", "star", "stir", "ciss", "fiesta", "mrs", "csi",
    "spectro", "spectroscopy", "subtraction", "subtracted", "mip", "minip", "map", "mapping", "ratio",
}  # fmt: skip
AFTER_OPERATION = {"op", "operative", "surgery", "rt", "treatment"}
LETTERS = {
    "c": "contrast",
    "n": "native",
    "f": "flair",
    "w": "",
    "wi": "",
    "weighted": "",
}  # as in t1c, t1n, t2f
PIECES = sorted(
    T1_NAMES | FLAIR_NAMES | PLANES | (CONTRAST - {"+"}) | {"t2", "pre", "post", "star", "map"}
    | {"fs", "se", "tse", "fse", "gre", "mpr", "space", "cube"} | {"pd"} | set(LETTERS),
    key=len, reverse=True,
)  # fmt: skip
DESCRIBING = PLANES | CONTRAST | PLAIN | {"post", "mr", "mri"}
LABELS = {
    "seg", "segmentation", "label", "labels", "mask", "brainmask", "dseg", "probseg", "parcellation", "truth", "gt",
    "roi", "probabilities", "uncertainty",
}  # fmt: skip
ENTITIES = re.compile(r"_(acq|ce|dir|desc|rec|res|run|space)-[a-zA-Z0-9]+")  # BIDS: not the patient
SERIES_BEFORE = re.compile(r"^\d{1,4}([a-z]?[_-]+|$)")
SERIES_AFTER_DATE = re.compile(r"(\d{8,14})_\d{1,4}[a-z]?")
BRATS_2015_LABELS = re.compile(r"vsd\..*\.ot\.")


class _Token(NamedTuple):
    start: int
    end: int
    words: tuple[str, ...]
    is_sequence: bool


def sequence_of(name: str) -> str | None:
    """`t1`, `t1c`, `t2` or `flair` by a file's or folder's name; None where it names none of them, or several.

    T1 FLAIR is a T1-weighted sequence.
    """
    if is_label_name(name):
        return None
    words = words_of(bare_name(name))
    kind = kind_of_words(words)
    if kind == T1_OR_FLAIR:
        kind = kind_of_words([word for word in words if word not in FLAIR_NAMES])
    return kind if kind not in ("", OTHER, T1_OR_FLAIR) else None


def is_label_name(name: str) -> bool:
    """Whether a file is a label map or mask by its name: `_seg`, `-seg`, `seg.nii.gz`, `_mask` and their like."""
    bare = bare_name(name).lower()
    last = re.split(r"[^a-z0-9]+", bare)[-1]
    return last in LABELS or BRATS_2015_LABELS.match(bare) is not None


def patient_prefix(name: str) -> str:
    """What the files of one patient share in a flat folder: the name without the sequence and what describes it.

    It is the part before the sequence, or after it where nothing stands before; the whole name without one.
    """
    bare = ENTITIES.sub("", bare_name(name))
    tokens = list(_tokens(bare))
    first = next((place for place, token in enumerate(tokens) if token.is_sequence), None)
    if first is None:
        return bare
    last = first
    while last + 1 < len(tokens) and _describes(tokens[last + 1]):
        last += 1
    while first and _describes(tokens[first - 1]):
        first -= 1
    before = bare[: tokens[first].start].strip(" _-.")
    return before or bare[tokens[last].end :].strip(" _-.")


def without_series_number(prefix: str) -> str:
    """A prefix without the number of a series, as dcm2niix writes it: `4_p1` is `p1`, `20240131120000_4` its date."""
    dated = SERIES_AFTER_DATE.fullmatch(prefix)
    return dated[1] if dated else SERIES_BEFORE.sub("", prefix)


def words_of(text: str, anywhere: bool = False) -> list[str]:
    """The words of a name or description, `t1ce` taken apart into `t1` and `ce`.

    `post` counts before the sequence too if `anywhere`: in a file's name it is rather a date after treatment.
    """
    words: list[str] = []
    for token in _tokens(text):
        for word in token.words:
            previous = words[-1] if words else ""
            if word in AFTER_OPERATION and previous == "post":
                words[-1] = "postoperative"
            elif word == "post" and not anywhere and not T1_NAMES & set(words):
                continue
            elif word == "c" and T1_NAMES & set(words):
                words.append("contrast")
            elif word:
                words.append(word)
    return words


def kind_of_words(words: Sequence[str]) -> str:
    """The sequence that words name, `T1_OR_FLAIR`, `OTHER`, or nothing; `t1` if they are silent of contrast."""
    have = set(words)
    t1, t2 = bool(have & T1_NAMES), "t2" in have
    flair = bool(have & FLAIR_NAMES) or {"dark", "fluid"} <= have
    if have & OTHERS or (t1 and t2):
        return OTHER
    if flair:
        return T1_OR_FLAIR if t1 else "flair"
    if t2:
        return "t2"
    if not t1:
        return ""
    if have & PLAIN:
        return OTHER if "post" in have else "t1"
    return "t1c" if have & (CONTRAST | {"post"}) else "t1"


def _tokens(text: str) -> Iterator[_Token]:
    lower = text.lower().replace("t2*", "t2+").replace("w/o", "w+o")  # of the same length
    for match in re.finditer(r"[a-z0-9+]+", lower):
        token = {"t2+": "t2star", "w+o": "without"}.get(match[0], match[0])
        pieces = _pieces(token) if re.search("t1|t2|flair|mprage|spgr|bravo", token) else None
        is_sequence = pieces is not None and bool({*pieces} & (T1_NAMES | FLAIR_NAMES | {"t2"}))
        words = tuple(LETTERS.get(piece, piece) for piece in pieces) if pieces and is_sequence else (token,)
        yield _Token(match.start(), match.end(), words, is_sequence)


@lru_cache(maxsize=4096)
def _pieces(token: str) -> tuple[str, ...] | None:
    """A token as known pieces without a rest, the longest first; None if it is not made of them."""
    if not token:
        return ()
    for piece in PIECES:
        if token.startswith(piece) and (rest := _pieces(token[len(piece) :])) is not None:
            return (piece, *rest)
    return None


def _describes(token: _Token) -> bool:
    return token.is_sequence or set(token.words) <= DESCRIBING
