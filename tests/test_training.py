from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from heads import probability_of, write_hc18
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.transforms import Compose, RandomizableTransform, Transform
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.training import (
    EpochSampler,
    HeadCircumferenceError,
    SeededDataset,
    atomic_save,
    running_average,
)

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "bundles" / "fetal_head_ultrasound_segmentation" / "configs"
TINY = {
    "_target_": "UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 1,
    "channels": [4, 8],
    "strides": [2],
    "norm": "BATCH",
}
PATIENTS = {
    "001": "train",
    "002": "train",
    "003": "train",
    "004": "train",
    "005": "validation",
    "006": "validation",
}


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


# ---- the bundle's own train.yaml, on six pictures ------------------------------------------------------------------


@pytest.fixture(scope="module")
def hc18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures in HC18's layout, and the roles of their patients."""
    folder = tmp_path_factory.mktemp("hc18")
    write_hc18(folder, [f"{patient}_HC.png" for patient in PATIENTS])
    lines = ["patient,role", *(f"{patient},{role}" for patient, role in PATIENTS.items())]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def settings(hc18: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "bundle_root": str(CONFIGS.parent),
        "dataset_dir": str(hc18),
        "patients": str(hc18 / "patients.csv"),
        "output_dir": str(out),
        "model_path": str(out / "model.pt"),
        "network_def": TINY,
        "device": "$torch.device('cpu')",
        "shape": [64, 96],
        "batch_size": 2,
        "max_epochs": 3,
        **changes,
    }


def workflow(hc18: Path, out: Path, **changes: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        workflow_type="train",
        config_file=str(CONFIGS / "train.yaml"),
        logging_file=False,
        **settings(hc18, out, **changes),
    )
    made.initialize()
    return made


def train(hc18: Path, out: Path, **changes: Any) -> Path:
    made = workflow(hc18, out, **changes)
    made.run()
    made.finalize()
    return out


