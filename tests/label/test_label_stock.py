"""MONAI Label's own bundle app runs the 3D bundles as they are, and the environment holds what it says."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from label_server import LABEL_BIN, ROOT, Server

BUNDLES = {
    "brain_tumour_mri_segmentation": "pat0003_flair",
    "fetal_brain_mri_segmentation": "GA26_T2w",
    "fetal_brain_stack_segmentation": "sub-01_run-3_T2w",
}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, studies: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("stock")
    app, scans = folder / "monaibundle", folder / "studies"
    shutil.copytree(LABEL_BIN.parent / "monailabel" / "sample-apps" / "monaibundle", app)
    for bundle in BUNDLES:
        shutil.copytree(ROOT / "bundles" / bundle, app / "model" / bundle)
    scans.mkdir()
    for image in BUNDLES.values():
        shutil.copy(studies / f"{image}.nii.gz", scans)
    command = [str(LABEL_BIN / "monailabel"), "start_server", "--app", str(app), "--studies", str(scans)]
    for name, value in (("models", ",".join(BUNDLES)), ("zoo_source", "local"), ("sam2", "false")):
        command += ["--conf", name, value]
    one = Server([*command, "--host", "127.0.0.1", "--port", "{port}"], folder, scans).start()
    yield one
    one.stop()


def test_it_loads_all_of_them(stock: Server) -> None:
    info = stock.get("/info/").json
    assert sorted(info["models"]) == sorted(info["trainers"]) == sorted(BUNDLES)
    assert info["models"]["fetal_brain_mri_segmentation"]["labels"]["brainstem"] == 7


@pytest.mark.parametrize("bundle", BUNDLES)
def test_it_gives_the_labels_of_the_bundles_own_run(stock: Server, own_runs: Path, bundle: str) -> None:
    answer = stock.infer(bundle, BUNDLES[bundle])
    assert answer.status == 200, answer
    found = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.file))
    scan = nibabel.load(stock.studies / f"{BUNDLES[bundle]}.nii.gz")
    assert found.shape == scan.shape and np.allclose(found.affine, scan.affine, atol=1e-4)
    assert answer.json["measurements"] and isinstance(answer.json["flags"], list)
    if bundle.startswith("brain_tumour"):  # it sees one sequence, the run of the patient two
        assert "one_sequence" in answer.json["flags"] and set(np.unique(found.dataobj)) <= {0, 1, 2, 4}
        return
    own = nibabel.load(next((own_runs / bundle).glob("*_seg.nii.gz")))
    assert np.array_equal(np.asarray(found.dataobj), np.asarray(own.dataobj))


def test_monailabel_starts_the_app_by_its_folder(studies: Path, tmp_path: Path) -> None:
    server = Server([], tmp_path, studies)
    shell = (
        'exec monailabel start_server --app "$(fetal-monai label --path)" --studies "$0" '
        "--conf models fetal_head_ultrasound_segmentation --host 127.0.0.1 --port {port}"
    )
    server.command = ["bash", "-c", shell, str(tmp_path / "new")]
    server.start()
    try:
        assert list(server.get("/info/").json["models"]) == ["fetal_head_ultrasound_segmentation"]
        assert (tmp_path / "data" / "fetal_monai" / "label" / "main.py").is_file()
        package = ROOT / "fetal_monai" / "label"
        assert not any((package / name).exists() for name in ("logs", "model", "bin", "lib"))
    finally:
        server.stop()


def test_the_environment_lacks_what_it_says_and_no_more() -> None:
    checked = subprocess.run(
        [str(LABEL_BIN / "python"), "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    from fetal_monai.label.workarounds import LEFT_OUT

    lines = [line for line in checked.stdout.splitlines() if line.strip()]
    missing = [line for line in lines if line.startswith("monailabel ") and "is not installed" in line]
    assert sorted(line.split()[3].rstrip(",") for line in missing) == sorted(LEFT_OUT)
    assert len(missing) == len(lines), lines
