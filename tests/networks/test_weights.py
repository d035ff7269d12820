from __future__ import annotations

import pytest
import torch

from fetal_monai.networks.segnet import SegNet
from fetal_monai.networks.weights import load_weights


def network(width: int = 4) -> SegNet:
    return SegNet(channels=(width,), convolutions=(1,))


def test_weights_come_back(tmp_path):
    saved = network()
    torch.save(saved.state_dict(), tmp_path / "model.pt")
    loaded = network()
    assert load_weights(str(tmp_path / "model.pt"), loaded) is loaded
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in saved.state_dict().items())


def test_missing_weights(tmp_path):
    with pytest.raises(ValueError, match=r"model\.pt: no such weights file; train first"):
        load_weights(tmp_path / "model.pt", network())


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_damaged_weights(tmp_path, damage):
    path = tmp_path / "model.pt"
    torch.save(network().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"not weights"}[damage])
    with pytest.raises(ValueError, match=r"model\.pt: not a weights file, or a damaged one"):
        load_weights(path, network())


def test_code_in_a_weights_file_is_not_run(tmp_path):
    torch.save({"head": print}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="not a weights file"):
        load_weights(tmp_path / "model.pt", network())


def test_weights_that_are_not_finite(tmp_path):
    state = network().state_dict()
    state["head.bias"][0] = float("nan")
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt: holds weights that are not finite"):
        load_weights(tmp_path / "model.pt", network())


@pytest.mark.parametrize("content", [[1, 2], {"some": torch.ones(1)}, network(8).state_dict()])
def test_weights_of_another_network(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt: weights of another network"):
        load_weights(tmp_path / "model.pt", network())
