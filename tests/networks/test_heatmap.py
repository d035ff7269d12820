"""The detector's shape, its loss where something is unknown, and peaks back from maps."""

from __future__ import annotations

import math

import pytest
import torch

from fetal_monai.networks.heatmap import HeatmapDetector, HeatmapLoss, find_peaks, focal_loss

SMALL = {"classes": 2, "channels": (8, 8, 16), "blocks": (1, 1), "pyramid": 8}


@pytest.mark.parametrize("size", [(64, 96), (432, 640), (60, 84)])
def test_maps_are_a_quarter_of_the_picture(size):
    network = HeatmapDetector(**SMALL).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *size)).shape == (1, 16, size[0] // 4, size[1] // 4)


def test_at_first_nothing_is_anywhere():
    torch.manual_seed(0)
    with torch.no_grad():
        maps = HeatmapDetector(**SMALL).eval()(torch.rand(1, 1, 64, 64))
    assert maps[:, :2].sigmoid().max() < 0.1


def test_refuses_stages_that_do_not_match():
    with pytest.raises(ValueError, match="one shorter"):
        HeatmapDetector(channels=(8, 16), blocks=(1, 1))


def label_of(classes: int, cells: tuple[int, int] = (6, 8)) -> torch.Tensor:
    return torch.zeros(1, 10 * classes, *cells)


def test_focal_loss_by_hand():
    """Logit 0 everywhere: each centre costs ln 2 / 4, each other cell (1 - heat)^4 ln 2 / 4."""
    heat = torch.tensor([[[1.0, 0.5], [0.0, -1.0]]])
    loss = focal_loss(torch.zeros_like(heat), heat)
    assert loss == pytest.approx(math.log(2) / 4 * (1 + 0.5**4 + 1))


def test_the_unknown_costs_nothing_and_teaches_nothing():
    label = label_of(2)
    label[:, 0] = -1
    pred = torch.randn(1, 16, 6, 8, requires_grad=True)
    HeatmapLoss()(pred, label).backward()
    assert pred.grad is not None
    assert pred.grad[:, 0].abs().max() == 0 and pred.grad[:, 2:].abs().max() == 0
    assert pred.grad[:, 1].abs().min() > 0


def maps_with(*entries: tuple[int, int, int, float], classes: int = 2) -> torch.Tensor:
    """Maps (16, 10, 12) with boxes of 5 x 3 cells at (class, row, column), offset (0.25, -0.25), score."""
    maps = torch.full((8, classes, 10, 12), 0.0)
    maps[0] = -10
    for label, row, column, score in entries:
        maps[0, label, row, column] = math.log(score / (1 - score))
        maps[1:, label, row, column] = torch.tensor(
            [0.25, -0.25, math.log(5), math.log(3), math.cos(1.0), math.sin(1.0), math.log(2)]
        )
    return maps.flatten(0, 1)


def test_peaks_by_hand():
    peaks = find_peaks(maps_with((0, 4, 6, 0.7), (1, 5, 5, 0.9)), threshold=0.3)
    assert peaks.label.tolist() == [1, 0]
    assert peaks.score.tolist() == pytest.approx([0.9, 0.7])
    # column 5: centre at (5 + 0.5 + 0.25) * 4 = 23, half a width of 10 before it; row 5: (5.5 - 0.25) * 4 = 21, less 6
    assert peaks.box[0].tolist() == pytest.approx([13, 15, 20, 12])
    assert peaks.angle.tolist() == pytest.approx([0.5, 0.5])
    assert peaks.short_side.tolist() == pytest.approx([8, 8])


def test_a_neighbour_of_a_peak_is_none():
    peaks = find_peaks(maps_with((0, 4, 6, 0.7), (0, 4, 7, 0.6), (0, 8, 2, 0.5)), threshold=0.3)
    assert peaks.score.tolist() == pytest.approx([0.7, 0.5])
    assert len(find_peaks(maps_with((0, 4, 6, 0.7), (0, 8, 2, 0.5)), most=1, threshold=0.3)) == 1
    assert len(find_peaks(maps_with((0, 4, 6, 0.2)), threshold=0.3)) == 0


def test_a_perfect_answer_costs_next_to_nothing():
    maps = maps_with((0, 4, 6, 0.999999))[None]
    label = torch.zeros(1, 10, 2, 10, 12)
    label[:, 1:8] = maps.unflatten(1, (8, 2))[:, 1:]
    label[0, 0, 0, 4, 6] = label[0, 8, 0, 4, 6] = label[0, 9, 0, 4, 6] = 1
    assert HeatmapLoss()(maps, label.flatten(1, 2)) < 1e-3


def test_compiles_to_torchscript():
    network = HeatmapDetector(**SMALL).eval()
    image = torch.rand(1, 1, 60, 84)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))
