import math
import re

import pytest
from html_pages import Page

from fetal_monai.measure.growth import centile_curve
from fetal_monai.record import Record
from fetal_monai.report.flags import FLAGS, LEVELS, explain, level_of
from fetal_monai.report.page import RESEARCH_USE, write_report

PIXEL = "data:image/jpeg;base64,AAAA"
INFO = {
    "bundle": "fetal_head_ultrasound_segmentation",
    "bundle_version": "0.1.0",
    "weights_sha256": "9f2c" * 16,
    "versions": {"torch": "2.13.0"},
    "device": "cpu",
    "date": "2026-11-20T11:53:12+00:00",
    "command": "fetal-monai run head 'a & b' --out out",
    "seconds": {"network": 1.25, "total": 2.0},
}
NASTY = '<img src=x onerror="alert(1)">&\'.png'


def a_record(name="a.png", hc=172.48, flags=(), **values):
    stem = name.rsplit(".", 1)[0]
    measures = {"hc_mm": hc, "hc_mm_low": hc - 2, "hc_mm_high": hc + 2.5, "cephalic_index": 78.26}
    measures |= {"hc_centile": 50.2, "ga_weeks": 20.0, "ga_weeks_hadlock": 19.81}
    given = {
        "measures": measures,
        "flags": list(flags),
        "spacing_mm": (0.1, 0.1),
        "spacing_source": "csv",
        "outputs": [f"{stem}_seg.png", f"{stem}_overlay.png"],
        "thumbnail": PIXEL,
    }
    return Record(name, stem, **{**given, **values})


def failed_record(name="broken.png", reason="broken.png is truncated: copy it again"):
    return Record(name, name.rsplit(".", 1)[0], status="failed", reason=reason)


def report(folder, records, info=INFO, **options):
    return Page(write_report(folder, records, info, title="Fetal head circumference", **options))


def test_table_has_a_row_for_each_scan_and_numbers_with_their_full_value(tmp_path):
    page = report(tmp_path, [a_record(), failed_record(), a_record("b.png", flags=["low_contrast"])])
    (_, head), *rows = page.rows()
    names = [re.sub(r"\s", "", text) for _, text in head]
    assert names[:6] == ["File", "HCmm", "90%lowmm", "90%highmm", "Cephalicindex%", "HCcentile"]
    assert names[6:] == ["GAgivenweeks", "GAbyHC,Hadlockweeks", "Spacingmm", "Spacingfrom", "Flags"]
    assert [attributes["data-type"] for attributes, _ in head][:3] == ["text", "number", "number"]
    assert len(rows) == 3
    assert [text for _, text in rows[0][1]][:5] == ["a.png", "172.5", "170.5", "175.0", "78.3"]
    assert rows[0][1][1][0]["data-v"] == "172.48"
    assert [text for _, text in rows[0][1]][-3:] == ["0.1", "csv", ""]
    assert [text for _, text in rows[1][1]] == ["broken.png", *[""] * 9, "failed"]
    assert [row["class"] for row, _ in rows] == ["", "stop", "check"]


def test_columns_are_generic_and_measures_nobody_has_are_left_out(tmp_path):
    measures = {"plane": "trans-thalamic", "certainty_thorax": 0.012345678, "note_mm": math.nan}
    records = [Record("a.png", "a", measures=measures, spacing_mm=(1.0, 1.0), spacing_source="affine")]
    page = report(tmp_path, records, columns=["plane", "certainty_thorax", "note_mm", "absent"])
    (_, head), (_, row) = page.rows()
    assert [text for _, text in head][:3] == ["File", "Plane", "Certainty thorax"]
    assert [attributes["data-type"] for attributes, _ in head][1:3] == ["text", "number"]
    assert [text for _, text in row][:3] == ["a.png", "trans-thalamic", "0.01235"]
    assert not page.all("section", id="growth")
    (lead,) = page.all("p", class_="lead")
    assert lead[1] == "Planetrans-thalamic"


def test_names_and_reasons_are_escaped_and_links_are_quoted(tmp_path):
    records = [a_record(NASTY, outputs=[f"{NASTY}_overlay.png"], flags=["<b>odd</b>"])]
    records += [failed_record("javascript:alert(2).png", "</script><script>alert(3)</script>")]
    records += [a_record("\udcff.png", outputs=["\udcff_overlay.png"], thumbnail="javascript:alert(4)")]
    page = report(tmp_path, records, INFO | {"command": "</style><script>alert(5)</script>"})
    assert [text for _, text in page.all("h4")] == [NASTY, "\\udcff.png"]
    assert len(page.all("script")) == 1
    assert all("onerror" not in attributes for _, attributes, _ in page.elements)
    links = [attributes["href"] for attributes, _ in page.all("a") if not attributes["href"].startswith("#")]
    assert all(re.match(r"(\./[\w.%~-]+$)|https://doi\.org/", link) for link in links)
    assert "./%FF_overlay.png" in links
    assert all(attributes["src"].startswith(("data:image/", "./")) for attributes, _ in page.all("img"))


