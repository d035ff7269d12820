import csv
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from fetal_monai.files import remove_leftovers
from fetal_monai.record import (
    Journal,
    Record,
    atomic_path,
    atomic_write,
    file_key,
    format_value,
    load_run,
    write_measurements,
    write_run,
)

COLUMNS = ["hc_mm", "hc_mm_low", "hc_mm_high", "cephalic_index", "ga_weeks_hadlock"]


def a_record(name="a.png", **values):
    given = {
        "measures": {
            "hc_mm": 172.4837,
            "hc_mm_low": 170.0,
            "hc_mm_high": math.nan,
            "cephalic_index": 78.2561,
        },
        "spacing_mm": (0.0691358041432, 0.0691358041432),
        "spacing_source": "csv",
    }
    return Record(name, name.rsplit(".", 1)[0], **{**given, **values})


def failed_record(name="broken.png"):
    return a_record(name, status="failed", reason="broken.png is truncated: copy it again")


def rows_of(folder):
    with (folder / "measurements.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def names_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestAtomicWrite:
    def test_writes_text_as_utf8_without_touching_newlines(self, tmp_path):
        atomic_write(tmp_path / "new" / "a.csv", "é\n")
        assert (tmp_path / "new" / "a.csv").read_bytes() == b"\xc3\xa9\n"

    def test_failing_replace_keeps_the_old_file_and_leaves_no_other(self, tmp_path, monkeypatch):
        atomic_write(tmp_path / "a.csv", "old")

        def fail(source, target):
            assert source.read_bytes() == b"new"
            raise OSError("no space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            atomic_write(tmp_path / "a.csv", b"new")
        assert names_under(tmp_path) == ["a.csv"]
        assert (tmp_path / "a.csv").read_text() == "old"

    def test_interrupt_while_writing_leaves_nothing(self, tmp_path):
        def write():
            with atomic_path(tmp_path / "sub" / "a_seg.nii.gz") as temporary:
                assert temporary.name.endswith(".nii.gz")
                assert temporary.name.startswith(".")
                temporary.write_bytes(b"half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write()
        assert names_under(tmp_path) == []

    def test_file_has_the_usual_permissions(self, tmp_path):
        (tmp_path / "plain").write_text("")
        atomic_write(tmp_path / "a", "")
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(self, tmp_path):
        code = (
            "import os, sys; from fetal_monai.files import atomic_path\n"
            "with atomic_path(sys.argv[1]) as temporary:\n"
            "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "sub" / "a.png")], check=False)
        (tmp_path / ".mine.tmp").write_text("not ours")
        assert len(names_under(tmp_path)) == 2
        with atomic_path(tmp_path / "b.png") as temporary:
            temporary.write_text("whole")
            remove_leftovers(tmp_path)
        assert names_under(tmp_path) == [".mine.tmp", "b.png"]


class TestRecord:
    def test_survives_json(self):
        record = a_record(
            frame=3,
            flags=["low_contrast"],
            outputs=["a_seg.png"],
            seconds={"read": np.float32(0.5)},
            extra={"ellipse_px": np.array([1.5, 2.0]), "none": float("inf")},
        )
        again = Record.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False)))
        assert math.isnan(again.measures.pop("hc_mm_high"))
        record.measures.pop("hc_mm_high")
        assert again.measures == record.measures
        assert again.spacing_mm == record.spacing_mm
        assert again.extra == {"ellipse_px": [1.5, 2.0], "none": None}
        assert (again.frame, again.frame_number, again.flags) == (3, 4, ["low_contrast"])

    def test_spacing_of_uneven_pixels_is_the_geometric_mean_with_a_flag(self):
        record = a_record(spacing_mm=(0.1, 0.4))
        assert record.spacing_isotropic_mm == pytest.approx(0.2)
        assert record.all_flags == ["anisotropic_spacing"]

    def test_spacing_that_differs_by_rounding_is_even(self):
        record = a_record(spacing_mm=(0.1, 0.10005))
        assert record.spacing_isotropic_mm == 0.1
        assert record.all_flags == []

    def test_no_spacing_is_nan_and_flagged_once(self):
        record = a_record(spacing_mm=None, flags=["no_spacing", "low_contrast", "low_contrast"])
        assert math.isnan(record.spacing_isotropic_mm)
        assert record.all_flags == ["no_spacing", "low_contrast"]
        assert a_record(spacing_mm=None).all_flags == ["no_spacing"]

    def test_spacing_is_not_missed_where_nothing_is_a_length(self):
        assert a_record(spacing_mm=None, measures={"plane": "thorax", "p_value": 0.2}).all_flags == []


class TestJournal:
    def test_gives_back_what_was_saved(self, tmp_path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "a_seg.png").write_bytes(b"x")
        record = a_record("sub/a.png", outputs=["sub/a_seg.png"])
        Journal(tmp_path, "k").save(record, "12-34")
        again = Journal(tmp_path, "k").load("sub/a", "12-34")
        assert again is not None
        assert again.to_json() == record.to_json()

    def test_counts_only_under_its_keys(self, tmp_path):
        Journal(tmp_path, "k").save(a_record(), "12-34")
        assert Journal(tmp_path, "other").load("a", "12-34") is None
        assert Journal(tmp_path, "k").load("a", "56-78") is None
        assert Journal(tmp_path, "k").load("b", "12-34") is None

    def test_missing_output_or_failure_does_not_count(self, tmp_path):
        journal = Journal(tmp_path, "k")
        journal.save(a_record(outputs=["a_seg.png"]))
        journal.save(failed_record())
        assert journal.load("a") is None
        assert journal.load("broken") is None
        (tmp_path / "a_seg.png").write_bytes(b"x")
        assert journal.load("a") is not None

    @pytest.mark.parametrize(
        "content", ["", "[]", '{"key": "k", "input_key": "", "record": {"stem": "a"}}', "{"]
    )
    def test_damaged_entry_does_not_count(self, tmp_path, content):
        journal = Journal(tmp_path, "k")
        journal.save(a_record())
        (entry,) = (tmp_path / ".fetal_monai").iterdir()
        entry.write_text(content)
        assert journal.load("a") is None

    def test_stems_that_look_alike_stay_apart(self, tmp_path):
        journal = Journal(tmp_path, "k")
        stems = ["sub/a", "sub_a", "sub a", "../a", "ä" * 200, "ö" * 200, ".", "\udcff"]
        for number, stem in enumerate(stems):
            journal.save(Record(stem + ".png", stem, measures={"n": float(number)}))
        loaded = [journal.load(stem) for stem in stems]
        assert [record.measures["n"] for record in loaded if record] == list(range(len(stems)))
        assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / ".fetal_monai"}

    def test_file_key_follows_the_file(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"x")
        before = file_key(path)
        path.write_bytes(b"xy")
        assert file_key(path) != before


