"""Values of a configuration as a command line passes them, where YAML's `false` and `null` are words."""

from __future__ import annotations

from typing import Any

__all__ = ["as_bool", "as_optional"]


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
