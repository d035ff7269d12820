"""FETAL_PLANES_DB's layout as published: its table, its split by patient, and what is wrong with it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from heads import picture_of, save_png, write_hc18
from PIL import Image
from plane_files import ABDOMEN, BRAIN, FEMUR, HEADER, write_plane_files

from fetal_monai.datasets import class_weights, plane_items
from fetal_monai.datasets.made_planes import write_planes
from fetal_monai.datasets.planes import PLANE_NAMES, plane_of
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.measure.plane import PLANES

ROWS = [
    ("Patient00001_Plane3_1_of_2", "1", BRAIN, 1),
    ("Patient00001_Plane3_2_of_2", "1", ("Fetal brain", "Other"), 1),
    ("Patient00002_Plane2_1_of_1", "2", ABDOMEN, 1),
    ("Patient00003_Plane5_1_of_1", "3", FEMUR, 0),
]


def test_the_official_layout(tmp_path: Path):
    items = plane_items(write_plane_files(tmp_path, ROWS), fractions=(0, 0))
    assert [(item["plane"], item["subject"], item["role"]) for item in items] == [
        ("trans_thalamic", "1", "train"),
        ("other", "1", "train"),
        ("abdomen", "2", "train"),
        ("femur", "3", "test"),
    ]
    assert items[0]["image"] == str(tmp_path / "Images" / "Patient00001_Plane3_1_of_2.png")
    assert [item["label"] for item in items] == [0, 7, 3, 5]
    assert {item["machine"] for item in items} == {"Voluson E6"}
    assert plane_items(tmp_path, "test") == items[3:]


def test_every_plane_has_its_names():
    assert tuple(PLANE_NAMES) == PLANES
    assert [plane_of(*names) for names in PLANE_NAMES.values()] == [*PLANES]
    assert plane_of("Maternal cervix ", " Not A Brain") == "cervix"


def test_validation_and_calibration_are_of_whole_patients_of_the_training_part(tmp_path: Path):
    rows = [(f"p{n}_{k}", str(n), ABDOMEN, int(n % 4 > 0)) for n in range(200) for k in range(2)]
    write_plane_files(tmp_path, rows[:0])
    (tmp_path / "FETAL_PLANES_DB_data.csv").write_text(
        "\n".join([HEADER, *(f"{n};{p};{a};{b};o;m;{t} " for n, p, (a, b), t in rows)]), encoding="utf-8"
    )
    for name, *_ in rows:
        (tmp_path / f"{name}.png").touch()
    items = plane_items(tmp_path, seed=3, fractions=(0.2, 0.1))
    by_patient: dict[str, set[str]] = {}
    for item in items:
        by_patient.setdefault(item["subject"], set()).add(item["role"])
    assert all(len(roles) == 1 for roles in by_patient.values())
    count = {role: sum(roles == {role} for roles in by_patient.values()) for role in ("test", "train")}
    assert count["test"] == 50 and 90 <= count["train"] <= 120
    assert {r for n in range(0, 200, 4) for r in by_patient[str(n)]} == {"test"}


def test_roles_of_a_file_go_first(tmp_path: Path):
    write_plane_files(tmp_path, ROWS)
    (tmp_path / "roles.csv").write_text("patient,role\n3,validation\n", encoding="utf-8")
    items = plane_items(tmp_path, "validation", fractions=(0, 0), roles_file=tmp_path / "roles.csv")
    assert [item["subject"] for item in items] == ["3"]


def test_says_what_is_missing(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no FETAL_PLANES_DB_data\.csv; expected FETAL_PLANES_DB as publ"):
        plane_items(tmp_path)
    write_plane_files(tmp_path, ROWS)
    (tmp_path / "Images" / "Patient00002_Plane2_1_of_1.png").unlink()
    with pytest.raises(
        ValueError, match=r"1 of its 4 pictures are not in .*Images, first Patient00002.*partial"
    ):
        plane_items(tmp_path)
    assert len(plane_items(tmp_path, partial="true")) == 3
    with pytest.raises(ValueError, match=r"no picture in .* is of a patient with the role calibration"):
        plane_items(tmp_path, "calibration", fractions=(0, 0), partial=True)
    with pytest.raises(ValueError, match="role 'tests' is not one of"):
        plane_items(tmp_path, "tests")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER.replace(";Train ", ""), "no column 'Train'"),
        (HEADER.replace(";", ","), "no column 'Image_name'.*by semicolons"),
        (f"{HEADER}\na;1;Fetal hand;Not A Brain;o;m;1 ", "line 2: Plane 'Fetal hand' with"),
        (f"{HEADER}\na;1;Other;Not A Brain;o;m;yes", "line 2: Train is 'yes'; it must be 0 or 1"),
        (
            f"{HEADER}\na;1;Other;Not A Brain;o;m;1 \nb;1;Other;Not A Brain;o;m;0 ",
            "line 3: patient 1 is in both parts",
        ),
    ],
)
def test_says_what_is_wrong_with_the_table(tmp_path: Path, text: str, words: str):
    (tmp_path / "FETAL_PLANES_DB_data.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        plane_items(tmp_path)


def test_class_weights_by_hand():
    """16 and 4 items: 1/4 and 1/2, in the mean of items 0.3."""
    items = [{"plane": "femur"}] * 16 + [{"plane": "other"}] * 4
    weights = dict(zip(PLANES, class_weights(items), strict=True))
    assert weights["femur"] == pytest.approx(0.25 / 0.3) and weights["other"] == pytest.approx(0.5 / 0.3)
    assert weights["abdomen"] == 0
    assert class_weights(items, 0)[5] == 1
    with pytest.raises(ValueError, match="no items"):
        class_weights([])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Heads of two sources, one with outlines and one with masks."""
    folder = tmp_path_factory.mktemp("real")
    write_hc18(folder / "hc18", [f"{n:03d}_HC.png" for n in range(1, 9)], shape=(100, 150))
    head = Ellipse((50.0, 75.0), (44.0, 34.0), 0.2)
    for n in (7, 11, 13):
        save_png(folder / "planes" / f"Patient{n:05d}_a.png", picture_of(head, (100, 150), seed=n))
        save_png(folder / "masks" / f"Patient{n:05d}_a.png", np.uint8(255) * head.mask((100, 150)))
    return {
        "one": {
            "images": str(folder / "planes"),
            "masks": str(folder / "masks"),
            "plane": "trans_ventricular",
        },
        "two": {"images": str(folder / "hc18"), "masks": None, "plane": "trans_thalamic"},
    }


