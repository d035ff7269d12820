"""One scan, whatever file it comes in: gray pixels as a person sees them, spacing and where it came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError, naming, parsing
from fetal_monai.scan.picture import Grid, Picture, Region, Spacing
from fetal_monai.scan.pixels import colour_use, gray_from_rgb, scale_to_8_bit
from fetal_monai.scan.source import ScanSource, kind_of
from fetal_monai.scan.spacing import SpacingTable, check_spacing

if TYPE_CHECKING:
    from fetal_monai.enhance.ruler import Ruler

__all__ = ["Scan", "read_colours", "read_picture", "read_scan"]

FLOW_SHARE = 0.02  # of the pixels, from which colours are blood flow
FLOW_SHARE_IN_FLOW_REGION = 0.002  # where the file says that colour flow was on
MARKS_SHARE = 1e-4
CONFLICT = 0.01  # relative difference between spacings


@dataclass(frozen=True)
class Scan:
    """One picture: `image` is gray, (H, W), uint8 or float32 in 0..255; `spacing_mm` is (row, column).

    `spacing_mm` is None if unknown, or if it depends on where in the picture: ask `spacing_at`.
    `spacing_source` is one of dicom_region, pixel_spacing, affine, csv, argument, ruler, none. `grid` is None where
    the file stores plain rows and columns, `ruler` unless the spacing was read from it.
    """

    source: ScanSource
    image: NDArray[Any]
    spacing_mm: Spacing | None = None
    spacing_source: str = "none"
    regions: tuple[Region, ...] = ()
    flags: tuple[str, ...] = ()
    ga_weeks: float = math.nan
    grid: Grid | None = None
    ruler: Ruler | None = None

    def spacing_at(self, row: float, column: float) -> tuple[Spacing | None, str]:
        """Spacing at a point and its source: of the smallest region around it, else of the whole picture."""
        if self.spacing_source == "dicom_region":
            holding = [region for region in self.regions if region.contains(row, column)]
            if holding:
                return min(holding, key=lambda region: region.area).spacing_mm, "dicom_region"
        return self.spacing_mm, self.spacing_source if self.spacing_mm is not None else "none"


def read_scan(
    source: ScanSource,
    *,
    spacing_mm: float | Sequence[float] | None = None,
    spacing_table: SpacingTable | None = None,
    allow_ruler: bool = False,
) -> Scan:
    """Read one scan; spacing is that of the argument, else of the file, else of the CSV, and never guessed.

    With `allow_ruler` a picture that has none of them takes it from its depth ruler where that can be relied on, and
    carries the flag `spacing_from_ruler`.

    Raises ScanError, with the file's name and the reason, for whatever cannot be read or makes no sense:
    files that are damaged, no image, no 2D ultrasound, empty pictures, colour Doppler, absurd spacing.
    """
    if source.error:
        raise ScanError(source.error)
    with naming(_name(source)):
        with parsing():
            picture = read_picture(source)
        image, flags = _gray(picture)
        spacing, spacing_source, more_flags = _spacing(picture, source, spacing_mm, spacing_table)
    row = spacing_table.row(source) if spacing_table is not None else None
    scan = Scan(
        source,
        image,
        spacing,
        spacing_source,
        picture.regions,
        (*picture.flags, *flags, *more_flags),
        row.ga_weeks if row is not None else math.nan,
        picture.grid,
    )
    return _with_ruler(scan) if allow_ruler and spacing_source == "none" else scan


def read_picture(source: ScanSource) -> Picture:
    """What the file holds, in the type and colours that it holds it; raises whatever its format's reader does."""
    kind = kind_of(source.path)
    if kind == "dicom":
        from fetal_monai.scan.dicom import read_dicom

        return read_dicom(source.path, source.frame)
    if kind == "volume":
        from fetal_monai.scan.flat_volume import read_flat_volume

        return read_flat_volume(source.path)
    from fetal_monai.scan.raster import read_raster

    return read_raster(source.path)


def read_colours(scan: Scan) -> NDArray[np.uint8] | None:
    """The picture (H, W, 3) in its colours, None unless something coloured is drawn into it; a tint is no mark."""
    if "colour_marks" not in scan.flags or "tinted" in scan.flags:
        return None
    pixels = read_picture(scan.source).pixels
    return pixels if pixels.ndim == 3 and pixels.dtype == np.uint8 else None


def _gray(picture: Picture) -> tuple[NDArray[Any], tuple[str, ...]]:
    pixels, flags = scale_to_8_bit(picture.pixels, picture.bits)
    if pixels.ndim == 2:
        return pixels, flags
    rgb = pixels if pixels.dtype == np.uint8 else np.rint(pixels).astype(np.uint8)
    regions = picture.regions
    where = (slice(None), slice(None))
    if regions:
        where = (
            slice(min(region.row0 for region in regions), max(region.row1 for region in regions) + 1),
            slice(min(region.column0 for region in regions), max(region.column1 for region in regions) + 1),
        )
    colours = colour_use(rgb[where])
    limit = FLOW_SHARE_IN_FLOW_REGION if any(region.colour_flow for region in regions) else FLOW_SHARE
    if colours.solid > limit:
        raise ScanError(
            f"colours cover {100 * colours.solid:.1f} % of it: a colour Doppler frame or another colour picture; "
            "needs B-mode"
        )
    if colours.tinted:
        flags += ("tinted",)
    if colours.marks > MARKS_SHARE:
        flags += ("colour_marks",)
    gray = gray_from_rgb(rgb)
    scale_to_8_bit(gray)  # colours may differ where gray does not
    return gray, flags


def _spacing(
    picture: Picture, source: ScanSource, argument: float | Sequence[float] | None, table: SpacingTable | None
) -> tuple[Spacing | None, str, tuple[str, ...]]:
    """Spacing, its source, and flags."""
    if argument is not None:
        return check_spacing(argument, "the spacing given"), "argument", ()
    row = table.row(source) if table is not None else None
    if picture.spacing_source != "none":
        differs = (
            row is not None
            and picture.spacing_mm is not None
            and any(abs(row.spacing_mm - value) > CONFLICT * value for value in picture.spacing_mm)
        )
        return picture.spacing_mm, picture.spacing_source, ("spacing_conflict",) if differs else ()
    if row is not None and row.error:
        raise ScanError(row.error)
    if row is not None and not math.isnan(row.spacing_mm):
        return (row.spacing_mm, row.spacing_mm), "csv", ()
    if picture.spacing_problem:
        raise ScanError(picture.spacing_problem)
    return None, "none", ()


def _with_ruler(scan: Scan) -> Scan:
    """The scan with the spacing of its depth ruler, as it is where no ruler can be relied on."""
    from fetal_monai.enhance.ruler import read_ruler

    ruler = read_ruler(scan.image)
    if ruler is None:
        return scan
    spacing = check_spacing(ruler.spacing_mm, "the spacing of its ruler")
    flags = (*scan.flags, "spacing_from_ruler")
    return replace(scan, spacing_mm=spacing, spacing_source="ruler", flags=flags, ruler=ruler)


def _name(source: ScanSource) -> str:
    return source.filename if source.frame is None else f"{source.filename}, frame {source.frame + 1}"