class TestMeasurements:
    def test_columns_stand_as_promised(self, tmp_path):
        extra = a_record(
            measures={"hc_mm": 100.0, "residual_mm": 0.318}, flags=["low_contrast", "colour_marks"]
        )
        header = write_measurements(
            tmp_path, [a_record(), extra, failed_record()], ["filename", *COLUMNS, "flags"]
        )
        spacing = ["spacing_mm", "spacing_row_mm", "spacing_column_mm", "spacing_source"]
        assert header == ["filename", *COLUMNS, "residual_mm", *spacing, "flags"]
        rows = rows_of(tmp_path)
        assert rows[0] == header
        assert rows[1] == (
            ["a.png", "172.48", "170.00", "", "78.26", "", ""] + ["0.0691358"] * 3 + ["csv", ""]
        )
        assert rows[2][6] == "0.32"
        assert rows[2][-1] == "low_contrast;colour_marks"
        assert rows[3] == ["broken.png", *[""] * 10, "failed"]

    def test_frames_count_from_one_and_stand_second(self, tmp_path):
        write_measurements(tmp_path, [a_record(frame=0), a_record("b.png")], ["hc_mm"])
        rows = rows_of(tmp_path)
        assert rows[0][:3] == ["filename", "frame", "hc_mm"]
        assert [row[1] for row in rows[1:]] == ["1", ""]

    def test_json_holds_the_same_rows_unrounded(self, tmp_path):
        header = write_measurements(tmp_path, [a_record(spacing_mm=(0.1, 0.4)), failed_record()], COLUMNS)
        first, second = json.loads((tmp_path / "measurements.json").read_text())
        assert list(first) == list(second) == header
        assert first["hc_mm"] == 172.4837
        assert first["hc_mm_high"] is None
        assert (first["spacing_row_mm"], first["spacing_column_mm"]) == (0.1, 0.4)
        assert first["flags"] == "anisotropic_spacing"
        assert second["hc_mm"] is second["spacing_source"] is None

    def test_file_is_plain_utf8_with_unix_newlines(self, tmp_path):
        write_measurements(tmp_path, [a_record('å, "b".png'), a_record("\udcff.png")], ["hc_mm"])
        content = (tmp_path / "measurements.csv").read_bytes()
        assert b"\r" not in content
        assert rows_of(tmp_path)[1][0] == 'å, "b".png'
        assert rows_of(tmp_path)[2][0] == "\\udcff.png"

    def test_no_record_at_all_gives_the_header(self, tmp_path):
        write_measurements(tmp_path, [], ["hc_mm"])
        assert len(rows_of(tmp_path)) == 1

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("hc_mm", -0.001, "0.00"),
            ("head_area_mm2", 2345.678, "2345.68"),
            ("cerebellum_ml", 12.3456, "12.35"),
            ("brain_z", -1.239, "-1.24"),
            ("p_value", 0.00123456789, "0.00123457"),
            ("spacing_mm", 1 / 7, "0.142857"),
            ("plane", "trans-thalamic", "trans-thalamic"),
            ("boxes", 3, "3"),
            ("hc_mm", math.inf, ""),
            ("hc_mm", None, ""),
        ],
    )
    def test_cells(self, name, value, text):
        assert format_value(name, value) == text


