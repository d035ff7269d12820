from __future__ import annotations

import nibabel
import numpy as np
import pytest
from brains import brain_labels

from fetal_monai.anomaly.deviation import NormativeModel
from fetal_monai.datasets import ATLAS_TO_FETA
from fetal_monai.normative import fit_normative, separate_folders

WEEKS = (21, 23, 25, 27, 29, 31, 33, 35, 37, 38)


def write_atlas(folder, name, labels, affine):
    case = folder / name
    case.mkdir(parents=True)
    to_atlas = np.array(
        [{feta: atlas for atlas, feta in ATLAS_TO_FETA.items() if atlas != 8}[n] for n in range(8)]
    )
    image = nibabel.Nifti1Image(to_atlas[labels].astype(np.uint8), affine)
    for file in ("labels.nii.gz", "t2w.nii.gz"):
        nibabel.save(image, case / file)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("atlases")
    for weeks in WEEKS:
        labels, affine = brain_labels((1.4, 1.4, 1.4), scale=0.5 * (weeks / 30) ** 1.2)
        write_atlas(root / "usual", f"STA{weeks}", labels, affine)
        if weeks in (25, 31):
            labels[labels == 5] = 1  # of the cerebellum little is left
            labels[20:24, 14:18, 8:11] = 5
            write_atlas(root / "abnormal", f"GA{weeks}_notoperated", labels, affine)
    return root / "usual", root / "abnormal"


def test_a_folder_becomes_a_file(folders, tmp_path):
    model = fit_normative(folders[0], tmp_path / "normative.json", source="ellipsoids")
    assert NormativeModel.load(tmp_path / "normative.json") == model
    # (4/3) pi 9 x 5 x 4.5 mm³ at 30 weeks, growing with the cube of a length that grows as weeks to the 1.2
    assert model.expected("cerebellum_ml", 30)[0] == pytest.approx(0.848, rel=0.05)
    assert model.expected("cerebellum_ml", 36)[0] == pytest.approx(0.848 * 1.2**3.6, rel=0.05)
    assert model.curves["brain_ml"].n == len(WEEKS)


def test_two_folders_are_told_apart(folders):
    found = separate_folders(*folders)
    assert len(found.abnormal_scores) == 2
    assert found.auc_leave_one_out == 1
