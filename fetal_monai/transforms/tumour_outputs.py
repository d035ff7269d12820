"""From the network's answer back to the patient: regions, measures, files and pictures, as MONAI transforms.

Items are those of :mod:`fetal_monai.transforms.tumour_inputs`, with ``pred``, logits (3, X, Y, Z); ``labels`` (I, J, K)
on the grid of the reference and ``record`` are added.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from torch.nn import functional as F

from fetal_monai.measure.tumour import TUMOUR_MEASURES
from fetal_monai.settings import as_bool
from fetal_monai.transforms.volume_grid import to_input
from fetal_monai.transforms.volume_outputs import SaveLabelsd, save_planes, volume_record

__all__ = [
    "TUMOUR_COLUMNS",
    "MeasureTumourd",
    "RegionsOnInputd",
    "SaveProbabilitiesd",
    "SaveTumourd",
    "entropy_bits",
    "sequence_flags",
    "tumour_output",
]

Item = dict[Hashable, Any]

TUMOUR_COLUMNS = [*TUMOUR_MEASURES, "tumour_uncertainty", "n_sequences"]  # the promised ones, in order
LABELS = ("non_enhancing_core", "oedema", "enhancing")  # drawn as 1, 2, 3
POSSIBLE = 0.05  # probability of the tumour, from which its entropy counts


class RegionsOnInputd(Transform):
    """Turn ``pred`` into ``labels`` (I, J, K) on the reference's grid, in a BraTS convention.

    Adds ``probability``, float32 (3, I, J, K) in the order of ``REGIONS``, and ``uncertainty``: the mean entropy of the
    whole tumour's probability in bits, 0 sure, 1 even, where that is 5 % or more, NaN where nothing is found. Regions
    are nested. Parts less sure than ``min_sure`` of the surest of their region (``drop_unsure``) are removed from each,
    and those under ``min_ml``, on a single slice those smaller than the middle cut of a ball of ``min_ml``.
    """

    def __init__(
        self, min_ml: float | Sequence[float], convention: str = "brats2018", min_sure: float = 0.0
    ) -> None:
        from fetal_monai.measure.tumour_regions import regions_to_labels

        regions_to_labels(np.zeros((3, 1, 1, 1)), convention)  # raises for an unknown one
        self.min_ml, self.convention, self.min_sure = min_ml, convention, min_sure

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.tumour_regions import drop_small, drop_unsure, make_nested, regions_to_labels

        out = dict(data)
        grid, box, scan = out["grid"], out["box"], out["scan"]
        logits = torch.as_tensor(out.pop("pred")).float()
        if out["slab"] is not None:
            axis, middle = out["slab"]
            logits = logits.narrow(axis + 1, middle, 1)
        x, y, z = (s.stop - s.start for s in box)
        inside = logits.sigmoid()[:, :x, :y, :z]
        size, _ = grid.canonical
        maps = []
        for region in inside:
            whole = torch.zeros(grid.content)
            whole[box[0], box[1], box[2]] = region
            fine = F.interpolate(whole[None, None], size, mode="trilinear", align_corners=False)[0, 0]
            maps.append(to_input(fine.numpy(), grid))
        probability = np.stack(maps)
        spacing_mm = np.linalg.norm(scan.affine[:3, :3], axis=0).tolist()
        least_ml = (
            self.min_ml if scan.slice_axis is None else _cut_ml(self.min_ml, spacing_mm[scan.slice_axis])
        )
        regions = drop_small(make_nested(drop_unsure(probability, self.min_sure)), least_ml, spacing_mm)
        out["labels"] = regions_to_labels(regions, self.convention)
        out["probability"] = probability
        possible = probability[1][probability[1] >= POSSIBLE]
        out["uncertainty"] = float(entropy_bits(possible).mean()) if out["labels"].any() else float("nan")
        return out


def _cut_ml(ball_ml: float | Sequence[float], thickness_mm: float) -> float | list[float]:
    """The mL of a slice through the middle of a ball of so many mL."""
    radius_mm = np.cbrt(np.asarray(ball_ml, float) * 3000 / (4 * np.pi))
    cut_ml: float | list[float] = (np.pi * radius_mm**2 * thickness_mm / 1000).tolist()
    return cut_ml


def entropy_bits(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entropy of a yes or no of these probabilities: 0 sure, 1 even."""
    from scipy.special import entr

    return ((entr(probability) + entr(1 - probability)) / np.log(2)).astype(np.float32)


