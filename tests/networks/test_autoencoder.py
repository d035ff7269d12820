from __future__ import annotations

import pytest
import torch

from fetal_monai.inference import CodeInferer
from fetal_monai.networks.autoencoder import (
    AlterationLoss,
    AlterationNet,
    ConvAutoencoder,
    ScaleSpaceComparer,
)


def test_the_decoder_sees_the_code_alone():
    network = ConvAutoencoder(channels=(4, 8), code_channels=3).eval()
    image = torch.rand(2, 1, 16, 24)
    with torch.no_grad():
        code = network.encode(image)
        assert code.shape == (2, 3, 4, 6)
        torch.testing.assert_close(network.decode(code), network(image))
    assert [tuple(f.shape[1:]) for f in network.encoder(image)] == [(4, 8, 12), (8, 4, 6)]


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiples of 4, got 18x24"):
        ConvAutoencoder(channels=(4, 8))(torch.zeros(1, 1, 18, 24))


def tiny() -> AlterationNet:
    torch.manual_seed(0)
    return AlterationNet(channels=(4, 8), code_channels=3, hidden=(8,))


def test_comparing_does_not_teach_the_autoencoder():
    network = tiny()
    network(torch.rand(2, 1, 16, 16))[:, 1].sum().backward()
    assert not any(p.grad is not None and p.grad.any() for p in network.autoencoder.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.compare.parameters())


def test_inferer_gives_the_code_with_the_answer():
    network, image = tiny().eval(), torch.rand(2, 1, 16, 24)
    with torch.no_grad():
        answer = CodeInferer(amp=False)(image, network)
        expected, code = network.with_code(image)
    assert answer.shape == (2, 5, 16, 24) and answer.dtype == torch.float32
    torch.testing.assert_close(answer[:, :2], expected)
    torch.testing.assert_close(answer[:, 2:, ::4, ::4], code)


def labels(altered: torch.Tensor, target: float) -> torch.Tensor:
    inside = torch.ones_like(altered)
    inside[..., 0] = 0
    return torch.stack([torch.full_like(altered, target), altered, inside], 1)


def test_loss_is_least_for_the_truth_and_blind_outside():
    altered = torch.zeros(1, 4, 4)
    altered[:, :2, 2:] = 1
    label = labels(altered, 0.3)
    right = torch.stack([label[:, 0], 40 * altered - 20], 1)
    loss = AlterationLoss()
    assert loss(right, label) == pytest.approx(0, abs=1e-6)
    outside = right.clone()
    outside[..., 0] = 7
    assert loss(outside, label) == pytest.approx(0, abs=1e-6)
    assert loss(-right, label) > 1


def test_loss_by_hand():
    """Off by 0.1 everywhere, logit 0: 10 x 0.01 and ln 2."""
    altered = torch.zeros(1, 4, 4)
    pred = torch.stack([torch.full_like(altered, 0.4), torch.zeros_like(altered)], 1)
    assert AlterationLoss()(pred, labels(altered, 0.3)) == pytest.approx(0.1 + 0.6931472, rel=1e-5)


class TestScaleSpace:
    """What the comparison looks at."""

    def features(self, image: torch.Tensor, remade: torch.Tensor | None = None) -> torch.Tensor:
        return ScaleSpaceComparer().eval().features(image, image if remade is None else remade)

    def test_hardly_depends_on_the_brightness(self):
        """Logarithms, scaled within the head."""
        image = 0.4 + 0.4 * torch.rand(1, 1, 32, 48)
        first, second = self.features(image), self.features(0.8 * image)
        assert first.shape == (1, ScaleSpaceComparer.FEATURES, 16, 24)
        torch.testing.assert_close(first, second, atol=0.05, rtol=0.05)

    def test_a_mirrored_head_gives_mirrored_features(self):
        image = torch.rand(1, 1, 32, 48)
        first, second = self.features(image), self.features(image.flip(3)).flip(3)
        torch.testing.assert_close(first[:, :-1], second[:, :-1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(first[:, -1], -second[:, -1])

    def test_the_reconstruction_shows_where_they_differ(self):
        image = torch.full((1, 1, 32, 48), 0.5) + 0.01 * torch.rand(1, 1, 32, 48)
        remade = image.clone()
        remade[..., 12:20, 20:28] = 0.1
        changed = (self.features(image, remade) - self.features(image))[0].abs().amax((1, 2)) > 1e-4
        assert changed.nonzero()[:, 0].tolist() == [27, 28, 29]


def test_learns_to_tell_a_bright_square():
    network, loss = tiny(), AlterationLoss()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    plain = torch.full((4, 1, 16, 16), 0.3)
    image, altered = plain.clone(), torch.zeros(4, 16, 16)
    for n in range(3):
        image[n, 0, 4 * n : 4 * n + 5, 3:9] = 0.9
        altered[n, 4 * n : 4 * n + 5, 3:9] = 1
    label = torch.stack([plain[:, 0], altered, torch.ones_like(altered)], 1)
    first = None
    for _ in range(80):
        optimizer.zero_grad()
        value = loss(network(image), label)
        first = first if first is not None else value.item()
        value.backward()
        optimizer.step()
    assert value.item() < 0.5 * first
