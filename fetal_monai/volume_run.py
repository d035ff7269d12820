"""One run over a folder of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fetal_monai.run import ScanRun
from fetal_monai.settings import as_optional

if TYPE_CHECKING:
    from fetal_monai.scan import ScanSource

__all__ = ["VolumeRun"]


class VolumeRun(ScanRun):
    """A ``ScanRun`` whose scans are volumes: NIfTI, MHA, NRRD and DICOM series, read as ``VolumeScan``.

    Args:
        time_point: which volume to take of files and series that hold several, counted from 0; None refuses them.
        min_size: the fewest voxels that a volume may have along any axis.
        spacing_mm: size of a voxel for all volumes: a number, or three (i, j, k); None to take it from the files.
        settings, kwargs: as for ``ScanRun``.

    Raises:
        ScanError: there is no volume at all, the spacing makes no sense, or it must be asked which series is meant.
        ValueError: as for ``ScanRun``.
    """

    axes = 3

    def __init__(
        self,
        *,
        time_point: int | str | None = None,
        min_size: int = 2,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.time_point, self.min_size = _time_point(time_point), min_size
        settings = {"time_point": self.time_point, "min_size": min_size, **(settings or {})}
        super().__init__(settings=settings, **kwargs)

    def _find(self) -> tuple[list[ScanSource], list[dict[str, str]]]:
        from fetal_monai.scan import find_volumes
        from fetal_monai.scan.series_choice import choose_volumes

        return choose_volumes(find_volumes(self.input), self.series)

    def _read(self, source: ScanSource) -> Any:
        from fetal_monai.scan import read_volume_scan

        return read_volume_scan(
            source,
            time_point=self.time_point,
            min_size=self.min_size,
            spacing_mm=self.spacing_mm,
            spacing_table=self.table,
        )


def _time_point(value: Any) -> int | None:
    if as_optional(value) is None:
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"time_point is {value!r}; give a whole number, 0 for the first")
    return number
