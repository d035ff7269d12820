"""One run over patients, each with several sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fetal_monai.lesion_table import write_lesions
from fetal_monai.settings import as_bool, as_optional
from fetal_monai.volume_run import VolumeRun

if TYPE_CHECKING:
    from fetal_monai.record import Record
    from fetal_monai.scan import PatientSource, ScanSource

__all__ = ["PatientRun"]


class PatientRun(VolumeRun):
    """A ``VolumeRun`` whose scans are patients (``PatientSource``), read as ``PatientScan``.

    It also leaves ``lesions.csv`` (:func:`fetal_monai.lesion_table.write_lesions`).

    Args:
        sequences: those to look at, of t1, t1c, t2 and flair; None takes all there are. A patient without any fails.
            If it is one, files whose names say nothing are taken for it.
        register: move each sequence rigidly onto the reference.
        skull_strip: take skull and scalp off, by the reference.
        reference: the sequence whose grid the results lie on; None takes that with the smallest voxels.
        settings, kwargs: as for ``VolumeRun``.

    Raises:
        ScanError: there is no patient at all, or the spacing makes no sense.
        ValueError: as for ``VolumeRun``, or ``reference`` is no sequence.
    """

    def __init__(
        self,
        *,
        sequences: Sequence[str] | None = None,
        register: bool | str = False,
        skull_strip: bool | str = False,
        reference: str | None = None,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        from fetal_monai.scan import SEQUENCES

        self.register, self.reference = as_bool(register, "register"), as_optional(reference)
        if self.reference is not None and self.reference not in SEQUENCES:
            raise ValueError(f"reference is {reference!r}; give one of {', '.join(SEQUENCES)}")
        self.skull_strip = as_bool(skull_strip, "skull_strip")
        self.sequences = _sequences(sequences)
        settings = {
            "sequences": self.sequences,
            "register": self.register,
            "skull_strip": self.skull_strip,
            "reference": self.reference,
            **(settings or {}),
        }
        super().__init__(settings=settings, **kwargs)

    def _find(self) -> tuple[list[ScanSource], list[dict[str, str]]]:
        from fetal_monai.scan import find_patients

        only = self.sequences[0] if self.sequences is not None and len(self.sequences) == 1 else None
        found, skipped = find_patients(self.input, unnamed=only, series=self.series)
        return [self._limited(patient) for patient in found], skipped

    def _limited(self, patient: PatientSource) -> PatientSource:
        """The patient with the sequences to look at; an error if it has none of them."""
        if self.sequences is None or patient.error:
            return patient
        kept = tuple(pair for pair in patient.sequences if pair[0] in self.sequences)
        if kept:
            return replace(patient, sequences=kept)
        has = ", ".join(name for name, _ in patient.sequences)
        return replace(patient, error=f"{patient.filename}: has {has}, none of {', '.join(self.sequences)}")

    def _write_tables(self, records: Sequence[Record]) -> None:
        super()._write_tables(records)
        write_lesions(self.output_dir, records)

    def _read(self, source: ScanSource) -> Any:
        from fetal_monai.scan import PatientSource, read_patient

        if not isinstance(source, PatientSource):
            raise TypeError(f"{source.filename}: a volume, not a patient")
        return read_patient(
            source,
            register=self.register,
            skull_strip=self.skull_strip,
            reference=self.reference,
            time_point=self.time_point,
            min_size=self.min_size,
            spacing_mm=self.spacing_mm,
            spacing_table=self.table,
        )

    def _filenames(self, source: ScanSource) -> list[str]:
        return [volume.filename for _, volume in getattr(source, "sequences", ())] or [source.filename]

    def _input_key(self, source: ScanSource) -> str:
        rows = [self.table.row(volume) for _, volume in getattr(source, "sequences", ())]
        return f"{super()._input_key(source)} {' '.join(map(str, rows)) if any(rows) else ''}".rstrip()


def _sequences(value: Any) -> tuple[str, ...] | None:
    from fetal_monai.scan import SEQUENCES

    if as_optional(value) is None:
        return None
    names = tuple(value.replace(",", " ").split() if isinstance(value, str) else value)
    unknown = [name for name in names if name not in SEQUENCES]
    if unknown or not names:
        raise ValueError(f"sequences are {value!r}; give some of {', '.join(SEQUENCES)}")
    return tuple(name for name in SEQUENCES if name in names)
