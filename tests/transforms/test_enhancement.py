from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from rulers import fan_picture

from fetal_monai.enhance import enhance, find_sector
from fetal_monai.transforms.enhancement import ConfidenceMapd, EnhanceUltrasoundd, SectorMaskd


def test_the_transform_does_what_the_function_does_and_keeps_the_geometry() -> None:
    picture = fan_picture((120, 160))[0].astype(np.float32)
    tensor = MetaTensor(torch.from_numpy(picture[None]), affine=torch.diag(torch.tensor([0.3, 0.3, 1, 1])))
    out = EnhanceUltrasoundd(steps=["gain"])({"image": tensor, "label": 1})
    assert isinstance(out["image"], MetaTensor)
    assert torch.equal(out["image"].affine, tensor.affine)
    assert np.array_equal(out["image"].numpy()[0], enhance(picture, ["gain"]).image)
    assert out["label"] == 1
    assert np.array_equal(tensor.numpy()[0], picture)


def test_sector_and_confidence_are_added_beside_the_picture() -> None:
    picture, fan = fan_picture((120, 160))
    shadowed = picture.copy()
    shadowed[55:, 70:82] //= 12
    shadowed[50:55, 70:82] = 255  # bone
    out = ConfidenceMapd(side=80)(SectorMaskd("image")({"image": shadowed[None]}))
    assert np.array_equal(out["image_sector"][0] > 0, find_sector(shadowed).mask)
    confidence = out["image_confidence"]
    assert (confidence.shape, confidence.dtype) == ((1, 120, 160), np.float32)
    assert confidence[0, 70:100, 75].max() < 0.3 * confidence[0, 70:100, 110].min(), (
        "shadow beside insonified tissue"
    )
    assert fan[70:100, 75].all() and fan[70:100, 110].all()
    assert confidence[0][~find_sector(shadowed).mask].max() == 0


def test_a_picture_with_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, H, W\)"):
        EnhanceUltrasoundd()({"image": np.zeros((3, 64, 64))})
