"""In place of MONAI, which takes seconds to start: what a listener's worker runs where no bundle is tested."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ComprehensiveSRStorage


def run(dataset_dir: str, output_dir: str, **_: object) -> None:
    """Write a report for the study with the number of its images; some words in an image make it fail."""
    from dicom_sources import _dataset, _save

    out = Path(output_dir)
    out.mkdir()
    images = [pydicom.dcmread(path) for path in sorted(Path(dataset_dir).rglob("*.dcm"))]
    words = {str(image.get("SeriesDescription") or "") for image in images}
    if "broken" in words:
        raise ValueError("Geheimnis: can't be measured")
    if "fatal" in words:
        os._exit(9)
    time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
    report = _dataset(ComprehensiveSRStorage, "SR", np.zeros((1, 1), np.uint8))
    for keyword in ("PixelData", "Rows", "Columns"):
        del report[keyword]
    report.StudyInstanceUID = images[0].StudyInstanceUID
    report.SeriesInstanceUID = f"{images[0].StudyInstanceUID}.9"
    report.SOPInstanceUID = f"{images[0].StudyInstanceUID}.9.{len(images)}"
    report.InstanceNumber = len({image.SOPInstanceUID for image in images})
    _save(out / "study_sr.dcm", report, {})
    entry = {"filename": "study", "status": "ok", "reason": "", "outputs": ["study_sr.dcm"]}
    info = {"inputs": [entry], "counts": {"ok": 1, "failed": 0, "skipped": 0}}
    (out / "run.json").write_text(json.dumps(info), encoding="utf-8")
