"""MR DICOM: the slices of a series, or the frames of an enhanced file, on the grid that dcm2niix gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.voxels import Volume, check_shape, check_time_point, shape_text

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["find_slices", "read_series"]

MODALITIES = ("MR", "OT", "")  # and files that do not say
SAME_POSITION_MM = 0.02  # along the normal; scanners write three decimals
SAME_DIRECTION = 1e-3
EVEN = 0.05  # of the distance between slices, by which one may be off its place
GAP = 1.5  # times the usual distance, from which a slice is missing
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class _Slice:
    """`position` of its first pixel in LPS and mm; `order` is that of time."""

    path: Path
    header: Any
    frame: int
    order: tuple[float, float, int]
    position: NDArray[np.float64]
    axes: NDArray[np.float64]  # (2, 3): unit vectors along a row, and down a column
    spacing_mm: tuple[float, float]  # between rows, and between columns
    rescale: tuple[float, float]
    thickness_mm: float = 0.0  # 0 where it is not told

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return int(self.header.Columns), int(self.header.Rows)

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.axes[0], self.axes[1])


def read_series(files: Sequence[Path], time_point: int | None = None, min_size: int = 2) -> Volume:
    """Read the slices of a series, or one enhanced file, into (I, J, K): columns, rows from below, along the normal.

    Where positions come again, `time_point` says which of them, by temporal position, else instance number.
    Integers stay as stored unless the header rescales them. Raises ScanError if slices are missing, doubled, of
    several orientations or sizes, or no MR, and if they cannot be decoded.
    """
    slices = find_slices(files, time_point)
    shape = (*slices[0].size, len(slices))
    if shape[2] == 1 and min_size > 1:
        raise ScanError(
            f"is one slice of {shape_text(shape[:2])}, not a volume; give the folder with all slices of its series"
        )
    check_shape(shape, min_size)
    step = _step(slices)
    affine = np.eye(4)
    (along_row, down_column), (row_mm, column_mm) = slices[0].axes, slices[0].spacing_mm
    first = slices[0].position + down_column * row_mm * (shape[1] - 1)
    for column, vector in enumerate((along_row * column_mm, -down_column * row_mm, step, first)):
        affine[:3, column] = vector * LPS_TO_RAS
    sizes = float(column_mm), float(row_mm), float(np.linalg.norm(step))
    return Volume(_voxels(slices), affine, sizes, "dicom")


def find_slices(files: Sequence[Path], time_point: int | None = None) -> list[_Slice]:
    """The slices that `read_series` makes its third axis of, in order; ScanError as there, up to missing slices."""
    slices = [one for path in files for one in _slices(path)]
    _check_alike(slices)
    return _of_one_time(_levels(slices), time_point)


def _slices(path: Path) -> Iterator[_Slice]:
    from fetal_monai.scan.dicom import read_header

    header = read_header(path)
    modality = str(header.get("Modality") or "")
    if modality not in MODALITIES:
        raise ScanError(f"is a DICOM of modality {modality}; magnetic resonance (MR) is needed")
    if "MOSAIC" in (header.get("ImageType") or ()):
        raise ScanError("is a mosaic, all slices in one picture; convert it with dcm2niix")
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise ScanError("is a colour DICOM; a gray one is needed: give the scan itself, not a rendering")
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        raise ScanError("is stored with black for high values (MONOCHROME1); convert it with dcm2niix")
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if frames is None:
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise ScanError("has several frames without positions; convert it with dcm2niix")
        time = float(header.get("TemporalPositionIdentifier") or 0)
        yield _slice(path, header, 0, [header], (time, float(header.get("InstanceNumber") or 0), 0))
        return
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    for index, groups in enumerate(frames):
        content: Any = next(iter(groups.get("FrameContentSequence") or []), {})
        time = float(content.get("TemporalPositionIndex") or 0)
        yield _slice(path, header, index, [groups, *shared], (time, 0.0, index))


def _slice(
    path: Path, header: Dataset, frame: int, groups: Sequence[Dataset], order: tuple[float, float, int]
) -> _Slice:
    def find(sequence: str, keyword: str) -> Any:
        for group in groups:
            for item in (*(group.get(sequence) or ()), group):
                if item.get(keyword) not in (None, ""):
                    return item.get(keyword)
        return None

    try:
        position = np.array(find("PlanePositionSequence", "ImagePositionPatient"), float).reshape(3)
        axes = np.array(find("PlaneOrientationSequence", "ImageOrientationPatient"), float).reshape(2, 3)
        row_mm, column_mm = (float(size) for size in find("PixelMeasuresSequence", "PixelSpacing"))
    except (TypeError, ValueError):
        raise ScanError(
            f"{path.name} says not where its slice lies (ImagePositionPatient, ImageOrientationPatient, "
            "PixelSpacing); export the series again, or convert it with dcm2niix"
        ) from None
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not (
        np.isfinite(position).all() and np.allclose(lengths, 1, atol=0.01) and abs(axes[0] @ axes[1]) < 0.01
    ):
        raise ScanError(f"{path.name} has an orientation that is none; export the series again")
    slope = find("PixelValueTransformationSequence", "RescaleSlope")
    intercept = find("PixelValueTransformationSequence", "RescaleIntercept")
    rescale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    thickness = find("PixelMeasuresSequence", "SliceThickness")
    thickness_mm = 0.0 if thickness is None else float(thickness)
    return _Slice(
        path, header, frame, order, position, axes / lengths, (row_mm, column_mm), rescale, thickness_mm
    )


def _check_alike(slices: Sequence[_Slice]) -> None:
    """Raise ScanError for a file that is there twice, and for several orientations or sizes."""
    known: dict[tuple[str, int], Path] = {}
    for one in slices:
        identity = str(one.header.get("SOPInstanceUID") or one.path), one.frame
        if (other := known.setdefault(identity, one.path)) != one.path:
            raise ScanError(f"holds one image twice ({other.name} and {one.path.name}); remove the copies")
    for what, parts in (
        ("orientations", [one.axes.ravel() for one in slices]),
        ("pixel sizes", [np.array(one.spacing_mm) for one in slices]),
        ("matrix sizes", [np.array(one.size) for one in slices]),
    ):
        counts = _counts(parts)
        if len(counts) > 1:
            of = " and ".join(map(str, counts))
            raise ScanError(
                f"mixes slices of {len(counts)} {what} ({of} slices), as a localizer does; "
                "give a folder with the slices of one stack"
            )


def _counts(parts: Sequence[NDArray[Any]]) -> list[int]:
    """How many there are of each kind."""
    kinds: list[NDArray[Any]] = []
    counts: list[int] = []
    for part in parts:
        for index, kind in enumerate(kinds):
            if np.abs(part - kind).max() <= SAME_DIRECTION:
                counts[index] += 1
                break
        else:
            kinds.append(part)
            counts.append(1)
    return counts


def _levels(slices: Sequence[_Slice]) -> list[list[_Slice]]:
    """The slices by their place along the normal, ascending, and at one place in order of time."""
    normal = slices[0].normal
    places = np.array([one.position @ normal for one in slices])
    order = np.argsort(places, kind="stable")
    levels: list[list[_Slice]] = [[]]
    for before, index in zip([order[0], *order], order, strict=False):
        if places[index] - places[before] > SAME_POSITION_MM:
            levels.append([])
        levels[-1].append(slices[index])
    return [sorted(level, key=lambda one: one.order) for level in levels]


def _of_one_time(levels: Sequence[Sequence[_Slice]], time_point: int | None) -> list[_Slice]:
    counts = [len(level) for level in levels]
    count = max(counts)
    if min(counts) == count:
        if count > 1 and time_point is None:
            raise ScanError(
                f"holds {count} images at each of its {len(levels)} positions (time points, or echoes); take one with "
                f"--time_point 0 (the first) to {count - 1}"
            )
        check_time_point(time_point, count)
        return [level[time_point or 0] for level in levels]
    usual = max(set(counts), key=counts.count)
    odd = next(level for level in levels if len(level) != usual)
    names = " and ".join(one.path.name for one in odd[:2])
    if len(odd) > usual:
        raise ScanError(
            f"has doubled slices: {len(odd)} at one position ({names}), where others have {usual}; remove what does "
            "not belong to it"
        )
    raise ScanError(
        f"has missing slices: {len(odd)} at one position ({names}), where others have {usual}; export the whole series"
    )


def _step(slices: Sequence[_Slice]) -> NDArray[np.float64]:
    """From one slice to the next, in LPS and mm; raises ScanError where they are not evenly spaced.

    A slice alone is as thick as its header says, else as its pixels are wide.
    """
    if len(slices) == 1:
        return slices[0].normal * (slices[0].thickness_mm or slices[0].spacing_mm[0])
    positions = np.array([one.position for one in slices])
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    usual = float(np.median(steps))
    widest = int(steps.argmax())
    if steps[widest] > GAP * usual:
        between = f"{slices[widest].path.name} and {slices[widest + 1].path.name}"
        raise ScanError(
            f"has missing slices: {steps[widest]:.4g} mm between {between}, {usual:.4g} mm elsewhere; "
            "export the whole series"
        )
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    off = np.linalg.norm(positions - positions[0] - np.outer(np.arange(len(slices)), step), axis=1)
    if off.max() > max(EVEN * usual, SAME_POSITION_MM):
        name = slices[int(off.argmax())].path.name
        raise ScanError(
            f"has slices that are not evenly spaced: {name} is {off.max():.3g} mm off its place; "
            "resample the series, or export it again"
        )
    return step


def _voxels(slices: Sequence[_Slice]) -> NDArray[Any]:
    from fetal_monai.scan.dicom import read_pixels

    rescaled = any(one.rescale != (1.0, 0.0) for one in slices)
    planes = []
    for one in slices:
        pixels = read_pixels(one.path, one.header, one.frame)
        if rescaled:
            slope, intercept = one.rescale
            pixels = pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        planes.append(pixels[::-1].T)  # dcm2niix counts rows from below
    return np.stack(planes, axis=-1)
