"""From a picture to the head in its frame, and from the network's answer back to score, map and overlay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from heads import picture_of, probability_of, save_png
from PIL import Image

from fetal_monai.anomaly.calibration import ScoreCalibration
from fetal_monai.anomaly.reconstruction import Gaussian
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.head_frame import frame_mask
from fetal_monai.transforms.anomaly_inputs import RandAlterd, anomaly_preprocessing, anomaly_training
from fetal_monai.transforms.anomaly_outputs import ANOMALY_COLUMNS, anomaly_output, pooled_code

SHAPE = (96, 128)
PICTURE = (120, 160)
HEAD = Ellipse((60.0, 82.0), (50.0, 39.0), 0.35)
INSIDE = frame_mask(SHAPE)


def finder(image: torch.Tensor) -> np.ndarray:
    """Sure of the head that was drawn, wherever the grid puts it."""
    rows, columns = image.shape[1:]
    factor = rows / PICTURE[0]
    head = Ellipse(
        tuple((c + 0.5) * factor - 0.5 for c in HEAD.center), tuple(a * factor for a in HEAD.semi_axes), 0.35
    )
    return probability_of(head, (rows, columns), 1.0)


def nothing(image: torch.Tensor) -> np.ndarray:
    return np.zeros(image.shape[1:], np.float32)


@pytest.fixture
def path(tmp_path):
    return save_png(tmp_path / "a.png", picture_of(HEAD, PICTURE))


def prepared(path: Any, find: Any = finder) -> dict[Any, Any]:
    item: dict[Any, Any] = {"image": str(path)}
    for transform in anomaly_preprocessing(find, None, SHAPE, 48 * 64, 16):
        item = transform(item)
    return item


class TestInputs:
    def test_head_fills_its_frame(self, path):
        item = prepared(path)
        assert item["image"].shape == (1, *SHAPE) and item["image"].dtype == torch.float32
        picture = item["picture"]
        np.testing.assert_array_equal(picture, item["image"][0])
        assert picture.max() == 1 and not picture[INSIDE == 0].any()
        skull = (frame_mask(SHAPE, 0.98) - frame_mask(SHAPE, 0.93)) > 0.5
        assert picture[skull].mean() > 1.5 * picture[frame_mask(SHAPE, 0.8) > 0.5].mean()
        assert 0 <= item["head_doubt"] < 0.1
        np.testing.assert_allclose(item["frame"].centre, HEAD.center, atol=1)

    def test_without_a_head_the_picture_is_taken_for_one(self, path):
        item = prepared(path, nothing)
        assert item["head_doubt"] == 1.0 and "no_head" in item["head"].flags
        np.testing.assert_allclose(item["frame"].centre, [59.5, 79.5])
        assert item["picture"].any()
        *chain, last = anomaly_training(nothing, SHAPE, 48 * 64, 16)[:-1]
        for transform in chain:
            item = transform({"image": str(path)} if "frame" in item else item)
        with pytest.raises(ValueError, match=r"a\.png: no head is found"):
            last(item)

    def test_training_keeps_the_head_alone(self, path):
        item: Any = {"image": str(path)}
        for transform in anomaly_training(finder, SHAPE, 48 * 64, 16):
            item = transform(item)
        assert set(item) == {"image"}
        torch.testing.assert_close(item["image"], prepared(path)["image"])


class TestAlter:
    def altered(self, seed: int, prob: float = 1.0) -> dict[Any, Any]:
        picture = np.random.default_rng(1).uniform(0.2, 0.8, SHAPE).astype(np.float32) * INSIDE
        transform = RandAlterd("image", prob)
        transform.set_random_state(seed)
        return transform({"image": torch.from_numpy(picture[None])}) | {"before": picture}

    def test_label_is_the_truth(self):
        for seed in range(8):
            item = self.altered(seed)
            target, changed, inside = item["label"].numpy()
            np.testing.assert_array_equal(inside, INSIDE)
            everywhere = changed.sum() > 0.99 * INSIDE.sum()
            np.testing.assert_array_equal(target, item["image"][0] if everywhere else item["before"])
            if not changed.any():
                np.testing.assert_array_equal(item["image"][0], target)

    def test_is_left_alone_with_probability_0(self):
        item = self.altered(0, 0.0)
        np.testing.assert_array_equal(item["image"][0], item["before"])
        assert not item["label"][1].any()

    def test_a_seed_reproduces(self):
        first, second = self.altered(5), self.altered(5)
        assert torch.equal(first["image"], second["image"]) and torch.equal(first["label"], second["label"])


class TestOutputs:
    def files(self, folder: Any) -> tuple[str, str]:
        terms = {"alteration": 0.0, "head_doubt": 0.05}
        ScoreCalibration(terms, {"alteration": 1.0, "head_doubt": 0.01}, tuple(np.arange(99.0))).save(
            folder / "c.json"
        )
        Gaussian(np.zeros(24), np.eye(24)).save(folder / "u.npz")
        return str(folder / "c.json"), str(folder / "u.npz")

    def answer(self, item: dict[Any, Any], logit: float) -> torch.Tensor:
        """The head remade without an error, altered in a square, with a code of two channels, 1 and 2."""
        answer = np.full((4, *SHAPE), -9, np.float32)
        answer[0], answer[2], answer[3] = item["picture"], 1, 2
        answer[1, 40:60, 50:80] = logit
        return torch.from_numpy(answer)

    def written(self, path: Any, tmp_path: Any, logit: float = 6.0, find: Any = finder) -> dict[Any, Any]:
        item = prepared(path, find)
        item |= {"pred": self.answer(item, logit), "outputs": []}
        for transform in anomaly_output(str(tmp_path / "out"), *self.files(tmp_path)):
            item = transform(item)
        return item

    def test_numbers_by_hand(self, path, tmp_path):
        """600 pixels at 6 fill the upper 2 % of 8,700; channels 1 and 2 have means 1 and 2 and no spread."""
        item = self.written(path, tmp_path)
        measures = item["record"].measures
        assert [*measures] == ANOMALY_COLUMNS
        assert measures["mse"] == 0 and measures["structural_error"] == pytest.approx(0, abs=1e-6)
        assert measures["alteration"] == pytest.approx(6)
        assert measures["anomaly_score"] == pytest.approx(6)
        assert measures["p_value"] == pytest.approx(0.94)
        assert measures["latent_distance"] == pytest.approx(np.sqrt(6 * (1 + 4) / 24))
        assert "unlike_normal_heads" not in item["record"].flags

    def test_what_scores_high_is_flagged(self, path, tmp_path):
        item = self.written(path, tmp_path, logit=98.5)
        assert item["record"].measures["p_value"] == pytest.approx(0.01)
        assert "unlike_normal_heads" in item["record"].flags

    def test_no_head_is_unlike_any(self, path, tmp_path):
        record = self.written(path, tmp_path, -9.0, nothing)["record"]
        assert record.measures["anomaly_score"] == pytest.approx(95)
        assert {"no_head", "unlike_normal_heads"} <= set(record.flags)

    def test_map_lies_where_the_square_is(self, path, tmp_path):
        item = self.written(path, tmp_path)
        assert item["record"].outputs == ["a_map.png", "a_overlay.png"]
        drawn = np.asarray(Image.open(tmp_path / "out" / "a_map.png"))
        assert drawn.shape == PICTURE and drawn.dtype == np.uint8
        found = np.argwhere(drawn > 128).mean(axis=0)
        expected = item["frame"].matrix @ (np.array([49.5, 64.5]) - (47.5, 63.5)) + item["frame"].centre
        np.testing.assert_allclose(found, expected, atol=0.7)
        ratio = abs(np.linalg.det(item["frame"].matrix))
        assert (drawn > 128).sum() == pytest.approx(600 * ratio, rel=0.05)
        overlay = np.asarray(Image.open(tmp_path / "out" / "a_overlay.png").convert("RGB")).astype(int)
        assert overlay.shape[0] > PICTURE[0] and overlay.shape[1] >= 480
        assert item["record"].thumbnail.startswith("data:image/jpeg")

    def test_without_calibration_there_is_no_score(self, path, tmp_path):
        item = prepared(path)
        item |= {"pred": self.answer(item, 6), "outputs": []}
        for transform in anomaly_output(str(tmp_path / "out"), "null", None):
            item = transform(item)
        measures = item["record"].measures
        assert np.isnan([measures[name] for name in ("anomaly_score", "p_value", "latent_distance")]).all()
        assert measures["alteration"] == pytest.approx(6)


def test_pooled_code_has_mean_and_spread_of_six_parts():
    code = np.zeros((2, 4, 6), np.float32)
    code[1, :2, :2] = [[1, 3], [1, 3]]
    pooled = pooled_code(code)
    assert pooled.shape == (24,)
    np.testing.assert_array_equal(pooled[:4], [0, 2, 0, 1])
    assert not pooled[4:].any()
