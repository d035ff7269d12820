"""Which studies are still on their way in: who brings them, and when the last image came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable

__all__ = ["Arrivals"]

# The wait, or seconds, after which an open association that brings nothing more of a study holds it no longer.
HELD_TIMES, HELD_S = 5, 60.0


class Arrivals:
    """When studies are complete: nothing came for `wait_s` seconds, and who brought them has gone.

    A sender that keeps its association open, but sends nothing more of a study, holds it for five times as long, and at
    least a minute.
    """

    def __init__(self, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.wait_s, self._clock, self._start = wait_s, clock, clock()
        self._last: dict[str, float] = {}
        self._bringing: dict[Hashable, set[str]] = {}
        self._lock = threading.Lock()

    def came(self, bringer: Hashable, study: str) -> None:
        """An image of a study came."""
        with self._lock:
            self._last[study] = self._clock()
            self._bringing.setdefault(bringer, set()).add(study)

    def gone(self, bringer: Hashable) -> None:
        """An association ended, however it did."""
        with self._lock:
            self._bringing.pop(bringer, None)

    def complete(self, studies: Iterable[str]) -> list[str]:
        """Those of the studies that are complete; what an earlier process left waits as if it had just come."""
        with self._lock:
            held = set().union(*self._bringing.values())
            now = self._clock()
            quiet = {study: now - self._last.get(study, self._start) for study in studies}
        held_s = max(HELD_TIMES * self.wait_s, HELD_S)
        return [
            study for study, seconds in quiet.items() if seconds >= (held_s if study in held else self.wait_s)
        ]

    def forget(self, study: str) -> None:
        """A study was handed on."""
        with self._lock:
            self._last.pop(study, None)
            for brought in self._bringing.values():
                brought.discard(study)
