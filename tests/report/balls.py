"""Phantoms with a known place for everything, stored in any orientation."""

import numpy as np

CENTER_MM = np.array([3.0, -5.0, 7.0])


def affine_of(spacing_mm, shape, center_mm=CENTER_MM):
    """RAS, with `center_mm` in the middle of the voxels."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = np.asarray(center_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def distance_mm(shape, affine, center_mm=CENTER_MM):
    """From each voxel to a point."""
    points = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return np.linalg.norm(points - center_mm, axis=-1)


def ball(spacing_mm=(1.0, 1.0, 1.0), radius_mm=20.0, side_mm=64.0):
    """Gray 100 in a ball of label 1, 30 around it: image, affine, labels."""
    shape = tuple(round(side_mm / spacing) // 2 * 2 + 1 for spacing in spacing_mm)
    affine = affine_of(spacing_mm, shape)
    labels = (distance_mm(shape, affine) <= radius_mm).astype(np.uint8)
    return np.where(labels, 100, 30).astype(np.int16), affine, labels


def stored(image, affine, labels, order, flips):
    """The same volume with its axes in another order and direction."""
    matrix = affine.copy()
    arrays = [np.transpose(array, order) for array in (image, labels)]
    matrix[:3, :3] = affine[:3, :3][:, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:3, 3] += matrix[:3, axis] * (arrays[0].shape[axis] - 1)
            matrix[:3, axis] *= -1
            arrays = [np.flip(array, axis) for array in arrays]
    return arrays[0], matrix, arrays[1]


def rotation(degrees, axis):
    """Turns about an axis of RAS (3, 3)."""
    angle = np.radians(degrees)
    first, second = [n for n in range(3) if n != axis]
    turn = np.eye(3)
    turn[[first, first, second, second], [first, second, first, second]] = (
        np.cos(angle),
        -np.sin(angle),
        np.sin(angle),
        np.cos(angle),
    )
    return turn