def curves(out: Path) -> list[dict[str, str]]:
    with open(out / "curves.csv", newline="", encoding="utf-8") as file:
        return [
            {name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


def state(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def assert_same_weights(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture(scope="module")
def whole(hc18: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of three epochs that nothing disturbed."""
    return train(hc18, tmp_path_factory.mktemp("whole"))


class Killed(BaseException):
    pass


def killed_in_epoch(epoch: int, hc18: Path, out: Path) -> Path:
    """A training that ended after the first batch of an epoch."""
    made = workflow(hc18, out)
    trainer = made.parser.get_parsed_content("train#trainer")

    def kill() -> None:
        if trainer.state.epoch == epoch:
            raise Killed

    trainer.add_event_handler(Events.ITERATION_COMPLETED, kill)
    with pytest.raises(Killed):
        made.run()
    return out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
class TestTraining:
    def test_leaves_curves_and_the_best_weights(self, whole):
        rows = curves(whole)
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        assert list(rows[0]) == ["epoch", "train_loss", "learning_rate", "val_hc_mae_mm", "val_dice"]
        assert all(0 < float(row["val_hc_mae_mm"]) <= 30 for row in rows)
        assert len({row["train_loss"] for row in rows}) == 3
        assert (whole / "curves.png").stat().st_size > 1000
        assert not list(whole.glob("*.part"))
        last = state(whole / "last.pt")
        best = min(rows, key=lambda row: float(row["val_hc_mae_mm"]))
        assert (last["epoch"], last["iteration"]) == (3, 6)
        assert last["best_epoch"] == int(best["epoch"])
        assert last["best"] == pytest.approx(float(best["val_hc_mae_mm"]), rel=1e-5)
        if last["best_epoch"] == 3:
            averaged = {name.removeprefix("module."): value for name, value in last["averaged"].items()}
            assert_same_weights(
                state(whole / "model.pt"), {n: averaged[n] for n in state(whole / "model.pt")}
            )
        assert any(path.name.startswith("events.out.tfevents") for path in whole.iterdir())

    def test_a_killed_run_goes_on_to_the_same_result(self, hc18, whole, tmp_path):
        out = killed_in_epoch(2, hc18, tmp_path)
        assert state(out / "last.pt")["epoch"] == 1
        assert curves(out) == curves(whole)[:1]
        torch.manual_seed(12345)  # whatever the process drew before
        np.random.seed(12345)  # noqa: NPY002  the one that transforms may draw from
        train(hc18, out, resume="true")
        assert curves(out) == curves(whole)
        assert_same_weights(state(out / "model.pt"), state(whole / "model.pt"))
        first, second = state(out / "last.pt"), state(whole / "last.pt")
        assert_same_weights(first["network"], second["network"])
        assert_same_weights(first["averaged"], second["averaged"])
        assert (first["best"], first["best_epoch"]) == (second["best"], second["best_epoch"])

        again = train(hc18, out, resume=True)  # nothing is left to do
        assert curves(again) == curves(whole)
        assert_same_weights(state(out / "model.pt"), state(whole / "model.pt"))

    def test_without_resume_it_starts_anew(self, hc18, whole, tmp_path):
        (tmp_path / "last.pt").write_bytes(b"not looked at")
        (tmp_path / "curves.csv").write_text("epoch,train_loss\n9,0.1\n")
        train(hc18, tmp_path, resume="false", max_epochs=1, val_interval=1)
        assert [row["epoch"] for row in curves(tmp_path)] == ["1"]
        assert state(tmp_path / "last.pt")["epoch"] == 1

    def test_first_weights_depend_on_the_seed_alone(self, hc18, tmp_path):
        states = []
        for seed in (0, 0, 1):
            torch.rand(7)
            made = workflow(hc18, tmp_path, seed=seed)
            states.append(made.parser.get_parsed_content("network").state_dict())
        assert_same_weights(states[0], states[1])
        assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())

    def test_starts_from_given_weights(self, hc18, whole, tmp_path):
        made = workflow(hc18, tmp_path, pretrained=str(whole / "model.pt"))
        network, averaged = (made.parser.get_parsed_content(name) for name in ("network", "averaged"))
        assert_same_weights(network.state_dict(), state(whole / "model.pt"))
        assert_same_weights(averaged.module.state_dict(), state(whole / "model.pt"))
        with pytest.raises(RuntimeError) as caught:
            workflow(hc18, tmp_path, pretrained=str(tmp_path / "none.pt")).parser.get_parsed_content(
                "network"
            )
        assert "none.pt: no such weights file" in str(caught.value.__cause__)

    @pytest.mark.parametrize(
        ("damage", "changes", "words"),
        [
            (True, {}, "can't go on from it, train without resume"),
            (False, {"max_epochs": 5}, "it planned 7 steps, this training 11"),
            (False, {"network_def": {**TINY, "channels": [4, 6]}}, "size mismatch"),
        ],
        ids=["damaged", "another length", "another network"],
    )
    def test_says_why_it_cannot_go_on(self, hc18, whole, tmp_path, damage, changes, words):
        content = (whole / "last.pt").read_bytes()
        (tmp_path / "last.pt").write_bytes(content[:500] if damage else content)
        with pytest.raises(RuntimeError) as caught:
            train(hc18, tmp_path, resume=True, **changes)
        error: BaseException = caught.value
        while isinstance(error, RuntimeError) and error.__cause__ is not None:
            error = error.__cause__
        assert "last.pt: can't go on from it" in str(error)
        assert words in str(error)

    def test_on_two_processes(self, hc18, tmp_path):
        changes = settings(hc18, tmp_path, max_epochs=1, batch_size=1)
        del changes["device"]
        files = [str(CONFIGS / name) for name in ("train.yaml", "multi_gpu_train.yaml")]
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node=2",
        ]
        command += ["-m", "monai.bundle", "run", "--config_file", str(files), "--logging_file", "False"]
        for name, value in changes.items():
            command += [f"--{name}", str(value)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        last = state(tmp_path / "last.pt")
        assert (last["epoch"], last["iteration"]) == (1, 2)  # four pictures, two a process
        assert [row["epoch"] for row in curves(tmp_path)] == ["1"]
        made = workflow(hc18, tmp_path, pretrained=str(tmp_path / "model.pt"))
        assert_same_weights(
            made.parser.get_parsed_content("network").state_dict(), state(tmp_path / "model.pt")
        )
        assert not any(name.startswith("module.") for name in last["network"])
        logs = [path.name for path in tmp_path.iterdir() if path.name.startswith("events")]
        assert len({name.split(".")[-2] for name in logs}) == 1  # one process writes them
