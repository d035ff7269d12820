"""What the enhancement of ultrasound pictures does to the detection of structures, step by step.

    python benchmarks/enhancement_detection.py DATA [--variants none,marks,gain,srad,nlm,contrast,all] [--out FILE]

AP50 of the detection bundle's own evaluation on its test patients, pictures going through each step first; DATA as for
that bundle's ``evaluate.yaml``. Changes are against the first variant, 95 % intervals from a bootstrap over patients.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from enhancement import VARIANTS

BUNDLE = "fetal_brain_ultrasound_detection"
LABELS = ("head", "cavum_septi_pellucidi", "lateral_ventricle")
DRAWS = 200


def detection(folder: Path, variants: list[str]) -> dict[str, dict[str, Any]]:
    """AP50 by label after each variant's steps, and its change against the first variant's with a 95 % interval."""
    found = {name: _boxes_by_patient(folder, name) for name in variants}
    reference = found[variants[0]]
    return {name: _precisions(boxes, reference) for name, boxes in found.items()}


def _boxes_by_patient(folder: Path, variant: str) -> dict[str, list[dict[str, Any]]]:
    """What the bundle's evaluation found in each patient's pictures after a variant's steps."""
    from monai.bundle import ConfigParser

    from fetal_monai.bundles import bundle_dir
    from fetal_monai.enhance import enhance

    root = bundle_dir(BUNDLE)
    with tempfile.TemporaryDirectory() as out:
        parser = ConfigParser()
        parser.read_config([str(root / "configs" / f"{name}.yaml") for name in ("inference", "evaluate")])
        parser.update(
            {"bundle_root": str(root), "dataset_dir": str(folder), "output_dir": out, "progress": False}
        )
        parser.get_parsed_content("network").eval()
        run = parser.get_parsed_content("scan_run")
        read = run.read

        def read_enhanced(source: Any) -> Any:
            scan = read(source)
            return (
                scan
                if variant == "none"
                else replace(scan, image=enhance(scan.image, **VARIANTS[variant]).image)
            )

        run.read = read_enhanced  # before the scans are listed, each with how it is read
        parser.get_parsed_content("evaluator").run()
        rows = parser.get_parsed_content("evaluation").rows
    patients: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        patients.setdefault(row["patient"], []).append(row["boxes"])
    return patients


def _precisions(
    patients: dict[str, list[dict[str, Any]]], reference: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    from fetal_monai.metrics_detection import average_precision

    def precision(boxes: dict[str, list[dict[str, Any]]], names: Any, label: str) -> float:
        pictures = [one[label] for name in names for one in boxes[name] if label in one]
        return float(average_precision(pictures, 0.5)) if pictures else np.nan

    names = sorted(patients)
    result: dict[str, Any] = {"patients": len(names), "images": sum(map(len, patients.values()))}
    draws = np.random.default_rng(0).choice(names, (DRAWS if patients is not reference else 1, len(names)))
    for label in LABELS:
        change = [precision(patients, d, label) - precision(reference, d, label) for d in draws]
        result[label] = {
            "ap50": round(precision(patients, names, label), 3),
            "change": round(precision(patients, names, label) - precision(reference, names, label), 3),
            "change_95": [round(float(v), 3) for v in np.nanpercentile(change, (2.5, 97.5))],
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(detection(arguments.data, arguments.variants.split(",")), indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
