"""A real server, started once; without `make label-env` its tests are skipped."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from label_server import IMAGES, LABEL_BIN, PICTURE, SAMPLES, SERVED, Server, environment

TUMOUR = SAMPLES / "brain_tumour" / "brats_2013_pat0003"
RUNS = """
import json, sys
from fetal_monai.bundles import bundle_dir
from fetal_monai.workflow import overrides, run_inference
for bundle, scan, out, more in json.loads(sys.argv[1]):
    folder = bundle_dir(bundle)
    configs, values = overrides(folder, [], [], {"dataset_dir": scan, "output_dir": out, "progress": False, **more})
    run_inference(configs, {"bundle_root": str(folder), **values})
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if not (LABEL_BIN / "monailabel").exists():
                item.add_marker(
                    pytest.mark.skip(reason="needs the environment of MONAI Label: make label-env")
                )


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scan or more for each bundle."""
    folder = tmp_path_factory.mktemp("studies")
    for file in (
        SAMPLES / "hc18" / "043_HC.png",
        SAMPLES / "hc18" / "pixel_size_and_HC.csv",
        SAMPLES / "trans_ventricular" / "images" / f"{PICTURE}.jpg",
        SAMPLES / "dicom_ultrasound" / "OBXXXX1A_rle.dcm",
        SAMPLES / "fetal_brain_stacks" / "sub-01_run-3_T2w.nii.gz",
    ):
        shutil.copy(file, folder)
    shutil.copy(
        SAMPLES / "fetal_brain_atlas/spina_bifida/GA26_operated/t2w.nii.gz", folder / "GA26_T2w.nii.gz"
    )
    for name in ("flair", "t1c"):
        shutil.copy(TUMOUR / f"{name}.nii.gz", folder / f"pat0003_{name}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def server(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [str(LABEL_BIN / "fetal-monai"), "label", "--studies", str(studies), "--port", "{port}"]
    one = Server(command, tmp_path_factory.mktemp("home"), studies).start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def own_runs(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the bundles' own inference makes of the same scans: a folder for each."""
    out = tmp_path_factory.mktemp("runs")
    patient = out / "pat0003"
    patient.mkdir()
    for name in ("flair", "t1c"):
        shutil.copy(studies / f"pat0003_{name}.nii.gz", patient)
    asked = []
    for bundle in SERVED:
        scan = next(studies.glob(f"{IMAGES[bundle]}.*"))
        of_patient = bundle.startswith("brain_tumour")
        more = {"reference": "flair", "convention": "brats2023"} if of_patient else {}
        asked.append([bundle, str(patient if of_patient else scan), str(out / bundle), more])
    command = [str(LABEL_BIN / "python"), "-c", RUNS, json.dumps(asked)]
    subprocess.run(command, check=True, env=environment(out), capture_output=True)
    return out


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a person drew, in the values that the bundles know, by the name of the image."""
    from fetal_monai.datasets import remap_labels

    folder = tmp_path_factory.mktemp("labels")
    stack = SAMPLES / "fetal_brain_stacks" / "sub-01_run-3_T2w_desc-brain_mask.nii.gz"
    atlas = SAMPLES / "fetal_brain_atlas" / "spina_bifida" / "GA26_operated" / "labels.nii.gz"
    drawn = {
        "GA26_T2w": (atlas, lambda labels: remap_labels(labels, "atlas")),
        "sub-01_run-3_T2w": (stack, lambda labels: labels),
        "pat0003_flair": (TUMOUR / "seg.nii.gz", lambda labels: np.array([0, 1, 2, 1, 3])[labels]),
    }
    found = {"153_HC": SAMPLES / "hc18" / "153_HC_Annotation.png"}
    for name, (path, change) in drawn.items():
        image = nibabel.load(path)
        header = image.header.copy()
        header.set_data_dtype(np.uint8)
        values = change(np.asarray(image.dataobj)).astype(np.uint8)
        found[name] = folder / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, None, header), found[name])
    return found
