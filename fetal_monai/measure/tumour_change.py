"""What changed in a tumour between two dates: volumes and RANO diameters, and which thresholds the change passes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fetal_monai.measure.tumour import TumourMeasurement

__all__ = ["CHANGE_MEASURES", "CHANGE_THRESHOLDS", "CHANGE_VOLUMES", "TumourChange", "compare_tumours"]

CHANGE_VOLUMES = {
    "whole_tumour": "whole tumour",
    "tumour_core": "tumour core",
    "enhancing": "enhancing tumour",
    "oedema": "oedema",
    "necrosis": "necrosis and tumour that does not enhance",
}
PRODUCT = "the product of the RANO diameters"
PRODUCT_UP, PRODUCT_DOWN = 25.0, -50.0  # %
VOLUME_UP, VOLUME_DOWN = 40.0, -65.0
MEASURABLE_MM = 10.0  # of either diameter
MONTH_DAYS = 30.0
ROUNDING = 1e-6  # %
CHANGE_MEASURES = (
    *(f"{name}_change_{unit}" for name in CHANGE_VOLUMES for unit in ("ml", "percent")),
    *(f"{name}_change_ml_per_30_days" for name in CHANGE_VOLUMES),
    "rano_product_first_mm2",
    "rano_product_second_mm2",
    "rano_product_change_percent",
    "days",
)
_GRADED = {  # threshold: measure, limit in %, what it says
    "rano_product_up_25_percent": ("rano_product", PRODUCT_UP, f"{PRODUCT} grew by 25 % or more"),
    "rano_product_down_50_percent": ("rano_product", PRODUCT_DOWN, f"{PRODUCT} shrank by 50 % or more"),
    **{
        f"{name}_volume_{way}_{abs(limit):.0f}_percent": (
            name,
            limit,
            f"the volume of the {CHANGE_VOLUMES[name]} {verb} by {abs(limit):.0f} % or more",
        )
        for name in ("whole_tumour", "tumour_core", "enhancing")
        for way, verb, limit in (("up", "grew", VOLUME_UP), ("down", "shrank", VOLUME_DOWN))
    },
}
CHANGE_THRESHOLDS = {name: words for name, (_, _, words) in _GRADED.items()} | {
    "enhancing_appeared": "tumour enhances at the second date and none did at the first",
    "enhancing_disappeared": "no tumour enhances at the second date and some did at the first",
}


@dataclass(frozen=True)
class TumourChange:
    """Change from a first to a second date.

    `measures` all of `CHANGE_MEASURES`, NaN where undefined; `thresholds` those of `CHANGE_THRESHOLDS` that are passed,
    with their words; `flags` any of no_tumour (at either date), rano_regions_differ (the diameters are of the enhancing
    tumour at one date and of the core at the other, so their products were not compared) and rano_not_measurable (a
    diameter of the first date is under 10 mm, where RANO measures none).
    """

    measures: dict[str, float]
    thresholds: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


def compare_tumours(
    first: TumourMeasurement, second: TumourMeasurement, days: float | None = None
) -> TumourChange:
    """Compare two measurements of one patient; `days` from first to second, for the changes by 30 days.

    Percentages are of the first date, NaN if there was none. Where nothing is left at the second date of the region
    that was measured at the first, the product is 0 there. The thresholds are those that RANO sets its categories by,
    25 % up or 50 % down for the product (Wen 2010, doi 10.1200/JCO.2009.26.3541), 40 % up or 65 % down for a volume
    (Wen 2023, doi 10.1200/JCO.23.01059). Neither the smallest earlier tumour, new lesions, steroids, treatment nor
    the patient's state are looked at, so that a threshold is not a verdict.

    Raises:
    ValueError: `days` is not a number above 0.
    """
    if days is not None and not (math.isfinite(days) and days > 0):
        raise ValueError(f"days is {days}; give the days from the first date to the second, a number above 0")
    measures = dict.fromkeys(CHANGE_MEASURES, math.nan)
    measures["days"] = math.nan if days is None else float(days)
    for name in CHANGE_VOLUMES:
        before, after = (found.measures[f"{name}_ml"] for found in (first, second))
        measures[f"{name}_change_ml"] = after - before
        measures[f"{name}_change_percent"] = _percent(before, after)
        measures[f"{name}_change_ml_per_30_days"] = (after - before) / measures["days"] * MONTH_DAYS
    flags = ["no_tumour"] if any("no_tumour" in found.flags for found in (first, second)) else []
    before, after = _product(first), _product(second)
    region, other = (found.extra.get("rano_region") for found in (first, second))
    if region is not None and second.measures[f"{region}_ml"] == 0:
        after = 0.0
    elif None not in (region, other) and region != other:
        flags.append("rano_regions_differ")
    measures["rano_product_first_mm2"], measures["rano_product_second_mm2"] = before, after
    if "rano_regions_differ" not in flags:
        measures["rano_product_change_percent"] = _percent(before, after)
    if min(_diameters(first)) < MEASURABLE_MM:
        flags.append("rano_not_measurable")
    enhances = [found.measures["enhancing_ml"] > 0 for found in (first, second)]
    passed = [
        name
        for name, (measure, limit, _) in _GRADED.items()
        if _passes(measures[f"{measure}_change_percent"], limit)
    ]
    if enhances[0] != enhances[1]:
        passed.append("enhancing_appeared" if enhances[1] else "enhancing_disappeared")
    return TumourChange(measures, {name: CHANGE_THRESHOLDS[name] for name in passed}, flags)


def _percent(before: float, after: float) -> float:
    return 100 * (after - before) / before if before > 0 else math.nan


def _passes(percent: float, limit: float) -> bool:
    """Whether a change is as large as the limit, or larger in its direction; rounding errors do not count."""
    return percent >= limit - ROUNDING if limit > 0 else percent <= limit + ROUNDING


def _diameters(found: TumourMeasurement) -> tuple[float, float]:
    return found.measures["rano_diameter_mm"], found.measures["rano_perpendicular_mm"]


def _product(found: TumourMeasurement) -> float:
    first, second = _diameters(found)
    return first * second
