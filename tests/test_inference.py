from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from heads import save_png
from monai.data import ThreadDataLoader
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, Lambdad
from torch import nn

from fetal_monai.inference import AutocastInferer, ScanStream, ScanWriter, WholeInferer, has_fast_bfloat16
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.run import ScanRun
from fetal_monai.transforms.outputs import head_output
from fetal_monai.transforms.ultrasound import head_preprocessing

HEADS = {
    "a.png": Ellipse((40, 60), (32, 25), 0.2),
    "b.png": Ellipse((45, 55), (35, 27), -0.4),
    "c.png": Ellipse((42, 58), (30, 24), 1.0),
}
PIXEL_MM = 1.5


class BrightIsHead(nn.Module):
    """A network that takes what is bright for the head."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 12 * (image - 0.5)


# ---- inferer -------------------------------------------------------------------------------------------------------


def left_matters(image: torch.Tensor) -> torch.Tensor:
    """Answers with the picture times 1, 2, … along the columns, and 10, 20 … more along the rows."""
    rows, columns = image.shape[-2:]
    return image * (torch.arange(1, columns + 1) + 10 * torch.arange(rows)[:, None])


def test_flips_are_averaged_by_hand():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert AutocastInferer(amp=False)(image, left_matters).tolist() == [[[[1, 4], [33, 48]]]]
    # mirrored in the columns the factors are 2 1 and 12 11: their mean is 1.5 and 11.5
    once = AutocastInferer(amp=False, flips=[1])(image, left_matters)
    assert once.tolist() == [[[[1.5, 3.0], [34.5, 46.0]]]]
    # mirrored in the rows they are 11 12 and 1 2; the mean of all three (1+2+11)/3, (2+1+12)/3, ...
    twice = AutocastInferer(amp=False, flips=[0, 1])(image, left_matters)
    assert twice[0, 0].numpy() == pytest.approx(np.array([[14 / 3, 2 * 5.0], [3 * 8.0, 4 * 25 / 3]]))


def test_looks_at_several_sizes_are_averaged():
    """A network that answers with the number of voxels along its first axis: 32, and 16 at half the size."""
    seen = []

    def sides(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape[2:]))
        return torch.full_like(image, float(image.shape[2]))

    volume = torch.rand(1, 1, 32, 24, 40)
    inferer = WholeInferer(amp=False, scales=[1.0, 0.5], divisor=8)
    logits = inferer(volume, sides)
    assert seen == [(32, 24, 40), (16, 16, 16)]  # 12 and 20 are no multiples of 8
    assert logits.shape == volume.shape and torch.all(logits == 24)
    ramp = torch.linspace(0, 1, 32)[:, None, None].expand(1, 1, 32, 24, 40)
    alike = inferer(ramp, lambda image: image)
    assert float((alike - ramp).abs().max()) < 0.02
    assert torch.equal(WholeInferer(amp=False)(volume, lambda image: image), volume)
    with pytest.raises(ValueError, match="scales"):
        WholeInferer(scales=[1.0, 0.0])


def test_half_precision_only_where_asked_for():
    torch.manual_seed(0)
    network, image = nn.Conv2d(1, 1, 3), torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        exact = network(image)
        for amp in (False, "false", 0):
            assert torch.equal(AutocastInferer(amp=amp)(image, network), exact)
        for amp in (True, "true"):
            rough = AutocastInferer(amp=amp)(image, network)
            assert rough.dtype == torch.float32
            assert 0 < (rough - exact).abs().max() < 0.02


# ---- stream --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_bfloat16_is_for_processors_that_have_it(monkeypatch, avx512, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert has_fast_bfloat16("cpu") is (avx512 or amx)
    assert has_fast_bfloat16(torch.device("meta")) is False


@pytest.mark.gpu
def test_bfloat16_on_a_gpu():
    assert has_fast_bfloat16("cuda") is torch.cuda.is_bf16_supported(including_emulation=False)


class Told:
    """Stands for a run that is told of failures."""

    axes = 2

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []

    def failed(self, source: str, error: Exception) -> None:
        self.failures.append((source, str(error)))


def of_width(item: dict[str, Any]) -> dict[str, Any]:
    """Letters a to m become pictures of width 4, others of width 5; x can't be read."""
    name = item["image"]
    if name == "x":
        raise ValueError("x: is damaged")
    return {"image": torch.zeros(1, 3, 4 if name < "n" else 5), "name": name}


