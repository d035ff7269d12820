"""What the enhancement of ultrasound pictures gains and costs: speckle of known truth, HC, and the depth ruler.

    python benchmarks/enhancement.py speckle [--seeds 8]
    python benchmarks/enhancement.py hc HC18_FOLDER [--every 1] [--variants none,marks,…] [--out hc.json]
    python benchmarks/enhancement.py ruler FOLDER [--every 1]

- ``speckle``: a phantom head under simulated speckle; SSIM and edge preservation index against the truth, and
  contrast-to-noise ratio, each beside that of the input.
- ``hc``: the head bundle's own network and measures on pictures before and after each step; FOLDER as HC18 lies, with
  its CSV.
- ``ruler``: how many pictures of a folder have a ruler that is read, and by how much it is off where the file, or a CSV
  beside it, tells the true spacing.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUNDLE = "fetal_head_ultrasound_segmentation"
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {"steps": ()},
    "marks": {"steps": ("marks",)},
    "gain": {"steps": ("gain",)},
    "srad": {"steps": ("speckle",)},
    "nlm": {"steps": ("speckle",), "speckle": "nlm"},
    "contrast": {"steps": ("contrast",)},
    "all": {},
}
RANGE_DB = 50.0  # of the simulated log compression


def phantom(
    seed: int, shape: tuple[int, int] = (256, 320)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A head in section as gray values 0 to 255, without and with speckle.

    Scatterers with a complex Gaussian amplitude under the truth's echo strength, convolved with a point spread function
    that is shorter along the beam; its envelope is log-compressed. The truth is the mean of the envelope under the same
    compression.
    """
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    centre = np.array(shape) / 2 + rng.uniform(-8, 8, 2)
    turn = rng.uniform(-0.3, 0.3)
    x = (columns - centre[1]) * np.cos(turn) + (rows - centre[0]) * np.sin(turn)
    y = -(columns - centre[1]) * np.sin(turn) + (rows - centre[0]) * np.cos(turn)
    head = np.hypot(x / 118, y / 92)
    level = np.full(shape, -26.0)  # dB
    level[head < 1] = -32
    level[np.hypot((x - 45) / 34, (y - 26) / 12) < 1] = -48  # a ventricle
    level[np.hypot((x - 56) / 14, (y - 28) / 7) < 1] = -20  # its plexus
    level[np.hypot((x + 45) / 18, (y + 30) / 14) < 1] = -27
    level[(abs(y) < 1.5) & (abs(x) < 95)] = -14  # the falx
    level[abs(head - 1) < 0.035] = -6  # the skull
    amplitude = 10 ** (level / 20)
    scatter = amplitude * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    spread = (1.1, 2.0)
    field = ndimage.gaussian_filter(scatter.real, spread) + 1j * ndimage.gaussian_filter(scatter.imag, spread)
    power = ndimage.gaussian_filter(amplitude**2, np.array(spread) / np.sqrt(2))
    unit = ndimage.gaussian_filter(rng.normal(size=(256, 256)), spread).std()  # of the blurred noise
    mean = np.sqrt(np.pi / 2) * unit * np.sqrt(power)
    top = mean.max()
    pictures = [
        255 * np.clip(1 + 20 * np.log10(np.maximum(p, 1e-9) / top) / RANGE_DB, 0, 1)
        for p in (mean, np.abs(field))
    ]
    return pictures[0], pictures[1]


def edge_preservation(truth: NDArray[np.float64], image: NDArray[np.float64]) -> float:
    """Correlation of the Laplacians of truth and picture (Sattar 1997, doi 10.1109/83.585239), slightly blurred."""
    from scipy import ndimage

    first, second = (ndimage.laplace(ndimage.gaussian_filter(p, 1.0)) for p in (truth, image))
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def contrast_to_noise(truth: NDArray[np.float64], image: NDArray[np.float64]) -> float:
    """Difference of brain and ventricle over the root of the sum of their variances, away from edges."""
    from scipy import ndimage

    levels = np.rint(truth)
    flat = ndimage.maximum_filter(levels, 7) - ndimage.minimum_filter(levels, 7) <= 2
    values, counts = np.unique(levels[flat], return_counts=True)
    darkest = image[flat & (levels == values[counts > 60].min())]
    brain = image[flat & (levels == values[np.argsort(-counts)[:2]].min())]
    return float((brain.mean() - darkest.mean()) / np.sqrt(brain.var() + darkest.var()))


