"""Configurations of the bundles: which run together, what they build, and with which network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
import yaml
from bundle_runs import BUNDLES
from monai.bundle import ComponentLocator, ConfigParser

WORKFLOWS = ("inference", "train", "evaluate", "multi_gpu_train")
CONFIGS = [path for bundle in BUNDLES for path in sorted((bundle / "configs").glob("*.yaml"))]


def read(config: Path) -> dict[str, Any]:
    return yaml.safe_load(config.read_text(encoding="utf-8"))


def metadata(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))


def commands(config: Path) -> list[list[Path]]:
    """The configurations that a config's head comment says to run, those that go together in one list."""
    comment = "".join(re.findall(r"^#.*\n", config.read_text(encoding="utf-8"), re.MULTILINE))
    single = re.findall(r"--config_file ([^\s\"]+\.yaml)", comment)
    together = re.findall(r"\[('[^\]]+)\]", comment)
    return [[config.with_name(n) for n in re.findall(r"\w+\.yaml", text)] for text in (*single, *together)]


def parser_of(*configs: Path, **values: Any) -> ConfigParser:
    """The configurations laid over each other, for their own bundle."""
    parser = ConfigParser()
    parser.read_config([str(config) for config in configs])
    parser.read_meta(str(configs[0].with_name("metadata.json")))
    parser.update({"bundle_root": str(configs[0].parents[1]), **values})
    parser.parse()
    return parser


def targets(content: Any) -> Iterator[dict[str, Any]]:
    """Each part of a configuration that has a `_target_`."""
    if isinstance(content, dict) and "_target_" in content:
        yield content
    for value in (
        content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    ):
        yield from targets(value)


@cache
def _locator() -> ComponentLocator:
    return ComponentLocator()


def imported(target: str) -> Any:
    """What a `_target_` names, by its full path or as a component of MONAI; None if there is no such thing."""
    module = None if "." in target else _locator().get_component_module_name(target)
    return locate(target if module is None else f"{module}.{target}")


def variants() -> list[Any]:
    """(bundle, overlays) for the network of each bundle, and for each overlay that changes it."""
    found = []
    for bundle in BUNDLES:
        found.append(pytest.param(bundle, (), id=bundle.name))
        found += [
            pytest.param(bundle, (config.stem,), id=f"{bundle.name}-{config.stem}")
            for config in CONFIGS
            if config.parents[1] == bundle and config.stem not in WORKFLOWS and "network_def" in read(config)
        ]
    return found


def skip_without_weights(bundle: Path, overlays: tuple[str, ...]) -> None:
    """The weights of an overlay may be missing, those of the bundle itself may not."""
    if overlays:
        configs = (bundle / "configs" / f"{name}.yaml" for name in ("inference", *overlays))
        path = Path(parser_of(*configs).get_parsed_content("model_path"))
        if not path.is_file():
            pytest.skip(f"{path.name} is not there yet")