@pytest.mark.parametrize(
    ("batch_size", "batches"),
    [
        (1, [["a"], ["b"], ["c"], ["p"], ["d"], ["e"]]),
        (2, [["a", "b"], ["c"], ["p"], ["d", "e"]]),
        (8, [["a", "b", "c"], ["p"], ["d", "e"]]),
    ],
)
def test_neighbours_of_one_shape_go_together(batch_size, batches):
    run = Told()
    stream = ScanStream([{"image": name} for name in "abcpdxe"], of_width, run, batch_size)
    made = list(stream)
    assert [batch["name"] for batch in made] == batches
    assert [len(batch["image"]) for batch in made] == [len(names) for names in batches]
    assert all(batch["image"].shape[1:] == (1, 3, 5 if batch["name"] == ["p"] else 4) for batch in made)
    assert all(seconds["read"] >= 0 for batch in made for seconds in batch["seconds"])
    assert run.failures == [("x", "x: is damaged")]


def test_a_stream_of_nothing_but_failures():
    run = Told()
    assert list(ScanStream([{"image": "x"}] * 2, of_width, run, 4)) == []
    assert len(run.failures) == 2


# ---- stream, network and writer together ---------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., ScanRun]:
    """Start a run over three heads, as bright as a network could wish."""
    for name, head in HEADS.items():
        save_png(tmp_path / "in" / name, np.uint8(20 + 235 * head.soft_mask((84, 120))))
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    (tmp_path / "bundle" / "configs" / "metadata.json").write_text('{"version": "0.1.0"}', encoding="utf-8")
    (tmp_path / "model.pt").touch()

    def start(**changes: Any) -> ScanRun:
        return ScanRun(
            str(tmp_path / "in"),
            str(tmp_path / "out"),
            str(tmp_path / "bundle"),
            str(tmp_path / "model.pt"),
            ["hc_mm"],
            "Heads",
            spacing_mm=PIXEL_MM,
            **changes,
        )

    return start


def evaluate(
    run: ScanRun,
    network: nn.Module | None = None,
    extra: Callable[[Any], Any] | None = None,
    stream: type[ScanStream] = ScanStream,
) -> dict[str, dict[str, Any]]:
    """Run the scans through a network as the bundle does; returns what became of each."""
    dataset = stream(run.items, Compose(head_preprocessing(run.read, pixels=84 * 120)), run, batch_size=1)
    loader = ThreadDataLoader(dataset, batch_size=None, collate_fn=lambda batch: batch, buffer_size=2)
    output = Compose([*head_output(str(run.output_dir)), *([extra] if extra else [])])
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=network or BrightIsHead(),
        inferer=AutocastInferer(amp=False),
        postprocessing=Lambdad("pred", torch.sigmoid),
        val_handlers=[ScanWriter(run, output)],
        decollate=False,
    )
    evaluator.run()
    return told(run)


def told(run: ScanRun) -> dict[str, dict[str, Any]]:
    info = json.loads((run.output_dir / "run.json").read_text(encoding="utf-8"))
    return {entry["filename"]: entry for entry in info["inputs"]}


def rows(run: ScanRun) -> dict[str, dict[str, Any]]:
    found = json.loads((run.output_dir / "measurements.json").read_text(encoding="utf-8"))
    return {row["filename"]: row for row in found}


def test_each_scan_is_measured(run):
    started = run()
    entries = evaluate(started)
    for name, head in HEADS.items():
        assert entries[name]["status"] == "ok", entries[name]["reason"]
        assert rows(started)[name]["hc_mm"] == pytest.approx(PIXEL_MM * head.perimeter, rel=3e-3)
        assert entries[name]["outputs"] == [f"{name[0]}_seg.png", f"{name[0]}_overlay.png"]
        assert set(entries[name]["seconds"]) == {"read", "network", "output"}
        assert all(seconds > 0 for seconds in entries[name]["seconds"].values())


