"""Scans into a chain of transforms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["LoadScand"]


class LoadScand(MapTransform):
    """Replace the ``ScanSource`` or path under each key by its scan.

    ``read`` is :func:`fetal_monai.scan.read_scan` (pictures) unless given; :func:`fetal_monai.scan.read_volume_scan`
    reads volumes. Raises ``ScanError`` for what can't be read.
    """

    def __init__(self, keys: KeysCollection = "image", read: Callable[[Any], Any] | None = None) -> None:
        super().__init__(keys)
        self.read = read

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        from fetal_monai.scan import read_scan, source_of

        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = (self.read or read_scan)(source_of(out[key]))
        return out
