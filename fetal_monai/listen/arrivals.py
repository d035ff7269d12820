"""Which studies are still on their way in: who brings them, and when the last image came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable

__all__ = ["Arrivals"]

LONGER = 10  # times the wait, where more is likely to come


class Arrivals:
    """When studies are complete: nothing came for `wait_s` seconds, and who brought them has said goodbye.

    They wait ten times as long where more is likely to come: while an association that brought some of a study is open,
    after one broke off, and what an earlier process left.
    """

    def __init__(self, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.wait_s, self._clock, self._start = wait_s, clock, clock()
        self._last: dict[str, float] = {}
        self._bringing: dict[Hashable, set[str]] = {}
        self._broken_off: dict[Hashable, set[str]] = {}
        self._lock = threading.Lock()

    def came(self, bringer: Hashable, study: str) -> None:
        """An image of a study came."""
        with self._lock:
            self._last[study] = self._clock()
            self._broken_off.pop(bringer, None)
            self._bringing.setdefault(bringer, set()).add(study)

    def gone(self, bringer: Hashable, released: bool) -> None:
        """An association ended: it was released, or it broke off. That may be told in either order."""
        with self._lock:
            brought = self._bringing.pop(bringer, None) or self._broken_off.pop(bringer, set())
            if not released:
                if brought:
                    self._broken_off[bringer] = brought
                return
            for studies in self._broken_off.values():  # somebody has brought the rest
                studies -= brought
            self._broken_off = {one: studies for one, studies in self._broken_off.items() if studies}

    def complete(self, studies: Iterable[str]) -> list[str]:
        """Those of the studies that are complete."""
        with self._lock:
            more = set().union(*self._bringing.values(), *self._broken_off.values())
            now, last = self._clock(), dict(self._last)
        found = []
        for study in studies:
            is_likely = study in more or study not in last
            if now - last.get(study, self._start) >= self.wait_s * (LONGER if is_likely else 1):
                found.append(study)
        return found

    def forget(self, study: str) -> None:
        """A study was handed on."""
        with self._lock:
            self._last.pop(study, None)
            for studies in (*self._bringing.values(), *self._broken_off.values()):
                studies.discard(study)
