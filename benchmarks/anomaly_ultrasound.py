"""What the anomaly bundle's pipeline costs beside its two bare networks.

    python benchmarks/anomaly_ultrasound.py IMAGES [--most 100] [--repeats 3] [--out results.json]

``run_to_forward`` is the time of reading, finding the head, scoring and writing every file of a run, over the forward
passes alone on the same pictures: of the network that finds the head, one picture at a time as in the run, and of the
anomaly network on the same batches. Both are timed in one process, alternating, model and imports warm, and with the
same precision.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import run_to_forward, tell

BUNDLE = "fetal_brain_ultrasound_anomaly"


def both_networks(parser: Any) -> tuple[Callable[[], None], int]:
    """The passes of the network that finds heads, a picture at a time, and of the anomaly network over the batches."""
    from fetal_monai.transforms.load import LoadScand
    from fetal_monai.transforms.ultrasound import ToNetworkGridd

    finder, inferer, network, device, dataset = (
        parser.get_parsed_content(name) for name in ("finder", "inferer", "network", "device", "dataset")
    )
    load, grid = LoadScand("image"), ToNetworkGridd("image", finder.pixels, finder.divisor)
    pictures = [grid(load({"image": item["image"]}))["image"] for item in dataset.data]
    batches = [batch["image"] for batch in dataset]

    def passes() -> None:
        for picture in pictures:
            finder.inferer(picture[None].to(device), finder.network)
        for batch in batches:
            inferer(batch.to(device), network)

    return passes, len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a folder of head pictures")
    parser.add_argument("--most", type=int, default=100, help="pictures to take of it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    pictures = sorted(
        p for p in arguments.images.iterdir() if p.suffix in (".png", ".jpg") and "_Annotation" not in p.stem
    )
    with tempfile.TemporaryDirectory() as folder:
        for picture in pictures[: arguments.most]:
            shutil.copyfile(picture, Path(folder) / picture.name)
        results = run_to_forward(Path(folder), BUNDLE, both_networks, arguments.repeats)
    tell(results, arguments.out)


if __name__ == "__main__":
    main()