def sequence_flags(sequences: Sequence[str]) -> list[str]:
    """What a result stands on less firmly, by the sequences that there are.

    ``no_t1c``: the enhancing tumour and the core can't be told; ``no_flair_or_t2``: nor can oedema;
    ``one_sequence``: one only.
    """
    flags = [] if "t1c" in sequences else ["no_t1c"]
    if not {"flair", "t2"} & set(sequences):
        flags.append("no_flair_or_t2")
    return [*flags, "one_sequence"] if len(sequences) == 1 else flags


class MeasureTumourd(Transform):
    """Measure the tumour in ``labels``: adds ``record``, and ``tumour`` with the lines that lengths were taken on.

    ``uncertain_above``: from this ``uncertainty`` on, the flag is ``uncertain_tumour``.
    """

    def __init__(self, convention: str = "brats2018", uncertain_above: float = 1.0) -> None:
        self.convention, self.uncertain_above = convention, uncertain_above

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.measure.tumour import measure_tumour
        from fetal_monai.measure.tumour_slice import on_slice

        out = dict(data)
        scan, patient = out["scan"], out["patient"]
        found = measure_tumour(out["labels"], scan.affine, scan.image, convention=self.convention)
        if scan.slice_axis is not None:
            has_mm = scan.spacing_source != "none"
            found = on_slice(found, out["labels"], scan.affine, convention=self.convention, has_mm=has_mm)
        sequences = list(patient.images)
        measures = {
            **found.measures,
            "tumour_uncertainty": out["uncertainty"],
            "n_sequences": float(len(sequences)),
        }
        flags = [*patient.flags, *sequence_flags(sequences), *found.flags]
        if out["uncertainty"] >= self.uncertain_above:
            flags.append("uncertain_tumour")
        extra = {
            **found.extra,
            "sequences": sequences,
            "reference": patient.reference,
            "lesions": [dict(row) for row in found.lesions],
        }
        out["tumour"] = found
        out["record"] = volume_record(scan, measures, flags, out.get("outputs", []), extra)
        return out


class SaveProbabilitiesd(Transform):
    """Write ``<stem>_prob.nii.gz`` (I, J, K, 3), and ``<stem>_entropy.nii.gz``: whole numbers with a scale, which
    viewers and nibabel show as 0 to 1."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.scan import write_fractions

        maps = {
            "_prob": np.moveaxis(data["probability"], 0, -1),
            "_entropy": entropy_bits(data["probability"][1]),
        }
        for suffix, values in maps.items():
            path = write_fractions(values, data["scan"], self.output_dir, suffix)
            data["record"].outputs.append(path.relative_to(self.output_dir).as_posix())
        return dict(data)


class SaveTumourd(Transform):
    """Write ``<stem>_overlay.png``, three planes with regions and lengths, and put its thumbnail into the record."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.report.caption import tumour_caption

        labels = np.where(data["labels"] == 4, 3, data["labels"])
        caption = tumour_caption(data["record"])
        save_planes(data, labels, data["tumour"].lines, caption, LABELS, self.output_dir)
        return dict(data)


def tumour_output(
    output_dir: str,
    min_ml: float | Sequence[float],
    convention: str = "brats2018",
    probabilities: bool | str = False,
    uncertain_above: float = 1.0,
    min_sure: float = 0.0,
) -> list[Callable[[Item], Item]]:
    """What becomes of the logits of regions: labels on the reference's grid, measures, files and overlay."""
    chain: list[Callable[[Item], Item]] = [
        RegionsOnInputd(min_ml, convention, min_sure),
        MeasureTumourd(convention, uncertain_above),
        SaveLabelsd(output_dir),
    ]
    if as_bool(probabilities, "probabilities"):
        chain.append(SaveProbabilitiesd(output_dir))
    return [*chain, SaveTumourd(output_dir)]
