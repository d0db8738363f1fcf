"""Figures as people read them."""

from __future__ import annotations

from converter.text import format_markdown, format_shape, format_table


def test_columns_are_in_line_and_nothing_trails() -> None:
    rows = [("layer", "values", "remark"), ("a", "1,234", ""), ("conv1/bn", "8", "left out")]
    assert format_table(rows, right=[1]).splitlines() == [
        "layer     values  remark",
        "a          1,234",
        "conv1/bn       8  left out",
    ]


def test_markdown() -> None:
    rows = [("a", "1"), ("b", "")]
    want = "| name | n |\n|---|---|\n| a | 1 |\n| b |  |"
    assert format_markdown(("name", "n"), rows) == want
    assert format_markdown(("name",), []) == "| name |\n|---|"


def test_shapes() -> None:
    assert format_shape((2, 3, 224)) == "2x3x224"
    assert format_shape(("any", 3), " x ") == "any x 3"
    assert format_shape(()) == "scalar"