def test_page_stands_alone(tmp_path):
    page = report(tmp_path, [a_record(), failed_record()])
    addresses = re.findall(r"(?:https?:)?//[\w.]+[^\s\"'<]*", re.sub(r"(?m)^\s*//.*$", "", page.source))
    assert addresses
    assert all(address.startswith("https://doi.org/") for address in addresses)
    assert not page.all("link")
    assert all("src" not in attributes for attributes, _ in page.all("script"))
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_says_that_it_is_for_research_first_and_last(tmp_path):
    page = report(tmp_path, [a_record()])
    assert RESEARCH_USE == "For research use only. Not for clinical use."
    assert RESEARCH_USE in page.all("header")[0][1]
    assert RESEARCH_USE in page.all("footer")[0][1]
    assert RESEARCH_USE in page.all("style")[0][1]  # printed on every page


def test_failed_scans_stand_first_with_reason_and_what_helps(tmp_path):
    records = [a_record()]
    records += [failed_record(), failed_record("odd.png", "odd.png: IndexError: index 4 is out of bounds")]
    page = report(tmp_path, records)
    order = [attributes.get("id") for attributes, _ in page.all("section")]
    assert order[0] == "failed"
    items = [text for attributes, text in page.all("li") if attributes.get("id") in ("scan-2", "scan-3")]
    assert items[0] == "broken.pngIs truncated: copy it again"
    assert items[1].startswith("odd.pngIndexError: index 4")
    assert "report it" in items[1]
    assert "--resume true" in page.all("section", id="failed")[0][1]
    assert len(page.all("article")) == 1


def test_cards_show_the_number_its_interval_and_where_the_spacing_came_from(tmp_path):
    page = report(tmp_path, [a_record("sub/a.dcm", frame=2, spacing_source="dicom_region")])
    ((card, text),) = page.all("article")
    assert card["id"] == "scan-1"
    for words in [
        "sub/a.dcm, frame 3",
        "Head circumference172.5 mm90 % interval 170.5 to 175.0 mm",
        "Age by HC, Hadlock19.8 weeks (19+6)",
        "HC centile for the age50th",
        "Spacing: 0.1 mm per pixel, from the DICOM ultrasound region.",
    ]:
        assert words in text
    (picture, _) = page.all("img")[0]
    assert picture["src"] == PIXEL
    assert picture["loading"] == "lazy"
    assert page.all("a", class_="picture")[0][0]["href"] == "./sub/a_overlay.png"


@pytest.mark.parametrize(
    ("flag", "level", "words"),
    [("poor_ellipse_fit", "stop", "Do not use this number."), ("head_cut_off", "check", "Look before use.")],
)
def test_flagged_scans_look_flagged_and_say_why(tmp_path, flag, level, words):
    page = report(tmp_path, [a_record(), a_record("b.png", flags=[flag])])
    (first, text), (second, plain) = page.all("article")
    assert (first["id"], second["id"]) == ("scan-2", "scan-1")
    assert level in first["class"].split()
    assert words in text
    assert FLAGS[flag].sentence in text
    assert words not in plain


def test_without_spacing_there_is_no_length(tmp_path):
    measures = {"hc_mm": math.nan, "cephalic_index": 78.0, "hc_px": 1720.0}
    page = report(
        tmp_path, [a_record(measures=measures, spacing_mm=None, spacing_source="none", flags=["no_spacing"])]
    )
    ((_, text),) = page.all("article")
    assert "no millimetres" in text
    assert not re.search(r"\d mm", text)
    assert FLAGS["no_spacing"].sentence in text


def test_thumbnail_that_is_gone_is_replaced_by_the_overlay(tmp_path):
    page = report(tmp_path, [a_record(thumbnail=""), a_record("b.png", thumbnail="", outputs=[])])
    assert [attributes["src"] for attributes, _ in page.all("img")] == ["./a_overlay.png"]
    assert "no picture" in page.source


