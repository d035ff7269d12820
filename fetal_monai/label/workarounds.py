"""What MONAI Label 0.8.5 (November 2024) needs to run beside NumPy 2, pydicom 3 and torch on a CPU: all of it, here.

Each says why, and until when. :func:`apply` is called whenever Python starts in an environment that
``python -m fetal_monai.label.workarounds`` was run in (`make label-env` does), as the server starts further processes
that import MONAI Label before anything of ours. It imports nothing but the standard library, and changes nothing until
the package in question is imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import tarfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["LEFT_OUT", "apply", "batch_request", "install", "is_installed", "no_download"]

# What MONAI Label asks for and does not get in `requirements.txt`. sam2 and numpymaxflow (which asks for NumPy 1) are
# for tools of its own apps, segment-anything and scribbles, which ours has not; ninja builds kernels for those; for
# pydicom-seg see `apply`. Until they are optional there, or run with NumPy 2 and pydicom 3.
LEFT_OUT = ("sam2", "numpymaxflow", "ninja", "pydicom-seg")
START_FILE = "fetal_monai_label.pth"  # Python runs what stands in it at start


def apply() -> None:
    """Put all of them in place; twice is as good as once."""
    # MONAI Label imports pydicom_seg when it starts, for the DICOM SEG of its own DICOMweb store. No release of
    # pydicom_seg runs with pydicom 3. Until MONAI Label writes them with highdicom, or imports it where it is used.
    # torchvision: see `_DeclareNms`.
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    # Training would ask MLflow's file store, which newer MLflow refuses. Until MONAI Label takes a database.
    os.environ.setdefault("MONAI_LABEL_TRACKING_ENABLED", "false")
    # PUT /session/?uncompress=true unpacks archives with Python's defaults, which before 3.14 let members climb out
    # of the folder (PEP 706). Until Python 3.14 is the oldest.
    if hasattr(tarfile, "data_filter"):
        tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)


def batch_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request for batch inference that also runs without a GPU.

    MONAI Label spreads scans over the GPUs unless ``multi_gpu`` is false, also where there are none, and divides by
    their number. Until it looks whether there are any.
    """
    import torch

    return {**request, **({} if torch.cuda.is_available() else {"multi_gpu": False})}


def no_download(app: Any) -> None:
    """Fetch nothing: what MONAI Label's app does in its place, over a DICOMweb store, is to fetch dcmqi from GitHub.

    It writes DICOM SEG for OHIF with it, which pydicom_seg would be needed for as well. Until it does so without.
    """


def install() -> Path:
    """Let :func:`apply` be called whenever this environment's Python starts; returns the file that does it."""
    path = Path(sysconfig.get_path("purelib")) / START_FILE
    path.write_text("import fetal_monai.label.workarounds as workarounds; workarounds.apply()\n", "utf-8")
    return path


def is_installed() -> bool:
    """Whether that was done."""
    return (Path(sysconfig.get_path("purelib")) / START_FILE).is_file()


class _Finder(importlib.abc.MetaPathFinder):
    """Stands before the other finders, for two packages."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in ("pydicom_seg", "torchvision"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if fullname == "pydicom_seg":
            return importlib.machinery.ModuleSpec(fullname, _Empty()) if spec is None else None
        if spec is not None and spec.loader is not None:
            spec.loader = _DeclareNms(spec.loader)
        return spec


class _Empty(importlib.abc.Loader):
    """An empty module; what is asked of it fails by name."""

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _DeclareNms(importlib.abc.Loader):
    """Imports torchvision, where need be once more after its operators are declared.

    Its wheel from the package index is built for torch with CUDA: beside a torch without, its operators don't load, and
    importing it fails on the first of them. Only their names are needed here, by MONAI Label's ``monaibundle`` app, and
    nothing of ours imports torchvision. Until the index's wheel loads beside every torch.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        module: types.ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        try:
            self.loader.exec_module(module)
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise
            import torch

            global _operators
            _operators = torch.library.Library("torchvision", "DEF")  # they go when it does
            _operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            self.loader.exec_module(module)


_operators: Any = None

if __name__ == "__main__":
    sys.stdout.write(f"{install()}\n")