SYNTHETIC = {"trans_cerebellar": 6, "abdomen": 6, "femur": 6, "cervix": 2}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "FETAL_PLANES_DB_data.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_made_planes_are_in_that_layout(real: dict, tmp_path: Path):
    count = write_planes(tmp_path, real, SYNTHETIC, 0.7, 2, exclude=[13], width=96)
    items = plane_items(tmp_path)
    rows = rows_of(tmp_path)
    assert len(items) == len(rows) == count == 2 + 8 + 2 + 20
    planes = [item["plane"] for item in items]
    assert {plane: planes.count(plane) for plane in SYNTHETIC} == SYNTHETIC
    assert planes.count("trans_thalamic") == 8 and planes.count("trans_ventricular") == 2
    assert {row["US_Machine"] for row in rows if row["Plane"] == "Maternal cervix"} == {"synthetic"}
    surroundings = {row["US_Machine"] for row in rows if row["Plane"] == "Fetal abdomen"}
    assert {"one", "two"} <= surroundings  # what is shown does not follow from where it comes from
    assert "13" not in {row["Patient_num"] for row in rows}
    for item in items:
        with Image.open(item["image"]) as picture:
            assert picture.mode == "L" and picture.width == 96


def test_made_planes_repeat(real: dict, tmp_path: Path):
    for name in ("a", "b"):
        write_planes(tmp_path / name, real, {"abdomen": 2, "other": 1}, 1.0, 1, width=96, most=2)
    first, second = (sorted((tmp_path / name).rglob("*.*")) for name in ("a", "b"))
    assert [path.name for path in first] == [path.name for path in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_made_planes_without_real_ones_and_what_is_wrong(real: dict, tmp_path: Path):
    assert write_planes(tmp_path / "a", {}, {"thorax": 2}, beside=3, width=96) == 2
    with pytest.raises(ValueError, match="no plane 'hand'"):
        write_planes(tmp_path / "b", {}, {"hand": 1})
    with pytest.raises(ValueError, match="one: there is no plane 'head'"):
        write_planes(tmp_path / "b", {"one": {**real["one"], "plane": "head"}}, {})
    with pytest.raises(ValueError, match="no picture with an outline or mask"):
        write_planes(tmp_path / "b", {"one": {**real["one"], "masks": str(tmp_path)}}, {})
