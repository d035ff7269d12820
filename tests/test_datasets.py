from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from heads import HC18_CSV, save_png, write_hc18
from PIL import Image

from fetal_monai.datasets import hc18_items, hc18_patient, mask_items, patient_role, read_roles, reduce_hc18
from fetal_monai.measure.ellipse import fit_ellipse, outline_from_mask

NAMES = ["001_HC.png", "002_HC.png", "002_2HC.png", "003_HC.png", "010_HC.png"]


def lay_out(folder: Path, names: list[str] = NAMES, table: Path | None = None) -> Path:
    """Files without content, and the CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["filename,pixel size(mm),head circumference (mm)"]
    for place, name in enumerate(names):
        (folder / name).touch()
        (folder / f"{Path(name).stem}_Annotation.png").touch()
        lines.append(f"{name},0.{place + 1},{100 + place}.5")
    (table or folder / HC18_CSV).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_roles(path: Path, roles: dict[str, str]) -> Path:
    path.write_text("patient,role\n" + "".join(f"{p},{r}\n" for p, r in roles.items()), encoding="utf-8")
    return path


def test_items_by_hand(tmp_path):
    folder = lay_out(tmp_path / "hc18", ["018_2HC.png"])
    assert hc18_items(folder, fractions=(0, 1)) == [
        {
            "image": str(folder / "018_2HC.png"),
            "label": str(folder / "018_2HC_Annotation.png"),
            "hc_mm": 100.5,
            "spacing_mm": (0.1, 0.1),
            "patient": "018",
            "role": "calibration",
        }
    ]
    assert hc18_patient("training_set/018_2HC.png") == "018"


@pytest.mark.parametrize("beside", [True, False], ids=["CSV beside training_set", "CSV in it"])
def test_the_archive_as_it_unpacks(tmp_path, beside):
    lay_out(tmp_path / "training_set", table=tmp_path / HC18_CSV if beside else None)
    names = [Path(item["image"]).name for item in hc18_items(tmp_path)]
    assert names == NAMES
    if not beside:
        assert [Path(item["image"]).name for item in hc18_items(tmp_path / "training_set")] == NAMES


def test_roles_of_a_file_go_before_the_draw(tmp_path):
    folder = lay_out(tmp_path / "hc18")
    patients = write_roles(tmp_path / "p.csv", {"001": "test", "002": "validation", "999": "train"})
    items = hc18_items(folder, roles_file=patients, fractions=(0, 0))
    roles = {Path(item["image"]).name: item["role"] for item in items}
    assert roles == dict(zip(NAMES, ["test", "validation", "validation", "train", "train"], strict=True))
    chosen = hc18_items(folder, "validation", roles_file=patients, fractions=(0, 0))
    assert [item["patient"] for item in chosen] == ["002", "002"]
    chosen = hc18_items(folder, ["test", "validation"], roles_file=patients, fractions=(0, 0))
    assert [item["patient"] for item in chosen] == ["001", "002", "002"]


def test_a_role_does_not_depend_on_who_else_is_there(tmp_path):
    names = [f"{patient:03d}_HC.png" for patient in range(1, 80)]
    everybody = {i["patient"]: i["role"] for i in hc18_items(lay_out(tmp_path / "all", names), seed=3)}
    some = {i["patient"]: i["role"] for i in hc18_items(lay_out(tmp_path / "some", names[40:55]), seed=3)}
    assert set(everybody.values()) == {"train", "validation", "calibration"}
    assert some == {patient: everybody[patient] for patient in some}
    assert len(some) == 15


def test_the_draw_by_hand():
    # SHA-256 of "0:100" starts with the fraction 0.79476 of its range, that of "0:002" with 0.96284
    assert patient_role("100", 0, (0.79, 0)) == "train"
    assert patient_role("100", 0, (0.80, 0)) == "validation"
    assert patient_role("100", 0, (0.5, 0.29)) == "train"
    assert patient_role("100", 0, (0.5, 0.30)) == "calibration"
    assert patient_role("002", 0, (0.96, 0)) == "train"
    assert patient_role("002", 0, (0.97, 0)) == "validation"


def test_fractions_are_kept():
    patients = [f"{number:04d}" for number in range(5000)]
    count = Counter(patient_role(patient, 0, (0.1, 0.15)) for patient in patients)
    assert count["validation"] / 5000 == pytest.approx(0.1, abs=0.013)  # three standard deviations
    assert count["calibration"] / 5000 == pytest.approx(0.15, abs=0.015)
    assert {patient_role(patient, 0, (0, 0)) for patient in patients} == {"train"}
    assert {patient_role(patient, 0, (1, 0)) for patient in patients} == {"validation"}
    same = sum(patient_role(p, 0, (0.5, 0)) == patient_role(p, 1, (0.5, 0)) for p in patients)
    assert same / 5000 == pytest.approx(0.5, abs=0.03)  # another seed draws anew


def test_what_is_missing_is_told(tmp_path):
    folder = lay_out(tmp_path / "hc18")
    (folder / "002_HC.png").unlink()
    (folder / "003_HC_Annotation.png").unlink()
    with pytest.raises(ValueError, match=r"2 of its images or outlines are not in .*, first 002_HC\.png"):
        hc18_items(folder)
    with pytest.raises(ValueError, match=r"no \*pixel_size_and_HC\.csv; expected HC18 as published"):
        hc18_items(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no image of the roles test"):
        hc18_items(lay_out(tmp_path / "other"), "test")


def test_tables_of_another_kind_are_told(tmp_path):
    folder = lay_out(tmp_path / "hc18")
    text = (folder / HC18_CSV).read_text(encoding="utf-8")
    (folder / HC18_CSV).write_text(text.replace(",", ";"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"no column 'filename'; a comma-separated table"):
        hc18_items(folder)
    with pytest.raises(ValueError, match="role 'tests' is not one of train, validation, calibration, test"):
        read_roles(write_roles(tmp_path / "p.csv", {"001": "tests"}))
    with pytest.raises(ValueError, match=r"missing\.csv: no such list of patients"):
        read_roles(tmp_path / "missing.csv")
    assert read_roles(None) == read_roles("null") == {}


def test_a_spreadsheets_byte_order_mark_does_not_matter(tmp_path):
    folder = lay_out(tmp_path / "hc18")
    table = folder / HC18_CSV
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(hc18_items(folder)) == len(NAMES)


def test_reduced_copy(tmp_path):
    heads = write_hc18(tmp_path / "whole", NAMES[:4], shape=(241, 345), pixel_mm=0.3)
    assert reduce_hc18(tmp_path / "whole", tmp_path / "half") == 4
    items = hc18_items(tmp_path / "half")
    assert [Path(item["image"]).name for item in items] == NAMES[:4]
    for item in items:
        head = heads[Path(item["image"]).name]
        assert item["spacing_mm"] == (0.6, 0.6)
        assert item["hc_mm"] == pytest.approx(0.3 * head.perimeter, abs=0.006)
        label = np.asarray(Image.open(item["label"]))
        assert set(np.unique(label)) == {0, 255}
        fit = fit_ellipse(outline_from_mask(label))
        assert 0.6 * fit.ellipse.perimeter == pytest.approx(item["hc_mm"], rel=3e-3)
        assert fit.ellipse.center == pytest.approx([(c + 0.5) / 2 - 0.5 for c in head.center], abs=0.15)
        small = np.asarray(Image.open(item["image"]))
        assert small.shape == label.shape == (120, 172)
        whole = np.asarray(Image.open(tmp_path / "whole" / Path(item["image"]).name)).astype(float)
        blocks = whole[:240, :344].reshape(120, 2, 172, 2).mean(axis=(1, 3))
        assert np.abs(small - blocks).max() <= 0.5


def test_a_reduced_copy_never_overwrites_the_images(tmp_path):
    write_hc18(tmp_path, NAMES[:1])
    before = (tmp_path / NAMES[0]).read_bytes()
    with pytest.raises(ValueError, match="give another folder"):
        reduce_hc18(tmp_path, tmp_path)
    assert (tmp_path / NAMES[0]).read_bytes() == before


def test_a_reduced_copy_needs_outlines(tmp_path):
    write_hc18(tmp_path / "whole", NAMES[:1])
    save_png(tmp_path / "whole" / "001_HC_Annotation.png", np.zeros((72, 104), np.uint8))
    with pytest.raises(ValueError, match=r"001_HC_Annotation\.png: no ellipse fits"):
        reduce_hc18(tmp_path / "whole", tmp_path / "half")


def test_images_with_masks(tmp_path):
    for name in ("images/7_a.png", "images/8_b.jpg", "images/9_c.png", "masks/8_b.png", "masks/7_a_mask.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert mask_items(tmp_path / "images", tmp_path / "masks") == [
        {
            "image": str(tmp_path / "images/7_a.png"),
            "label": str(tmp_path / "masks/7_a_mask.png"),
            "patient": "7",
        },
        {"image": str(tmp_path / "images/8_b.jpg"), "label": str(tmp_path / "masks/8_b.png"), "patient": "8"},
    ]
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no image has a mask of its name"):
        mask_items(tmp_path / "images", tmp_path / "none")


def test_images_and_masks_in_one_folder(tmp_path):
    for name in ("b_mask.png", "a.png", "a_mask.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    pairs = [(Path(i["image"]).name, Path(i["label"]).name) for i in mask_items(tmp_path, tmp_path)]
    assert pairs == [("a.png", "a_mask.png"), ("b.png", "b_mask.png")]