def test_the_writer_gives_its_core_back(run):
    before = torch.get_num_threads()
    during = []
    torch.set_num_threads(3)
    try:
        evaluate(run(), extra=lambda item: during.append(torch.get_num_threads()) or item)
        assert during == [2] * len(HEADS)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Meeting:
    """A step that two scans must have come to at the same time before either goes on."""

    def __init__(self) -> None:
        self.barrier, self.met = threading.Barrier(2), 0

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        try:
            self.barrier.wait(timeout=5)
            self.met += 1
        except threading.BrokenBarrierError:
            pass
        return item


def test_pictures_are_written_two_at_a_time_with_two_cores(run, two_threads):
    meeting = Meeting()
    entries = evaluate(run(only=[str(run().input / name) for name in ("a.png", "b.png")]), extra=meeting)
    assert meeting.met == 2
    assert [entry["status"] for entry in entries.values()] == ["ok", "ok"]


def test_pictures_are_read_two_at_a_time_and_stay_in_order(two_threads):
    meeting = Meeting()
    stream = ScanStream([{"image": name} for name in "abcd"], lambda item: meeting(of_width(item)), Told(), 1)
    assert [batch["name"] for batch in stream] == [["a"], ["b"], ["c"], ["d"]]
    assert meeting.met == 4


def test_volumes_are_read_one_by_one(two_threads):
    told = Told()
    told.axes = 3
    threads = []
    stream = ScanStream(
        [{"image": "a"}] * 3, lambda item: threads.append(threading.get_ident()) or of_width(item), told, 1
    )
    assert len(list(stream)) == 3
    assert set(threads) == {threading.get_ident()}


def test_a_scan_whose_output_fails_stops_no_other(run):
    def fail_on_b(item: dict[str, Any]) -> dict[str, Any]:
        if item["record"].stem == "b":
            raise KeyError("no such truth")
        return item

    started = run()
    entries = evaluate(started, extra=fail_on_b)
    assert [entries[name]["status"] for name in HEADS] == ["ok", "failed", "ok"]
    assert entries["b.png"]["reason"] == "b.png: KeyError: 'no such truth'"
    assert rows(started)["b.png"]["hc_mm"] is None
    assert rows(started)["b.png"]["flags"] == "failed"
    assert rows(started)["c.png"]["hc_mm"] == pytest.approx(PIXEL_MM * HEADS["c.png"].perimeter, rel=3e-3)
    assert not (started.output_dir / "b_seg.png").exists()
    assert [item["image"].stem for item in run(resume=True).items] == ["b"]


class EndsEarly(ScanStream):
    def __iter__(self) -> Iterator[Any]:
        yield next(super().__iter__())
        raise MemoryError("of the machine")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_stream_that_breaks_leaves_every_scan_accounted_for(run):
    started = run()
    entries = evaluate(started, stream=EndsEarly)
    assert [entries[name]["status"] for name in HEADS] == ["ok", "failed", "failed"]
    assert "the run ended before this scan was done" in entries["c.png"]["reason"]


class BreaksOnSecond(BrightIsHead):
    calls = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("out of memory")
        return super().forward(image)


def test_a_network_that_breaks_leaves_every_scan_accounted_for(run):
    started = run()
    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate(started, BreaksOnSecond())
    entries = told(started)
    assert [entries[name]["status"] for name in HEADS] == ["ok", "failed", "failed"]
    reason = "the run ended before this scan was done: RuntimeError: out of memory"
    assert entries["b.png"]["reason"] == f"b.png: {reason}"
    assert (started.output_dir / "report.html").is_file()
    again = run(resume=True)
    assert [item["image"].stem for item in again.items] == ["b", "c"]
    assert {entry["status"] for entry in evaluate(again).values()} == {"ok"}


def test_nothing_can_be_read(run, tmp_path):
    for name in HEADS:
        (tmp_path / "in" / name).write_bytes(b"no picture")
    entries = evaluate(run())
    assert {entry["status"] for entry in entries.values()} == {"failed"}


def test_nothing_is_left_to_do(run):
    first = run()
    evaluate(first)
    before = rows(first)
    again = run(resume="true")
    entries = evaluate(again)
    assert {entry["status"] for entry in entries.values()} == {"ok"}
    assert rows(again) == before
    assert json.loads((again.output_dir / "run.json").read_text(encoding="utf-8"))["resumed"] == 3
