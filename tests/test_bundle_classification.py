"""The classifier's bundle from file to file: what it promises of its answers, and what it does where there is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_scans import BAD
from bundle_configs import metadata
from bundle_runs import CLASSIFICATION, MONAI_WARNS_OF_CONFIGS, ROOT, root_cause, run_bundle
from heads import save_png
from monai.bundle import run as run_config
from PIL import Image
from plane_files import ABDOMEN, BRAIN, FEMUR, write_plane_files
from scipy import ndimage

from fetal_monai.measure.plane import NONE_OF_THESE, PLANES

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

SAMPLES = ROOT / "data" / "samples" / "fetal_planes"
DICOM = ROOT / "data" / "samples" / "dicom_ultrasound"


def check_row(row: dict[str, Any]) -> None:
    chances = [row[f"probability_{plane}"] for plane in PLANES]
    assert sum(chances) == pytest.approx(1) and min(chances) >= 0
    order = [PLANES[place] for place in np.argsort(chances, kind="stable")[::-1]]
    told = [row["plane"], row["plane_second"]]
    assert told == ([NONE_OF_THESE, order[0]] if row["plane"] == NONE_OF_THESE else order[:2])
    flags = row["flags"].split(";")
    assert "experimental_weights" in flags
    assert (NONE_OF_THESE in flags) == (row["plane"] == NONE_OF_THESE) == (row["plane_p_value"] <= 0.01)
    assert row["plane_distance"] > 0


def test_a_picture_of_each_answer(tmp_path: Path):
    run = run_bundle(CLASSIFICATION, SAMPLES, tmp_path)
    assert len(run.rows) == 2 and run.files() == run.promised()
    for name, row in run.rows.items():
        check_row(row)
        outputs = run.entries[name]["outputs"]
        assert {output.rpartition("_")[2] for output in outputs} == {"cam.png", "overlay.png"}
        for output in outputs:
            with Image.open(run.out / output) as picture:
                assert picture.mode == "RGB" and min(picture.size) > 200
    page = (run.out / "report.html").read_text(encoding="utf-8")
    assert "Standard planes (experimental weights)" in page
    assert "learned mostly from synthetic pictures" in page


def test_what_has_no_head_gets_an_answer_too(tmp_path: Path):
    random = np.random.default_rng(0)
    noise = random.uniform(0, 255, (300, 420))
    smooth = ndimage.gaussian_filter(noise, 4)
    save_png(tmp_path / "in" / "noise.png", noise.astype(np.uint8))
    save_png(tmp_path / "in" / "smooth.png", np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth)))
    save_png(tmp_path / "in" / "ramp.png", np.tile(np.linspace(0, 255, 420).astype(np.uint8), (300, 1)))
    save_png(tmp_path / "in" / "strip.png", np.uint8(noise[:40]))
    save_png(tmp_path / "in" / "tall.png", np.uint8(noise[:, :40]))
    shutil.copyfile(DICOM / "examples_ybr_color.dcm", tmp_path / "in" / "frames.dcm")
    run = run_bundle(CLASSIFICATION, tmp_path / "in", tmp_path / "out")
    assert run.reasons == {} and run.files() == run.promised()
    assert sum(row["filename"] == "frames.dcm" for row in run.table) == 30
    for row in json.loads((run.out / "measurements.json").read_text(encoding="utf-8")):
        check_row(row)


def test_bad_files_beside_a_good_one(tmp_path: Path):
    good = "Patient01671_Plane3_1_of_3.png"
    (tmp_path / "in").mkdir()
    shutil.copyfile(SAMPLES / "Images" / good, tmp_path / "in" / good)
    alone = run_bundle(CLASSIFICATION, tmp_path / "in", tmp_path / "alone").rows[good]
    for number, (name, (write, _)) in enumerate(BAD.items()):
        write(tmp_path / "in" / f"{number}_{name}")
    (tmp_path / "in" / "folder.png").mkdir()
    run = run_bundle(CLASSIFICATION, tmp_path / "in", tmp_path / "out", batch_size=1)
    assert set(run.reasons) == {f"{number}_{name}" for number, name in enumerate(BAD)}
    for number, (name, (_, words)) in enumerate(BAD.items()):
        assert [word for word in words if word not in run.reasons[f"{number}_{name}"]] == []
    assert run.rows[good]["plane"] == alone["plane"]
    assert run.rows[good]["plane_distance"] == pytest.approx(alone["plane_distance"], rel=1e-3)
    assert run.files() == run.promised()


def test_a_structured_report_names_the_plane(tmp_path: Path):
    import pydicom

    name = "OBXXXX1A_rle"
    run = run_bundle(
        CLASSIFICATION, DICOM / f"{name}.dcm", tmp_path, dicom=True, deidentify=True, none_rate=0
    )
    plane = run.rows[f"{name}.dcm"]["plane"]
    report = pydicom.dcmread(run.out / f"{name}_sr.dcm")
    told = dict(_items(report))
    assert told["Image View"].ConceptCodeSequence[0].CodeValue == plane
    chance = told[f"Probability, {plane.replace('trans_', 'trans-')}"].MeasuredValueSequence[0].NumericValue
    assert float(chance) == pytest.approx(run.rows[f"{name}.dcm"][f"probability_{plane}"], rel=1e-4)
    comments = [item.TextValue for meaning, item in _items(report) if meaning == "Comment"]
    assert any("learned mostly from synthetic pictures" in text for text in comments)


def _items(content: Any) -> list[tuple[str, Any]]:
    """Every item of a report with the meaning of its concept."""
    found = []
    for item in getattr(content, "ContentSequence", []):
        found.append((str(item.ConceptNameCodeSequence[0].CodeMeaning), item))
        found += _items(item)
    return found


def test_resume_keeps_what_is_done(tmp_path: Path):
    first = run_bundle(CLASSIFICATION, SAMPLES, tmp_path)
    again = run_bundle(CLASSIFICATION, SAMPLES, tmp_path, resume=True)
    assert again.info["resumed"] == 2 and again.rows == first.rows
    other = run_bundle(CLASSIFICATION, SAMPLES, tmp_path, resume=True, none_rate=0.5)
    assert other.info["resumed"] == 0


def test_nothing_is_none_of_these_at_a_rate_of_0_and_much_at_another(tmp_path: Path):
    kept = run_bundle(CLASSIFICATION, SAMPLES, tmp_path / "0", none_rate=0)
    assert all(row["plane"] in PLANES for row in kept.rows.values())
    taken = run_bundle(CLASSIFICATION, SAMPLES, tmp_path / "1", none_rate=0.999, experimental=False)
    for row in taken.rows.values():
        assert (row["plane"] == NONE_OF_THESE) == (row["plane_p_value"] <= 0.999)
        assert "experimental_weights" not in row["flags"]
    with pytest.raises(RuntimeError) as caught:
        run_bundle(CLASSIFICATION, SAMPLES, tmp_path / "2", none_rate=2)
    assert "none_rate is 2; it must lie between 0 and 1" in str(root_cause(caught.value))


def test_evaluation_takes_the_official_layout(tmp_path: Path):
    run_bundle(CLASSIFICATION, SAMPLES, tmp_path / "out", "evaluate")
    summary = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert (summary["n"], summary["patients"], summary["unreadable"]) == (2, 2, 0)
    assert set(summary["by_plane"]) >= {"trans_thalamic", "femur"}
    with pytest.raises(RuntimeError) as caught:
        run_bundle(CLASSIFICATION, SAMPLES / "Images", tmp_path / "none", "evaluate")
    assert "Images: no FETAL_PLANES_DB_data.csv; expected" in str(root_cause(caught.value))


def test_calibration_is_written_from_that_layout(tmp_path: Path):
    kinds = [BRAIN, ABDOMEN, FEMUR]
    rows = [(f"p{n}", str(n), kinds[n % 3], 1) for n in range(24)]
    data = write_plane_files(tmp_path / "data", rows)
    paths = {"calibration_path": str(tmp_path / "c.json"), "features_path": str(tmp_path / "f.npz")}
    run_bundle(CLASSIFICATION, data, tmp_path / "out", "evaluate", "calibrate", fractions=[0.0, 0.4], **paths)
    calibration = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert calibration["temperature"] > 0 and calibration["source"] == f"pictures of {data}"
    assert not list((tmp_path / "out").glob("*_overlay.png"))
    run = run_bundle(CLASSIFICATION, data, tmp_path / "again", **paths)
    assert all(row["plane_p_value"] > 0 for row in run.rows.values())


def config(name: str, **values: Any) -> None:
    names = ["train", "pretrain"] if name == "pretrain" else [name]
    files = [str(CLASSIFICATION / "configs" / f"{one}.yaml") for one in names]
    run_config(config_file=files, logging_file=False, bundle_root=str(CLASSIFICATION), **values)


@pytest.mark.slow
def test_pretraining_without_labels_gives_the_encoder(tmp_path: Path):
    import torch

    rows = [(f"p{n}", str(n), BRAIN if n % 2 else FEMUR, 1) for n in range(6)]
    roles = "\n".join(["patient,role", *(f"{n},{'validation' if n > 3 else 'train'}" for n in range(6))])
    data = write_plane_files(tmp_path / "data", rows)
    (data / "roles.csv").write_text(roles + "\n", encoding="utf-8")
    network = {"_target_": "fetal_monai.networks.classifier.EncoderClassifier", "in_channels": 1}
    values = {
        "dataset_dir": str(data),
        "patients": str(data / "roles.csv"),
        "network_def": {**network, "classes": 8, "channels": [4, 8]},
        "shape": [32, 48],
        "batch_size": 2,
        "max_epochs": 1,
        "styles": 2,
        "device": "$torch.device('cpu')",
    }
    config("pretrain", output_dir=str(tmp_path / "ae"), code_channels=3, **values)
    trained = torch.load(tmp_path / "ae" / "autoencoder.pt", weights_only=True)
    assert any(name.startswith("decoder.") for name in trained)
    encoder = str(tmp_path / "ae" / "autoencoder.pt")
    model = tmp_path / "model.pt"
    config(
        "train",
        output_dir=str(tmp_path / "cls"),
        model_path=str(model),
        encoder=encoder,
        learning_rate=0.0,
        ema_momentum=0.0,
        weight_decay=0.0,
        **values,
    )
    kept = torch.load(model, weights_only=True)
    weights = [name for name in kept if name.startswith("encoder.") and name.endswith("conv.weight")]
    assert weights and all(torch.equal(kept[name], trained[name]) for name in weights)


def test_made_data_from_its_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config("make_data", output_dir=str(tmp_path), folders={}, synthetic={"femur": 2, "other": 1}, width=96)
    assert "3 pictures" in capsys.readouterr().out
    assert len(list((tmp_path / "Images").glob("*.png"))) == 3


def test_metadata_and_documents_say_experimental():
    content = metadata(CLASSIFICATION)
    for words in (content["name"], content["description"], content["intended_use"]):
        assert "experimental" in words
    readme = (CLASSIFICATION / "docs" / "README.md").read_text(encoding="utf-8")
    assert "experimental" in readme[:600].lower()
