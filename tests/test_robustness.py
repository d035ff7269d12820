"""A head is as long in a picture that was turned, mirrored, darkened or resized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundle_runs import HEAD, MONAI_WARNS_OF_CONFIGS, SAMPLES, run_bundle
from PIL import Image

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

LARGEST_CHANGE = 0.05  # of the head circumference, where the network sees the head in another position
LARGEST_CHANGE_IN_PLACE = 0.015  # where only size, gain or margin of the picture differ
SPACING_MM = {"371_HC.png": 0.132815947658, "712_HC.png": 0.177544121231, "799_HC.png": 0.279483795166}
SIZES = [(200, 150), (640, 480), (3000, 2000)]  # columns and rows; the pixels become uneven


def save(path: Path, gray: np.ndarray, row_mm: float, column_mm: float) -> None:
    """2D NIfTI: its affine carries uneven spacing."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(gray.T, np.diag([column_mm, row_mm, 1, 1])), path)


@pytest.mark.parametrize("name", ["371_HC.png", "799_HC.png"])
def test_head_circumference_is_steady(name: str, tmp_path: Path):
    picture = Image.open(SAMPLES / name)
    gray, mm = np.asarray(picture), SPACING_MM[name]
    scans = tmp_path / "in"
    scans.mkdir()
    changed = {
        "plain": gray,
        "mirrored": gray[:, ::-1],
        "upside_down": gray[::-1],
        "turned_90": np.rot90(gray),
        "turned_180": np.rot90(gray, 2),
        "darkened": np.uint8(gray * 0.4),
        "trimmed": gray[10:-10, 20:-20],
    }
    for label, pixels in changed.items():
        save(scans / f"{label}.nii", np.ascontiguousarray(pixels), mm, mm)
    for columns, rows in SIZES:
        small = picture.resize(
            (columns, rows), Image.Resampling.BOX if columns < 800 else Image.Resampling.BICUBIC
        )
        spacing = mm * picture.height / rows, mm * picture.width / columns
        save(scans / f"{columns}x{rows}.nii", np.asarray(small), *spacing)
    run = run_bundle(HEAD, scans, tmp_path / "out")
    hc_mm = {Path(name).stem: row["hc_mm"] for name, row in run.rows.items()}
    plain = hc_mm.pop("plain")
    assert plain == pytest.approx(168.1 if name == "371_HC.png" else 346.4, rel=0.15)
    change = {label: round(value / plain - 1, 4) for label, value in hc_mm.items()}
    moved = [label for label in change if label.startswith(("mirrored", "upside", "turned"))]
    assert {label: part for label, part in change.items() if abs(part) > LARGEST_CHANGE} == {}, change
    assert max(abs(part) for label, part in change.items() if label not in moved) < LARGEST_CHANGE_IN_PLACE, (
        change
    )
    assert "anisotropic_spacing" in run.rows["200x150.nii"]["flags"]
