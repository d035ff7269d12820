"""A bundle's whole run timed beside the bare forward passes of its network, in turn, and results told and kept."""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


def run_to_forward(
    images: Path,
    bundle: str,
    forward: Callable[[Any], tuple[Callable[[], object], int]],
    repeats: int,
    overlays: Sequence[str] = (),
) -> dict[str, float]:
    """Seconds of whole runs and of bare forward passes, alternating, by clock and of all processors, and their ratios.

    A whole run is all that the evaluator does: reading, network, measuring, writing every file, tables and report.
    Starting Python, importing and loading the weights are not in it.

    ``forward`` gets the parsed configuration, prepares what goes through the network, and returns the passes to time
    and the number of pictures.
    """
    import torch
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir

    logging.disable(logging.WARNING)
    root = bundle_dir(bundle)
    whole: list[Seconds] = []
    bare: list[Seconds] = []
    count = 0
    for repeat in range(repeats + 1):
        with tempfile.TemporaryDirectory() as out:
            parser = ConfigParser()
            parser.read_config([str(root / "configs" / f"{name}.yaml") for name in ("inference", *overlays)])
            parser.update(
                {"bundle_root": str(root), "dataset_dir": str(images), "output_dir": out, "progress": False}
            )
            parser.get_parsed_content("network").eval()
            evaluator = parser.get_parsed_content("evaluator")
            run = seconds(evaluator.run)
            passes, count = forward(parser)
            wait = torch.cuda.synchronize if parser.get_parsed_content("device").type == "cuda" else int
            with torch.inference_mode():
                forward_pass = seconds(lambda: (passes(), wait()))  # noqa: B023  called at once
            if repeat:  # the first warms up
                whole.append(run)
                bare.append(forward_pass)
    pairs = list(zip(whole, bare, strict=True))
    return {
        "pictures": count,
        "whole_s": statistics.median(run.clock for run in whole),
        "forward_s": statistics.median(run.clock for run in bare),
        "ratio": statistics.median(w.clock / f.clock for w, f in pairs),
        "whole_cpu_s": statistics.median(run.processors for run in whole),
        "forward_cpu_s": statistics.median(run.processors for run in bare),
        "cpu_ratio": statistics.median(w.processors / f.processors for w, f in pairs),
    }


class Seconds(NamedTuple):
    """What a call took by the clock, and of all processors together."""

    clock: float
    processors: float


def seconds(call: Callable[[], object]) -> Seconds:
    start, used = time.perf_counter(), time.process_time()
    call()
    return Seconds(time.perf_counter() - start, time.process_time() - used)


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
