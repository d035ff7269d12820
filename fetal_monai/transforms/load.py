"""Scans into a chain of transforms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["LoadScand"]


class LoadScand(MapTransform):
    """Replace the ``ScanSource`` or path under each key by its scan.

    It is read with the item's own ``read``, which goes, where it has one (those of a ``ScanRun`` do), else with the
    ``read`` given, else with :func:`fetal_monai.scan.read_scan` (pictures); :func:`fetal_monai.scan.read_volume_scan`
    reads volumes. Raises ``ScanError`` for what can't be read.
    """

    def __init__(self, keys: KeysCollection = "image", read: Callable[[Any], Any] | None = None) -> None:
        super().__init__(keys)
        self.read = read

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        from fetal_monai.scan import read_scan, source_of

        out = dict(data)
        read = out.pop("read", None) or self.read or read_scan
        for key in self.key_iterator(out):
            out[key] = read(source_of(out[key]))
        return out
