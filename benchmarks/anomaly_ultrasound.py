"""What the anomaly bundle's pipeline costs beside its two bare networks.

    python benchmarks/anomaly_ultrasound.py IMAGES [--most 100] [--repeats 3] [--out results.json]

``run_to_forward`` is the time of reading, finding the head, scoring and writing every file of a run, over the forward
passes alone on the same pictures: of the network that finds the head, one picture at a time as in the run, and of the
anomaly network on the same batches. Both are timed in one process, alternating, model and imports warm, and with the
same precision.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import statistics
import tempfile
import time
from pathlib import Path

BUNDLE = "fetal_brain_ultrasound_anomaly"


def run_to_forward(images: Path, repeats: int) -> dict[str, float]:
    """Seconds of whole runs, and of bare forward passes of both networks; the median of their ratios."""
    import torch
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir
    from fetal_monai.transforms.load import LoadScand
    from fetal_monai.transforms.ultrasound import ToNetworkGridd

    logging.disable(logging.WARNING)
    root = bundle_dir(BUNDLE)
    whole, forward, count = [], [], 0
    for repeat in range(repeats + 1):
        with tempfile.TemporaryDirectory() as out:
            parser = ConfigParser()
            parser.read_config(str(root / "configs" / "inference.yaml"))
            parser.update(
                {"bundle_root": str(root), "dataset_dir": str(images), "output_dir": out, "progress": False}
            )
            network = parser.get_parsed_content("network").eval()
            evaluator = parser.get_parsed_content("evaluator")
            start = time.perf_counter()
            evaluator.run()
            seconds = time.perf_counter() - start
            finder, inferer, device, dataset = (
                parser.get_parsed_content(name) for name in ("finder", "inferer", "device", "dataset")
            )
            load, grid = LoadScand("image"), ToNetworkGridd("image", finder.pixels, finder.divisor)
            pictures = [grid(load({"image": item["image"]}))["image"] for item in dataset.data]
            batches = [batch["image"] for batch in dataset]
            with torch.inference_mode():
                start = time.perf_counter()
                for picture in pictures:
                    finder.inferer(picture[None].to(device), finder.network)
                for batch in batches:
                    inferer(batch.to(device), network)
                if device.type == "cuda":
                    torch.cuda.synchronize()
            if repeat:  # the first warms up
                whole.append(seconds)
                forward.append(time.perf_counter() - start)
            count = len(pictures)
    return {
        "pictures": count,
        "whole_s": statistics.median(whole),
        "forward_s": statistics.median(forward),
        "ratio": statistics.median(w / f for w, f in zip(whole, forward, strict=True)),
    }


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
        results = run_to_forward(Path(folder), arguments.repeats)
    print({key: round(value, 3) for key, value in results.items()})
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
