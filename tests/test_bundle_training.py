"""The bundle's own train.yaml, on six pictures: killed, taken up again, and on two processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from heads import write_hc18
from ignite.engine import Events
from monai.bundle import ConfigWorkflow

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
