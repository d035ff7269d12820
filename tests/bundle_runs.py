"""The bundles of the repository, their inference run in this process, and what it leaves behind."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = sorted(path for path in (ROOT / "bundles").iterdir() if path.is_dir() and path.name[0] not in "._")
HEAD = ROOT / "bundles" / "fetal_head_ultrasound_segmentation"
MRI = ROOT / "bundles" / "fetal_brain_mri_segmentation"
STACK = ROOT / "bundles" / "fetal_brain_stack_segmentation"
DETECTION = ROOT / "bundles" / "fetal_brain_ultrasound_detection"
CLASSIFICATION = ROOT / "bundles" / "fetal_brain_ultrasound_classification"
ANOMALY = ROOT / "bundles" / "fetal_brain_ultrasound_anomaly"
TUMOUR = ROOT / "bundles" / "brain_tumour_mri_segmentation"
SAMPLES = ROOT / "data" / "samples" / "hc18"
TABLES = {"measurements.csv", "measurements.json", "run.json", "report.html"}
MONAI_WARNS_OF_CONFIGS = "ignore:parsing config_file:UserWarning"


@dataclass
class Run:
    """What an output folder holds."""

    out: Path

    @property
    def info(self) -> dict[str, Any]:
        return json.loads((self.out / "run.json").read_text(encoding="utf-8"))

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        return {entry["filename"]: entry for entry in self.info["inputs"]}

    @property
    def reasons(self) -> dict[str, str]:
        return {name: entry["reason"] for name, entry in self.entries.items() if entry["status"] == "failed"}

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Unrounded measures by filename."""
        rows = json.loads((self.out / "measurements.json").read_text(encoding="utf-8"))
        return {row["filename"]: row for row in rows}

    @property
    def table(self) -> list[dict[str, str]]:
        with open(self.out / "measurements.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def files(self) -> set[str]:
        """All that lies there but finished records."""
        names = (path.relative_to(self.out) for path in self.out.rglob("*") if path.is_file())
        return {
            name.as_posix() for name in names if name.parts[0] != ".fetal_monai" or name.suffix != ".json"
        }

    def promised(self) -> set[str]:
        """The tables, and the outputs of each scan that is ok."""
        tables = TABLES | ({"lesions.csv"} if self.info["bundle"] == TUMOUR.name else set())
        return tables | {output for entry in self.info["inputs"] for output in entry["outputs"]}


def run_bundle(bundle: Path, scans: Path, output_dir: Path, *overlays: str, **values: Any) -> Run:
    """Run a bundle's inference as `python -m monai.bundle run` does; None stands for null."""
    from monai.bundle import run

    values = {
        "bundle_root": str(bundle),
        "dataset_dir": str(scans),
        "output_dir": str(output_dir),
    } | values
    configs = [str(bundle / "configs" / f"{name}.yaml") for name in ("inference", *overlays)]
    path = list(sys.path)  # MONAI puts the bundle's folder into it
    try:
        run(
            config_file=configs,
            logging_file=False,
            progress=False,
            **{name: "$None" if value is None else value for name, value in values.items()},
        )
    finally:
        sys.path[:] = path
    return Run(output_dir)


def copy_samples(folder: Path, *names: str) -> Path:
    """Copy images of HC18 with their CSV into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*names, "pixel_size_and_HC.csv"):
        shutil.copyfile(SAMPLES / name, folder / name)
    return folder


def root_cause(error: BaseException) -> BaseException:
    """What MONAI wrapped."""
    while error.__cause__ is not None and isinstance(error, RuntimeError):
        error = error.__cause__
    return error
