from __future__ import annotations

import pytest

from fetal_monai.settings import as_bool, as_optional


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
