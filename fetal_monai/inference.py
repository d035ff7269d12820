"""The engine room: how a network is run, and the stream of scans into it and of results out of it."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer, SlidingWindowInferer
from torch.nn import functional as F
from torch.utils.data import IterableDataset

from fetal_monai.settings import as_bool

if TYPE_CHECKING:
    from fetal_monai.run import ScanRun

__all__ = ["AutocastInferer", "CodeInferer", "ScanStream", "ScanWriter", "WholeInferer", "has_fast_bfloat16"]

Item = dict[str, Any]


def has_fast_bfloat16(device: str | torch.device) -> bool:
    """Whether the device multiplies in bfloat16 by itself: newer GPUs, and CPUs with AVX512-BF16 or AMX."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    asks = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return kind == "cpu" and any(ask() for ask in asks if ask is not None)


class AutocastInferer(Inferer):
    """Run the whole input through the network, in bfloat16 where ``amp`` says so; logits come back as float32.

    bfloat16 needs no gradient scaling, so the same inferer trains on CPUs and GPUs. With ``flips`` (axes of the
    picture, 0 rows and 1 columns) the logits are averaged with those of the mirrored pictures.
    """

    def __init__(self, amp: bool | str = True, flips: Sequence[int] = ()) -> None:
        super().__init__()
        self.amp, self.flips = as_bool(amp, "amp"), tuple(flips)

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.amp):
            logits = network(inputs, *args, **kwargs).float()
            for axis in self.flips:
                mirrored = network(inputs.flip(axis + 2), *args, **kwargs).float()
                logits = logits + mirrored.flip(axis + 2)
        return logits / (1 + len(self.flips))


class CodeInferer(Inferer):
    """Run heads (N, 1, H, W) through an :class:`fetal_monai.networks.autoencoder.AlterationNet`, its code with them.

    The answer (N, 2 + C, H, W) is float32: reconstruction, logit of being altered, and the code's C channels, each
    place of it repeated over the pixels that it stands for.
    """

    def __init__(self, amp: bool | str = True) -> None:
        super().__init__()
        self.amp = as_bool(amp, "amp")

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.amp):
            answer, code = network.with_code(inputs)
        wide = torch.nn.functional.interpolate(code.float(), inputs.shape[2:], mode="nearest")
        return torch.cat([answer.float(), wide], 1)


class WholeInferer(Inferer):
    """Run the whole input (N, C, X, Y, Z) through the network where it fits, else in windows, Gaussian blended.

    Args:
        amp, flips: see :class:`AutocastInferer`.
        max_voxels: above that the volume goes through in windows of ``roi_size`` with ``overlap``.
        scales: sizes at which the network looks, 1 that of the input; the logits are averaged. Sides of a look are
            multiples of ``divisor``.
    """

    def __init__(
        self,
        amp: bool | str = True,
        flips: Sequence[int] = (),
        max_voxels: float = 6e6,
        roi_size: Sequence[int] = (128, 128, 128),
        overlap: float = 0.25,
        scales: Sequence[float] = (1.0,),
        divisor: int = 8,
    ) -> None:
        super().__init__()
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales is {list(scales)}; give one or more numbers above 0")
        self.inferer, self.max_voxels = AutocastInferer(amp, flips), max_voxels
        self.scales, self.divisor = tuple(scales), divisor
        self.windows = SlidingWindowInferer(roi_size, overlap=overlap, mode="gaussian")

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        size = tuple(inputs.shape[2:])
        looks = []
        for scale in self.scales:
            sides = tuple(max(1, round(n * scale / self.divisor)) * self.divisor for n in size)
            if scale == 1 or sides == size:
                looks.append(self._look(inputs, network))
                continue
            resized = F.interpolate(inputs, sides, mode="trilinear", align_corners=False)
            logits = self._look(resized, network)
            looks.append(F.interpolate(logits, size, mode="trilinear", align_corners=False))
        return torch.stack(looks).mean(0) if len(looks) > 1 else looks[0]

    def _look(self, inputs: torch.Tensor, network: Any) -> torch.Tensor:
        if inputs[0, 0].numel() <= self.max_voxels:
            return self.inferer(inputs, network)
        return self.windows(inputs, lambda window: self.inferer(window, network))


def scans_at_once(run: ScanRun) -> int:
    """How many scans are read, and as many written, at the same time.

    Pictures: one for each of the cores that the network has, up to 4. Volumes: one, for its copies fill the memory.
    """
    return min(4, torch.get_num_threads()) if run.axes == 2 else 1


