"""The last step of a bundle's output, where it was asked for: DICOM objects beside the masks and tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai.transforms import Transform

from fetal_monai.settings import as_bool

if TYPE_CHECKING:
    from fetal_monai.dicom_out import Plane
    from fetal_monai.run import ScanRun

__all__ = ["SaveDicomd", "dicom_output"]

Item = dict[Hashable, Any]


class SaveDicomd(Transform):
    """Write ``<stem>_sr.dcm``, and where there is a mask ``<stem>_seg.dcm``, if the scan came as DICOM.

    What goes wrong here loses nothing that is already written: the record gets the flag ``dicom_failed`` and the
    reason.

    Args:
        run: the run, which knows the bundle, its weights and the output folder.
        kind: what the bundle finds, a key of ``fetal_monai.dicom_out.KINDS``.
        deidentify: refer to the source, and name the patient, by pseudonyms (PS3.15 Basic Profile).
    """

    def __init__(self, run: ScanRun, kind: str, deidentify: bool | str = False) -> None:
        from fetal_monai.dicom_out import KINDS, Origin

        self.run, self.kind = run, KINDS[kind]
        self.origin = Origin.of_run(run.info, run.journal.key)
        self.change = None
        if as_bool(deidentify, "deidentify"):
            from fetal_monai.deidentify import Deidentifier

            self.change = Deidentifier.from_environment()

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.files import atomic_path

        out = dict(data)
        record, written = out["record"], []
        if not self._came_as_dicom(out["scan"].source):
            return out
        try:
            made = self._objects(out)
            for suffix, dataset in (("_seg", made.mask), ("_sr", made.report)):
                if dataset is not None:
                    name = f"{record.stem}{suffix}.dcm"
                    with atomic_path(self.run.output_dir / name) as temporary:
                        dataset.save_as(temporary, enforce_file_format=True)
                    written.append(name)
        except Exception as error:  # whatever a header leads to
            for name in written:
                (self.run.output_dir / name).unlink(missing_ok=True)
            reason = " ".join(str(error).split()) or type(error).__name__
            record.flags.append("dicom_failed")
            record.reason = f"no DICOM objects: {reason}"
            logging.getLogger(__name__).warning("%s: %s", record.filename, record.reason)
        else:
            record.outputs += written
        return out

    def _objects(self, out: Item) -> Any:
        from fetal_monai.dicom_out import dicom_objects, structure_regions

        labels = out["labels"] if "labels" in out else out["head"].mask if "head" in out else None
        regions = structure_regions(out["structures"]) if "structures" in out else []
        made = dicom_objects(out["record"], labels, self._planes(out), self.kind, self.origin, regions)
        if self.change is not None:
            for dataset in made:
                if dataset is not None:
                    self.change.finish(dataset)
        return made

    def _planes(self, out: Item) -> list[Plane]:
        from fetal_monai.dicom_out import picture_plane, volume_planes

        source = out["scan"].source
        if self.run.axes == 2:
            return [picture_plane(source, self.change)]
        time_point = self.run.time_point  # type: ignore[attr-defined]  # of a VolumeRun
        if "patient" in out:
            source = dict(source.sequences)[out["patient"].reference]
            time_point = time_point if source.frame is None else source.frame
        return volume_planes(source, time_point, self.change)

    @staticmethod
    def _came_as_dicom(source: Any) -> bool:
        from fetal_monai.scan.source import kind_of

        paths = [Path(path) for path in source.files or (source.path,)]
        return all(path.is_file() and kind_of(path) == "dicom" for path in paths)


def dicom_output(
    run: ScanRun, kind: str, dicom: bool | str = False, deidentify: bool | str = False
) -> list[Callable[[Item], Item]]:
    """The step that writes DICOM objects, or none; ValueError, before a scan is looked at, where it can't be done."""
    if not as_bool(dicom, "dicom"):
        if as_bool(deidentify, "deidentify"):
            raise ValueError("deidentify is for the DICOM objects; give --dicom true too, or leave it out")
        return []
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise ValueError('--dicom true needs highdicom: pip install "fetal_monai[dicom]"') from error
    return [SaveDicomd(run, kind, deidentify)]