class TestRun:
    def test_says_what_became_of_every_input(self, tmp_path):
        record = a_record(frame=1, outputs=["a_seg.png"], seconds={"read": 0.25})
        skipped = [{"filename": "notes.txt", "reason": "not an image"}]
        write_run(tmp_path, {"bundle": "head", "loss": math.nan}, [record, failed_record()], skipped)
        content = json.loads((tmp_path / "run.json").read_text())
        assert content["bundle"] == "head"
        assert content["loss"] is None
        assert content["counts"] == {"ok": 1, "failed": 1, "skipped": 1}
        assert content["skipped"] == skipped
        assert content["inputs"][0] == {
            "filename": "a.png",
            "stem": "a",
            "frame": 2,
            "status": "ok",
            "reason": "",
            "outputs": ["a_seg.png"],
            "seconds": {"read": 0.25},
        }
        assert content["inputs"][1]["reason"].startswith("broken.png is truncated")

    @pytest.mark.parametrize("journal", [True, False])
    def test_can_be_loaded_again_with_and_without_its_journal(self, tmp_path, journal):
        records = [a_record(frame=0, flags=["low_contrast"], seconds={"read": 0.25}), failed_record()]
        write_measurements(tmp_path, records, COLUMNS)
        write_run(tmp_path, {"bundle": "head"}, records)
        if journal:
            for record in records:
                Journal(tmp_path, "k").save(record)
        again, info = load_run(tmp_path)
        assert info["bundle"] == "head"
        assert [record.status for record in again] == ["ok", "failed"]
        assert again[0].measures["hc_mm"] == 172.4837
        assert math.isnan(again[0].measures["hc_mm_high"])
        assert again[0].spacing_mm == records[0].spacing_mm
        assert (again[0].frame, again[0].flags, again[0].spacing_source) == (0, ["low_contrast"], "csv")
        assert again[1].reason == records[1].reason

    def test_folder_that_is_no_run_says_so(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"run\.json"):
            load_run(tmp_path)
        (tmp_path / "run.json").write_text("{")
        with pytest.raises(ValueError, match="damaged"):
            load_run(tmp_path)