class ScanStream(IterableDataset):
    """The scans of a run as batches for the network; what can't be read is told to the run and passed over.

    ``data`` are items with ``image`` (a ``ScanSource``); ``transform`` turns one into a dict with ``image`` as a tensor
    (C, H, W). Neighbours of one shape are stacked up to ``batch_size``; everything else becomes a list. Give it to a
    ``DataLoader`` with ``batch_size=None``. Pictures are read several at a time, in order; volumes one by one.
    """

    def __init__(
        self, data: Sequence[Item], transform: Callable[[Item], Item], run: ScanRun, batch_size: int = 1
    ) -> None:
        self.data, self.transform, self.run, self.batch_size = data, transform, run, batch_size

    def __iter__(self) -> Iterator[Item]:
        batch: list[Item] = []
        for item in filter(None, self._items()):
            if batch and (len(batch) == self.batch_size or batch[0]["image"].shape != item["image"].shape):
                yield self._stack(batch)
                batch = []
            batch.append(item)
        if batch:
            yield self._stack(batch)

    def _items(self) -> Iterator[Item | None]:
        count = scans_at_once(self.run)
        if count == 1:
            yield from map(self._read, self.data)
            return
        with ThreadPoolExecutor(count, "scan-reader") as pool:
            reading: deque[Future[Item | None]] = deque()
            for data in self.data:
                reading.append(pool.submit(self._read, data))
                if len(reading) > count:
                    yield reading.popleft().result()
            while reading:
                yield reading.popleft().result()

    def _read(self, data: Item) -> Item | None:
        start = time.perf_counter()
        try:
            item = self.transform(data)
        except Exception as error:
            self.run.failed(data["image"], error)
            return None
        item["seconds"] = {"read": time.perf_counter() - start}
        return item

    @staticmethod
    def _stack(batch: list[Item]) -> Item:
        columns = {name: [item[name] for item in batch] for name in batch[0]}
        return {**columns, "image": torch.stack(columns["image"])}


class ScanWriter:
    """Handler that turns predictions into results in the background, while the network goes on.

    Attach it to an evaluator that does not decollate. Each item of a batch, with its ``pred`` on the CPU, goes through
    ``transform``, which measures and writes and leaves a ``record``; whatever fails there is told to the run and stops
    no other scan. At the end, also where an error ends the run, its tables and report are written.
    """

    def __init__(self, run: ScanRun, transform: Callable[[Item], Item], ahead: int = 8) -> None:
        self.run, self.transform = run, transform
        self.waiting: queue.Queue[Item | None] = queue.Queue(maxsize=ahead)
        self.is_running = False

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_STARTED, self.iteration_started)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.forward_completed)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.COMPLETED, self.completed)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.exception_raised)

    def started(self, engine: Engine) -> None:
        self.is_running = True
        self.threads, self.count = torch.get_num_threads(), scans_at_once(self.run)
        torch.set_num_threads(max(1, self.threads - 1))  # one core writes; fighting over it slows both
        names = [f"scan-writer-{number}" for number in range(1, self.count + 1)]
        self.workers = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for worker in self.workers:
            worker.start()

    def iteration_started(self, engine: Engine) -> None:
        self.clock = time.perf_counter()

    def forward_completed(self, engine: Engine) -> None:
        self.network_seconds = time.perf_counter() - self.clock

    def iteration_completed(self, engine: Engine) -> None:
        batch = {name: value for name, value in engine.state.batch.items() if name != "image"}
        predictions = engine.state.output["pred"].cpu()
        for index, prediction in enumerate(predictions):
            item = {name: column[index] for name, column in batch.items()} | {"pred": prediction}
            item["seconds"] = item["seconds"] | {"network": self.network_seconds / len(predictions)}
            self.waiting.put(item)

    def completed(self, engine: Engine) -> None:
        self._finish(None)

    def exception_raised(self, engine: Engine, error: BaseException) -> None:
        try:
            self._finish(error)
        finally:
            raise error

    def _finish(self, error: BaseException | None) -> None:
        if not self.is_running:  # the engine tells of an error a second time when it is raised again
            return
        self.is_running = False
        for _ in self.workers:
            self.waiting.put(None)
        for worker in self.workers:
            worker.join()
        torch.set_num_threads(self.threads)
        self.run.finish(error)

    def _work(self) -> None:
        while (item := self.waiting.get()) is not None:
            start = time.perf_counter()
            item["outputs"] = []  # becomes the record's, and is known here where no record comes back
            try:
                record = self.transform(item)["record"]
                record.seconds = item["seconds"] | {"output": time.perf_counter() - start}
                self.run.done(item["scan"].source, record)
            except Exception as error:
                self.run.failed(item["scan"].source, error, item["outputs"])
