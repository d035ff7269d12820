"""What each bundle is tried on: small scans of its kind, what it promises of them, and cases to train with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain_files import write_atlas, write_stack, write_volume
from bundle_runs import ANOMALY, CLASSIFICATION, DETECTION, HEAD, MRI, ROOT, STACK, TUMOUR, copy_samples
from heads import write_hc18
from plane_files import ABDOMEN, BRAIN, FEMUR, write_plane_files
from structures import write_structures
from tumours import write_patient

UNET = {"_target_": "UNet", "in_channels": 1, "channels": [4, 8], "strides": [2], "norm": "BATCH"}
PLANE = {**UNET, "spatial_dims": 2, "out_channels": 1}
DETECTOR = {
    "_target_": "fetal_monai.networks.heatmap.HeatmapDetector",
    "channels": [8, 8, 8],
    "blocks": [1, 1],
    "pyramid": 8,
}
CLASSIFIER = {"_target_": "fetal_monai.networks.classifier.EncoderClassifier", "channels": [4, 8]}
PLANES = ("Patient00803_Plane3_3_of_5.jpg", "Patient01105_Plane3_3_of_5.jpg")
ROLES = {
    "001": "train",
    "002": "train",
    "003": "train",
    "004": "train",
    "005": "validation",
    "006": "validation",
}


@dataclass(frozen=True)
class Trial:
    """`write` puts scans of these `names` into a folder; `columns` are the promised measures, in order.

    `data` writes four cases to train with, and some to validate, and returns the values of train.yaml that lead to
    them; `tiny` makes that training short, with a network that `other` replaces by a different one. `metric` chooses
    the weights, by its `best`; `shares` are those metrics of the validation that lie between 0 and 1. Where it
    `starts_at_zero`, so short a training may find nothing.
    """

    names: tuple[str, ...]
    write: Callable[[Path], Any]
    columns: tuple[str, ...]
    data: Callable[[Path], dict[str, Any]]
    tiny: dict[str, Any]
    other: dict[str, Any]
    metric: str
    best: Callable[..., Any]
    axes: int = 3
    shares: tuple[str, ...] = ("val_dice",)
    starts_at_zero: bool = False


def _hc18(folder: Path) -> dict[str, Any]:
    """Six pictures in HC18's layout, and the roles of their patients."""
    write_hc18(folder, [f"{patient}_HC.png" for patient in ROLES])
    lines = ["patient,role", *(f"{patient},{role}" for patient, role in ROLES.items())]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"dataset_dir": str(folder), "patients": str(folder / "patients.csv")}


