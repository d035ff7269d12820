"""What is said of a scan that cannot be read: its name, the reason, and what would help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ScanError", "is_of_the_system", "naming", "parsing"]


class ScanError(ValueError):
    """A scan that cannot be read or makes no sense; the message names the file and says what would help."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Whatever keeps a scan from being read becomes a ScanError that begins with its name."""
    try:
        yield
    except ScanError as error:
        raise ScanError(f"{name}: {error}") from error
    except OSError as error:
        raise ScanError(f"{name}: cannot be opened ({error.strerror})") from error
    except MemoryError as error:
        raise ScanError(f"{name}: does not fit into memory") from error


@contextmanager
def parsing() -> Iterator[None]:
    """Whatever the parser of a format raises becomes a ScanError: the damage of a file leads to anything."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ScanError) or is_of_the_system(error):
            raise
        raise ScanError(
            f"is damaged ({type(error).__name__}: {error}); copy it again from its source"
        ) from error


def is_of_the_system(error: Exception) -> bool:
    """Whether the file could not be opened or read at all; parsers raise OSError for damaged content too."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
