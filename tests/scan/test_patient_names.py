"""Which sequence a name means, which files are labels, and what the files of a patient share."""

from __future__ import annotations

import pytest

from fetal_monai.scan import sequence_of
from fetal_monai.scan.patient_names import is_label_name, patient_prefix, without_series_number

T1 = (
    "t1.nii.gz", "BraTS20_Training_001_t1.nii.gz", "BraTS-GLI-00001-000-t1n.nii.gz", "sub-01_T1w.nii.gz", "AxT1.nii",
    "T1_pre_contrast.nii", "T1_native.mha", "p_T1w_without_contrast.nii", "post_op_t1.nii.gz", "mprage.nii.gz",
    "T1_FLAIR.nii.gz", "ax_t1flair_pre.nii", "pat_postop_T1", "VSD.Brain.XX.O.MR_T1.54513.mha",
)  # fmt: skip
T1C = (
    "t1c.nii.gz", "BraTS18_x_t1ce.nii.gz", "BraTS-MET-00002-000-t1c.nii.gz", "t1gd.nii.gz", "T1Gd", "T1_post.nii",
    "T1+C.nii.gz", "T1 + Gd", "sub-01_ce-gad_T1w.nii.gz", "x_T1wCE.nrrd", "T1KM.nii.gz", "AXT1POST.nii",
    "T1_FLAIR_post.nii", "T1_c.nii.gz", "T1_post_op_contrast.nii", "VSD.Brain.XX.O.MR_T1c.54514.mha",
)  # fmt: skip
T2 = (
    "t2.nii.gz",
    "BraTS-GLI-00001-000-t2w.nii.gz",
    "T2w.nii",
    "Ax_T2_TSE.nii.gz",
    "t2_post.mha",
    "COR-T2.nii",
)
FLAIR = (
    "flair.nii.gz", "BraTS20_Training_001_flair.nii.gz", "BraTS-GLI-00001-000-t2f.nii.gz", "sub-01_FLAIR.nii.gz",
    "t2_flair.nii", "T2_FLAIR_DARK_FLUID.nii", "4_FLAIR.nii",
    "T2_FLAIR.nii.gz", "T2wFLAIR.nii", "t2-dark-fluid.nii.gz", "VSD.Brain.XX.O.MR_Flair.54512.mha",
)  # fmt: skip
NONE = (
    "case.nii.gz", "BraTS20_Training_001_seg.nii.gz", "t1_mask.nii.gz", "t2star.nii.gz", "T2*.nii.gz", "T2_star.nii",
    "T1_map.nii", "T1_T2_ratio.nii", "adc.nii.gz", "T2_DWI.nii.gz", "at10.nii", "patient1.nii.gz",
    "t1c_T2w.nii", "T10.nii", "",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sequence"),
    [(name, sequence) for names, sequence in ((T1, "t1"), (T1C, "t1c"), (T2, "t2"), (FLAIR, "flair"), (NONE, None))
     for name in names],
)  # fmt: skip
def test_sequence(name, sequence):
    assert sequence_of(name) == sequence


@pytest.mark.parametrize(
    ("name", "is_label"),
    [
        ("seg.nii.gz", True),
        ("BraTS20_Training_001_seg.nii.gz", True),
        ("BraTS-GLI-00001-000-seg.nii.gz", True),
        ("x_Segmentation.nii", True),
        ("t1_mask.mha", True),
        ("VSD.Brain_3more.XX.O.OT.54517.mha", True),
        ("VSD.Brain.XX.O.MR_T1.54513.mha", False),
        ("seg_flair.nii.gz", False),
        ("flair.nii.gz", False),
    ],
)
def test_label(name, is_label):
    assert is_label_name(name) is is_label


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("BraTS20_Training_001_flair.nii.gz", "BraTS20_Training_001"),
        ("BraTS-GLI-00001-000-t2f.nii.gz", "BraTS-GLI-00001-000"),
        ("flair.nii.gz", ""),
        ("t1c_007.nii.gz", "007"),
        ("AX_T1_POST.nii.gz", ""),
        ("AX_T1_POST_patient7.nii.gz", "patient7"),
        ("post_op_001_flair.nii.gz", "post_op_001"),
        ("sub-01_ses-2_acq-ax_ce-gad_T1w.nii.gz", "sub-01_ses-2"),
        ("sub-01_ses-2_FLAIR.nii.gz", "sub-01_ses-2"),
        ("VSD.Brain.XX.O.MR_Flair.54512.mha", "VSD.Brain.XX.O"),
        ("BRATS_001.nii.gz", "BRATS_001"),
    ],
)
def test_prefix(name, prefix):
    assert patient_prefix(name) == prefix


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [("4", ""), ("12a_p1", "p1"), ("003-p1", "p1"), ("20240131120000_7", "20240131120000"), ("p1_4", "p1_4"),
     ("20240131", "20240131"), ("4D", "4D"), ("", "")],
)  # fmt: skip
def test_numbers_of_series(prefix, kept):
    assert without_series_number(prefix) == kept
