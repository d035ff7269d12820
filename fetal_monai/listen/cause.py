"""What the log says of an error: never its message, which may quote a header."""

from __future__ import annotations

__all__ = ["cause_of"]


def cause_of(error: BaseException) -> str:
    """The system's words for what the system refused, else the error's type."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
