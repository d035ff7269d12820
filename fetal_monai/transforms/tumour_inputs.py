"""From a patient's sequences to the network's grid, as thin MONAI adapters and the chain that bundles use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch.nn import functional as F

from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.tumour import sequences_on_grid
from fetal_monai.transforms.volume_grid import volume_grid

__all__ = ["ToPatientGridd", "patient_preprocessing"]

Item = dict[Hashable, Any]
SLAB, SLAB_ROOM = 8, 24  # voxels along the axis of a single slice


class ToPatientGridd(MapTransform):
    """Put the ``PatientScan`` under each key on the network's grid, cut to the head: a float tensor (4, X, Y, Z).

    Channels are ``CHANNELS``, normalised, 0 where there is no such sequence. The patient moves to ``patient``, its
    reference to ``scan``, the whole grid to ``grid``, and where on it the head lies to ``box`` (three slices); beyond
    ``box`` the picture is padded with 0 to multiples of ``divisor``.

    A single slice is shown as a slab, the slice over and over, ``SLAB`` of ``SLAB_ROOM`` voxels thick with 0 on either
    side; ``slab`` then is its axis and the place of its middle, else None.
    """

    def __init__(
        self, keys: KeysCollection = "image", voxel_mm: float = 1.5, divisor: int = 8, margin: int = 2
    ) -> None:
        super().__init__(keys)
        self.voxel_mm, self.divisor, self.margin = voxel_mm, divisor, margin

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        out = dict(data)
        for key in self.key_iterator(out):
            patient = out[key]
            scan = patient.scan
            grid = volume_grid(scan.image.shape, _one_voxel_thick(scan, self.voxel_mm), self.voxel_mm, 1)
            images = sequences_on_grid(patient.images, grid)
            box = self._head(images)
            cut = images[:, box[0], box[1], box[2]]
            out["slab"] = None
            if scan.slice_axis is not None:
                cut, out["slab"] = _slab(cut)
            pad = [side for n in reversed(cut.shape[1:]) for side in (0, -n % self.divisor)]
            out[key], out["patient"], out["scan"] = F.pad(cut, pad), patient, scan
            out["grid"], out["box"] = grid, box
        return out

    def _head(self, images: torch.Tensor) -> tuple[slice, slice, slice]:
        found = (images != 0).any(0).nonzero(as_tuple=True)
        if not len(found[0]):
            full = images.shape[1:]
            return slice(0, full[0]), slice(0, full[1]), slice(0, full[2])
        x, y, z = (
            slice(max(0, int(i.min()) - self.margin), min(n, int(i.max()) + 1 + self.margin))
            for i, n in zip(found, images.shape[1:], strict=True)
        )
        return x, y, z


def _one_voxel_thick(scan: Any, voxel_mm: float) -> Any:
    """The affine of a scan; that of a slice as if it were as thick as a voxel of the network's grid."""
    affine = scan.affine.copy()
    if (axis := scan.slice_axis) is not None:
        affine[:3, axis] *= voxel_mm / float((affine[:3, axis] ** 2).sum() ** 0.5)
    return affine


def _slab(image: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """A slice (C, X, Y, Z), one voxel along one axis, as a slab with room around it; the axis and its middle."""
    axis = next(axis for axis in (3, 2, 1) if image.shape[axis] == 1)
    room = (SLAB_ROOM - SLAB) // 2
    sides = [0, 0, 0, 0, 0, 0]
    sides[2 * (3 - axis)] = sides[2 * (3 - axis) + 1] = room
    return F.pad(image.repeat_interleave(SLAB, axis), sides), (axis - 1, room + SLAB // 2)


def patient_preprocessing(
    read: Callable[[Any], Any] | None = None, voxel_mm: float = 1.5, divisor: int = 8
) -> list[Transform]:
    """What inference does before the network; ``image`` is a ``PatientSource``, or the path of a sequence.

    It is read with ``read``, or as :class:`fetal_monai.transforms.load.LoadScand` says.
    """
    return [LoadScand("image", read or _read_patient), ToPatientGridd("image", voxel_mm, divisor)]


def _read_patient(source: Any) -> Any:
    from fetal_monai.scan import PatientSource, find_patients, read_patient

    if not isinstance(source, PatientSource):
        source = find_patients(source.path)[0][0]
    return read_patient(source)
