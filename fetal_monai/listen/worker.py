"""The process that measures studies, one after the other: what ends it does not end the listener.

It reads jobs from its standard input and answers on its standard output, a line of JSON each. It ends when its parent
does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["main", "measure"]

PARENT_S = 0.5  # how often the parent is looked for


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a bundle over a study as `fetal-monai run --dicom` does, and add the pictures.

    Returns `ok`, how many scans were measured, `objects`, how many were made, and `reasons` of those that were not.
    """
    from fetal_monai.commands import explain
    from fetal_monai.workflow import run_inference

    out = Path(job["out"])
    info = run_inference(job["configs"], job["values"])
    objects = [name for entry in info["inputs"] for name in entry["outputs"] if name.endswith(".dcm")]
    reasons = [entry["reason"] for entry in info["inputs"] if entry.get("reason")]
    captures = 0
    for entry in info["inputs"] if job["captures"] else ():
        try:
            captures += add_captures(out, entry["outputs"])
        except Exception as error:  # report and mask are worth sending without a picture
            reasons.append(f"no picture of {entry['filename']}: {explain(error)}")
    return {"ok": info["counts"]["ok"], "objects": len(objects) + captures, "reasons": reasons}


def add_captures(out: Path, outputs: Sequence[str]) -> int:
    """Write `<stem>_overlay.dcm`, a Secondary Capture, for each overlay of a scan that has a report; how many."""
    import numpy as np
    from PIL import Image
    from pydicom import dcmread

    from fetal_monai.dicom_out.capture import make_capture
    from fetal_monai.files import atomic_path

    overlays = [name for name in outputs if name.endswith("_overlay.png")]
    reports = [name for name in outputs if name.endswith("_sr.dcm")]
    if not reports:
        return 0
    report = dcmread(out / reports[0])
    for name in overlays:
        with Image.open(out / name) as picture:
            capture = make_capture(np.asarray(picture.convert("RGB")), report)
        with atomic_path(out / f"{name.removesuffix('.png')}.dcm") as temporary:
            capture.save_as(temporary, enforce_file_format=True)
    return len(overlays)


def main() -> None:
    """Work until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to where the log goes
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    import fetal_monai.workflow  # noqa: F401  while there is nothing to do yet

    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            answer = measure(json.loads(line))
        except MemoryError:
            raise  # a new process has more
        except Exception as error:  # whatever a study leads to; the listener puts it aside
            from fetal_monai.commands import explain

            answer = {"error": explain(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os._exit(1)


if __name__ == "__main__":
    main()
