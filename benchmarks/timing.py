"""A bundle's whole run timed beside the bare forward passes of its network, in turn, and results told and kept."""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def run_to_forward(
    images: Path,
    bundle: str,
    forward: Callable[[Any], tuple[Callable[[], object], int]],
    repeats: int,
    overlays: Sequence[str] = (),
) -> dict[str, float]:
    """Seconds of whole runs and of bare forward passes, alternating; the median of their ratios.

    ``forward`` gets the parsed configuration, prepares what goes through the network, and returns the passes to time
    and the number of pictures.
    """
    import torch
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir

    logging.disable(logging.WARNING)
    root = bundle_dir(bundle)
    whole, bare, count = [], [], 0
    for repeat in range(repeats + 1):
        with tempfile.TemporaryDirectory() as out:
            parser = ConfigParser()
            parser.read_config([str(root / "configs" / f"{name}.yaml") for name in ("inference", *overlays)])
            parser.update(
                {"bundle_root": str(root), "dataset_dir": str(images), "output_dir": out, "progress": False}
            )
            parser.get_parsed_content("network").eval()
            evaluator = parser.get_parsed_content("evaluator")
            start = time.perf_counter()
            evaluator.run()
            seconds = time.perf_counter() - start
            passes, count = forward(parser)
            with torch.inference_mode():
                start = time.perf_counter()
                passes()
                if parser.get_parsed_content("device").type == "cuda":
                    torch.cuda.synchronize()
            if repeat:  # the first warms up
                whole.append(seconds)
                bare.append(time.perf_counter() - start)
    return {
        "pictures": count,
        "whole_s": statistics.median(whole),
        "forward_s": statistics.median(bare),
        "ratio": statistics.median(w / f for w, f in zip(whole, bare, strict=True)),
    }


def bare_network(parser: Any, amp: bool = False) -> tuple[Callable[[], None], int]:
    """The network's passes over the run's own batches, in bfloat16 with ``amp``; for :func:`run_to_forward`."""
    import torch

    network, device = parser.get_parsed_content("network"), parser.get_parsed_content("device")
    batches = [batch["image"] for batch in parser.get_parsed_content("dataset")]

    def passes() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            for batch in batches:
                network(batch.to(device))

    return passes, sum(len(batch) for batch in batches)


def tell(results: Mapping[str, Any], out: Path | None) -> None:
    """Print results, a line each, and write them as JSON where a file is named."""
    for key, value in results.items():
        if isinstance(value, Mapping):
            print(key, {name: round(number, 3) for name, number in value.items()})
        else:
            print(f"{key:22} {value:.4g}")
    if out:
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
