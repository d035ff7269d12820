"""What the brain bundle's pipeline costs beside MONAI's sliding window with the same network over the same volume.

    python benchmarks/brain_mri.py VOLUME LABELS [--size 256] [--spacing 0.5] [--out results.json]

The scan is resampled to a cube of ``size`` voxels of ``spacing`` mm. In one go, in turn:

- ``run``: reading, network, labels on the volume's grid, measures and every file of a run;
- ``window``: ``SlidingWindowInferer`` alone, overlap 0.5, Gaussian, windows as large as the training pictures, over the
  volume on the network's grid, then brought back to the volume's grid;
- ``window_native``: the same over the volume's own voxels (the network wasn't trained for these; only its time counts).

Dice is the mean of the seven tissues against LABELS, on the cube. Peak memory is that of a process that only runs.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from memory import peak_mib
from numpy.typing import NDArray
from timing import tell

BUNDLE = "fetal_brain_mri_segmentation"
WINDOW = (80, 96, 80)


def make_cube(volume: Path, labels: Path, label_key: str, size: int, spacing: float, folder: Path) -> None:
    """The scan and its labels as cubes, brain in the middle."""
    import nibabel
    from nibabel.processing import resample_from_to

    from fetal_monai.datasets import remap_labels

    scan: Any = nibabel.load(volume)
    truth: Any = nibabel.load(labels)
    tissue = remap_labels(np.asarray(truth.dataobj), label_key)
    middle = truth.affine @ np.append(np.argwhere(tissue > 0).mean(0), 1)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = middle[:3] - spacing * (size - 1) / 2
    space = ((size,) * 3, affine)
    cube = resample_from_to(scan, space, order=1)
    nibabel.save(
        nibabel.Nifti1Image(cube.get_fdata().astype(np.int16), affine), folder / "in" / "cube.nii.gz"
    )
    cube = resample_from_to(nibabel.Nifti1Image(tissue, truth.affine), space, order=0)
    nibabel.save(nibabel.Nifti1Image(cube.get_fdata().astype(np.uint8), affine), folder / "labels.nii.gz")


def run(folder: Path) -> dict[str, Any]:
    """A whole run over ``folder/in``; its configuration, parsed, and the seconds."""
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir

    logging.disable(logging.WARNING)
    root = bundle_dir(BUNDLE)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.yaml"))
    values = {"bundle_root": str(root), "dataset_dir": str(folder / "in"), "output_dir": str(folder / "out")}
    parser.update({**values, "progress": False})
    network = parser.get_parsed_content("network").eval()
    evaluator = parser.get_parsed_content("evaluator")
    start = time.perf_counter()
    evaluator.run()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "network": network, "dataset": parser.get_parsed_content("dataset")}


def window(network: Any, item: Any, native: bool) -> tuple[float, NDArray[np.uint8]]:
    """Seconds of MONAI's sliding window, and its labels on the volume's grid."""
    import torch
    from monai.inferers import SlidingWindowInferer

    from fetal_monai.transforms.mri import normalise_mr, to_canonical
    from fetal_monai.transforms.volume_grid import labels_on_input

    inferer = SlidingWindowInferer(WINDOW, overlap=0.5, mode="gaussian")
    scan, grid, image = item["scan"][0], item["grid"][0], item["image"]
    if native:
        view, _ = to_canonical(scan.image, scan.affine)
        image = normalise_mr(torch.from_numpy(np.ascontiguousarray(view, np.float32)))[None, None]
    with torch.inference_mode():
        start = time.perf_counter()
        logits = inferer(image, network)
        labels = logits[0].argmax(0).numpy().astype(np.uint8) if native else labels_on_input(logits[0], grid)
        return time.perf_counter() - start, labels


def mean_dice(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    from fetal_monai.metrics import dice

    return float(np.nanmean([dice(labels == k, truth == k) for k in range(1, 8)]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("volume", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--label-key", default="atlas", choices=["atlas", "feta"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--spacing", type=float, default=0.5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import nibabel

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        make_cube(
            arguments.volume, arguments.labels, arguments.label_key, arguments.size, arguments.spacing, folder
        )
        truth = np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj)
        done = run(folder)  # the first warms up
        done = run(folder)
        ours = np.asarray(nibabel.load(folder / "out" / "cube_seg.nii.gz").dataobj)
        batch = next(iter(done["dataset"]))
        window_s, theirs = window(done["network"], batch, native=False)
        native_s, _ = window(done["network"], batch, native=True)
        results = {
            "run_s": done["seconds"],
            "window_s": window_s,
            "window_native_s": native_s,
            "run_to_window": done["seconds"] / window_s,
            "run_to_window_native": done["seconds"] / native_s,
            "dice_run": mean_dice(ours, truth),
            "dice_window": mean_dice(theirs, truth),
            "peak_mib": peak_mib(__file__, "run", folder),
        }
    tell(results, arguments.out)


if __name__ == "__main__":
    main()
