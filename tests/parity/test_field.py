"""Every definition of the public field is shown, or ends in a message that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import field_page as kinds
from benchmarks.field import SECONDS, Options, go_over, look_at
from benchmarks.field_page import Result, page

IP = 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" PARAM }\n'
INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
DATA = 'layer { name: "d" type: "Data" top: "x" data_param { source: "none" batch_size: 1 } }\n'
GOOD = IP.replace("PARAM", "inner_product_param { num_output: 2 }")
SUM = 'layer { name: "s" type: "Eltwise" bottom: "x" bottom: "y" top: "sum" }\n'
CASES = {
    "whole": (INPUT + GOOD, kinds.AS_IS, ""),
    "fed": (DATA + GOOD, kinds.WITH_OPTIONS, "--input-shape x="),
    "field": (
        INPUT + GOOD.replace("bottom", "shiny: 3 bottom", 1),
        kinds.ALLOWED,
        "has no field 'shiny'",
    ),
    "type": (INPUT + GOOD.replace("InnerProduct", "Shiny"), kinds.TYPE, "type 'Shiny' is unknown"),
    "template": (INPUT + GOOD.replace("output: 2", "output: $N"), kinds.WITH_OPTIONS, "N=1"),
    "numbers": (INPUT + GOOD + SUM, kinds.NUMBERS, "differ"),
}


@pytest.mark.parametrize("name", CASES)
def test_outcome_and_what_it_names(name: str, tmp_path: Path) -> None:
    text, outcome, says = CASES[name]
    path = tmp_path / f"{name}.prototxt"
    path.write_text(text)
    result = look_at(path, check=True)
    assert (result.name, result.outcome) == (path.name, outcome)
    assert says in result.message
    assert str(tmp_path) not in result.message


def test_what_is_shown_is_converted_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(DATA + GOOD)
    assert look_at(path, convert=True).conversion == "verified"
    path.write_text(INPUT + IP.replace("PARAM", ""))
    assert look_at(path, convert=True).conversion == ""


def test_advice_is_followed_where_it_is_new_and_means_one_thing() -> None:
    shapes = "--input-shape a=1,3 or so; --input-shape b/c=2x4"
    first = Options().advised(shapes)
    assert first == Options({"a": (1, 3), "b/c": (2, 4)})
    assert first is not None
    assert first.advised(shapes) is None
    assert first.words() == ["--input-shape", "a=1,3", "--input-shape", "b/c=2,4"]
    assert Options().advised("--dialect ssd, or --dialect bvlc") == Options(dialect="ssd")
    assert Options().advised("--dialect ssd, or --dialect yolo") is None
    blank = "--set N=... --set MAX_HEIGHT=... --set n_labels=..."
    filled = Options().advised(blank)
    assert filled == Options(values={"N": "1", "MAX_HEIGHT": "448", "n_labels": "21"})
    assert filled is not None
    assert filled.advised(blank) is None
    assert filled.words()[:2] == ["--set", "N=1"]


def test_page_says_first_what_share_works() -> None:
    results = [
        Result("a", kinds.AS_IS, repository="one/a"),
        Result("b", kinds.WITH_OPTIONS, "--deploy", repository="one/a", conversion="verified"),
        Result("c", kinds.TYPE, "type", ("Shiny",), repository="two/b", seconds=11, checked=True),
        Result("d", kinds.TYPE, "type", ("Shiny", "Dull"), repository="two/b"),
    ]
    text = page(results, seconds=10)
    first = text.splitlines()[2]
    assert first.startswith("Of 4 definitions of 2 public repositories, ")
    assert " 1 (25 %) as they are, and for 2 (50 %) with the options" in first
    assert "In 1 repositories it shows none" in first
    assert "`show`, and `check` on 1 of them, ends in a traceback on 0, and takes more" in first
    assert first.endswith("than 10 seconds of a processor on 1.")
    assert f"| {kinds.TYPE} | 2 | 1 |" in text
    assert "Shiny 2, Dull 1." in text
    assert "| verified | 1 |" in text
    assert "| repository | definitions | as it is | with options | type |" in text
    assert "| two/b | 2 |  |  | 2 |" in text


def test_a_part_of_the_field_has_no_traceback_and_takes_no_time(
    shared: Path, tmp_path: Path
) -> None:
    index = shared / "field" / "INDEX.tsv"
    rows = index.read_text(encoding="utf-8").splitlines(keepends=True)
    part = tmp_path / "part.tsv"
    part.write_text("".join([rows[0], *rows[5::25]]), encoding="utf-8")
    results = list(go_over(shared / "field" / "prototxts", part, jobs=1, check=True))
    assert len(results) == len(rows[5::25])
    assert [one.name for one in results if one.outcome == kinds.TRACEBACK] == []
    assert all(one.seconds < SECONDS for one in results)
    assert all(one.message for one in results if one.outcome != kinds.AS_IS)
