"""From images to annotated studies to new weights, over HTTP; runs after what looks at the shipped weights."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from label_server import PICTURE, ROOT, SAMPLES, Server

HEAD = "fetal_head_ultrasound_segmentation"
ANOMALY = "fetal_brain_ultrasound_anomaly"
TRAINED = {
    "fetal_brain_stack_segmentation": "sub-01_run-3_T2w",
    "fetal_brain_mri_segmentation": "GA26_T2w",
    "brain_tumour_mri_segmentation": "pat0003_flair",
}


def test_an_image_and_its_label_are_kept(server: Server, studies: Path, labels: dict[str, Path]) -> None:
    image = server.upload(SAMPLES / "hc18" / "153_HC.png")
    assert image == "153_HC"
    assert (studies / "153_HC.png").read_bytes() == (SAMPLES / "hc18" / "153_HC.png").read_bytes()
    assert server.label(image, labels[image]).status == 200
    assert (studies / "labels" / "final" / "153_HC.png").read_bytes() == labels[image].read_bytes()
    kept = server.get("/datastore/", output="all").json["objects"][image]
    assert list(kept["labels"]) == ["final"]
    assert server.get("/datastore/label", label=image, tag="final").file == labels[image].read_bytes()


def test_first_and_random(server: Server) -> None:
    unlabelled = _unlabelled(server)
    assert server.post("/activelearning/first", {}).json["id"] == min(unlabelled)
    assert server.post("/activelearning/random", {}).json["id"] in unlabelled


@pytest.mark.parametrize(("strategy", "model"), [("uncertainty", HEAD), ("anomaly", ANOMALY)])
def test_the_next_is_that_with_the_highest_score(server: Server, strategy: str, model: str) -> None:
    found = server.post(f"/activelearning/{strategy}", {"model": model})
    assert found.status == 200, found
    pictures = {"043_HC", PICTURE, "OBXXXX1A_rle"}
    scores = server.post(f"/scoring/{strategy}", {"model": model}, run_sync=True).json
    known = {image: score for image, score in scores.items() if score is not None}
    assert set(scores) == pictures & _unlabelled(server) and len(known) > 1
    assert found.json["id"] == max(known, key=lambda image: known[image])
    assert found.json["score"] == known[found.json["id"]]


def test_a_strategy_that_asks_a_model_that_is_not_there(server: Server) -> None:
    assert server.post("/activelearning/uncertainty", {"model": "spleen"}).status == 404


def test_batch_inference_goes_on_after_a_bad_image(server: Server, studies: Path, tmp_path: Path) -> None:
    bad = tmp_path / "000_bad.png"
    bad.write_bytes(b"no picture")
    server.upload(bad)
    images = ["000_bad", "043_HC"]
    asked = {"images": images, "save_label": True, "label_tag": "original"}
    assert server.post(f"/batch/infer/{HEAD}", asked, images="unlabeled").status == 200
    assert _finished(server, "/batch/infer")["status"] == "DONE"
    _wait(lambda: server.get("/datastore/label", label="043_HC", tag="original").status == 200)
    label = server.get("/datastore/label", label="043_HC", tag="original").file
    assert label == server.infer(HEAD, "043_HC").file
    assert server.get("/datastore/label", label="000_bad", tag="original").status == 404
    noted = server.get("/datastore/image/info", image="043_HC").json[HEAD]
    assert 60 < noted["measurements"]["hc_mm"] < 80


def test_a_map_is_no_label_to_edit(server: Server, studies: Path) -> None:
    assert server.infer(ANOMALY, "043_HC", {"save_label": True}).status == 200
    assert (studies / "labels" / "map" / "043_HC.png").is_file()


def test_dice_of_what_was_drawn_with_what_was_found(server: Server, labels: dict[str, Path]) -> None:
    drawn = SAMPLES / "fetal_brain_stacks" / "sub-01_run-3_T2w_desc-brain_mask.nii.gz"
    image = "sub-01_run-3_T2w"
    assert server.label(image, labels[image]).status == 200
    assert server.infer("fetal_brain_stack_segmentation", image, {"save_label": True}).status == 200
    found = server.get("/datastore/label", label=image, tag="original").file
    import gzip

    masks = [
        np.asarray(one.dataobj) > 0
        for one in (nibabel.load(drawn), nibabel.Nifti1Image.from_bytes(gzip.decompress(found)))
    ]
    dice = 2 * (masks[0] & masks[1]).sum() / sum(mask.sum() for mask in masks)
    assert server.post("/scoring/dice", {}, run_sync=True).json[image] == pytest.approx(
        {"1": dice, "mean": dice}
    )


def test_new_weights_start_from_the_current_ones_and_are_used_next(
    server: Server, studies: Path, labels: dict[str, Path]
) -> None:
    server.upload(SAMPLES / "hc18" / "153_HC.png")
    server.label("153_HC", labels["153_HC"])
    shipped = ROOT / "bundles" / HEAD
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(shipped.rglob("*.*"))}
    first = server.infer(HEAD, "043_HC")
    assert server.post(f"/train/{HEAD}", {"max_epochs": 1}).status == 200
    task = _finished(server, "/train/")
    assert task["status"] == "DONE", task
    models = studies / "models" / HEAD
    assert [path.name for path in sorted(models.glob("*.pt"))] == ["0001.pt"]
    told = json.loads((models / "0001.json").read_text(encoding="utf-8"))
    assert told["studies"] == ["153_HC.png"] and told["started_from"] == "model.pt" and told["epoch"] == 1
    next_one = server.infer(HEAD, "043_HC")
    digest = hashlib.sha256((models / "0001.pt").read_bytes()).hexdigest()
    assert next_one.json["weights"] == "0001.pt" and next_one.json["weights_sha256"] == digest
    assert "trained_here" in next_one.json["flags"]
    assert next_one.json["measurements"]["hc_mm_low"] is None  # the interval was measured with other weights
    change = next_one.json["measurements"]["hc_mm"] - first.json["measurements"]["hc_mm"]
    assert 0 < abs(change) < 3  # a step from where they were, not from nothing
    again = server.infer(HEAD, "043_HC", {"model_filename": "model.pt"})
    assert again.file == first.file and again.json["measurements"] == first.json["measurements"]
    assert {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(shipped.rglob("*.*"))
    } == before


@pytest.mark.parametrize(("bundle", "image"), TRAINED.items())
def test_the_bundles_of_volumes_train(
    server: Server, studies: Path, labels: dict[str, Path], bundle: str, image: str
) -> None:
    assert server.label(image, labels[image], model=bundle).status == 200
    answer = server.post(f"/train/{bundle}", {"max_epochs": 1}, run_sync=True)
    assert answer.status == 200, answer
    assert answer.json["studies"] == [f"{image}.nii.gz"] and np.isfinite(answer.json["best_metric"])
    assert (studies / "models" / bundle / "0001.pt").is_file()
    assert server.get("/info/").json["train_stats"][bundle]["started_from"] == "model.pt"


def test_boxes_train_the_detector(server: Server, tmp_path: Path) -> None:
    bundle = "fetal_brain_ultrasound_detection"
    (tmp_path / "boxes.json").write_bytes(server.infer(bundle, PICTURE).file)
    assert server.label(PICTURE, tmp_path / "boxes.json").status == 200
    answer = server.post(f"/train/{bundle}", {"max_epochs": 1}, run_sync=True)
    assert answer.status == 200 and answer.json["best_metric"] > 0.5, answer  # it drew them itself


def test_training_without_a_label_says_so(server: Server) -> None:
    answer = server.post(f"/train/{HEAD}", {"images": "nosuch"}, run_sync=True)
    assert answer.status == 400 and "no study" in answer.json["detail"]


def _unlabelled(server: Server) -> set[str]:
    objects = server.get("/datastore/", output="all").json["objects"]
    return {name for name, one in objects.items() if "final" not in one["labels"]}


def _finished(server: Server, path: str) -> dict[str, Any]:
    _wait(lambda: server.get(path).json["status"] in ("DONE", "ERROR"))
    return dict(server.get(path).json)


def _wait(is_done: Any, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < end
        time.sleep(0.5)
