"""The strip of text below an overlay: title, flags as badges, axes in their colours, further lines."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from fetal_monai.record import Record
from fetal_monai.report.flags import explain, level_of
from fetal_monai.report.labels import describe_spacing, interval_text, label, value_text

__all__ = [
    "LEVEL_COLOURS",
    "MUTED",
    "STRIP",
    "TEXT",
    "Colour",
    "axis_labels",
    "brain_caption",
    "draw_strip",
    "drawable",
    "font",
    "head_caption",
    "tumour_caption",
    "write_text",
]

Colour = tuple[int, int, int]

LEVEL_COLOURS: dict[str, Colour] = {"note": (148, 163, 184), "check": (255, 176, 32), "stop": (255, 92, 92)}
STRIP: Colour = (17, 24, 39)
TEXT: Colour = (243, 244, 246)
MUTED: Colour = (176, 184, 196)


BRAIN_WORDS = {
    "ga_weeks": "Age given",
    "atrial_width_left_mm": "Atrium left",
    "atrial_width_right_mm": "right",
    "transcerebellar_diameter_mm": "TCD",
}


def head_caption(record: Record) -> list[str]:
    """The lines that stand below a head: HC with its interval, ages and centile, spacing and its source."""
    measures = record.measures
    first = f"HC {value_text('hc_mm', measures.get('hc_mm')) or 'without millimetres'}"
    if between := interval_text(record, "hc_mm"):
        first += f"  (90 % interval {between})"
    ages = [("ga_weeks", "Age given"), ("ga_weeks_hadlock", "Age by HC"), ("hc_centile", "HC centile")]
    second = [f"{words} {text}" for name, words in ages if (text := value_text(name, measures.get(name)))]
    last = f"Spacing {describe_spacing(record)}  ·  For research use only"
    return [line for line in (first, "  ·  ".join(second), last) if line]


def brain_caption(record: Record) -> list[str]:
    """The lines that stand below a volume: the brain's volume, widths of the atria, age, voxels and their source."""
    measures = record.measures
    names = [name for name in ("brain_ml", "brain_mask_ml") if name in measures]
    words = label(names[0]) if names else "Brain"
    first = f"{words} {(names and value_text(names[0], measures[names[0]])) or 'not measured'}"
    if names and (deviation := value_text(f"{names[0]}_z", measures.get(f"{names[0]}_z"))):
        first += f"  (z {deviation})"
    second = [
        f"{words} {text}"
        for name, words in BRAIN_WORDS.items()
        if (text := value_text(name, measures.get(name)))
    ]
    last = f"Spacing {describe_spacing(record)}  ·  For research use only"
    return [line for line in (first, "  ·  ".join(second), last) if line]


def tumour_caption(record: Record) -> list[str]:
    """The lines that stand below a tumour: its volume, regions and lengths, the sequences, voxels and their source."""
    measures = record.measures
    unit = "mm2" if "whole_tumour_mm2" in measures else "ml"
    whole = value_text(f"whole_tumour_{unit}", measures.get(f"whole_tumour_{unit}"))
    first = f"{label('whole_tumour_ml')} {whole or ('none' if 'no_tumour' in record.flags else 'without millimetres')}"
    names = (
        f"tumour_core_{unit}",
        f"enhancing_{unit}",
        "rano_diameter_mm",
        "rano_perpendicular_mm",
        "n_lesions",
    )
    second = [f"{label(name)} {text}" for name in names if (text := value_text(name, measures.get(name)))]
    sequences = ", ".join(record.extra.get("sequences", [])) or "unknown"
    last = f"Sequences {sequences}  ·  Spacing {describe_spacing(record)}  ·  For research use only"
    return [line for line in (first, "  ·  ".join(second), last) if line]


def axis_labels(record: Record) -> tuple[str, str]:
    """Texts for the minor and the major axis of a head: BPD and OFD in mm, "" where unknown."""
    bpd, ofd = (value_text(name, record.measures.get(name)) for name in ("bpd_mm", "ofd_mm"))
    return (f"BPD {bpd}" if bpd else "", f"OFD {ofd}" if ofd else "")