def _planes(folder: Path) -> None:
    """Two trans-ventricular planes with a pixel size."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLANES:
        shutil.copyfile(ROOT / "data" / "samples" / "trans_ventricular" / "images" / name, folder / name)
    lines = ["filename,pixel size(mm)", *(f"{name},0.2" for name in PLANES)]
    (folder / "pixels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _structures(folder: Path) -> dict[str, Any]:
    """Six pictures with boxes, and the roles of their patients."""
    write_structures(folder, list(ROLES))
    lines = ["patient,role", *(f"{patient},{role}" for patient, role in ROLES.items())]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"dataset_dir": str(folder), "patients": str(folder / "patients.csv")}


def _standard_planes(folder: Path) -> dict[str, Any]:
    """Six pictures in the layout of FETAL_PLANES_DB, and the roles of their patients."""
    kinds = (BRAIN, ABDOMEN, FEMUR, BRAIN, BRAIN, FEMUR)
    write_plane_files(folder, [(f"Patient{p}_1", p, kind, 1) for p, kind in zip(ROLES, kinds, strict=True)])
    lines = ["patient,role", *(f"{patient},{role}" for patient, role in ROLES.items())]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"dataset_dir": str(folder), "patients": str(folder / "patients.csv")}


def _atlas(folder: Path) -> dict[str, Any]:
    """Two cases, each of which comes twice."""
    return {"dataset_dir": str(write_atlas(folder, "GA24_a", "GA31_b")), "repeats": 2}


def _patients(folder: Path) -> dict[str, Any]:
    """Two patients, each of which comes twice."""
    for name in ("p1", "p2"):
        write_patient(folder / name)
    return {"dataset_dir": str(folder), "fractions": [0.0, 0.0], "validation_roles": ["train"], "repeats": 2}


def _heads(folder: Path) -> dict[str, Any]:
    """Two pictures of heads that train, each twice, and one that validates."""
    copy_samples(folder, *(f"{patient}_HC.png" for patient in ("306", "371", "799")))
    lines = ["patient,role", "306,train", "371,train", "799,validation"]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"dataset_dir": str(folder), "patients": str(folder / "patients.csv"), "repeats": 2}


def _alteration(**changes: Any) -> dict[str, Any]:
    """A small anomaly network."""
    target = "fetal_monai.networks.autoencoder.AlterationNet"
    channels = {"channels": [4, 8], "code_channels": 3, "hidden": [4]}
    return {"network_def": {"_target_": target, **channels, **changes}}


def _volume(out_channels: int, **changes: Any) -> dict[str, Any]:
    network = {**UNET, "spatial_dims": 3, "out_channels": out_channels, **changes}
    return {"network_def": network, "shape": [32, 32, 32]}


TRIALS = {
    HEAD.name: Trial(
        names=("371_HC.png", "799_HC.png"),
        write=lambda folder: copy_samples(folder, "371_HC.png", "799_HC.png"),
        columns=(
            *("hc_mm", "hc_mm_low", "hc_mm_high", "bpd_mm", "ofd_mm", "cephalic_index"),
            *("ga_weeks_hadlock", "ga_weeks_intergrowth", "hc_centile"),
        ),
        data=_hc18,
        tiny={"network_def": PLANE, "shape": [64, 96]},
        other={"network_def": {**PLANE, "channels": [4, 6]}},
        metric="val_hc_mae_mm",
        best=min,
        axes=2,
    ),
    ANOMALY.name: Trial(
        names=("371_HC.png", "799_HC.png"),
        write=lambda folder: copy_samples(folder, "371_HC.png", "799_HC.png"),
        columns=(
            *("anomaly_score", "p_value", "mse", "structural_error", "latent_distance"),
            *("alteration", "head_doubt"),
        ),
        data=_heads,
        tiny={**_alteration(), "shape": [32, 48]},
        other=_alteration(code_channels=2),
        metric="val_mse",
        best=min,
        axes=2,
        shares=("val_dice", "val_mse"),
    ),
    DETECTION.name: Trial(
        names=PLANES,
        write=_planes,
        columns=(
            *("atrial_width_mm", "cavum_width_mm", "n_found", "score_head", "score_midline_falx"),
            *("score_cavum_septi_pellucidi", "score_choroid_plexus", "score_lateral_ventricle"),
        ),
        data=_structures,
        tiny={"network_def": DETECTOR, "shape": [64, 96], "synthetic": 0},
        other={"network_def": {**DETECTOR, "pyramid": 16}},
        metric="val_ap",
        best=max,
        axes=2,
        shares=("val_ap", "val_ap50"),
        starts_at_zero=True,
    ),
    CLASSIFICATION.name: Trial(
        names=PLANES,
        write=_planes,
        columns=(
            *("plane", "plane_second", "probability_trans_thalamic", "probability_trans_cerebellar"),
            *("probability_trans_ventricular", "probability_abdomen", "probability_thorax"),
            *("probability_femur", "probability_cervix", "probability_other"),
            *("plane_distance", "plane_p_value"),
        ),
        data=_standard_planes,
        tiny={"network_def": CLASSIFIER, "shape": [32, 48], "styles": 2},
        other={"network_def": {**CLASSIFIER, "channels": [4, 6]}},
        metric="val_balanced_accuracy",
        best=max,
        axes=2,
        shares=("val_balanced_accuracy", "val_top2"),
        starts_at_zero=True,
    ),
    MRI.name: Trial(
        names=("one.nii.gz", "sub/two.nii"),
        write=lambda folder: (
            write_volume(folder / "one.nii.gz"),
            write_volume(folder / "sub" / "two.nii", 17),
        ),
        columns=(
            *(
                "ga_weeks",
                "extra_axial_csf_ml",
                "cortical_gray_matter_ml",
                "white_matter_ml",
                "ventricles_ml",
            ),
            *("cerebellum_ml", "deep_gray_matter_ml", "brainstem_ml", "brain_ml", "intracranial_ml"),
            *("atrial_width_left_mm", "atrial_width_right_mm", "brain_bpd_mm", "brain_ofd_mm"),
            *("transcerebellar_diameter_mm", "deviation_score"),
        ),
        data=_atlas,
        tiny=_volume(8),
        other=_volume(8, channels=[4, 6]),
        metric="val_dice",
        best=max,
    ),
    STACK.name: Trial(
        names=("one_T2w.nii.gz", "sub/two_T2w.nii"),
        write=lambda folder: (
            write_stack(folder / "one_T2w.nii.gz"),
            write_stack(folder / "sub" / "two_T2w.nii", 29),
        ),
        columns=(
            *("ga_weeks", "brain_mask_ml", "brain_slices", "slice_spacing_mm"),
            *("brain_in_plane_mm", "brain_through_plane_mm"),
        ),
        data=_atlas,
        tiny=_volume(2),
        other=_volume(2, channels=[4, 6]),
        metric="val_dice",
        best=max,
    ),
    TUMOUR.name: Trial(
        names=("one", "sub/two"),
        write=lambda folder: (
            write_patient(folder / "one"),
            write_patient(folder / "sub" / "two", ("t1", "t1c", "t2", "flair")),
        ),
        columns=(
            *("whole_tumour_ml", "tumour_core_ml", "enhancing_ml", "oedema_ml", "necrosis_ml"),
            *("oedema_ratio", "necrosis_ratio", "rano_diameter_mm", "rano_perpendicular_mm"),
            *("longest_diameter_3d_mm", "n_lesions", "tumour_uncertainty", "n_sequences"),
        ),
        data=_patients,
        tiny={**_volume(3, in_channels=4), "voxel_mm": 4.0},
        other=_volume(3, in_channels=4, channels=[4, 6]),
        metric="val_dice",
        best=max,
    ),
}
