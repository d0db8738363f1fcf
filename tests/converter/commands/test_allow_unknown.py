"""`--allow-unknown` says every field that it passes over, whatever the command."""

from __future__ import annotations

from pathlib import Path

import pytest

import converter
from converter.__main__ import main

NET = """input: "data" input_shape { dim: 1 dim: 1 dim: 12 dim: 12 }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 1 dilatation: 4 } }
strange: 1
"""

COMMANDS = {
    "show": [],
    "check": [],
    "draw": ["-o", "net.svg"],
    "run": ["--output", "blobs.npz"],
    "verify": [],
    "convert": ["-o", "out"],
    "bench": ["--batch", "1", "--rounds", "1"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder to work in, with a definition that has two unknown fields."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path


def notes() -> list[str]:
    return [
        "passed over, as allowed: net.prototxt:4:1: NetParameter.strange",
        "passed over, as allowed: net.prototxt:3:54: PoolingParameter.dilatation",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_passes_over(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "net.prototxt", "--allow-unknown", *COMMANDS[command]]) == 0
    printed = capsys.readouterr()
    said = [line for line in (printed.out + printed.err).splitlines() if "passed over" in line]
    assert said == [f"note: {note}" for note in notes()]


def test_the_report_and_the_network_say_it(folder: Path) -> None:
    report = converter.convert("net.prototxt", None, "out", allow_unknown=True)
    written = Path("out/report.md").read_text()
    for note in notes():
        assert note in report.notes
        assert f"* {note}\n" in written
    assert set(notes()) <= set(converter.load("net.prototxt", allow_unknown=True).notes)


def test_nothing_is_said_where_nothing_is_passed_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net.prototxt").write_text(NET.replace(" dilatation: 4", "").replace("strange: 1", ""))
    assert main(["draw", "net.prototxt", "--allow-unknown", "-o", "net.svg"]) == 0
    assert "passed over" not in capsys.readouterr().err


TRAINING = """input: "data" input_shape { dim: 1 dim: 1 dim: 12 dim: 12 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { odd_mult: 2 }
  convolution_param { num_output: 2 kernel_size: 3 } }
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_passes_over_of_training(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net.prototxt").write_text(TRAINING)
    assert main([command, "net.prototxt", *COMMANDS[command]]) == 0
    printed = capsys.readouterr()
    said = [line for line in (printed.out + printed.err).splitlines() if "passed over" in line]
    assert said == ["note: passed over, of training alone: net.prototxt:2:77: ParamSpec.odd_mult"]