def test_growth_chart_draws_the_curves_of_the_standard(tmp_path):
    page = report(tmp_path, [a_record(hc=172.48)])
    lines = [attributes for attributes, _ in page.all("polyline")]
    assert [line["data-centile"] for line in lines] == ["3", "10", "50", "90", "97"] * 2
    circle = page.all("circle")[0][0]
    points = {line["data-centile"]: _points(line["points"]) for line in lines[:5]}
    # 20 weeks is the 24th quarter after 14, and the mean there is 172.48 mm: scan and curve meet
    assert points["50"][24] == pytest.approx((float(circle["cx"]), float(circle["cy"])), abs=0.2)
    mm = centile_curve("hc_mm", [20.0, 40.0], [3, 97])
    scale = (points["50"][0][1] - points["50"][-1][1]) / (333.95 - 97.88)  # picture units per mm
    assert (points["3"][24][1] - points["97"][24][1]) / scale == pytest.approx(mm[1, 0] - mm[0, 0], abs=0.3)
    (wide, text), _ = (item for item in page.all("svg") if item[0].get("role") == "img")
    assert wide["class"] == "wide"
    assert "Gestational age, weeks" in text
    assert "Head circumference, mm" in text
    assert "90 % 170.5 to 175.0 mm" in text
    assert "from the CSV beside the images" in text


def test_growth_chart_counts_what_it_does_not_show(tmp_path):
    early, unknown = a_record("b.png"), a_record("c.png")
    early.measures["ga_weeks"] = 12.0
    unknown.measures["ga_weeks"] = math.nan
    page = report(tmp_path, [a_record(), early, unknown, failed_record()])
    text = page.all("section", id="growth")[0][1]
    assert "1 scan with a known age" in text
    assert "Not shown: 1 without an age, 1 outside 14 to 40 weeks." in text


def test_without_ages_the_page_says_how_to_give_them(tmp_path):
    record = a_record()
    del record.measures["ga_weeks"]
    page = report(tmp_path, [record])
    assert not page.all("polyline")
    assert "--ga_weeks" in page.all("section", id="growth")[0][1]
    assert not report(tmp_path, [record], curves=False).all("section", id="growth")


def test_flags_are_counted_heaviest_first(tmp_path):
    records = [a_record(), a_record("b.png", flags=["sixteen_bit"]), failed_record()]
    records += [a_record(f"{n}.png", flags=["low_contrast"]) for n in range(2)]
    page = report(tmp_path, records)
    rows = [text for _, text in page.all("div", class_="row")]
    assert rows == ["No flag1 of 5", "Failed1 of 5", "Low contrast2 of 5", "16-bit1 of 5"]
    assert page.all("div", class_="fill")[2][0]["style"] == "width:40.0%"
    tiles = [text for _, text in page.all("ul", class_="tiles")]
    assert tiles == ["2measured without concern2measured, look before use0measured, not to be used1failed"]


def test_provenance_is_there(tmp_path):
    (tmp_path / "measurements.csv").write_text("")
    info = INFO | {
        "skipped": [{"filename": "notes.txt", "reason": "no image"}],
        "warnings": ["the CSV names x.png"],
    }
    page = report(tmp_path, [a_record()], info)
    text = page.all("section", id="provenance")[0][1]
    for words in [
        "9f2c" * 16,
        "torch 2.13.0",
        "cpu",
        "2026-11-20",
        INFO["command"],
        "network 1.2 s · total 2.0 s",
    ]:
        assert words in text
    assert "measurements.csv" in text
    assert "run.json" not in text
    assert "10.1016/S0140-6736(14)61490-2" in text
    rest = page.all("section", id="passed-over")[0][1]
    assert "notes.txt was passed over: no image" in rest
    assert "the CSV names x.png" in rest


def test_page_of_no_scans_and_of_failures_alone(tmp_path):
    assert "no scan to measure" in report(tmp_path, [], {}).source
    page = report(tmp_path, [failed_record("a.png"), failed_record("b.png")])
    assert len(page.rows()) == 3
    assert not page.all("article")
    assert "2 scans could not be measured" in page.source


def test_thousand_scans_stay_small_and_lazy(tmp_path):
    page = report(tmp_path, [a_record(f"scan {n}.png") for n in range(1000)])
    assert len(page.rows()) == 1001
    assert len({attributes["id"] for attributes, _ in page.all("article")}) == 1000
    assert len(page.source) < 4e6
    assert "content-visibility: auto" in page.source
    assert all(attributes["loading"] == "lazy" for attributes, _ in page.all("img"))


def test_every_flag_is_explained():
    promised = (
        "no_head head_cut_off poor_ellipse_fit implausible_cephalic_index hc_out_of_range low_contrast no_spacing "
        "anisotropic_spacing colour_marks no_affine sixteen_bit failed"
    )
    assert set(promised.split()) <= set(FLAGS)
    for flag in FLAGS.values():
        assert flag.level in LEVELS[1:]
        assert flag.meaning.endswith(".")
    assert explain("never_seen").level == "check"
    assert level_of(["sixteen_bit", "no_head", "low_contrast"]) == "stop"
    assert level_of([]) == ""


def _points(text):
    return [tuple(float(number) for number in pair.split(",")) for pair in text.split()]
