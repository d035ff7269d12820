"""A bundle's own inference configuration, run in this process by `monai.bundle.run` and nothing else."""

from __future__ import annotations

import contextlib
import difflib
import gc
import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fetal_monai.bundles import UsageError

__all__ = ["overrides", "read_config", "run_inference", "settings_of"]


def overrides(
    bundle: Path, overlays: Sequence[str], settings: Sequence[str], asked: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """The configuration files of a run, and the values that override theirs.

    `settings` are `key=value` with YAML values, `asked` what options stand for; the former win. Raises UsageError
    for what the configuration does not know: MONAI would keep a misspelt name without a word.
    """
    files = [_config(bundle / "configs", name) for name in ("inference", *overlays)]
    known = settings_of(bundle, overlays)
    values = {name: value for name, value in asked.items() if name in known or name != "progress"}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name.strip("+"):
            raise UsageError(f"--set takes KEY=VALUE, not {text!r}")
        values[name] = _value(value)
    for name in values:
        first = name.lstrip("+").replace("::", "#").partition("#")[0]
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has: {', '.join(sorted(known))}"
            raise UsageError(f"{bundle.name} has no setting {first}{hint}")
    return [str(file) for file in files], values


def settings_of(bundle: Path, overlays: Sequence[str] = ()) -> set[str]:
    """The names at the top of the configuration files of a run."""
    folder = bundle / "configs"
    return {name for overlay in ("inference", *overlays) for name in read_config(_config(folder, overlay))}


def run_inference(
    config_files: Sequence[str], values: Mapping[str, Any], verbose: bool = False
) -> dict[str, Any]:
    """Run the configuration and return what its `run.json` says.

    Standard output is left to the caller. Unless `verbose`, only errors are logged.
    """
    out = Path(str(values["output_dir"]))
    before = _stamp(out / "run.json")
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        if not verbose:
            warnings.simplefilter("ignore")
        _monai_run(config_files, values, verbose)
    if _stamp(out / "run.json") == before:
        raise RuntimeError(f"the bundle ran, but left no run.json in {out}")
    return dict(json.loads((out / "run.json").read_text(encoding="utf-8")))


def _monai_run(config_files: Sequence[str], values: Mapping[str, Any], verbose: bool) -> None:
    run = _import_run()
    if not verbose:
        for name in (
            "ignite",
            *(name for name in logging.root.manager.loggerDict if name.startswith("monai")),
        ):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    run(config_file=list(config_files), logging_file=None if verbose else False, **values)


def _import_run() -> Callable[..., None]:
    """MONAI's `run`, imported without looking for garbage.

    Importing makes a million objects that stay. Not searching them, now and when the process ends, saves a third of the
    time that one scan takes from a cold start.
    """
    if "monai" in sys.modules or not gc.isenabled():
        from monai.bundle import run

        return run
    gc.disable()
    try:
        from monai.bundle import run
    finally:
        gc.freeze()
        gc.enable()
    return run


def _config(folder: Path, name: str) -> Path:
    file = folder / f"{name}.yaml"
    if Path(name).name != name or not file.is_file():
        names = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
        raise UsageError(f"{folder.parent.name} has no configuration {name!r}; it has: {names}")
    return file


def read_config(file: Path) -> dict[str, Any]:
    """What a configuration file holds, as it stands; ValueError that names it if it is no such file."""
    import yaml

    try:
        content = yaml.load(
            file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds no settings")
    return content


def _value(text: str) -> Any:
    """Numbers, true, false, null and lists by their YAML; all else, MONAI's expressions too, as text."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if value is None:
        return "$None"  # MONAI takes a plain None for "not given"
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(text)  # 1e-3 is text in YAML
        return text
    return value if isinstance(value, bool | int | float | list | dict) else text


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
