from __future__ import annotations

import pytest
import torch

from fetal_monai.classification_inference import GradCamInferer
from fetal_monai.networks.autoencoder import ConvAutoencoder
from fetal_monai.networks.classifier import EncoderClassifier
from fetal_monai.networks.weights import transfer_weights
from fetal_monai.training_classification import BalancedAccuracy


def tiny() -> EncoderClassifier:
    torch.manual_seed(0)
    return EncoderClassifier(classes=3, channels=(4, 6)).eval()


def test_takes_over_the_encoder_of_an_autoencoder(tmp_path):
    torch.manual_seed(1)
    autoencoder = ConvAutoencoder(channels=(4, 6), code_channels=2)
    torch.save(autoencoder.state_dict(), tmp_path / "a.pt")
    network = transfer_weights(tmp_path / "a.pt", tiny()).eval()
    image = torch.rand(2, 1, 16, 24)
    with torch.no_grad():
        code = autoencoder.eval().encoder(image)[-1]
        torch.testing.assert_close(network.features(image), code.mean((2, 3)))


def test_answer_holds_logits_map_and_features():
    network, image = tiny(), torch.rand(3, 1, 16, 24)
    inferer = GradCamInferer("encoder.stages.0", amp=False)
    with torch.no_grad():
        answer = inferer(image, network)
        assert answer.shape == (3, 3 + 8 * 12 + 6) and not answer.requires_grad
        torch.testing.assert_close(answer[:, :3], network(image))
        torch.testing.assert_close(answer[:, -6:], network.features(image))
    assert (answer[:, 3:-6] >= 0).all()
    again = inferer(image, network)
    torch.testing.assert_close(again, answer)


def test_map_by_hand():
    """Above a mean and a linear layer Grad-CAM is the features weighed by the class's row, over their number."""
    network, image = tiny(), torch.rand(2, 1, 16, 24)
    answer = GradCamInferer("encoder.stages.1", amp=False)(image, network)
    with torch.no_grad():
        features = network.encoder(image)[-1]
        weight = network.head[1].weight[answer[:, :3].argmax(1)]
        expected = torch.einsum("nc,nchw->nhw", weight, features).clamp_min(0) / (4 * 6)
    torch.testing.assert_close(answer[:, 3:-6].view(2, 4, 6), expected)


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match=r"no layer 'encoder\.stages\.9'; see target_layer"):
        GradCamInferer("encoder.stages.9")(torch.rand(1, 1, 16, 24), tiny())


def test_balanced_accuracy_by_hand():
    """Three of four of the first class and none of the other are right; among two of three classes all but one are."""
    logits = {"a": [2.0, 1.0, 0.0], "b": [0.0, 2.0, 1.0]}
    output = [{"pred": torch.tensor(logits[key]), "label": torch.tensor(0)} for key in "aaab"]
    output += [{"pred": torch.tensor(logits["a"]), "label": torch.tensor(1)}]
    first, second = BalancedAccuracy(), BalancedAccuracy(top=2)
    for metric in (first, second):
        metric.update(output)
    assert first.compute() == pytest.approx((0.75 + 0) / 2)
    assert second.compute() == pytest.approx((0.75 + 1) / 2)
