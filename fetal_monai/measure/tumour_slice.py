"""What may be said of a tumour seen on a single slice: areas and diameters, no volume."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fetal_monai.measure.tumour import LINE_MEASURES, TumourMeasurement
from fetal_monai.measure.tumour_regions import labels_to_regions

__all__ = ["AREA_MEASURES", "on_slice"]

AREA_MEASURES = ("whole_tumour_mm2", "tumour_core_mm2", "enhancing_mm2")


def on_slice(
    found: TumourMeasurement,
    labels: ArrayLike,
    affine: ArrayLike,
    *,
    convention: str | None = None,
    has_mm: bool = True,
) -> TumourMeasurement:
    """The measurement of a volume of one slice, with `AREA_MEASURES` added and every mL NaN.

    `labels` (I, J, K), `affine` and `convention` are those that it was measured with. Without `has_mm`, where the
    affine is none to trust, all lengths, areas and places in mm are NaN, too; ratios, sides and the number of lesions
    stay.
    Raises ValueError unless one axis has one voxel.
    """
    array, matrix = np.asarray(labels), np.asarray(affine, float)
    if array.ndim != 3 or 1 not in array.shape:
        raise ValueError(f"labels have shape {array.shape}; a single slice has one voxel along one axis")
    across = [axis for axis in range(3) if axis != array.shape.index(1)]
    pixel_mm2 = float(np.linalg.norm(np.cross(matrix[:3, across[0]], matrix[:3, across[1]])))
    measures = {name: math.nan if name.endswith("_ml") else value for name, value in found.measures.items()}
    core, whole, enhancing = labels_to_regions(array, convention)
    for name, region in zip(AREA_MEASURES, (whole, core, enhancing), strict=True):
        measures[name] = float(np.count_nonzero(region)) * pixel_mm2 if has_mm else math.nan
    unknown = ("_ml",) if has_mm else ("_ml", "_mm")
    lesions = [
        {name: math.nan if name.endswith(unknown) else value for name, value in row.items()}
        for row in found.lesions
    ]
    if has_mm:
        return replace(found, measures=measures, lesions=lesions)
    measures |= dict.fromkeys(LINE_MEASURES.values(), math.nan)
    return replace(
        found, measures=measures, lesions=lesions, lines={}, extra={**found.extra, "midplane": None}
    )
