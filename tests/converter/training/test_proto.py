"""A training whose fork's schema is given, or lies beside the solver."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.__main__ import main
from tests.support.forks import write_fork

FIELD = (
    "message ReLUParameter {",
    "message ReLUParameter { optional int32 mood = 90 [default = 3];",
)


def test_train_reads_by_a_forks_schema(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its networks' fields and its solver's: the default is passed over, another is refused."""
    own = write_fork(digits / "fork" / "mood.proto", FIELD)
    net = digits / "net.prototxt"
    text = net.read_text()
    relu = 'type: "ReLU" bottom: "conv" top: "conv"'
    net.write_text(text.replace(relu, f"{relu} relu_param {{ mood: 3 }}"))
    command = ["train", "solver.prototxt"]
    assert main(command) == 1
    assert "ReLUParameter has no field 'mood'" in capsys.readouterr().err
    assert main([*command, "--proto", str(own)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said.count(f"note: read by {own}, as given: dialect 'mood'") == 1
    net.write_text(text.replace(relu, f"{relu} relu_param {{ mood: 4 }}"))
    assert main([*command, "--proto", str(own)]) == 1
    assert "relu_param.mood is set, a field of mood" in capsys.readouterr().err


def test_train_finds_the_schema_beside_the_solver(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_fork(digits / "caffe.proto", FIELD)
    assert main(["train", "solver.prototxt"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "beside the file" in line]
    assert len(said) == 1
    assert said[0].startswith(f"note: {own} lies beside the file: ")
    assert main(["train", "solver.prototxt", "--proto", "none"]) == 0
    assert "beside the file" not in capsys.readouterr().err
