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
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from timing import bare_network, run_to_forward, tell

BUNDLE = "fetal_head_ultrasound_segmentation"


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
    results = {
        "run_to_forward": run_to_forward(
            arguments.images, BUNDLE, bare_network, arguments.repeats, arguments.overlay
        )
    }
    pictures = sorted(
        p for p in arguments.images.iterdir() if p.suffix == ".png" and "_Annotation" not in p.stem
    )
    results |= commands(pictures[0], arguments.repeats)
    tell(results, arguments.out)


if __name__ == "__main__":
    main()
