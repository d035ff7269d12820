"""Each bundle's own train.yaml, on a handful of cases: killed, taken up again, and on two processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_runs import BUNDLES, ROOT
from bundle_trials import TRIALS, Trial
from ignite.engine import Events
from monai.bundle import ConfigWorkflow


@dataclass(frozen=True)
class Case:
    """A bundle, and the values of its train.yaml that lead to what it is to learn from."""

    bundle: Path
    data: dict[str, Any]

    @property
    def trial(self) -> Trial:
        return TRIALS[self.bundle.name]


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, TRIALS[request.param.name].data(tmp_path_factory.mktemp("data")))


def settings(case: Case, out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "bundle_root": str(case.bundle),
        "output_dir": str(out),
        "model_path": str(out / "model.pt"),
        "device": "$torch.device('cpu')",
        "batch_size": 2,
        "max_epochs": 3,
        **case.data,
        **case.trial.tiny,
        **changes,
    }


def workflow(case: Case, out: Path, overlays: tuple[str, ...] = (), **changes: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        workflow_type="train",
        config_file=[str(case.bundle / "configs" / f"{name}.yaml") for name in ("train", *overlays)],
        logging_file=False,
        **settings(case, out, **changes),
    )
    made.initialize()
    return made


def train(case: Case, out: Path, **changes: Any) -> Path:
    made = workflow(case, out, **changes)
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
def whole(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of three epochs that nothing disturbed."""
    return train(case, tmp_path_factory.mktemp("whole"))


class Killed(BaseException):
    pass


