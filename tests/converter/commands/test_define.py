"""The commands define and table."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.__main__ import main
from converter.sknet import table2 as table
from prototxt.nets import build


def test_definition_is_written_with_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.prototxt"
    options = ["branches=3", "groups=(32, 64, 128)", "dilated=False"]
    assert main(["define", "sknet50", *options, "-o", str(file)]) == 0
    want = str(build("sknet50", branches=3, groups=(32, 64, 128), dilated=False))
    assert file.read_text() == want
    assert main(["define", "resnext50"]) == 0
    assert capsys.readouterr().out == str(build("resnext50"))


def test_what_is_not_there_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["define", "resnext51"]) == 1
    assert "network 'resnext51' is unknown" in capsys.readouterr().err
    assert main(["define", "resnext50", "deep=1"]) == 1
    assert "resnext50 has no option 'deep'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["branches", "branches=", "branches=three", "branches=open('x')"]
)
def test_option_without_a_value_is_wrong_usage(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["define", "sknet50", option])
    assert caught.value.code == 2
    assert f"{option!r} wants OPTION=VALUE, as branches=3" in capsys.readouterr().err


def test_table_is_printed_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = table.count(table.ROWS[:1])
    monkeypatch.setattr(table, "count", lambda: counted)
    assert main(["table"]) == 0
    assert capsys.readouterr().out == table.format_table(counted) + "\n"
    assert main(["table", "--markdown"]) == 0
    assert capsys.readouterr().out == table.format_table(counted, markdown=True) + "\n"
