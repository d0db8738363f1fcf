"""Exceptions in layers of one's own: the error names the layer, the file and the line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import converter
from converter.__main__ import main
from converter.check import check

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "L" type: "Mine" bottom: "x" top: "y" mine_param { k: 3 } }"""
PROTO = """message LayerParameter { optional MineParameter mine_param = 9001; }
message MineParameter { optional int32 k = 1; }"""
PYTHON = """import caffe_layers
class Mine(caffe_layers.Layer, type="Mine", fork="mine", param="mine_param"):
    def __init__(self, *, k: int = 1):
        super().__init__()
        BUILT
    def shapes(self, x):
        return SHAPED
    def forward(self, x):
        return COMPUTED
    def onnx(self, op, x):
        return WRITTEN
"""
GOOD = {"BUILT": "self.k = k", "SHAPED": "[x]", "COMPUTED": "x", "WRITTEN": "op.Relu(x)"}


def files(folder: Path, **wrong: str) -> tuple[Path, str]:
    text = PYTHON
    for word, code in {**GOOD, **wrong}.items():
        text = text.replace(word, code)
    (folder / "mine.py").write_text(text)
    (folder / "mine.proto").write_text(PROTO)
    (folder / "net.prototxt").write_text(NET)
    return folder / "net.prototxt", str(folder / "mine.py")


@pytest.mark.parametrize(("part", "line"), [("BUILT", 5), ("SHAPED", 7)])
def test_on_the_way_to_a_network(part, line, tmp_path, capsys):
    net, layers = files(tmp_path, **{part: "k.misspelt"})
    kind = "AttributeError: 'int' object has no attribute 'misspelt'"
    kind = kind if part == "BUILT" else "NameError: name 'k' is not defined"
    said = f"layer 'L' (Mine): {kind} (line {line} of {layers})"
    with pytest.raises(converter.CaffeError) as caught:
        converter.load(net, layers=layers)
    assert said in str(caught.value)
    assert isinstance(caught.value.__cause__, (AttributeError, NameError))
    assert main(["show", str(net), "--layers", layers]) == 1
    assert said in capsys.readouterr().err
    assert said.partition(": ")[2] in check(net, layers=layers).text()


def test_in_a_pass(tmp_path):
    net, layers = files(tmp_path, COMPUTED="x @ x")
    loaded = converter.load(net, layers=layers)
    with pytest.raises(converter.CaffeError) as caught:
        loaded(torch.zeros(2, 3))
    assert str(caught.value).startswith("layer 'L' (Mine): RuntimeError: mat1 and mat2 shapes")
    assert str(caught.value).endswith(f"(line 9 of {layers})")


def test_in_the_export(tmp_path):
    net, layers = files(tmp_path, WRITTEN="{}['a']")
    with pytest.raises(converter.CaffeError) as caught:
        converter.export_onnx(converter.load(net, layers=layers), tmp_path / "net.onnx")
    assert str(caught.value) == f"layer 'L' (Mine): KeyError: 'a' (line 11 of {layers})"
    assert f"KeyError: 'a' (line 11 of {layers})" in check(net, layers=layers).text()


def test_while_the_file_runs(tmp_path):
    net, layers = files(tmp_path)
    Path(layers).write_text("numbers = [1]\nnumbers[3]\n")
    said = rf"mine.py: IndexError: list index out of range \(line 2 of {layers}\)"
    with pytest.raises(converter.CaffeError, match=said):
        converter.load(net, layers=layers)


def test_a_file_of_messages_that_is_not_there(tmp_path):
    net, layers = files(tmp_path)
    (tmp_path / "mine.proto").unlink()
    said = "has no message 'mine_param'\n  fix: mine.proto beside it says the message, and there is"
    with pytest.raises(converter.CaffeError, match=said):
        converter.load(net, layers=layers)


def test_a_fork_that_is_not_called_as_the_file(tmp_path):
    net, layers = files(tmp_path)
    Path(layers).write_text(Path(layers).read_text().replace('fork="mine"', 'fork="bvlc"'))
    said = "has no message 'mine_param'\n  fix: the messages of mine.proto are of fork=\"mine\""
    with pytest.raises(converter.CaffeError, match=said):
        converter.load(net, layers=layers)


def test_a_field_that_nothing_reads(tmp_path):
    net, layers = files(tmp_path)
    proto = tmp_path / "mine.proto"
    proto.write_text(proto.read_text().replace("k = 1;", "k = 1; optional int32 unread = 2;"))
    net.write_text(NET.replace("k: 3", "k: 3 unread: 5"))
    said = r"layer 'L' \(Mine\): mine_param.unread is set, and nothing of Mine reads it"
    with pytest.raises(converter.CaffeError, match=said):
        converter.load(net, layers=layers)
    assert "mine_param.unread is set" in check(net, layers=layers).text()
    text = Path(layers).read_text()
    Path(layers).write_text(text.replace("k: int = 1", "k: int = 1, unread: int = 0"))
    assert list(converter.load(net, layers=layers).layers) == ["in", "L"]
