"""One patient's sequences on one grid, and what is odd about them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError, naming
from fetal_monai.scan.patient_alignment import (
    Agreement,
    Grid,
    Head,
    Seen,
    agreement,
    find_head,
    has_same_affine,
    is_same_grid,
    resample,
    rigid_transform,
)
from fetal_monai.scan.patient_source import SEQUENCES, PatientSource
from fetal_monai.scan.source import ScanSource, kind_of
from fetal_monai.scan.spacing import SpacingTable
from fetal_monai.scan.volume import VolumeScan, read_volume_scan
from fetal_monai.scan.voxels import check_shape, shape_text

__all__ = ["PatientScan", "read_patient"]

REFERENCES = ("flair", "t1c", "t2", "t1")  # the first among those with voxels as small
AS_SMALL = 1.02  # times the volume of the smallest voxel
MAX_LABELS = 10  # different values, up to which whole numbers are labels
LOOK_AT = 200_000  # voxels, at first
FAR_MM = 4.0  # between centres of mass
INSIDE = 0.92  # of the smaller head, that must lie in the larger
ALIKE = 1.25  # times as large, up to which two heads show the same
COVERED = 0.9  # of the reference's head


@dataclass(frozen=True)
class PatientScan:
    """One patient: `images` are float32 (I, J, K) by sequence, in the order of SEQUENCES, on the grid of `scan`.

    `scan` is the volume of the sequence `reference` as it was read, but with the patient's source and `flags`, so that
    outputs are named after the patient. It may be a single slice: see `scan.slice_axis`.
    """

    source: PatientSource
    scan: VolumeScan
    images: Mapping[str, NDArray[np.float32]]
    reference: str
    flags: tuple[str, ...] = ()


def read_patient(
    source: PatientSource,
    *,
    register: bool = False,
    skull_strip: bool = False,
    reference: str | None = None,
    time_point: int | None = None,
    min_size: int = 2,
    spacing_mm: float | Sequence[float] | None = None,
    spacing_table: SpacingTable | None = None,
) -> PatientScan:
    """Read all sequences of a patient onto the grid of the reference.

    `reference` names a sequence; None takes that with the smallest voxels, the first of flair, t1c, t2, t1 among
    equals. What lies on another grid is resampled linearly, with 0 where it has no voxels, and with `register` moved
    rigidly onto the reference. `time_point`, `min_size`, `spacing_mm` and `spacing_table` are those of
    :func:`read_volume_scan`, but single slices pass, too, and pictures are slices
    (:func:`fetal_monai.scan.single_slice.read_picture_scan`). Slices are never moved.

    Flags are those of reading each, and
    `single_slice`: all there is of each sequence;
    `skull_present`: the reference's head is larger than 2000 mL, more than any brain;
    `skull_stripped`, `no_skull_found`, `skull_strip_failed`: what became of `skull_strip`, which sets all around the
    reference's brain to the lowest value (:func:`fetal_monai.scan.skull_strip.find_brain`), never on slices;
    `resampled`: a sequence lay on another grid;
    `registered`: a sequence was moved onto the reference, by a voxel or more;
    `sequences_misaligned`: under 92 % of the smaller head lies within the larger, or heads about as large (within
    25 %) have their centres of mass over 4 mm apart (see :func:`fetal_monai.scan.patient_alignment.agreement`);
    `sequences_differ_in_extent`: a head is over 25 % larger than the reference's, as with and without skull;
    `sequence_covers_part`: a sequence has no voxels for over 10 % of the reference's head.

    Raises ScanError, with the file's name and the reason, for whatever `read_volume_scan` raises, a label map given
    as an image, two shapes with one affine, a slice beside a volume, and a sequence that lies wholly elsewhere;
    ValueError for a reference that is no sequence.
    """
    if reference is not None and reference not in SEQUENCES:
        raise ValueError(f"reference is {reference!r}; give one of {', '.join(SEQUENCES)}")
    if source.error:
        raise ScanError(source.error)
    scans = {}
    for sequence, volume in source.sequences:
        scan = _read(volume, time_point, min_size, spacing_mm, spacing_table)
        _check_no_labels(scan)
        scans[sequence] = scan
    is_slice = _check_slices(source, scans)
    _check_shapes(scans)
    chosen = _reference(source, scans, reference)
    images = {}
    flags = dict.fromkeys(flag for scan in scans.values() for flag in scan.flags)
    flags |= {"single_slice": None} if is_slice else {}
    fixed = scans[chosen].image.astype(np.float32, copy=False)
    head = find_head(fixed, scans[chosen].affine)
    for sequence, scan in scans.items():
        if sequence == chosen:
            images[sequence] = fixed
        else:
            images[sequence], more = _onto(scans[chosen], fixed, head, scan, register and not is_slice)
            flags.update(dict.fromkeys(more))
    of_skull: tuple[str, ...] = ()
    if not is_slice:
        images, of_skull = _without_skull(images, chosen, scans[chosen].affine, skull_strip)
    kept = (*flags, *of_skull)
    shown = images[chosen] if "skull_stripped" in kept else scans[chosen].image
    return PatientScan(
        source, replace(scans[chosen], source=source, image=shown, flags=kept), images, chosen, kept
    )


def _without_skull(
    images: dict[str, NDArray[np.float32]],
    reference: str,
    affine: NDArray[np.float64],
    strip: bool,
) -> tuple[dict[str, NDArray[np.float32]], tuple[str, ...]]:
    """The images, stripped if asked for and possible, and flags."""
    from fetal_monai.scan.skull_strip import BRAIN_ML, find_brain, head_volume_ml

    if strip:
        found = find_brain(images[reference], affine)
        if found.mask is not None:
            images = {name: np.where(found.mask, image, image.min()) for name, image in images.items()}
            return images, (found.flag,)
        if found.flag == "no_skull_found":
            return images, (found.flag,)
    flags = ("skull_present",) if head_volume_ml(images[reference], affine) > BRAIN_ML[1] else ()
    return images, (*(("skull_strip_failed",) if strip else ()), *flags)


def _read(
    source: ScanSource,
    time_point: int | None,
    min_size: int,
    spacing_mm: float | Sequence[float] | None,
    table: SpacingTable | None,
) -> VolumeScan:
    """A volume of at least `min_size` voxels along each axis, or a slice."""
    if not source.error and not source.files and kind_of(source.path) == "raster":
        from fetal_monai.scan.single_slice import read_picture_scan

        return read_picture_scan(source, spacing_mm=spacing_mm, spacing_table=table)
    frame = time_point if source.frame is None else source.frame
    scan = read_volume_scan(source, time_point=frame, min_size=1, spacing_mm=spacing_mm)
    if scan.slice_axis is None:
        with naming(source.filename):
            check_shape(scan.image.shape, min_size)
    return scan


def _check_slices(source: PatientSource, scans: Mapping[str, VolumeScan]) -> bool:
    """Whether all are single slices; raises ScanError for slices beside volumes, and pictures of several sizes."""
    flat = {sequence: scan.slice_axis is not None for sequence, scan in scans.items()}
    if any(flat.values()) and not all(flat.values()):
        one, other = (
            next(name for name, is_flat in flat.items() if is_flat is kind) for kind in (True, False)
        )
        raise ScanError(
            f"{source.filename}: {one} is a single slice and {other} a volume; give volumes, or the same slice of each"
        )
    pictures = {name: scan for name, scan in scans.items() if scan.picture is not None}
    if len({scan.image.shape for scan in pictures.values()}) > 1:
        sizes = " and ".join(f"{name} {shape_text(scan.image.shape[:2])}" for name, scan in pictures.items())
        raise ScanError(
            f"{source.filename}: its pictures differ in size ({sizes}); save the same slice of each sequence, pixel on "
            "pixel"
        )
    return all(flat.values())


def _check_no_labels(scan: VolumeScan) -> None:
    """Raise ScanError for few whole numbers; a part of the voxels is looked at first."""
    voxels = scan.image.ravel()
    for part in (voxels[:: max(1, voxels.size // LOOK_AT)], voxels):
        values = np.unique(part)
        if len(values) > MAX_LABELS or not (values == np.rint(values)).all():
            return
    few = ", ".join(f"{value:g}" for value in values)
    raise ScanError(
        f"{scan.source.filename}: is a label map, not an image: its voxels are only {few}; give the MR image itself"
    )


def _check_shapes(scans: Mapping[str, VolumeScan]) -> None:
    for (one, first), (other, second) in itertools.combinations(scans.items(), 2):
        grids = _grid(first), _grid(second)
        if grids[0].shape != grids[1].shape and has_same_affine(*grids):
            raise ScanError(
                f"{first.source.filename} ({one}) is {shape_text(first.image.shape)} voxels and "
                f"{second.source.filename} ({other}) {shape_text(second.image.shape)}, but both claim the same affine; "
                "save them with the affines that they came with"
            )


def _reference(source: PatientSource, scans: Mapping[str, VolumeScan], asked: str | None) -> str:
    if asked is not None:
        if asked not in scans:
            raise ScanError(
                f"{source.filename}: has no {asked} to be the reference; it has {', '.join(scans)}"
            )
        return asked
    sizes = {sequence: abs(float(np.linalg.det(scan.affine[:3, :3]))) for sequence, scan in scans.items()}
    small = [sequence for sequence in REFERENCES if sequence in sizes]
    return next(sequence for sequence in small if sizes[sequence] <= AS_SMALL * min(sizes.values()))


def _onto(
    reference: VolumeScan, fixed: NDArray[np.float32], head: Head, scan: VolumeScan, moves: bool
) -> tuple[NDArray[np.float32], list[str]]:
    """A sequence on the reference's grid, and flags."""
    grid, own = _grid(reference), _grid(scan)
    flags, transform = [], None
    if moves:
        try:
            transform = rigid_transform(fixed, grid.affine, scan.image, own.affine)
        except RuntimeError as error:
            text = str(error).strip().rpartition("\n")[2].strip()
            raise ScanError(
                f"{scan.source.filename}: cannot be registered to {reference.source.filename} ({text}); "
                "are both of one patient?"
            ) from error
    same = is_same_grid(grid, own)
    if transform is not None:
        flags.append("registered")
    if not same:
        flags.append("resampled")
    if same and transform is None:
        image = scan.image.astype(np.float32, copy=False)
        seen = None
    else:
        image = resample(scan.image, scan.affine, grid, transform)
        if image.min() == image.max():
            raise ScanError(
                f"{scan.source.filename}: lies wholly outside {reference.source.filename}; give sequences of one "
                "examination, or register them (--register true)"
            )
        seen = Seen(own, transform)
    return image, [*flags, *_doubts(agreement(head, find_head(image, grid.affine, seen)))]


def _doubts(found: Agreement) -> list[str]:
    """Flags; comparisons with NaN are False."""
    doubts = {
        "sequences_misaligned": found.inside < INSIDE or (found.ratio <= ALIKE and found.apart_mm > FAR_MM),
        "sequences_differ_in_extent": found.ratio > ALIKE,
        "sequence_covers_part": found.covered < COVERED,
    }
    return [flag for flag, applies in doubts.items() if applies]


def _grid(scan: VolumeScan) -> Grid:
    return Grid(scan.image.shape, scan.affine)
