import json
import math
import re

import numpy as np
import pytest
from html_pages import Page

from fetal_monai.record import Record, load_run, write_run
from fetal_monai.report.caption import brain_caption
from fetal_monai.report.curves import curve_table, curves_of
from fetal_monai.report.labels import label, value_text
from fetal_monai.report.measures import folded, group_of, grouped
from fetal_monai.report.page import write_report

WEEKS = np.arange(21.0, 38.5, 0.5)


class Growth:
    """10 mL and 1 mL a week from 21 weeks on, with an SD of 2 mL; unknown before 22 weeks."""

    def expected(self, name, ga_weeks):
        return (10.0 + ga_weeks - 21, 2.0) if ga_weeks >= 22 else (math.nan, math.nan)


def a_table(names=("brain_ml", "atrial_width_left_mm")):
    return curve_table(Growth(), names, WEEKS, "Fitted on nothing.")


def a_volume(name="a.nii.gz", brain=19.0, z=0.0, ga=30.0, flags=(), **values):
    measures = {
        "brain_ml": brain,
        "white_matter_ml": 8.0,
        "atrial_width_left_mm": 9.0,
        "gyrification_index": 1.234,
    }
    measures |= {
        "brain_ml_z": z,
        "brain_ml_z_low": z - 0.3,
        "brain_ml_z_high": z + 0.3,
        "brain_ml_centile": 50.0,
    }
    given = {
        "measures": measures | {"ga_weeks": ga},
        "flags": list(flags),
        "spacing_mm": (0.8, 0.8, 1.0),
        "spacing_source": "affine",
        "outputs": [f"{name[:-7]}_overlay.png"],
    }
    return Record(name, name[:-7], **{**given, **values})


def report(folder, records, info=None):
    return Page(
        write_report(folder, records, {"curves": a_table()} if info is None else info, title="Brains")
    )


def points(text):
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_table_of_curves_survives_json_and_has_gaps_where_nothing_is_known():
    table = a_table()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["weeks"][:3] == [21.0, 21.5, 22.0]
    assert table["measures"]["brain_ml"]["mean"][:4] == [None, None, 11.0, 11.5]
    assert table["measures"]["brain_ml"]["sd"][-1] == 2.0
    assert table["source"] == "Fitted on nothing."
    assert curve_table(Growth(), ["brain_ml"], [18.0])["measures"] == {}


def test_chart_draws_median_and_centiles_and_the_scan_on_them(tmp_path):
    page = report(tmp_path, [a_volume(brain=19.0)])
    chart, text = next(
        item for item in page.all("svg", role="img") if item[0].get("data-measure") == "brain_ml"
    )
    lines = [attributes for attributes, _ in page.all("polyline")]
    assert [line["data-centile"] for line in lines] == ["3", "50", "97"] * 2
    curves = {line["data-centile"]: points(line["points"]) for line in lines[:3]}
    at = list(WEEKS).index(30.0) - 2  # the curve begins at 22 weeks
    circle = page.all("circle")[1][0]  # the first is the key
    assert (float(circle["cx"]), float(circle["cy"])) == pytest.approx(curves["50"][at], abs=0.1)
    scale = (curves["50"][0][1] - curves["50"][-1][1]) / 16  # px a mL: 22 to 38 weeks are 16 mL
    assert (curves["50"][at][1] - curves["97"][at][1]) / scale == pytest.approx(1.8808 * 2, abs=0.05)
    assert "Brain, mL over gestational age in weeks, 1 scans" in chart["aria-label"]
    assert "a.nii.gz: Brain 19.0 mL at 30.0 weeks, z 0.00" in text
    assert "Fitted on nothing." in page.all("section", id="curves")[0][1]


def test_atrial_width_has_the_limits_of_ventriculomegaly(tmp_path):
    page = report(tmp_path, [a_volume()])
    assert len(page.all("line", class_="limit")) == 2
    assert "10 mm" in page.all("figure")[1][1] and "15 mm" in page.all("figure")[1][1]


def test_scans_without_an_age_or_outside_are_counted(tmp_path):
    records = [a_volume(), a_volume("b.nii.gz", ga=math.nan), a_volume("c.nii.gz", ga=40.0)]
    text = report(tmp_path, records).all("section", id="curves")[0][1]
    assert "1 volume with a known age. Not shown: 1 without an age, 1 outside 21 to 38 weeks." in text
    page = report(tmp_path, records[1:2])
    assert not page.all("polyline")
    assert "No volume has an age" in page.all("section", id="curves")[0][1]
    assert "No age lies between 21 and 38 weeks" in report(tmp_path, records[2:]).source


