"""A written file in another engine, beside the network in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from converter.commands import get_command
from converter.engines import Arrays, get_engine, onnxruntime
from converter.errors import UsageError
from converter.verification import engine as verification
from converter.verification.engine import run_apart

NET = """name: "tiny"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 4, 4] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "sum" type: "Reduction" bottom: "conv" top: "sum" }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path / "net.prototxt"


def answering(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let every engine answer what ONNX Runtime does, changed."""

    def run(name: str, path: Path, feeds: Arrays) -> dict[str, np.ndarray]:
        return change(onnxruntime.run(path, feeds))

    monkeypatch.setattr(verification, "run_apart", run)


def test_an_engine_runs_the_file_and_every_value_of_it(path: Path) -> None:
    report = converter.verify(converter.load(path), engine="onnxruntime")
    assert report.passed, report.text()
    shipped, exposed = report.comparisons[-2:]
    assert shipped.title.startswith("ONNX Runtime 1")
    assert shipped.title.endswith("the file as it ships, against torch")
    assert [row.blob for row in shipped.rows] == ["sum"]
    assert [row.blob for row in exposed.rows] == ["conv/by/conv", "conv", "sum"]
    assert {row.tolerance for row in [*shipped.rows, *exposed.rows]} == {verification.TOLERANCE}
    asked = converter.verify(converter.load(path), engine="onnxruntime", tolerance=1e-2)
    assert asked.comparisons[-1].rows[0].tolerance == 1e-2


def test_the_first_wrong_blob_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: value * (1.01 if "/by/" in name else 1) for name, value in values.items()}

    answering(monkeypatch, change)
    report = converter.verify(converter.load(path), engine="onnxruntime")
    assert not report.passed
    assert report.first_bad is not None
    assert report.first_bad.blob == "conv/by/conv"


def test_a_vector_of_one_value_is_a_scalar_and_nothing_else_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(
        monkeypatch, lambda values: {name: np.atleast_1d(value) for name, value in values.items()}
    )
    assert converter.verify(converter.load(path), engine="onnxruntime").passed
    answering(monkeypatch, lambda values: {name: value[None] for name, value in values.items()})
    assert not converter.verify(converter.load(path), engine="onnxruntime").passed


def test_an_engine_that_refuses_the_file_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise RuntimeError("no such operator")

    answering(monkeypatch, refuse)
    report = converter.verify(converter.load(path), engine="onnxruntime")
    assert not report.passed
    assert "FAILED: not run: no such operator" in report.text()
    assert report.as_dict()["comparisons"][-1]["refused"] == "no such operator"


def test_inner_values_that_are_not_given_are_no_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if len(values) > 1:
            raise RuntimeError("too many outputs")
        return values

    answering(monkeypatch, change)
    report = converter.verify(converter.load(path), engine="onnxruntime")
    assert report.passed
    assert report.comparisons[-1].skipped == "it gives no inner values: too many outputs"


def test_an_engine_says_why_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"\x00" * 8)
    with pytest.raises(RuntimeError, match=r"InvalidProtobuf|Fail"):
        run_apart("onnxruntime", tmp_path / "no.onnx", {"x": np.zeros(1)})


def test_an_engine_that_is_not_installed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_engine("openvino"), "lacks", lambda: ["openvino"])
    with pytest.raises(UsageError, match=r"openvino is not installed.*\n.*caffeport\[openvino\]"):
        converter.verify(converter.load(path), engine="openvino")
    with pytest.raises(UsageError, match="'caffe' is unknown"):
        converter.verify(converter.load(path), engine="caffe")
    report = converter.convert(path, None, tmp_path / "out", formats=["onnx"], target="openvino")
    assert report.passed
    assert any("not run in openvino" in note and "pip install" in note for note in report.notes)


def test_what_is_written_for_an_engine_runs_in_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = converter.convert(path, None, tmp_path / "out", formats=["onnx"], target="onnxruntime")
    assert [one.title.partition(",")[0] for one in report.comparisons[-2:]] == [
        f"ONNX Runtime {onnxruntime.version().split()[-1]}"
    ] * 2
    assert len(report.comparisons) == 5
    answering(monkeypatch, lambda values: {name: value + 1 for name, value in values.items()})
    out = tmp_path / "wrong"
    assert not converter.convert(path, None, out, formats=["onnx"], target="onnxruntime").passed
    other = converter.convert(
        path, None, tmp_path / "none", formats=["onnx"], target="onnxruntime", verify_it=False
    )
    assert not other.comparisons


def test_the_command_asks_for_an_engine(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from converter.__main__ import main

    assert get_command("verify").HELP
    assert main(["verify", str(path), "--engine", "onnxruntime"]) == 0
    assert "ONNX Runtime 1" in capsys.readouterr().out
    assert main(["verify", str(path), "--engine", "caffe"]) == 1
