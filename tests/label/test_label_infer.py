"""Every bundle answers over HTTP with what its own run gives, where it lies."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from label_server import IMAGES, PICTURE, SAMPLES, SERVED, Server
from PIL import Image

HEAD, STACK = "fetal_head_ultrasound_segmentation", "fetal_brain_stack_segmentation"
DETECTION, ANOMALY = "fetal_brain_ultrasound_detection", "fetal_brain_ultrasound_anomaly"


def test_it_starts_offline_in_less_than_20_seconds_of_work(server: Server) -> None:
    assert server.cpu_seconds < 20


def test_info_names_every_bundle(server: Server) -> None:
    info = server.get("/info/").json
    assert sorted(info["models"]) == SERVED
    assert {name for name in SERVED if name.endswith("_segmentation")} <= set(info["trainers"])
    assert set(info["strategies"]) == {"uncertainty", "anomaly", "first", "random"}
    assert set(info["scoring"]) == {"uncertainty", "anomaly", "dice"}
    models = info["models"]
    assert [models[name]["dimension"] for name in (HEAD, STACK)] == [2, 3]
    assert models[HEAD]["labels"] == {"head": 1}
    assert models["fetal_brain_mri_segmentation"]["labels"]["brainstem"] == 7
    assert models["brain_tumour_mri_segmentation"]["labels"]["enhancing"] == 3
    assert [models[name]["type"] for name in (HEAD, DETECTION, ANOMALY)] == [
        "segmentation",
        "detection",
        "others",
    ]


@pytest.mark.parametrize("bundle", SERVED)
def test_answers_as_the_bundles_own_run(server: Server, own_runs: Path, bundle: str) -> None:
    answer = server.infer(bundle, IMAGES[bundle])
    assert answer.status == 200, answer
    run = own_runs / bundle
    row = json.loads((run / "measurements.json").read_text(encoding="utf-8"))[0]
    for name, value in answer.json["measurements"].items():
        assert value == (pytest.approx(row[name], rel=1e-9) if isinstance(value, float) else row[name]), name
    assert answer.json["flags"] == [flag for flag in row["flags"].split(";") if flag]
    assert answer.json["spacing_source"] == row["spacing_source"]
    if "prediction" in answer.json:  # of a classification, best first
        assert answer.json["prediction"][0]["label"] == answer.json["measurements"]["plane"]
    files = [path for path in run.rglob("*") if path.name.split(".")[0].endswith(("_seg", "_map"))]
    assert bool(answer.file) == bool(files or bundle.endswith("_detection"))
    for path in files:
        suffix = ".nii.gz" if path.name.endswith(".gz") else path.suffix
        assert answer.filename.endswith(suffix)
        assert np.array_equal(_voxels(answer.file, suffix), _voxels(path.read_bytes(), suffix))
        assert _voxels(answer.file, suffix).any()


@pytest.mark.parametrize("bundle", [STACK, HEAD, ANOMALY])
def test_slicer_gets_a_volume_that_lies_on_the_image(
    server: Server, studies: Path, own_runs: Path, tmp_path: Path, bundle: str
) -> None:
    answer = server.infer(bundle, IMAGES[bundle], {"result_extension": ".nrrd", "result_dtype": "uint8"})
    (tmp_path / "answer.nrrd").write_bytes(answer.file)
    found = SimpleITK.ReadImage(str(tmp_path / "answer.nrrd"))
    scan = SimpleITK.ReadImage(str(next(studies.glob(f"{IMAGES[bundle]}.*"))))
    n = scan.GetDimension()
    assert found.GetDimension() == 3 and found.GetSize()[:n] == scan.GetSize()
    assert found.GetSpacing()[:n] == pytest.approx(scan.GetSpacing())
    assert found.GetOrigin()[:n] == pytest.approx(scan.GetOrigin())
    turn = np.reshape(found.GetDirection(), (3, 3))[:n, :n]
    assert turn.ravel() == pytest.approx(scan.GetDirection())
    own = next(p for p in (own_runs / bundle).rglob("*") if p.name.split(".")[0].endswith(("_seg", "_map")))
    voxels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(own))).astype(float)
    assert np.squeeze(SimpleITK.GetArrayFromImage(found)) == pytest.approx(
        voxels / (255 if n == 2 else 1), abs=1e-6
    )


@pytest.mark.parametrize("axes", ["RAS", "LPS"])
def test_labels_lie_on_the_scan_however_its_axes_run(
    server: Server, own_runs: Path, tmp_path: Path, axes: str
) -> None:
    scan = nibabel.load(SAMPLES / "fetal_brain_stacks" / "sub-01_run-3_T2w.nii.gz")
    turned = _turned(scan, axes)
    nibabel.save(turned, tmp_path / f"{axes}.nii.gz")
    answer = server.infer(STACK, server.upload(tmp_path / f"{axes}.nii.gz"))
    found = nibabel.Nifti1Image.from_bytes(_unzipped(answer.file))
    assert found.shape == turned.shape and np.allclose(found.affine, turned.affine, atol=1e-4)
    own = _turned(nibabel.load(own_runs / STACK / "sub-01_run-3_T2w_seg.nii.gz"), axes)
    both = np.asarray(own.dataobj) > 0, np.asarray(found.dataobj) > 0
    assert 2 * (both[0] & both[1]).sum() / (both[0].sum() + both[1].sum()) > 0.999


def test_boxes_come_as_slicer_draws_them(server: Server, own_runs: Path) -> None:
    answer = server.infer(DETECTION, PICTURE, {"result_extension": ".nrrd"})
    own = json.loads((own_runs / DETECTION / f"{PICTURE}_boxes.json").read_text(encoding="utf-8"))
    assert answer.filename.endswith(".json") and answer.json["boxes"] == own["boxes"]
    shown = [box for box in own["boxes"] if box["shown"]]
    markups = json.loads(answer.file)["markups"]
    assert len(markups) == len(shown) > 0
    for markup, box in zip(markups, shown, strict=True):  # a JPEG is at the origin, a mm for each pixel
        x, y, width, height = box["bbox"]
        assert markup["type"] == "ROI" and markup["coordinateSystem"] == "LPS"
        assert markup["center"] == pytest.approx([x + width / 2 - 0.5, y + height / 2 - 0.5, 0])
        assert markup["size"] == pytest.approx([width, height, 1])
        assert markup["name"].split() == [box["label"], f"{box['score']:.2f}"]


def test_a_dicom_picture_has_its_own_spacing_and_an_upload_that_which_is_given(server: Server) -> None:
    spacing_mm = server.infer(HEAD, "OBXXXX1A_rle").json["spacing_mm"]
    assert spacing_mm == pytest.approx([0.26228787662] * 2)
    picture = SAMPLES / "hc18" / "371_HC.png"
    without = server.infer(HEAD, file=picture).json
    assert without["flags"] == ["no_spacing"] and without["measurements"]["hc_mm"] is None
    given = server.infer(HEAD, params={"spacing_mm": 0.1}, file=picture).json
    assert given["spacing_source"] == "argument" and given["measurements"]["hc_mm"] > 50


def test_two_clients_at_once_get_their_own_answers(server: Server) -> None:
    asked = [(HEAD, "043_HC"), (DETECTION, PICTURE)] * 2
    alone = [server.infer(*one) for one in asked[:2]]
    with ThreadPoolExecutor(4) as clients:
        together = list(clients.map(lambda one: server.infer(*one), asked))
    for answer, expected in zip(together, alone * 2, strict=True):
        assert answer.status == 200 and answer.file == expected.file
        assert answer.json["measurements"] == expected.json["measurements"]


def _voxels(content: bytes, suffix: str) -> np.ndarray:
    if suffix == ".png":
        return np.asarray(Image.open(io.BytesIO(content)))
    return np.asarray(nibabel.Nifti1Image.from_bytes(_unzipped(content)).dataobj)


def _unzipped(content: bytes) -> bytes:
    import gzip

    return gzip.decompress(content)


def _turned(image: nibabel.Nifti1Image, axes: str) -> nibabel.Nifti1Image:
    to = nibabel.orientations.axcodes2ornt(axes)
    return image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), to))
