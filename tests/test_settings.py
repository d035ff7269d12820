from __future__ import annotations

from pathlib import Path

import pytest

from fetal_monai.settings import as_bool, as_mapping, as_optional, as_paths


@pytest.mark.parametrize("value", [True, "true", "True", "yes", "on", 1, "1"])
def test_words_for_true(value):
    assert as_bool(value, "resume") is True


@pytest.mark.parametrize("value", [False, "false", "False", "no", "off", 0, "0", None, "null", ""])
def test_words_for_false(value):
    assert as_bool(value, "resume") is False


@pytest.mark.parametrize("value", ["maybe", 2, [True]])
def test_anything_else_is_told(value):
    with pytest.raises(ValueError, match=r"resume is .*; give true or false"):
        as_bool(value, "resume")


def test_words_for_nothing():
    assert [as_optional(value) for value in (None, "", "null", "None", " ~ ")] == [None] * 5
    assert [as_optional(value) for value in (0, False, "a", "0", [])] == [0, False, "a", "0", []]


def test_paths_as_a_configuration_or_a_command_line_gives_them():
    a, b = Path("/data/a"), Path("b c")
    assert as_paths("/data/a") == as_paths(a) == as_paths(["/data/a"]) == [a]
    assert as_paths("[/data/a, b c]") == as_paths(["/data/a", ["b c"]]) == as_paths([a, "[b c]"]) == [a, b]
    assert as_paths([]) == as_paths("[]") == as_paths(None) == []


def test_mappings_as_a_configuration_or_a_command_line_gives_them():
    assert as_mapping("{a: /data/a, b: c}", "further") == {"a": "/data/a", "b": "c"}
    assert as_mapping({"a": [1]}, "further") == {"a": [1]}
    assert as_mapping(None, "further") == as_mapping("{}", "further") == as_mapping("null", "further") == {}
    for value in ("a", ["a"], "{a:b"):
        with pytest.raises(ValueError, match="give"):
            as_mapping(value, "further")
