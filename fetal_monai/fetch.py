"""Public datasets by name: what `data/manifest.yaml` says of them, fetched, unpacked and checked to be complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fetal_monai.bundles import shipped
from fetal_monai.download import FetchError, download, read_json
from fetal_monai.unpack import is_archive, unpack

__all__ = ["Dataset", "FetchError", "RemoteFile", "check", "describe", "fetch", "load_manifest"]

MAGIC = {".gz": b"\x1f\x8b", ".png": b"\x89PNG", ".zip": b"PK"}


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch; `size` in bytes and `md5` are None where not known."""

    name: str
    url: str
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Dataset:
    """An entry of the manifest; `layout` is pairs of a pattern and how many files must match it at least."""

    name: str
    title: str
    description: str
    licence: str
    licence_url: str
    citation: str
    doi: tuple[str, ...]
    page: str
    access: str
    steps: tuple[str, ...] = ()
    api: str = ""
    nested: bool = False
    files: tuple[RemoteFile, ...] = ()
    layout: tuple[tuple[str, int], ...] = ()


def load_manifest(path: str | Path | None = None) -> dict[str, Dataset]:
    """The datasets of a manifest, of the project's own unless given, by name. Raises ValueError if it is damaged."""
    import yaml

    path = Path(path) if path is not None else shipped("_data/manifest.yaml", "data/manifest.yaml")
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["datasets"]
        return {name: _dataset(name, entry) for name, entry in entries.items()}
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: no readable manifest of datasets ({error})") from error


def fetch(
    dataset: Dataset,
    folder: str | Path,
    *,
    progress: bool = False,
    keep_archives: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Bring a dataset into a folder and return what `check` still finds wrong with it, [] if nothing.

    Goes on where it was cut off, does nothing if all is there, and takes archives that were put there by hand. `say`
    hears what is done. Raises FetchError if it cannot be had, or only through a form.
    """
    folder = Path(folder)
    if dataset.layout and not check(dataset, folder):
        say(f"{folder} is complete already")
        return []
    if dataset.access != "direct":
        raise FetchError(
            f"{dataset.name} cannot be fetched directly; its publisher asks for a form or an account"
        )
    archives = []
    for file in _with_checksums(dataset, say):
        what = "" if file.md5 else ", checksum not known"
        say(f"{file.name}{f', {file.size / 1e6:.1f} MB' if file.size else ''}{what}")
        try:
            path = download(file.url, folder / file.name, size=file.size, md5=file.md5, progress=progress)
        except FetchError as error:
            raise FetchError(
                f"{error}. Or get {file.name} from {dataset.page} by hand into {folder}"
            ) from error
        if is_archive(path):
            say(f"unpacking {file.name}")
            unpack(path, folder, nested=dataset.nested)
            archives.append(path)
    for path in () if keep_archives else archives:  # at the end: what was cut off need not be fetched twice
        path.unlink()
    return check(dataset, folder)


def check(dataset: Dataset, folder: str | Path) -> list[str]:
    """What is missing or damaged in a dataset's folder, one sentence each; [] if it is complete.

    Counts files by the layout's patterns; a file that is empty, or not of the type its name says, does not count.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [f"{folder} is not there"]
    problems = []
    for pattern, least in dataset.layout:
        good, bad = 0, ""
        for path in folder.glob(pattern):
            if path.name.startswith("."):
                continue
            if _sound(path):
                good += 1
            else:
                bad = bad or f", {path.relative_to(folder)} is damaged"
        if good < least:
            problems.append(f"{pattern}: {good} of {least} files{bad}")
    return problems


def describe(dataset: Dataset, folder: str | Path) -> str:
    """A paragraph for people: title, terms, whom to cite, how to get it, and how it must lie in `folder`."""
    lines = [dataset.title, dataset.description, f"Licence: {dataset.licence} ({dataset.licence_url})"]
    lines += [
        f"Cite: {dataset.citation}",
        *(f"  https://doi.org/{doi}" for doi in dataset.doi),
        f"Page: {dataset.page}",
    ]
    if dataset.access != "direct":
        lines.append("It stands behind a form or an account. To get it:")
        lines += [f"  {n}. {step.replace('FOLDER', str(folder))}" for n, step in enumerate(dataset.steps, 1)]
    lines.append(f"How it must lie in {folder}:")
    lines += [f"  {pattern}  (at least {least})" for pattern, least in dataset.layout]
    return "\n".join(lines)


def _dataset(name: str, entry: dict[str, Any]) -> Dataset:
    texts = ("title", "description", "licence", "licence_url", "citation", "page", "access")
    if entry["access"] not in ("direct", "form"):
        raise KeyError(f"{name}: access is direct or form, not {entry['access']!r}")
    files = tuple(RemoteFile(f["name"], f["url"], f.get("size"), f.get("md5")) for f in entry["files"])
    return Dataset(
        name,
        **{key: str(entry[key]).strip() for key in texts},
        doi=tuple(entry["doi"]),
        steps=tuple(entry.get("steps", ())),
        api=entry.get("api", ""),
        nested=bool(entry.get("nested", False)),
        files=files,
        layout=tuple((item["pattern"], item["count"] or 1) for item in entry["layout"]),
    )


def _with_checksums(dataset: Dataset, say: Callable[[str], None]) -> list[RemoteFile]:
    """The dataset's files, with the sizes and checksums that its publisher states now."""
    if not dataset.api:
        return list(dataset.files)
    try:
        stated = {file.name: file for file in map(_stated, read_json(dataset.api)["files"])}
    except (FetchError, KeyError, TypeError, ValueError, AttributeError) as error:
        if not dataset.files:
            raise FetchError(f"{error}. Or get the files from {dataset.page} by hand") from error
        say(f"{urlsplit(dataset.api).netloc} did not tell its checksums; going on without")
        return list(dataset.files)
    if not dataset.files:
        return list(stated.values())
    known = [(file, stated.get(file.name, file)) for file in dataset.files]
    return [replace(file, size=file.size or now.size, md5=file.md5 or now.md5) for file, now in known]


def _stated(entry: dict[str, Any]) -> RemoteFile:
    """A file as Zenodo's API lists it; its name must be a mere name."""
    kind, _, digest = str(entry.get("checksum", "")).partition(":")
    if Path(entry["key"]).name != entry["key"] or entry["key"].startswith("."):
        raise ValueError(f"a file named {entry['key']!r} is not taken")
    return RemoteFile(
        entry["key"], entry["links"]["self"], entry.get("size"), digest if kind == "md5" else None
    )


def _sound(path: Path) -> bool:
    """Whether a file has content and starts as its type does."""
    magic = MAGIC.get(path.suffix.lower(), b"")
    try:
        with path.open("rb") as file:
            start = file.read(max(len(magic), 1))
    except OSError:
        return False
    return bool(start) and start.startswith(magic)
