import numpy as np
import pytest
from PIL import Image

from fetal_monai.report.plots import bland_altman, learning_curves, scores_by_age


def test_bland_altman_writes_bias_and_limits_by_hand(tmp_path):
    # differences 1, 2, 3: bias 2, standard deviation 1, limits 2 +- 1.96
    bland_altman([101.0, 202.0, 303.0, np.nan], [100.0, 200.0, 300.0, 5.0], tmp_path / "a.svg", unit="mm")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    for word in ["+2.00", "+3.96", "+0.04", "HC: 3 scans, 1 without a value"]:
        assert f"<!-- {word}" in text or word in text


def test_bland_altman_of_nothing_is_still_a_picture(tmp_path):
    bland_altman([], [], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 500


def test_bland_altman_colours_groups(tmp_path):
    bland_altman([1.0, 2.0], [1.0, 1.0], tmp_path / "a.svg", groups=["first trimester", "second trimester"])
    assert "second trimester" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_bland_altman_says_which_lengths_differ(tmp_path):
    with pytest.raises(ValueError, match=r"\(2,\).*\(1,\)"):
        bland_altman([1.0, 2.0], [1.0], tmp_path / "a.png")


def test_learning_curves_draw_each_column_and_bear_gaps(tmp_path):
    table = tmp_path / "curves.csv"
    table.write_text(
        "epoch,train_loss,learning_rate,seconds,hc_error_mm\n1,0.9,0.001,5,\n2,0.5,0.0005,5,3.1\n"
    )
    learning_curves(table, tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert "HC error, mm" in text
    assert "Train loss" in text
    assert "Seconds" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "curves.svg"]


def test_learning_curves_need_epochs(tmp_path):
    (tmp_path / "curves.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="epoch"):
        learning_curves(tmp_path / "curves.csv", tmp_path / "curves.png")


def test_scores_have_a_panel_each_over_age(tmp_path):
    scores = {"white_matter": [0.9, 0.8, np.nan], "mean": [0.85, 0.7, 0.6]}
    scores_by_age([21.0, 30.0, np.nan], scores, tmp_path / "a.svg", groups=["crl", "crl", "feta"])
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    for word in ("White matter", "Mean", "Gestational age, weeks", "crl", "feta", "Dice"):
        assert word in text
    scores_by_age([21.0, 30.0], {"brain": [0.9, 0.8]}, tmp_path / "b.svg", groups=["", ""])
    assert (tmp_path / "b.svg").stat().st_size < (tmp_path / "a.svg").stat().st_size


def test_scores_without_ages_stand_in_order(tmp_path):
    scores_by_age([np.nan, np.nan], {"brain": [0.9, np.nan]}, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Scan" in text and "Gestational" not in text
    with Image.open(_png(tmp_path, [np.nan])) as picture:
        assert picture.size[0] > 300


def _png(folder, values):
    scores_by_age(values, {"brain": values}, folder / "a.png")
    return folder / "a.png"


def test_scores_of_other_lengths_are_told(tmp_path):
    with pytest.raises(ValueError, match="brain: give a score for each of 2 scans"):
        scores_by_age([21.0, 22.0], {"brain": [0.9]}, tmp_path / "a.png")
    with pytest.raises(ValueError, match="scores: give a score"):
        scores_by_age([21.0], {}, tmp_path / "a.png")