def speckle(seeds: int) -> dict[str, dict[str, float]]:
    """Means over phantoms of each measure, for the input and what each filter makes of it."""
    from scipy import ndimage
    from skimage.metrics import structural_similarity

    from fetal_monai.enhance.speckle import reduce_speckle

    filters = {
        "input": lambda p: p,
        "gaussian": lambda p: ndimage.gaussian_filter(p, 1.5),
        "median": lambda p: ndimage.median_filter(p, 5),
        "srad": lambda p: reduce_speckle(p, method="srad"),
        "nlm": lambda p: reduce_speckle(p, method="nlm"),
    }
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        truth, noisy = phantom(seed)
        for name, function in filters.items():
            image = np.asarray(function(noisy.astype(np.float32)), float)
            measures = {
                "ssim": structural_similarity(truth, image, data_range=255),
                "edge_preservation": edge_preservation(truth, image),
                "contrast_to_noise": contrast_to_noise(truth, image),
            }
            for key, value in measures.items():
                found.setdefault(name, {}).setdefault(key, []).append(float(value))
    return {n: {key: round(statistics.mean(v), 3) for key, v in m.items()} for n, m in found.items()}


def head_circumference(folder: Path, variants: list[str], every: int) -> dict[str, dict[str, Any]]:
    """Error of HC in mm of the bundle's network after each variant's steps; changes are against the first variant."""
    import torch
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir
    from fetal_monai.enhance import enhance
    from fetal_monai.measure.head import measure_head
    from fetal_monai.scan import find_scans, read_scan, read_spacing_csv
    from fetal_monai.transforms.ultrasound import ToNetworkGridd

    root = bundle_dir(BUNDLE)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(root)})
    network = parser.get_parsed_content("network").eval()
    to_grid = ToNetworkGridd("image", parser.get("pixels"), parser.get("divisor"))
    table = read_spacing_csv(folder)
    errors: dict[str, list[float]] = {name: [] for name in variants}
    for source in find_scans(folder)[0][::every]:
        scan = read_scan(source, spacing_table=table)
        row = table.row(source)
        if row is None or np.isnan(row.hc_mm):
            continue
        for name in variants:
            image = enhance(scan.image, **VARIANTS[name]).image if name != "none" else scan.image
            item = to_grid({"image": replace(scan, image=image)})
            with torch.inference_mode():
                logits = network(item["image"][None])[0, 0].float()
            probability = item["grid"].crop(torch.sigmoid(logits).numpy())
            head = measure_head(probability, scan.image, item["grid"].scale, scan.spacing_at)
            errors[name].append(head.measures.get("hc_mm", np.nan) - row.hc_mm)
    return {name: _errors(np.array(values), np.array(errors[variants[0]])) for name, values in errors.items()}


def _errors(error: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, Any]:
    """Mean absolute error, its spread, failures; paired changes of it and of HC with 95 % bootstrap intervals."""
    both = np.isfinite(error) & np.isfinite(reference)
    change = np.abs(error[both]) - np.abs(reference[both])
    shift = error[both] - reference[both]
    draws, shifts = (
        np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
        for values in (change, shift)
    )
    return {
        "images": len(error),
        "failures": int(np.count_nonzero(~(np.abs(error) <= 15))),
        "mean_absolute_mm": round(float(np.nanmean(np.abs(error))), 3),
        "sd_mm": round(float(np.nanstd(np.abs(error))), 3),
        "bias_mm": round(float(np.nanmean(error)), 3),
        "change_mm": round(float(change.mean()), 3),
        "change_95_mm": [round(float(v), 3) for v in np.percentile(draws, (2.5, 97.5))],
        "hc_change_mm": round(float(shift.mean()), 3),
        "hc_change_95_mm": [round(float(v), 3) for v in np.percentile(shifts, (2.5, 97.5))],
        "errors_mm": [round(float(v), 3) for v in error],
    }


def ruler(folder: Path, every: int) -> dict[str, Any]:
    """Readings of the depth ruler: how many, and found over true spacing where it is known."""
    from fetal_monai.enhance import read_ruler
    from fetal_monai.scan import ScanError, find_scans, read_scan, read_spacing_csv

    table = read_spacing_csv(folder)
    readings, ratios, seen, known = 0, {}, 0, 0
    for source in find_scans(folder)[0][::every]:
        try:
            scan = read_scan(source, spacing_table=table)
        except ScanError:
            continue
        seen += 1
        known += scan.spacing_mm is not None
        found = read_ruler(scan.image)
        readings += found is not None
        if found is not None and scan.spacing_mm is not None:
            ratios[source.stem] = round(found.spacing_mm / scan.spacing_mm[0], 5)
    wrong = sum(abs(ratio - 1) > 0.03 for ratio in ratios.values())
    return {
        "pictures": seen,
        "read": readings,
        "spacing_known": known,
        "found_over_true": ratios,
        "off_by_over_3_percent": wrong,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("speckle", "hc", "ruler"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "speckle":
        results: dict[str, Any] = speckle(arguments.seeds)
    elif arguments.folder is None:
        parser.error("give the folder")
    elif arguments.what == "hc":
        results = head_circumference(arguments.folder, arguments.variants.split(","), arguments.every)
    else:
        results = ruler(arguments.folder, arguments.every)
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