def killed_in_epoch(epoch: int, case: Case, out: Path) -> Path:
    """A training that ended after the first batch of an epoch."""
    made = workflow(case, out)
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
    def test_leaves_curves_and_the_best_weights(self, case, whole):
        rows = curves(whole)
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        metric, best_of = case.trial.metric, case.trial.best
        shares = case.trial.shares
        metrics = dict.fromkeys([metric, *shares])
        assert list(rows[0]) == ["epoch", "train_loss", "learning_rate", *metrics]
        assert all(0 <= float(row[name]) <= 1 for row in rows for name in shares)
        assert all(0 <= float(row[metric]) <= 30 for row in rows)
        assert case.trial.starts_at_zero or all(float(row[metric]) > 0 for row in rows)
        assert len({row["train_loss"] for row in rows}) == 3
        assert (whole / "curves.png").stat().st_size > 1000
        assert not list(whole.glob("*.part"))
        last = state(whole / "last.pt")
        best = best_of(rows, key=lambda row: float(row[metric]))
        assert (last["epoch"], last["iteration"]) == (3, 6)
        assert last["best_epoch"] == int(best["epoch"])
        assert abs(last["best"]) == pytest.approx(float(best[metric]), rel=1e-5)
        if last["best_epoch"] == 3:
            averaged = {name.removeprefix("module."): value for name, value in last["averaged"].items()}
            assert_same_weights(
                state(whole / "model.pt"), {n: averaged[n] for n in state(whole / "model.pt")}
            )
        assert any(path.name.startswith("events.out.tfevents") for path in whole.iterdir())

    def test_a_killed_run_goes_on_to_the_same_result(self, case, whole, tmp_path):
        out = killed_in_epoch(2, case, tmp_path)
        assert state(out / "last.pt")["epoch"] == 1
        assert curves(out) == curves(whole)[:1]
        torch.manual_seed(12345)  # whatever the process drew before
        np.random.seed(12345)  # noqa: NPY002  the one that transforms may draw from
        train(case, out, resume="true")
        assert curves(out) == curves(whole)
        assert_same_weights(state(out / "model.pt"), state(whole / "model.pt"))
        first, second = state(out / "last.pt"), state(whole / "last.pt")
        assert_same_weights(first["network"], second["network"])
        assert_same_weights(first["averaged"], second["averaged"])
        assert (first["best"], first["best_epoch"]) == (second["best"], second["best_epoch"])

        again = train(case, out, resume=True)  # nothing is left to do
        assert curves(again) == curves(whole)
        assert_same_weights(state(out / "model.pt"), state(whole / "model.pt"))

    def test_without_resume_it_starts_anew(self, case, whole, tmp_path):
        (tmp_path / "last.pt").write_bytes(b"not looked at")
        (tmp_path / "curves.csv").write_text("epoch,train_loss\n9,0.1\n")
        train(case, tmp_path, resume="false", max_epochs=1, val_interval=1)
        assert [row["epoch"] for row in curves(tmp_path)] == ["1"]
        assert state(tmp_path / "last.pt")["epoch"] == 1

    def test_first_weights_depend_on_the_seed_alone(self, case, tmp_path):
        states = []
        for seed in (0, 0, 1):
            torch.rand(7)
            made = workflow(case, tmp_path, seed=seed)
            states.append(made.parser.get_parsed_content("network").state_dict())
        assert_same_weights(states[0], states[1])
        assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())

    def test_starts_from_given_weights(self, case, whole, tmp_path):
        made = workflow(case, tmp_path, pretrained=str(whole / "model.pt"))
        network, averaged = (made.parser.get_parsed_content(name) for name in ("network", "averaged"))
        assert_same_weights(network.state_dict(), state(whole / "model.pt"))
        assert_same_weights(averaged.module.state_dict(), state(whole / "model.pt"))
        with pytest.raises(RuntimeError) as caught:
            workflow(case, tmp_path, pretrained=str(tmp_path / "none.pt")).parser.get_parsed_content(
                "network"
            )
        assert "none.pt: no such weights file" in str(caught.value.__cause__)

    def test_first_stage_of_a_training_from_nothing(self, case, tmp_path):
        """Its weights are those of the last epoch, and train.yaml takes them; class weights are of this stage alone."""
        if not (case.bundle / "configs" / "start.yaml").is_file():
            pytest.skip("this bundle has no such stage")
        made = workflow(case, tmp_path, ("start",), max_epochs=2)
        is_weighed = "class_weights" in made.parser.config
        if is_weighed:
            weights = made.parser.get_parsed_content("class_weights")
            assert made.parser.get_parsed_content("loss").cross_entropy.weight.tolist() == pytest.approx(
                weights
            )
        made.run()
        made.finalize()
        kept = state(tmp_path / "model.pt")
        averaged = state(tmp_path / "last.pt")["averaged"]
        assert_same_weights(kept, {name: averaged[f"module.{name}"] for name in kept})
        after = workflow(case, tmp_path, pretrained=str(tmp_path / "model.pt"))
        assert_same_weights(after.parser.get_parsed_content("network").state_dict(), kept)
        if is_weighed:
            assert after.parser.get_parsed_content("loss").cross_entropy.weight is None

    @pytest.mark.parametrize(
        ("damage", "changes", "words"),
        [
            (True, {}, "can't go on from it, train without resume"),
            (False, {"max_epochs": 5}, "it planned 7 steps, this training 11"),
            (False, None, "size mismatch"),
        ],
        ids=["damaged", "another length", "another network"],
    )
    def test_says_why_it_cannot_go_on(self, case, whole, tmp_path, damage, changes, words):
        content = (whole / "last.pt").read_bytes()
        (tmp_path / "last.pt").write_bytes(content[:500] if damage else content)
        with pytest.raises(RuntimeError) as caught:
            train(case, tmp_path, resume=True, **(case.trial.other if changes is None else changes))
        error: BaseException = caught.value
        while isinstance(error, RuntimeError) and error.__cause__ is not None:
            error = error.__cause__
        assert "last.pt: can't go on from it" in str(error)
        assert words in str(error)

    def test_on_two_processes(self, case, tmp_path):
        changes = settings(case, tmp_path, max_epochs=1, batch_size=1)
        del changes["device"]
        files = [str(case.bundle / "configs" / name) for name in ("train.yaml", "multi_gpu_train.yaml")]
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
        made = workflow(case, tmp_path, pretrained=str(tmp_path / "model.pt"))
        assert_same_weights(
            made.parser.get_parsed_content("network").state_dict(), state(tmp_path / "model.pt")
        )
        assert not any(name.startswith("module.") for name in last["network"])
        logs = [path.name for path in tmp_path.iterdir() if path.name.startswith("events")]
        assert len({name.split(".")[-2] for name in logs}) == 1  # one process writes them
