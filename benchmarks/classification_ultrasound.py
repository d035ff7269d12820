"""What the classification bundle's pipeline costs beside the bare network.

    python benchmarks/classification_ultrasound.py IMAGES [--repeats 5] [--out results.json]

``run_to_forward`` and ``run_to_forward_bfloat16`` are reading, network, Grad-CAM and writing every file of a run over
the network's forward passes alone on the same batches, timed alternating in one process, model and imports warm; the
forward passes in float32, and in bfloat16 as the run itself computes where the processor can. The network is small, so
the ratio is large: look at the milliseconds of a picture too.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from timing import bare_network, run_to_forward, tell

BUNDLE = "fetal_brain_ultrasound_classification"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a folder of ultrasound pictures")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = {
        name: run_to_forward(arguments.images, BUNDLE, partial(bare_network, amp=amp), arguments.repeats)
        for name, amp in (("run_to_forward", False), ("run_to_forward_bfloat16", True))
    }
    tell(results, arguments.out)


if __name__ == "__main__":
    main()
