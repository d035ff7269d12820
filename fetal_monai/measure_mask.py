"""A head measured in a mask, or in an outline that somebody drew, whatever file it comes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

__all__ = ["measure_mask"]

Spacing = tuple[float, float]


def measure_mask(
    path: str | Path, spacing_mm: float | Sequence[float] | None = None, ga_weeks: float | None = None
) -> tuple[dict[str, float], list[str], Spacing | None, str]:
    """Measures with their units in the names, flags, spacing (row, column) in mm per pixel and where it came from.

    Whatever is brighter than half of the brightest counts as head, or as the line drawn around it. Spacing is that of
    the argument, else of the file; without one, lengths are in pixels (`hc_px`). Raises ScanError if the file can't be
    read or the spacing makes no sense.
    """
    import numpy as np

    from fetal_monai.measure.biometry import head_biometry, head_flags
    from fetal_monai.measure.ellipse import border_points, fit_ellipse, outline_from_mask
    from fetal_monai.measure.growth import centile, ga_weeks_hadlock, ga_weeks_intergrowth

    mask, spacing, source = _read(Path(path), spacing_mm)
    flags = [] if spacing else ["no_spacing"]
    if spacing and abs(spacing[0] - spacing[1]) >= 1e-3 * max(spacing):
        flags.append("anisotropic_spacing")
    points = outline_from_mask(mask)
    seen = points if points is None else points[~border_points(points, mask.shape)]
    fit = None if seen is None or points is None else fit_ellipse(seen * (spacing or (1.0, 1.0)))
    if fit is None or points is None or seen is None:
        return {"hc_mm": math.nan}, ["no_head", *flags], spacing, source
    flags = head_flags(fit, in_mm=spacing is not None, cut_fraction=1 - len(seen) / len(points)) + flags
    found = head_biometry(fit.ellipse)
    if spacing is None:
        lengths = {f"{name}_px": found[f"{name}_mm"] for name in ("hc", "bpd", "ofd")}
        return {**lengths, "cephalic_index": found["cephalic_index"]}, flags, None, source
    hc_mm = found["hc_mm"]
    found |= {
        "ga_weeks_hadlock": ga_weeks_hadlock(hc_mm),
        "ga_weeks_intergrowth": ga_weeks_intergrowth(hc_mm),
    }
    if ga_weeks is not None:
        found["ga_weeks"] = ga_weeks
        for name in ("hc", "bpd", "ofd"):
            found[f"{name}_centile"] = float(centile(f"{name}_mm", found[f"{name}_mm"], ga_weeks))
    found["residual_mm"] = fit.residual
    return {name: float(np.float64(value)) for name, value in found.items()}, flags, spacing, source


def _read(path: Path, spacing_mm: float | Sequence[float] | None) -> tuple[NDArray[Any], Spacing | None, str]:
    """The mask as gray values (H, W), spacing and its source."""
    from fetal_monai.scan import ScanError, ScanSource, check_spacing, read_scan
    from fetal_monai.scan.raster import read_raster
    from fetal_monai.scan.source import kind_of

    if not path.is_file():
        raise ScanError(f"{path} does not exist; give a mask, or a drawn outline")
    if kind_of(path) != "raster":
        scan = read_scan(ScanSource(path, path.name, path.stem), spacing_mm=spacing_mm)
        return scan.image, scan.spacing_mm, scan.spacing_source
    try:
        pixels = read_raster(path).pixels
        spacing = None if spacing_mm is None else check_spacing(spacing_mm, "--spacing-mm")
    except ScanError as error:
        raise ScanError(f"{path.name}: {error}") from error
    # Colours are labels here, not blood flow: any of them counts.
    return pixels if pixels.ndim == 2 else pixels.max(axis=2), spacing, "argument" if spacing else "none"