def test_curves_come_from_the_run_or_from_a_record_and_outlive_the_run(tmp_path):
    record = a_volume(extra={"curves": a_table()})
    assert curves_of({}, [a_volume(), record]) == a_table()
    assert curves_of({"curves": {}}, [a_volume()]) == {}
    assert report(tmp_path, [record], {}).all("polyline")
    assert not report(tmp_path, [a_volume()], {}).all("section", id="curves")
    write_run(tmp_path, {"curves": a_table()}, [a_volume()])
    _, info = load_run(tmp_path)
    page = report(tmp_path, [a_volume()], info)
    assert len(page.all("polyline")) == 6
    assert "curves" not in page.all("section", id="provenance")[0][1].lower()


def test_deviations_stand_with_their_measure_and_not_in_columns_of_their_own(tmp_path):
    page = report(tmp_path, [a_volume(z=0.4), a_volume("b.nii.gz", z=-2.5), a_volume("c.nii.gz", z=math.nan)])
    (_, groups), (_, head), *body = page.rows()
    assert [(cell["colspan"], text) for cell, text in groups[1:-1]] == [
        ("2", "Volumes"),
        ("1", "Lengths"),
        ("1", "Surface and shape"),
        ("1", "Age and other"),
    ]
    names = [re.sub(r"\s", "", text) for _, text in head]
    assert names[:5] == ["File", "BrainmL", "WhitemattermL", "Atrialwidth,leftmm", "Gyrificationindex"]
    assert not any("z-score" in name or "entile" in name for name in names)
    assert [cells[1][1] for _, cells in body[:3]] == ["19.0+0.4 SD", "19.0−2.5 SD", "19.0"]
    assert body[0][1][1][0]["data-v"] == "19"
    assert [text for _, text in page.all("small", class_="beyond")] == ["−2.5 SD"] * 2
    (first, *_) = page.all("small", title="z-score")
    assert first[0]["title"] == "z-score 0.40 (90 % 0.10 to 0.70), 50th centile for the age"


def test_card_groups_the_measures_and_shows_where_each_lies(tmp_path):
    page = report(tmp_path, [a_volume(z=1.0)])
    ((_, text),) = page.all("article")
    assert "VolumesBrain19.0 mL+1.0 SDWhite matter8.0 mLLengthsAtrial width, left9.0 mm" in text
    assert "Spacing: 0.8 × 0.8 × 1 mm per voxel, from the file's header (affine)." in text
    assert len(page.all("table", class_="values")) == 1
    circle = page.all("circle")[-1][0]
    assert float(circle["cx"]) == pytest.approx(48 + 43 / 4, abs=0.06)  # 1 of 4 SD to the right
    assert page.all("div", class_="volumes")
    assert "the band is the 3rd to the 97th centile" in page.all("section", id="scans")[0][1]


def test_mask_of_a_stack_needs_no_curves(tmp_path):
    record = a_volume(measures={"brain_mask_ml": 152.31})
    page = report(tmp_path, [record], {})
    ((_, text),) = page.all("article")
    assert "Brain mask152.3 mL" in text
    assert not page.all("table", class_="values")
    assert [len(cells) for _, cells in page.rows()] == [5, 5]


def test_names_units_and_groups_of_brain_measures():
    assert label("brain_ml_z") == "Brain, z-score"
    assert label("gyrification_index_centile") == "Gyrification index, centile"
    assert label("hc_centile") == "HC centile for the age"
    assert label("extra_axial_csf_ml") == "Extra-axial CSF"
    assert value_text("mean_curvature_per_mm", 0.1234) == "0.123 per mm"
    assert value_text("gyrification_index", 1.2345) == "1.23"
    assert value_text("cephalic_index", 78.26) == "78.3 %"
    names = [
        "ga_weeks",
        "brain_bpd_mm",
        "brain_ml",
        "gyrification_index",
        "cortical_surface_mm2",
        "brain_ml_z_low",
    ]
    assert [group_of(name) for name in names[:5]] == [
        "Age and other",
        "Lengths",
        "Volumes",
        "Surface and shape",
        "Surface and shape",
    ]
    assert grouped(names[:3]) == ["brain_ml", "brain_bpd_mm", "ga_weeks"]
    assert folded([*names, "hc_centile"]) == {"brain_ml_z_low"}


def test_caption_says_volume_deviation_age_and_voxels():
    title, second, last = brain_caption(a_volume(brain=210.34, z=-1.2))
    assert title == "Brain 210.3 mL  (z -1.20 SD)"
    assert second == "Age given 30.0 weeks (30+0)  ·  Atrium left 9.0 mm"
    assert last.startswith("Spacing 0.8 × 0.8 × 1 mm per voxel") and last.endswith("For research use only")
    assert brain_caption(a_volume(measures={"brain_ml": math.nan}))[0] == "Brain not measured"
