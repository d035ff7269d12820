"""Values of a configuration as a command line passes them, where YAML's `false` and `null` are words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["as_bool", "as_mapping", "as_optional", "as_paths"]


def as_bool(value: Any, name: str) -> bool:
    """True or False of a bool, of 0 or 1, or of the words for them in YAML; ValueError for anything else."""
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0", "none", "null", ""):
        return False
    raise ValueError(f"{name} is {value!r}; give true or false")


def as_optional(value: Any) -> Any:
    """The value, or None for the words that mean nothing: null, None and an empty one."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "null", "none", "~") else value


def as_paths(value: Any) -> list[Path]:
    """Paths of one, or of lists of them, which a command line may pass as text: ``[/data/a, /data/b]``."""
    if isinstance(value, str) and value.strip().startswith("["):
        return as_paths(_parsed(value))
    if isinstance(value, str | Path):
        return [Path(value)]
    return [path for part in value or () for path in as_paths(part)]


def as_mapping(value: Any, name: str) -> dict[str, Any]:
    """A mapping, which a command line may pass as text: ``{other_plane: /data/a}``; ValueError for anything else."""
    found = _parsed(value) if isinstance(value, str) else value
    if found is None or isinstance(found, Mapping):
        return {str(key): item for key, item in (found or {}).items()}
    raise ValueError(f"{name} is {value!r}; give a mapping as {{name: value}}, with a blank after the colon")


def _parsed(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"{text!r} is no list or mapping; give [one, two] or {{name: value}}") from None
