"""Options that are declared once: what is handed on, checked and shown by that one line."""

from __future__ import annotations

import inspect
from argparse import ArgumentParser
from pathlib import Path
from typing import get_type_hints

import pytest

import converter
from converter.check import check
from converter.commands._options import add_export, export_options
from converter.keywords import complete, only, options_of
from converter.loading.options import LoadOptions
from converter.onnx.emit import emit
from converter.onnx.options import ExportOptions, FormatOptions, GraphOptions

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [4, 6] } } }
layer { name: "scores" type: "InnerProduct" bottom: "x" top: "scores"
    inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path / "net.prototxt"


def test_load_options_are_loads_own() -> None:
    hints = get_type_hints(converter.load)
    parameters = inspect.signature(converter.load).parameters.values()
    own = {one.name: hints[one.name] for one in parameters if one.kind is one.KEYWORD_ONLY}
    assert get_type_hints(LoadOptions) == own


def test_the_command_line_has_every_option_by_its_default() -> None:
    parser = ArgumentParser()
    add_export(parser)
    assert export_options(parser.parse_args([])) == complete(FormatOptions, {})
    args = ["--opset", "15", "--dynamic", "batch,height", "--softmax"]
    args += ["--with-losses", "--fold-bn", "--half-io", "--optimize", "--target", "opencv"]
    args += ["--calibrate", "x.npz", "--calibration-method", "entropy", "--signed"]
    assert export_options(parser.parse_args(args)) == {
        "opset": 15,
        "dynamic": ("batch", "height"),
        "target": "opencv",
        "calibrate": "x.npz",
        "calibration_method": "entropy",
        "signed": True,
        **dict.fromkeys(["with_losses", "softmax", "fold_bn", "half_io", "optimize"], True),
    }
    assert export_options(parser.parse_args(["--dynamic", "none"]))["dynamic"] == ()


def test_options_go_to_those_that_take_them() -> None:
    options = {"softmax": True, "fold_bn": True, "optimize": True, "dialect": "sknet"}
    assert only(GraphOptions, options) == {"softmax": True}
    assert only(ExportOptions, options) == {"softmax": True, "fold_bn": True}
    assert only(LoadOptions, options) == {"dialect": "sknet"}
    kinds = [GraphOptions, ExportOptions, FormatOptions]
    assert [len(options_of(kind)) for kind in kinds] == [5, 7, 11]


@pytest.mark.parametrize("name", ["convert", "export_onnx", "emit"])
def test_a_misspelt_option_is_named_beside_the_known(name: str, path: Path, tmp_path: Path) -> None:
    net = converter.load(path)
    calls = {
        "convert": lambda: converter.convert(path, None, tmp_path / "out", sofmax=True),  # type: ignore[call-arg]
        "export_onnx": lambda: converter.export_onnx(net, tmp_path / "x.onnx", sofmax=True),  # type: ignore[call-arg]
        "emit": lambda: emit(net, sofmax=True),  # type: ignore[call-arg]
    }
    with pytest.raises(TypeError) as caught:
        calls[name]()
    said = str(caught.value)
    assert said.startswith(f"{name}() has no option 'sofmax'; it has ")
    known = said.partition("it has ")[2].split(", ")
    assert {"opset", "softmax"} < set(known)
    assert ("formats" in known) is ("dialect" in known) is (name == "convert")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "x.onnx").exists()


def test_every_option_of_load_is_converts_and_checks(path: Path, tmp_path: Path) -> None:
    shapes = {"x": (3, 6)}
    report = converter.convert(path, None, tmp_path / "out", input_shapes=shapes, seed=1, opset=15)
    assert report.summary.inputs == shapes
    assert check(path, input_shapes=shapes, deploy=True).passed
    with pytest.raises(TypeError, match=r"check\(\) has no option 'dialects'; it has "):
        check(path, dialects="sknet")  # type: ignore[call-arg]
