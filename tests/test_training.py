from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from heads import probability_of
from ignite.engine import Engine, Events
from monai.transforms import Compose, RandomizableTransform, Transform
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.training import (
    Checkpoint,
    EpochSampler,
    HeadCircumferenceError,
    SeededDataset,
    atomic_save,
    running_average,
)


class Double(Transform):
    def __call__(self, value: float) -> float:
        return 2 * value


class AddRandom(RandomizableTransform):
    def __call__(self, value: float) -> float:
        return value + float(self.R.rand())


def seeded(seed: int = 0) -> SeededDataset:
    return SeededDataset([10.0, 20.0, 30.0], Compose([Double(), AddRandom()]), seed, progress=False)


def test_an_item_depends_on_seed_epoch_and_index_alone():
    first, second = seeded(), seeded()
    pairs = [(epoch, index) for epoch in (1, 2) for index in (0, 1, 2)]
    values = {pair: first[pair] for pair in pairs}
    assert {pair: second[pair] for pair in reversed(pairs)} == values
    noise = {pair: value - 20 * (pair[1] + 1) for pair, value in values.items()}
    assert all(0 <= value < 1 for value in noise.values())
    assert len({round(value, 9) for value in noise.values()}) == len(pairs)
    assert first[1] == first[0, 1] != first[1, 1]
    assert seeded(1)[1, 0] != values[1, 0]


def test_items_can_see_what_the_others_share():
    items = [{"id": name, "tumour": name.upper()} for name in "abc"] * 2
    dataset = SeededDataset(
        items, Compose([]), share="tumour", hash_as_key=True, copy_cache=False, progress=False
    )
    assert [dataset[k]["others"] for k in range(6)] == [["B", "C"], ["A", "C"], ["A", "B"]] * 2
    assert "others" not in SeededDataset(items, Compose([]), progress=False)[0]


def test_sampler_shuffles_anew_each_epoch():
    sampler = EpochSampler(range(20), seed=5)
    sampler.set_epoch(1)
    first = list(sampler)
    assert [epoch for epoch, _ in first] == [1] * 20
    assert sorted(index for _, index in first) == list(range(20))
    sampler.set_epoch(2)
    second = list(sampler)
    assert [index for _, index in second] != [index for _, index in first]
    sampler.set_epoch(1)
    assert list(sampler) == first
    other = EpochSampler(range(20), seed=6)
    other.set_epoch(1)
    assert list(other) != first


def test_sampler_splits_evenly_among_processes(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        sampler = EpochSampler(range(11))
        assert len(sampler) == 3
        parts.append([index for _, index in sampler])
    assert [len(part) for part in parts] == [3, 3, 3]
    assert len({index for part in parts for index in part}) == 9


def test_average_by_hand():
    average = running_average(0.005)
    mean, new = torch.tensor([2.0, 0.0]), torch.tensor([4.0, -1.0])
    assert average(mean, new, 0).tolist() == [4.0, -1.0]  # the first weights count in full
    assert average(mean, new, 10).tolist() == [3.0, -0.5]  # 10 / (10 + 10)
    assert average(mean, new, torch.tensor(30)).tolist() == [2.5, -0.25]
    assert average(mean, new, 10**6).tolist() == pytest.approx([2.01, -0.005])
    assert average(torch.tensor(7), torch.tensor(9), 10).dtype == torch.int64


def test_average_of_a_network_with_its_statistics():
    network = nn.BatchNorm1d(1)
    averaged = AveragedModel(network, avg_fn=running_average(), use_buffers=True)
    for value in (1.0, 3.0):
        with torch.no_grad():
            network.weight.fill_(value)
            network.running_mean.fill_(10 * value)
        averaged.update_parameters(network)
    # the second counts 10 / 11
    assert averaged.module.weight.item() == pytest.approx(1 + 2 * 10 / 11)
    assert averaged.module.running_mean.item() == pytest.approx(10 + 20 * 10 / 11)


def test_head_circumference_error_by_hand():
    head = Ellipse((32, 48), (24, 18), 0.3)
    probability = np.zeros((72, 96), np.float32)
    probability[4:68] = probability_of(head, (64, 96), blur_px=1.0)
    found = {"pred": torch.from_numpy(probability[None]), "content": torch.tensor([4, 0, 64, 96])}
    found["grid_mm"] = torch.tensor([0.5, 0.5], dtype=torch.float64)
    missed = {**found, "pred": torch.zeros(1, 72, 96)}
    hc_mm = 0.5 * head.perimeter
    metric = HeadCircumferenceError(failure_mm=30.0)
    assert np.isnan(metric.compute())
    batch = [{"hc_mm": hc_mm}, {"hc_mm": hc_mm + 4}, {"hc_mm": hc_mm}, {"hc_mm": hc_mm - 100}]
    metric.iteration_completed(
        SimpleNamespace(state=SimpleNamespace(batch=batch, output=[found, found, missed, found]))
    )
    assert metric.errors == pytest.approx([0, 4, 30, 30], abs=0.15)
    assert metric.compute() == pytest.approx(16, abs=0.05)
    metric.reset()
    uneven = {**found, "grid_mm": torch.tensor([0.5, 0.25], dtype=torch.float64)}
    metric.update([{**uneven, "hc_mm": head.scaled((0.5, 0.25)).perimeter}])
    assert metric.compute() == pytest.approx(0, abs=0.15)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    atomic_save({"epoch": 1}, path)
    save = torch.save

    def killed(data: Any, part: Path) -> None:
        save(data, part)
        Path(part).write_bytes(Path(part).read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        atomic_save({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    monkeypatch.undo()
    atomic_save({"epoch": 3}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(("mode", "kept"), [("min", 2), ("max", 3), ("last", 4)])
def test_which_weights_are_kept(mode: str, kept: int, tmp_path: Path):
    """Validation figures 3, 1, 7, 5 of four epochs; the weight is the epoch's number."""
    figures = {1: 3.0, 2: 1.0, 3: 7.0, 4: 5.0}
    network = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    validator = Engine(lambda *_: None)
    trainer = Engine(lambda *_: None)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        torch.nn.init.constant_(averaged.module.weight, engine.state.epoch)
        validator.run([0])

    @validator.on(Events.COMPLETED)
    def measure(engine: Engine) -> None:
        engine.state.metrics["score"] = figures[trainer.state.epoch]

    averaged = AveragedModel(network)
    checkpoint = Checkpoint(
        folder=str(tmp_path),
        model_path=str(tmp_path / "model.pt"),
        network=network,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer),
        averaged=averaged,
        validator=validator,
        metric="score",
        mode=mode,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, checkpoint.epoch_completed)
    trainer.run([0], max_epochs=4)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == kept


def test_an_unknown_way_to_keep_weights():
    with pytest.raises(ValueError, match="mode is 'best'; give min, max or last"):
        Checkpoint("a", "b", None, None, None, None, None, "score", mode="best")  # type: ignore[arg-type]
