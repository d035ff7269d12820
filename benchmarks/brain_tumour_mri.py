"""What the tumour bundle's run costs beside the pipeline of MONAI's own BraTS bundle with the same network.

    python benchmarks/brain_tumour_mri.py PATIENT [--out results.json]

PATIENT is a folder with sequences and ``seg.nii.gz``. Sequences that it lacks are copies of those it has, so that four
are read: only their time counts, and Dice is that of a run over the sequences that are really there. In one go:

- ``run``: reading, network, labels on the reference's grid, measures and every file of a run;
- ``monai``: what ``configs/inference.json`` of MONAI's ``brats_mri_segmentation`` does, with this bundle's weights:
  reading, one window of 240x240x160 voxels with overlap 0.5, sigmoid, labels, one file;
- ``monai_bfloat16``: the same with the network in bfloat16, which its configuration asks of GPUs only.

Peak memory is that of a process that only does the one thing.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from memory import peak_mib
from timing import tell

BUNDLE = "brain_tumour_mri_segmentation"
WINDOW = (240, 240, 160)


def lay_out(patient: Path, folder: Path) -> None:
    """The patient with four sequences in ``folder/four/p``, and as it is in ``folder/real/p``."""
    from fetal_monai.scan import find_patients
    from fetal_monai.transforms.tumour import CHANNELS

    source = find_patients(patient)[0][0]
    for kind in ("four", "real"):
        (folder / kind / "p").mkdir(parents=True)
    some = {sequence: volume.path for sequence, volume in source.sequences}
    for n, channel in enumerate(CHANNELS):
        if channel in some:
            shutil.copy(some[channel], folder / "real" / "p" / f"p_{channel}.nii.gz")
        file = some.get(channel, list(some.values())[n % len(some)])
        shutil.copy(file, folder / "four" / "p" / f"p_{channel}.nii.gz")
    shutil.copy(patient / "seg.nii.gz", folder / "truth.nii.gz")


def parsed(**values: Any) -> Any:
    """The bundle's inference configuration."""
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir

    logging.disable(logging.WARNING)
    root = bundle_dir(BUNDLE)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(root), "progress": False, **values})
    return parser


def run(folder: Path, kind: str = "four") -> float:
    """Seconds of a whole run over ``folder/kind``."""
    parser = parsed(dataset_dir=str(folder / kind), output_dir=str(folder / f"out_{kind}"))
    evaluator = parser.get_parsed_content("evaluator")
    start = time.perf_counter()
    evaluator.run()
    return time.perf_counter() - start


def monai_run(folder: Path, bfloat16: bool = False) -> float:
    """Seconds of MONAI's pipeline over the same files."""
    import torch
    from monai.data import DataLoader, Dataset
    from monai.engines import SupervisedEvaluator
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import (
        Activationsd,
        AsDiscreted,
        Compose,
        Invertd,
        Lambdad,
        LoadImaged,
        NormalizeIntensityd,
        SaveImaged,
    )

    from fetal_monai.inference import AutocastInferer
    from fetal_monai.transforms.tumour import CHANNELS

    class Window(SlidingWindowInferer):
        def __call__(self, inputs: Any, network: Any, *args: Any, **kwargs: Any) -> Any:
            inner = AutocastInferer(bfloat16)
            return super().__call__(inputs, lambda window: inner(window, network))

    files = [str(folder / "four" / "p" / f"p_{channel}.nii.gz") for channel in CHANNELS]
    before = Compose([LoadImaged("image"), NormalizeIntensityd("image", nonzero=True, channel_wise=True)])
    after = Compose(
        [
            Activationsd("pred", sigmoid=True),
            Invertd("pred", before, orig_keys="image", nearest_interp=False, to_tensor=True),
            AsDiscreted("pred", threshold=0.5),
            Lambdad(
                "pred",
                lambda x: torch.where(
                    x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0))
                ),
            ),
            SaveImaged(
                "pred",
                output_dir=folder / "out_monai",
                output_postfix="seg",
                output_dtype=np.uint8,
                resample=False,
                squeeze_end_dims=True,
                print_log=False,
            ),
        ]
    )
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": files}], before), batch_size=1),
        network=parsed().get_parsed_content("network"),
        inferer=Window(WINDOW, overlap=0.5),
        postprocessing=after,
    )
    start = time.perf_counter()
    evaluator.run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("patient", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import nibabel

    from fetal_monai.metrics import dice

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(arguments.patient, folder)
        run(folder)  # the first warms up
        seconds = {"run": run(folder), "monai": monai_run(folder), "monai_bfloat16": monai_run(folder, True)}
        run(folder, "real")
        truth = np.asarray(nibabel.load(folder / "truth.nii.gz").dataobj) > 0
        ours = np.asarray(nibabel.load(folder / "out_real" / "p_seg.nii.gz").dataobj) > 0
        results = {
            **{f"{key}_s": value for key, value in seconds.items()},
            "run_to_monai": seconds["run"] / seconds["monai"],
            "run_to_monai_bfloat16": seconds["run"] / seconds["monai_bfloat16"],
            "dice_whole_tumour": dice(ours, truth),
            "peak_mib": peak_mib(__file__, "run", folder),
            "monai_peak_mib": peak_mib(__file__, "monai_run", folder),
        }
    tell(results, arguments.out)


if __name__ == "__main__":
    main()