def draw_strip(
    width: int, keys: Sequence[tuple[str, Colour]], caption: Sequence[str], flags: Sequence[str]
) -> Image.Image:
    """A strip `width` pixels wide and as high as its text needs; `keys` are texts in the colour of a line."""
    size = max(15, round(width / 52))
    level = level_of(flags)
    bar = max(3, size // 5) if level in ("check", "stop") else 0
    pieces = _layout(width, size, bar, keys, caption, flags)
    height = max(top for _, top, *_ in pieces) + round(2.0 * size)
    strip = Image.new("RGB", (width, height), STRIP)
    draw = ImageDraw.Draw(strip)
    if bar:
        draw.rectangle((0, 0, width, bar - 1), fill=LEVEL_COLOURS[level])
    for left, top, text, colour, kind in pieces:
        if kind == "key":
            middle = top + 0.6 * size
            draw.line((left, middle, left + 1.5 * size, middle), fill=colour, width=max(2, size // 6))
            write_text(strip, left + 2 * size, top, text, colour, size)
        elif kind == "badge":
            box = (left, top - 0.15 * size, left + text_width(text, size) + size, top + 1.35 * size)
            draw.rounded_rectangle(box, radius=size * 0.35, fill=colour)
            write_text(strip, left + 0.5 * size, top, text, STRIP, size)
        else:
            write_text(strip, left, top, text, colour, _title(size) if kind == "title" else size)
    return strip


def write_text(picture: Image.Image, left: float, top: int, text: str, colour: Colour, size: int) -> None:
    """Write a line in Pillow's own font on the picture, in place; see :func:`drawable` for what can be written."""
    picture.paste(colour, (int(left), top), _text_mask(text, size, left % 1))


@functools.lru_cache(maxsize=64)
def _text_mask(text: str, size: int, shift: float) -> Image.Image:
    """The text, `shift` of a pixel to the right, as a mask; kept, since most texts of a run come again."""
    mask = Image.new("L", (math.ceil(text_width(text, size)) + size, 2 * size))
    ImageDraw.Draw(mask).text((shift, 0), text, fill=255, font=font(size))
    return mask


Piece = tuple[int, int, str, Colour, str]  # left, top, text, colour, kind


def _layout(
    width: int,
    size: int,
    bar: int,
    keys: Sequence[tuple[str, Colour]],
    caption: Sequence[str],
    flags: Sequence[str],
) -> list[Piece]:
    """Where each piece of text stands; a line that is too long goes on in the next."""
    title_colour = LEVEL_COLOURS[level_of(flags)] if bar else TEXT
    badges = [(explain(flag).label, LEVEL_COLOURS[explain(flag).level]) for flag in flags]
    lines: list[tuple[str, Sequence[tuple[str, Colour]]]] = [
        ("title", [(caption[0], title_colour)] if caption else []),
        ("badge", badges),
        ("key", keys),
        *(("text", [(line, MUTED)]) for line in caption[1:]),
    ]
    pieces: list[Piece] = []
    top = round(0.7 * size) + bar
    for kind, line in lines:
        text_size = _title(size) if kind == "title" else size
        around = {"key": 2 * size, "badge": size}.get(kind, 0)
        step = round({"title": 2.1, "badge": 2.0}.get(kind, 1.55) * size)
        left = size
        for text, colour in line:
            for part in _wrapped(drawable(text), text_size, width - 2 * size - around):
                long = round(text_width(part, text_size)) + around
                if left > size and left + long > width - size:
                    left, top = size, top + step
                pieces.append((left, top, part, colour, kind))
                left += long + size
        top += step if line else 0
    return pieces


def _title(size: int) -> int:
    return round(1.3 * size)


def _wrapped(text: str, size: int, width: float) -> list[str]:
    if text_width(text, size) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@functools.lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font at that size in pixels."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install Pillow from PyPI")
    return loaded


@functools.lru_cache(maxsize=256)
def text_width(text: str, size: int) -> float:
    """Pixels that the text takes in Pillow's own font at that size."""
    return font(size).getlength(text)


def drawable(text: str) -> str:
    """The text in characters that Pillow's own font has."""
    for character, instead in {"–": "-", "−": "-", "µ": "u", "×": "x", "“": '"', "”": '"', "’": "'"}.items():
        text = text.replace(character, instead)
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() or c in "±·°…" else "?" for c in plain if not unicodedata.combining(c))
