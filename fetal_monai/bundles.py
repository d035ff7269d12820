"""Where the bundles lie: beside the package in a checkout, inside it where a wheel is installed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Bundle", "UsageError", "bundle_dir", "copy_bundle", "list_bundles", "shipped"]

WORKFLOWS = ("inference", "train", "evaluate", "calibrate", "multi_gpu_train")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "eval", "runs", ".*", "*.tmp*")


class UsageError(ValueError):
    """A request that makes no sense as it was put; exit code 2 of the command line."""


@dataclass(frozen=True)
class Bundle:
    """What is known of a bundle without loading it; `overlays` are further configs to lay over the workflows."""

    name: str
    path: Path
    version: str
    description: str
    workflows: tuple[str, ...]
    overlays: tuple[str, ...]
    weights: tuple[str, ...]


def shipped(in_wheel: str, in_checkout: str) -> Path:
    """A file or folder that a wheel carries inside the package as `in_wheel`, and a checkout beside it."""
    package = Path(__file__).resolve().parent
    inside = package / in_wheel
    return inside if inside.exists() else package.parent / in_checkout


def list_bundles(root: str | Path | None = None) -> list[Bundle]:
    """The bundles that came with the package, or those in the folder `root`, by name."""
    folder = shipped("_bundles", "bundles") if root is None else Path(root)
    if not folder.is_dir():
        return []
    found = [child for child in folder.iterdir() if (child / "configs" / "metadata.json").is_file()]
    return [_read(child) for child in sorted(found)]


def bundle_dir(name: str) -> Path:
    """The folder of a bundle, by its name or by the path of a bundle folder of one's own.

    Raises UsageError if there is no such bundle, or if its folder has no inference configuration.
    """
    folder = Path(name)
    if folder.name == name:  # a bare name, no path
        folder = shipped("_bundles", "bundles") / name
        if not folder.is_dir() and Path(name).is_dir():
            folder = Path(name)
    if not folder.is_dir():
        names = ", ".join(bundle.name for bundle in list_bundles()) or "none is installed"
        raise UsageError(
            f"there is no bundle {name!r}; the bundles are: {names}. A path to a bundle folder does too"
        )
    if not (folder / "configs").is_dir():
        raise UsageError(f"{folder} is no bundle: it has no folder configs")
    return folder


def copy_bundle(name: str, target: str | Path) -> Path:
    """Copy a bundle to change it: into `target` if that is a folder, else as `target`; returns the new folder.

    What training and evaluation left (`runs`, `eval`) is not copied. Raises UsageError if the new folder exists.
    """
    source = bundle_dir(name).resolve()
    target = Path(target)
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise UsageError(f"{target} is there already; name another folder, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=target.parent) as temporary:
        os.replace(shutil.copytree(source, Path(temporary, source.name), ignore=NOT_COPIED), target)
    return target


def _read(folder: Path) -> Bundle:
    configs = {file.stem for file in (folder / "configs").glob("*.yaml")}
    try:
        metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metadata = {}
    return Bundle(
        name=folder.name,
        path=folder,
        version=str(metadata.get("version", "")),
        description=str(
            metadata.get("description") or metadata.get("task") or "configs/metadata.json is damaged"
        ),
        workflows=tuple(name for name in WORKFLOWS if name in configs),
        overlays=tuple(sorted(configs.difference(WORKFLOWS))),
        weights=tuple(sorted(file.name for file in (folder / "models").glob("*.pt"))),
    )
