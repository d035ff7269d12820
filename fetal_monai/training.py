"""What training needs beside MONAI: randomness that a resumed run repeats, averaged weights, checkpoints, curves."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.data import CacheDataset
from monai.transforms import Randomizable
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Sampler

from fetal_monai.files import atomic_path
from fetal_monai.settings import as_bool

__all__ = [
    "Checkpoint",
    "CurveWriter",
    "EpochSampler",
    "HeadCircumferenceError",
    "SeededDataset",
    "running_average",
]


def _is_parallel() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _rank() -> int:
    return torch.distributed.get_rank() if _is_parallel() else 0


class SeededDataset(CacheDataset):
    """A cached dataset whose random transforms depend on seed, epoch and index alone.

    Indexed by (epoch, index), as :class:`EpochSampler` draws them, an item is the same in whichever process, order or
    run it is made, so that a resumed training repeats the one that was killed. A plain index counts as epoch 0.
    With ``share``, a key, each item also has ``others``: what the other cached items have under that key.
    """

    def __init__(
        self, data: Sequence[Any], transform: Any, seed: int = 0, share: str | None = None, **kwargs: Any
    ) -> None:
        self.seed = seed
        super().__init__(data, transform, **kwargs)
        if share is not None:
            values = [item[share] for item in self._cache]
            for k, item in enumerate(self._cache):
                item["others"] = values[:k] + values[k + 1 :]

    def __getitem__(self, index: Any) -> Any:
        epoch, index = index if isinstance(index, tuple) else (0, index)
        if isinstance(self.transform, Randomizable):
            state = np.random.SeedSequence([self.seed, epoch, index]).generate_state(1)[0]
            self.transform.set_random_state(seed=int(state))
        return super().__getitem__(int(index))


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffled (epoch, index) pairs, split evenly among the processes of a distributed run.

    Every process gets ``len // world`` whole batches' worth of its own; the order depends on seed and epoch alone.
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        self.size, self.seed, self.epoch = len(dataset), seed, 0
        self.rank = _rank()
        self.world = torch.distributed.get_world_size() if _is_parallel() else 1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size // self.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        chosen = order[self.rank : len(self) * self.world : self.world]
        return iter([(self.epoch, int(index)) for index in chosen])


def running_average(momentum: float = 0.005) -> Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]:
    """``avg_fn`` of torch's ``AveragedModel``: the newest weights count ``momentum``, and more in the first steps."""

    def average(mean: torch.Tensor, new: torch.Tensor, count: Any) -> torch.Tensor:
        share = max(momentum, 10 / (10 + int(count)))
        return (mean + (new - mean) * share).to(mean.dtype)

    return average


class HeadCircumferenceError(Metric):
    """Mean absolute difference of HC in mm over a validation set; a head that isn't found counts ``failure_mm``.

    Reads the decollated ``pred`` (probability, (1, H, W)) of ``engine.state.output`` and ``content``, ``grid_mm`` and
    ``hc_mm`` of ``engine.state.batch``, as the head's training chain gives them.
    """

    def __init__(self, failure_mm: float = 30.0) -> None:
        self.failure_mm = failure_mm
        super().__init__()

    def reset(self) -> None:
        self.errors: list[float] = []

    def iteration_completed(self, engine: Engine) -> None:
        self.update(
            [{**item, **output} for item, output in zip(engine.state.batch, engine.state.output, strict=True)]
        )

    def update(self, output: Sequence[dict[str, Any]]) -> None:
        from fetal_monai.measure.head_outline import find_outline, fit_outline

        for item in output:
            row, column, rows, columns = (int(v) for v in item["content"])
            probability = item["pred"][0, row : row + rows, column : column + columns].float().cpu().numpy()
            outline = find_outline(probability)
            row_mm, column_mm = (float(v) for v in item["grid_mm"])
            found = None if outline is None else fit_outline(outline, (row_mm, column_mm))
            hc_mm = np.nan if found is None else found.ellipse.perimeter
            error = abs(hc_mm - float(item["hc_mm"]))
            self.errors.append(error if error < self.failure_mm else self.failure_mm)

    def compute(self) -> float:
        return float(np.mean(self.errors)) if self.errors else float("nan")


def atomic_save(data: Any, path: Path) -> None:
    """``torch.save`` that replaces the file in one step, so that a kill never leaves half a checkpoint."""
    with atomic_path(path) as temporary:
        torch.save(data, temporary)


