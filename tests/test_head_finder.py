from __future__ import annotations

import numpy as np
import pytest
from bundle_runs import HEAD, SAMPLES

from fetal_monai.head_finder import HeadFinder
from fetal_monai.run import file_sha256
from fetal_monai.transforms.load import LoadScand
from fetal_monai.transforms.ultrasound import ToNetworkGridd


def test_is_the_head_bundle_s_own_network():
    finder = HeadFinder(HEAD.name)
    assert (finder.pixels, finder.divisor) == (75000, 16)
    assert finder.sha256 == file_sha256(HEAD / "models" / "model.pt")
    item = LoadScand("image")({"image": str(SAMPLES / "799_HC.png")})
    item = ToNetworkGridd("image", finder.pixels, finder.divisor)(item)
    found = finder(item["image"])
    assert found.shape == item["image"].shape[1:] and found.dtype == np.float32
    assert 0.1 < (found > 0.5).mean() < 0.6
    assert ((found < 0.05) | (found > 0.95)).mean() > 0.9


def test_a_path_does_too_and_a_bundle_that_is_none_is_named(tmp_path):
    assert HeadFinder(str(HEAD)).sha256 == HeadFinder(HEAD.name).sha256
    with pytest.raises(ValueError, match=r"found by another bundle.*no bundle 'no_such_bundle'.*head_bundle"):
        HeadFinder("no_such_bundle")
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    for name in ("inference.yaml", "metadata.json"):
        (tmp_path / "bundle" / "configs" / name).write_bytes((HEAD / "configs" / name).read_bytes())
    with pytest.raises(ValueError, match=r"model\.pt: no such weights file"):
        HeadFinder(tmp_path / "bundle")
