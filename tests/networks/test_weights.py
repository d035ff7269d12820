from __future__ import annotations

import pytest
import torch

from fetal_monai.networks.segnet import SegNet
from fetal_monai.networks.weights import average_weights, load_weights, transfer_weights


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


def test_transfer_takes_what_fits_and_says_so(tmp_path, caplog):
    torch.manual_seed(1)
    other = network()
    state = other.state_dict() | {"head.bias": torch.zeros(7), "extra": torch.ones(1)}
    torch.save(state, tmp_path / "old.pt")
    fresh = network()
    bias = fresh.state_dict()["head.bias"].clone()
    with caplog.at_level("INFO"):
        assert transfer_weights(tmp_path / "old.pt", fresh) is fresh
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, bias if name == "head.bias" else state[name])
    count = len(fresh.state_dict())
    assert f"old.pt: {count - 1} of {count} weights taken over" in caplog.text
    assert "left as they are: head.bias" in caplog.text


def test_transfer_of_nothing(tmp_path):
    fresh = network()
    for nothing in (None, "null"):
        assert transfer_weights(nothing, fresh) is fresh
    torch.save({"some": torch.ones(1)}, tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"old\.pt: none of its 1 weights fits this network"):
        transfer_weights(tmp_path / "old.pt", fresh)


def test_the_mean_of_two_stages(tmp_path):
    for name, value in (("first", 1.0), ("second", 4.0)):
        torch.save({"weight": torch.tensor([value, 2.0])}, tmp_path / f"{name}.pt")
    average_weights([tmp_path / "first.pt", tmp_path / "second.pt"], tmp_path / "mean.pt")
    assert torch.load(tmp_path / "mean.pt", weights_only=True)["weight"].tolist() == [2.5, 2.0]


def test_no_mean_of_two_networks(tmp_path):
    for name, width in (("first", 4), ("second", 8)):
        torch.save(network(width).state_dict(), tmp_path / f"{name}.pt")
    with pytest.raises(ValueError, match=r"second\.pt: weights of another network than .*first\.pt"):
        average_weights([tmp_path / "first.pt", tmp_path / "second.pt"], tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()
