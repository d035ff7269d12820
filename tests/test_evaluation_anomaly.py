from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from heads import picture_of, save_png

from fetal_monai.anomaly.calibration import ScoreCalibration
from fetal_monai.anomaly.reconstruction import Gaussian
from fetal_monai.datasets import head_items
from fetal_monai.evaluation import CalibrateAnomaly, EvaluateAnomaly
from fetal_monai.evaluation.anomaly import SCORES
from fetal_monai.evaluation.anomaly_pictures import cavum_boxes, write_trial_pictures
from fetal_monai.measure.ellipse import Ellipse
from fetal_monai.record import Record
from fetal_monai.transforms.anomaly_outputs import TERMS

HEAD = Ellipse((60.0, 80.0), (56.0, 44.0), 0.1)
SHAPE = (120, 160)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("p1_a.png", "p1_b.png", "p2_a.png"):
        save_png(tmp_path / "in" / name, picture_of(HEAD, SHAPE))
    save_png(tmp_path / "in" / "p1_a_Annotation.png", picture_of(HEAD, SHAPE))
    return tmp_path / "in"


def find(path: Path) -> tuple[Any, ...]:
    return picture_of(HEAD, SHAPE), HEAD, 0.6


class TestPictures:
    def test_items_are_pictures_with_their_subjects(self, folder, tmp_path):
        (tmp_path / "roles.csv").write_text("patient,role\np1,test\np2,train\n")
        items = head_items(folder, "test", roles_file=tmp_path / "roles.csv", repeats=2)
        assert [Path(item["image"]).name for item in items] == ["p1_a.png", "p1_b.png"] * 2
        assert {item["subject"] for item in items} == {"p1"}
        assert (
            len(head_items(f"[{folder}]")) == len(head_items([folder, []])) == 3
        )  # as a command line passes them
        with pytest.raises(ValueError, match="no picture in it"):
            head_items([folder, tmp_path])

    def test_each_kind_is_written_as_it_is_listed(self, folder, tmp_path):
        items = head_items(folder)
        sizes = {"ventriculomegaly": (15, 500), "absent_cavum": (0,)}
        boxes = {"p2_a.png": (100.0, 50.0, 16.0, 10.0)}
        further = {"other_plane": [folder / "p1_a.png"]}
        trials = write_trial_pictures(items, tmp_path / "out", find, sizes, boxes, further)
        kinds = [(trial["kind"], trial["size_mm"]) for trial in trials]
        assert kinds.count(("normal", 0)) == kinds.count(("upside_down", 0)) == kinds.count(("noise", 0)) == 3
        assert kinds.count(("ventriculomegaly", 15)) == 3 and ("ventriculomegaly", 500) not in kinds
        assert kinds.count(("absent_cavum", 0)) == kinds.count(("other_plane", 0)) == 1
        names = [Path(trial["image"]).name for trial in trials]
        assert sorted(names) == sorted(path.name for path in (tmp_path / "out").iterdir())
        assert len(set(names)) == len(names)
        normal = (tmp_path / "out" / "normal__p1_a.png").read_bytes()
        assert normal == (folder / "p1_a.png").read_bytes()
        with pytest.raises(ValueError, match="no picture there"):
            write_trial_pictures(items, tmp_path / "out", find, {}, further="{other_plane: nowhere}")
        assert write_trial_pictures(items, tmp_path / "out", find, {}) == [
            t for t in trials if t["kind"] == "normal"
        ]

    def test_without_a_head_nothing_is_put_in(self, folder, tmp_path):
        trials = write_trial_pictures(
            head_items(folder)[:1],
            tmp_path / "out",
            lambda path: (picture_of(HEAD, SHAPE), None, None),
            {"mass": (8,)},
        )
        assert [trial["kind"] for trial in trials] == ["normal", "upside_down", "noise"]

    def test_boxes_by_name(self, tmp_path):
        content = {
            "categories": [{"id": 1, "name": "brain"}, {"id": 2, "name": "cavum_septi_pellucidi"}],
            "images": [{"id": 7, "file_name": "a.jpg"}],
            "annotations": [
                {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9]},
                {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]},
            ],
        }
        (tmp_path / "boxes.json").write_text(json.dumps(content))
        assert cavum_boxes(tmp_path / "boxes.json") == {"a.jpg": (1.0, 2.0, 3.0, 4.0)}
        assert cavum_boxes(None) == {}


def run_of(*failures: Any) -> Any:
    return SimpleNamespace(resumed=0, failures=list(failures))


def shown(evaluation: EvaluateAnomaly, name: str, value: float, chance: float, code: Any = None) -> None:
    measures = dict.fromkeys(SCORES, value) | {"p_value": chance, "mse": value / 1000}
    record = Record(name, Path(name).stem, measures=measures)
    scan = SimpleNamespace(image=np.full((2, 2), value))
    evaluation({"record": record, "scan": scan, "code": np.zeros(2) if code is None else code})


def trial(name: str, kind: str, size_mm: float = 0.0, role: str = "test") -> dict[str, Any]:
    shared = {"subject": name[:2], "role": role, "folder": "x" if kind == "normal" else ""}
    return {"image": f"x/{name}", "kind": kind, "size_mm": size_mm, **shared}


