"""Brain tumour patients for the network: sequences side by side on one grid, and random pictures of them for training.

Channels are in the order of MONAI's own BraTS bundle: t1c, t1, t2, flair. Each has mean 0 and SD 1 within the head,
and 0 around it; a sequence that is not there is 0 throughout.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.transforms import Transform
from torch.nn import functional as F

if TYPE_CHECKING:
    from fetal_monai.transforms.volume_grid import VolumeGrid

__all__ = [
    "CHANNELS",
    "PatientPictured",
    "PatientSourced",
    "head_voxels",
    "normalise_sequence",
    "regions_of",
    "sequences_on_grid",
]

Item = dict[Hashable, Any]
CHANNELS = ("t1c", "t1", "t2", "flair")
MASKED = 0.02  # of the voxels that hold the least value: what is around the head was taken off
CLIP = 6.0  # SDs


def head_voxels(image: torch.Tensor) -> torch.Tensor:
    """Where an image (X, Y, Z) shows the head: what differs from a background of one value, else what is over Otsu's
    threshold, and what that encloses."""
    low = image.min()
    above = image > low
    if (~above).float().mean() >= MASKED:
        return above
    from scipy.ndimage import binary_fill_holes
    from skimage.filters import threshold_otsu

    some = image.reshape(-1)[:: max(1, image.numel() // 100_000)].numpy()
    if np.ptp(some) == 0:
        return above
    bright = (image > float(threshold_otsu(some))).numpy()
    return torch.from_numpy(
        binary_fill_holes(bright.squeeze()).reshape(bright.shape)
    )  # a slice has no third axis


def normalise_sequence(image: torch.Tensor, head: torch.Tensor | None = None) -> torch.Tensor:
    """Gray values (X, Y, Z) with mean 0 and SD 1 within the head, 0 around it, clipped at 6 SDs.

    ``head`` is :func:`head_voxels` unless given.
    """
    image = image.float()
    inside = head_voxels(image) if head is None else head.bool()
    values = image[inside]
    if len(values) < 2:
        return torch.zeros_like(image)
    scaled = (image - values.mean()) / values.std().clamp(min=1e-6)
    return torch.where(inside, scaled.clamp(-CLIP, CLIP), 0.0)


def sequences_on_grid(images: Mapping[str, Any], grid: VolumeGrid) -> torch.Tensor:
    """A patient's ``images`` (I, J, K) by sequence on a grid's content: (4, X, Y, Z), normalised, 0 where missing."""
    from fetal_monai.transforms.volume_grid import to_volume_grid

    out = torch.zeros(len(CHANNELS), *grid.content)
    for channel, sequence in enumerate(CHANNELS):
        if sequence in images:
            out[channel] = normalise_sequence(to_volume_grid(images[sequence], grid))
    return out


class PatientSourced(Transform):
    """Keep of a patient and its labels what random pictures are made from, on an isotropic grid cut to the head.

    Reads ``image`` (a ``PatientSource``), ``label`` (a path) and ``convention``, and leaves ``source``: ``images``
    (4, X, Y, Z) as float16, normalised, ``present`` (which of them there are), ``label`` (X, Y, Z) uint8: 1 core that
    does not enhance, 2 oedema, 3 enhancing; ``tissue`` (X, Y, Z) uint8: 1 to ``n_tissues``, clusters of like gray
    values in order of the mean on the reference, 0 outside of the head; and ``voxel_mm``.
    """

    def __init__(self, voxel_mm: float = 1.5, n_tissues: int = 4) -> None:
        self.voxel_mm, self.n_tissues = voxel_mm, n_tissues

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.datasets.tumour import read_tumour_labels
        from fetal_monai.scan import read_patient
        from fetal_monai.transforms.mri import to_canonical
        from fetal_monai.transforms.volume_grid import volume_grid

        out = dict(data)
        patient = read_patient(out["image"])
        affine, shape = patient.scan.affine, patient.scan.image.shape
        labels = read_tumour_labels(out["label"], out["convention"], shape, affine)
        grid = volume_grid(shape, affine, self.voxel_mm, 1)
        present = [sequence in patient.images for sequence in CHANNELS]
        images = sequences_on_grid(patient.images, grid)
        view, _ = to_canonical(labels, affine)
        whole = torch.from_numpy(np.ascontiguousarray(view))[None, None].float()
        label = F.interpolate(whole, grid.content, mode="nearest-exact")[0, 0].to(torch.uint8)
        head = (images != 0).any(0)
        box = [slice(int(i.min()), int(i.max()) + 1) for i in head.nonzero(as_tuple=True)]
        x, y, z = box
        images, label, head = images[:, x, y, z], label[x, y, z], head[x, y, z]
        out["source"] = {
            "images": images.half(),
            "present": present,
            "label": label.contiguous(),
            "tissue": self._tissues(images[CHANNELS.index(patient.reference)], images[present], head, label),
            "voxel_mm": self.voxel_mm,
        }
        return out

    def _tissues(
        self, reference: torch.Tensor, images: torch.Tensor, head: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        """Clusters of the gray values of all sequences that are there, without the tumour."""
        from scipy.cluster.vq import kmeans, vq

        values = images[:, head & (label == 0)].T.numpy()
        some = values[:: max(1, len(values) // 20_000)]
        centers, _ = kmeans(some.astype(np.float64), self.n_tissues, iter=5, seed=0)
        found, _ = vq(some.astype(np.float64), centers)
        gray = reference[head & (label == 0)][:: max(1, len(values) // 20_000)].numpy()
        means = [gray[found == k].mean() if (found == k).any() else np.inf for k in range(len(centers))]
        ordered = torch.from_numpy(centers[np.argsort(means)]).float()
        nearest = torch.cdist(images[:, head].T.float(), ordered).argmin(1) + 1
        tissue = torch.zeros(head.shape, dtype=torch.uint8)
        tissue[head] = nearest.to(torch.uint8)
        return tissue


class PatientPictured(Transform):
    """Show ``source`` of :class:`PatientSourced` as it is: ``image`` (4, X, Y, Z) and ``label`` (3, X, Y, Z).

    The grid has ``voxel_mm``; sides are padded to multiples of ``divisor``. ``sequences`` names those to show; None is
    all there are. For validation.
    """

    def __init__(
        self, voxel_mm: float = 2.0, divisor: int = 8, sequences: Sequence[str] | None = None
    ) -> None:
        unknown = set(sequences or ()) - set(CHANNELS)
        if unknown:
            raise ValueError(f"sequences holds {sorted(unknown)[0]!r}; give some of {', '.join(CHANNELS)}")
        self.voxel_mm, self.divisor, self.sequences = voxel_mm, divisor, sequences

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        from fetal_monai.synthesis.mri import sampling_grid
        from fetal_monai.transforms.mri import sample

        out = dict(data)
        source = out.pop("source")
        step = self.voxel_mm / source["voxel_mm"]
        size = np.array(source["label"].shape)
        shape = (np.ceil(size / step / self.divisor) * self.divisor).astype(int).tolist()
        points = sampling_grid(shape, np.eye(3) * step, (size - 1) / 2)
        out["image"] = sample(source["images"], points)
        for channel, sequence in enumerate(CHANNELS):
            if self.sequences is not None and sequence not in self.sequences:
                out["image"][channel] = 0
        out["label"] = regions_of(sample(source["label"][None], points, "nearest")[0])
        return out


def regions_of(label: torch.Tensor) -> torch.Tensor:
    """Regions (3, X, Y, Z) in the order of ``REGIONS``, 0 or 1, of labels (X, Y, Z) as ``PatientSourced`` has them."""
    return torch.stack([(label == 1) | (label == 3), label > 0, label == 3]).float()
