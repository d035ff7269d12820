"""What the head bundle's pipeline costs beside the bare network, and the command beside ``monai.bundle``.

    python benchmarks/head_ultrasound.py IMAGES [--repeats 5] [--out results.json]

Every figure is a ratio of two things timed in the same go, alternating, on the same pictures:

- ``run_to_forward``: reading, network, measuring and writing every file of a run, over the network's forward passes
  alone on the same batches, in one process, model and imports warm.
- ``command_to_bundle``: ``fetal-monai run`` on one picture over ``python -m monai.bundle run`` on the same, both as new
  processes.
- ``help_to_import``, ``list_to_import``: ``fetal-monai --help`` and ``list`` over ``python -c 'import monai'``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

BUNDLE = "fetal_head_ultrasound_segmentation"


def run_to_forward(
    images: Path, overlays: list[str], repeats: int, bundle: str = BUNDLE, amp: bool = False
) -> dict[str, float]:
    """Seconds of whole runs and of bare forward passes (in bfloat16 with `amp`), alternating; the medians' ratio."""
    import torch
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir

    logging.disable(logging.WARNING)
    root = bundle_dir(bundle)
    whole, forward, count = [], [], 0
    for repeat in range(repeats + 1):
        with tempfile.TemporaryDirectory() as out:
            parser = ConfigParser()
            parser.read_config([str(root / "configs" / f"{name}.yaml") for name in ("inference", *overlays)])
            parser.update(
                {"bundle_root": str(root), "dataset_dir": str(images), "output_dir": out, "progress": False}
            )
            network = parser.get_parsed_content("network").eval()
            evaluator = parser.get_parsed_content("evaluator")
            start = time.perf_counter()
            evaluator.run()
            seconds = time.perf_counter() - start
            batches = [batch["image"] for batch in parser.get_parsed_content("dataset")]
            device = parser.get_parsed_content("device")
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=amp):
                start = time.perf_counter()
                for batch in batches:
                    network(batch.to(device))
                if device.type == "cuda":
                    torch.cuda.synchronize()
            if repeat:  # the first warms up
                whole.append(seconds)
                forward.append(time.perf_counter() - start)
            count = sum(len(batch) for batch in batches)
    return {
        "pictures": count,
        "whole_s": statistics.median(whole),
        "forward_s": statistics.median(forward),
        "ratio": statistics.median(w / f for w, f in zip(whole, forward, strict=True)),
    }


def command(arguments: list[str]) -> float:
    """Seconds of a new process."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    start = time.perf_counter()
    subprocess.run(
        arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    return time.perf_counter() - start


def commands(image: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Ratios of commands that start cold, each pair run in turn."""
    from fetal_monai.bundles import bundle_dir

    root = bundle_dir(BUNDLE)
    config = str(root / "configs" / "inference.yaml")
    ours = str(Path(sysconfig.get_path("scripts")) / "fetal-monai")
    out = tempfile.mkdtemp()
    bundle = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        "--config_file",
        config,
        "--bundle_root",
        str(root),
    ]
    pairs = {
        "command_to_bundle": (
            [ours, "run", BUNDLE, str(image), "--out", f"{out}/a"],
            [*bundle, "--dataset_dir", str(image), "--output_dir", f"{out}/b"],
        ),
        "help_to_import": ([ours, "--help"], [sys.executable, "-c", "import monai"]),
        "list_to_import": ([ours, "list"], [sys.executable, "-c", "import monai"]),
    }
    results = {}
    for name, (first, second) in pairs.items():
        times = [(command(first), command(second)) for _ in range(repeats + 1)][1:]
        results[name] = {
            "first_s": statistics.median(a for a, _ in times),
            "second_s": statistics.median(b for _, b in times),
            "ratio": statistics.median(a / b for a, b in times),
        }
    shutil.rmtree(out)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a folder of head pictures")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--overlay", action="append", default=[], help="e.g. segnet")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = {"run_to_forward": run_to_forward(arguments.images, arguments.overlay, arguments.repeats)}
    pictures = sorted(
        p for p in arguments.images.iterdir() if p.suffix == ".png" and "_Annotation" not in p.stem
    )
    results |= commands(pictures[0], arguments.repeats)
    for name, values in results.items():
        print(name, {key: round(value, 3) for key, value in values.items()})
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