class Checkpoint:
    """Averages the weights, keeps the last state and the best weights, and goes on where a run was killed.

    Attach it to the trainer after the validation handler. After each epoch ``last.pt`` in ``folder`` holds all that
    is needed to go on; when the validator's ``metric`` falls (or rises, with ``mode`` max), the averaged weights are
    written to ``model_path``, a plain state dict; with ``mode`` last after every epoch. With ``resume`` a run starts
    from ``last.pt`` where there is one.

    Args:
        scheduler: stepped after every iteration.
        averaged: the running average of the network; its ``module`` is what the validator should look at.
    """

    def __init__(
        self,
        folder: str,
        model_path: str,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        averaged: AveragedModel,
        validator: Engine,
        metric: str,
        resume: bool | str = False,
        mode: str = "min",
    ) -> None:
        if mode not in ("min", "max", "last"):
            raise ValueError(f"mode is {mode!r}; give min, max or last")
        self.folder, self.model_path, self.mode = Path(folder), Path(model_path), mode
        self.parts: dict[str, Any] = {
            "network": getattr(network, "module", network),  # what DistributedDataParallel wraps
            "averaged": averaged,
            "optimizer": optimizer,
            "scheduler": scheduler,
        }
        self.metric, self.resume = metric, as_bool(resume, "resume")
        self.best, self.best_epoch, self.value = float("inf"), 0, float("nan")
        self.rank = _rank()
        validator.add_event_handler(Events.COMPLETED, self.validated)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_STARTED, self.epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)

    def started(self, engine: Engine) -> None:
        last = self.folder / "last.pt"
        if not (self.resume and last.is_file()):
            return
        try:
            state = torch.load(last, map_location="cpu", weights_only=True)
            steps, before = (
                s.get("total_steps") for s in (self.parts["scheduler"].state_dict(), state["scheduler"])
            )
            if steps != before:
                raise ValueError(
                    f"it planned {before} steps, this training {steps} (max_epochs, batch_size or data)"
                )
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except Exception as error:
            raise ValueError(
                f"{last}: can't go on from it, train without resume ({str(error)[:300]})"
            ) from error
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        engine.logger.info(f"resumed after epoch {state['epoch']} from {last}")

    def epoch_started(self, engine: Engine) -> None:
        torch.manual_seed(engine.state.epoch)  # what draws from the global generator repeats after a resume
        sampler = getattr(engine.data_loader, "sampler", None)
        if isinstance(sampler, EpochSampler):
            sampler.set_epoch(engine.state.epoch)

    def iteration_completed(self, engine: Engine) -> None:
        self.parts["scheduler"].step()
        self.parts["averaged"].update_parameters(self.parts["network"])

    def validated(self, validator: Engine) -> None:
        self.value = validator.state.metrics[self.metric]

    def epoch_completed(self, engine: Engine) -> None:
        if self.rank:
            return
        loss = {"min": self.value, "max": -self.value, "last": -float(engine.state.epoch)}[self.mode]
        if loss < self.best:
            self.best, self.best_epoch = loss, engine.state.epoch
            averaged = self.parts["averaged"].module.state_dict()
            atomic_save(
                {name: value.detach().cpu().clone() for name, value in averaged.items()}, self.model_path
            )
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"best": self.best, "best_epoch": self.best_epoch}
        state |= {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
        atomic_save(state, self.folder / "last.pt")


class CurveWriter:
    """Appends each epoch's loss, learning rate and validation metrics to ``curves.csv`` and draws ``curves.png``.

    Attach it to the trainer after :class:`Checkpoint`. A resumed run drops the rows that it repeats. Of several
    processes only the first writes.
    """

    def __init__(self, folder: str, optimizer: torch.optim.Optimizer, validator: Engine) -> None:
        self.path, self.optimizer, self.validator = Path(folder) / "curves.csv", optimizer, validator
        self.losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        if _rank():
            return
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        engine.add_event_handler(Events.COMPLETED, self.completed)

    def started(self, engine: Engine) -> None:
        self.clock = time.monotonic()
        rows = []
        if self.path.is_file() and engine.state.epoch:
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= engine.state.epoch]
        self.rows: list[dict[str, Any]] = list(rows)

    def iteration_completed(self, engine: Engine) -> None:
        self.losses.append(float(engine.state.output[0]["loss"]))

    def epoch_completed(self, engine: Engine) -> None:
        row: dict[str, Any] = {
            "epoch": engine.state.epoch,
            "train_loss": f"{np.mean(self.losses):.6g}",
            "learning_rate": f"{self.optimizer.param_groups[0]['lr']:.6g}",
            "seconds": f"{time.monotonic() - self.clock:.1f}",
        }
        row |= {name: f"{value:.6g}" for name, value in self.validator.state.metrics.items()}
        self.rows.append(row)
        self.losses, self.clock = [], time.monotonic()
        names = list(dict.fromkeys(name for entry in self.rows for name in entry))
        with (
            atomic_path(self.path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def completed(self, engine: Engine) -> None:
        from fetal_monai.report.plots import learning_curves

        learning_curves(self.path, self.path.with_suffix(".png"))