def test_figures_by_hand(tmp_path, capsys):
    """One alarm among four healthy heads; masses score above 7 of 8 pairs."""
    truth = [trial(f"n{n}", "normal") for n in range(4)] + [trial(f"m{n}", "mass", 8.0) for n in range(2)]
    evaluation = EvaluateAnomaly(truth, run_of("one"), str(tmp_path))
    for n, (value, chance) in enumerate([(1, 0.9), (2, 0.5), (3, 0.3), (4, 0.05)]):
        shown(evaluation, f"n{n}", value, chance)
    shown(evaluation, "m0", 3.5, 0.1)
    shown(evaluation, "m1", 5, 0.01)
    written = evaluation.finish()
    summary = written["all"]
    normal, (mass,) = summary["normal"], summary["kinds"]
    assert (normal["n"], normal["subjects"], written["unreadable"]) == (4, 4, 1)
    assert normal["false_alarm_rate"] == 0.25 and normal["mse"]["mean"] == pytest.approx(0.0025)
    assert (mass["kind"], mass["size_mm"], mass["n"], mass["flagged"]) == ("mass", 8.0, 2, 0.5)
    assert mass["auroc"]["anomaly_score"] == pytest.approx(7 / 8)
    low, high = mass["auroc_interval"]
    assert 0 <= low <= 7 / 8 <= high <= 1
    assert json.loads((tmp_path / "evaluation.json").read_text())["all"]["normal"]["n"] == 4
    assert len((tmp_path / "evaluation.csv").read_text().splitlines()) == 7
    printed = capsys.readouterr().out
    assert "false alarms 25.0 %" in printed and "mass 8 mm (n = 2): AUROC 0.875" in printed


def test_a_kind_of_its_own_to_be_told_from(tmp_path):
    """Ill ones score 3 and 4, the well ones beside them 1 and 5, healthy heads 0; brightness is the score here."""
    truth = [
        trial(f"{name}{n}", kind)
        for name, kind in (("i", "ill"), ("w", "well"), ("n", "normal"))
        for n in (0, 1)
    ]
    evaluation = EvaluateAnomaly(truth, run_of(), str(tmp_path), against="{ill: well}")
    for name, value in {"i0": 3, "i1": 4, "w0": 1, "w1": 5, "n0": 0, "n1": 0}.items():
        shown(evaluation, name, value, 0.5)
    ill, well = evaluation.finish()["all"]["kinds"]
    assert (ill["kind"], ill["against"], ill["n_against"], well["against"]) == ("ill", "well", 2, "normal")
    assert ill["auroc"]["anomaly_score"] == ill["auroc"]["brightness"] == 0.5
    assert well["auroc"]["anomaly_score"] == 1.0
    with pytest.raises(ValueError, match="against names 'bad'; there are ill, normal, well"):
        EvaluateAnomaly(truth, run_of(), str(tmp_path), against={"ill": "bad"})


def test_figures_by_the_folder_of_the_healthy_heads(tmp_path):
    truth = [trial(f"n{n}", "normal") | {"folder": folder} for n, folder in enumerate("aab")]
    evaluation = EvaluateAnomaly(truth, run_of(), str(tmp_path))
    for n, chance in enumerate((0.01, 0.5, 0.5)):
        shown(evaluation, f"n{n}", n, chance)
    by_folder = evaluation.finish()["by_folder"]
    assert {name: told["normal"]["false_alarm_rate"] for name, told in by_folder.items()} == {
        "a": 0.5,
        "b": 0.0,
    }


def test_calibration_takes_each_part_from_its_role(tmp_path):
    random = np.random.default_rng(0)
    truth = [
        trial(f"{role[0]}{n}", "normal", role=role)
        for role in ("train", "validation", "calibration")
        for n in range(9)
    ]
    paths = str(tmp_path / "c.json"), str(tmp_path / "u.npz")
    evaluation = CalibrateAnomaly(
        truth, run_of(), str(tmp_path / "out"), *paths, {"alteration": 1.0}, "by hand"
    )
    for item in truth:
        number = int(item["image"][-1])
        offset = {"train": 100.0, "validation": 0.0, "calibration": 10.0}[item["role"]]
        shown(evaluation, Path(item["image"]).name, offset + number, 1.0, random.normal(size=2))
    evaluation.finish()
    calibration = ScoreCalibration.load(paths[0])
    spread = (7.6 - 4) / 1.6449  # 95th percentile and median of 0 to 8
    assert calibration.centre == {"alteration": 4.0}
    assert calibration.spread["alteration"] == pytest.approx(spread)
    assert len(calibration.normal_scores) == 9 and calibration.source == "by hand"
    assert calibration.normal_scores[0] == pytest.approx((10 - 4) / spread)
    codes = [row["code"] for row in evaluation.rows if row["role"] == "train"]
    np.testing.assert_allclose(Gaussian.load(paths[1]).mean, np.mean(codes, axis=0), rtol=1e-6)
    assert "latent_distance" in TERMS


def test_refuses_a_resumed_run_and_unknown_terms(tmp_path):
    with pytest.raises(ValueError, match="without resume"):
        EvaluateAnomaly([], SimpleNamespace(resumed=1, failures=[]), str(tmp_path))
    with pytest.raises(ValueError, match="give some of mse"):
        CalibrateAnomaly([], run_of(), str(tmp_path), "c.json", "u.npz", {"brightness": 1.0})
