"""Python layers: only what the user has registered runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

import caffe_layers
import converter
from caffe_layers import Layer, Shape
from caffe_layers.base.layer import DEFAULT
from prototxt import FormatError, ShapeError, UnsupportedError

NET = (
    'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
    'layer { name: "L" type: "Python" bottom: "x" top: "y" top: "z" python_param { %s } }\n'
)
NAMED = NET % 'module: "os.path" layer: "Shift" param_str: "2.5"'


@pytest.fixture
def shift() -> Iterator[type[Layer]]:
    """Register a layer with two tops for the test."""

    @caffe_layers.register_python("os.path", "Shift")
    class Shift(Layer, tops=2):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = by

        @classmethod
        def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Layer:
            return cls(float(layer.python_param.param_str))

        def shapes(self, x: Shape) -> list[Shape]:
            return [x, x]

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + self.by, x - self.by

        def onnx(self, op: Any, x: str) -> Any:
            by = op.scalar(self.by)
            return op.Add(x, by), op.Sub(x, by)

    yield Shift
    del DEFAULT.python["os.path", "Shift"]


def write(folder: Path, text: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(text)
    return path


def test_a_registered_layer_runs_and_is_exported(shift: type[Layer], tmp_path: Path) -> None:
    net = converter.load(write(tmp_path, NAMED))
    assert type(net.layers["L"]) is shift
    x = torch.randn(2, 3)
    got = net({"x": x})
    assert torch.equal(got["y"], x + 2.5)
    assert torch.equal(got["z"], x - 2.5)
    converter.export_onnx(net, tmp_path / "net.onnx")
    converter.check_onnx(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    y, z = session.run(["y", "z"], {"x": x.numpy()})
    assert (y == got["y"].numpy()).all()
    assert (z == got["z"].numpy()).all()


@pytest.mark.usefixtures("shift")
def test_the_numbers_of_bottoms_and_tops_are_the_class_s(tmp_path: Path) -> None:
    path = write(tmp_path, NAMED.replace(' top: "z"', ""))
    with pytest.raises(ShapeError, match=r"layer 'L' \(Python\): 1 top, wants 2"):
        converter.load(path)


def test_what_is_not_registered_is_refused_and_not_imported(tmp_path: Path) -> None:
    """`os.path` can be imported, and would have no `Shift`: nobody looks."""
    with pytest.raises(UnsupportedError) as caught:
        converter.load(write(tmp_path, NAMED))
    assert str(caught.value).endswith(
        "layer 'L' (Python): os.path.Shift is Python code that the file only names, and no layer "
        "is registered for it\n"
        "  fix: --layers FILE.py, with @caffe_layers.register_python('os.path', 'Shift') on a "
        "caffe_layers.Layer of your own; --end x ends the network before it, --input-shape y=... "
        "--input-shape z=... feeds what it makes"
    )


def test_what_may_do_nothing_may_be_skipped(tmp_path: Path) -> None:
    in_place = NAMED.replace('top: "y" top: "z"', 'top: "x"')
    with pytest.raises(UnsupportedError) as caught:
        converter.load(write(tmp_path, in_place))
    assert str(caught.value).endswith(
        "Layer of your own; --skip L leaves it out, if it does nothing in testing, --end x ends "
        "the network before it"
    )


def test_a_loss_weight_tells_a_loss(tmp_path: Path) -> None:
    """Of whatever code it is: its shape is a loss's, an exported model leaves it out."""
    weighs = NAMED.replace("python_param", "loss_weight: 1 loss_weight: 0 python_param")
    net = converter.load(write(tmp_path, weighs))
    assert net.shapes() == {"x": (2, 3), "y": (1,), "z": (1,)}
    with pytest.raises(UnsupportedError, match=r"os\.path\.Shift is Python code of which the sh"):
        net({"x": torch.zeros(2, 3)})
    with pytest.raises(UnsupportedError, match="is Python code that the file only names"):
        converter.load(write(tmp_path, weighs.replace("loss_weight: 1", "loss_weight: 0")))


def test_a_python_param_names_module_and_layer(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not name both module and layer"):
        converter.load(write(tmp_path, NET % 'module: "os.path"'))


def test_a_class_may_have_several_names_and_be_varied() -> None:
    try:

        @caffe_layers.register_python("a", "One")
        @caffe_layers.register_python("b", "Two")
        class Named(Layer):
            pass

        @caffe_layers.register_python("a", "Three")
        class Varied(Named):
            pass

        assert DEFAULT.python["a", "One"] is DEFAULT.python["b", "Two"] is Named
        assert DEFAULT.python["a", "Three"] is Varied
    finally:
        for name in (("a", "One"), ("b", "Two"), ("a", "Three")):
            DEFAULT.python.pop(name, None)


def test_a_name_is_registered_once(shift: type[Layer]) -> None:
    class Other(Layer):
        pass

    with pytest.raises(TypeError, match=r"os\.path\.Shift is taken"):
        caffe_layers.register_python("os.path", "Shift")(Other)


@pytest.mark.parametrize("cls", [torch.nn.ReLU, caffe_layers.Axpy, 3])
def test_only_layers_without_a_type_are_registered(cls: Any) -> None:
    with pytest.raises(TypeError, match="is no subclass"):
        caffe_layers.register_python("a", "B")(cls)


SOURCE = (
    'layer { name: "L" type: "Python" top: "x" top: "label" python_param { module: "voc_layers" '
    'layer: "VOCSegDataLayer" param_str: "{\'seed\': 1337}" } }\n'
    'layer { name: "R" type: "ReLU" bottom: "x" top: "y" }\n'
)


def test_a_layer_without_bottoms_reads_data_and_is_fed(tmp_path: Path) -> None:
    path = write(tmp_path, SOURCE)
    with pytest.raises(
        ShapeError, match=r"the file does not say the shape of 'x'\n.*--input-shape"
    ):
        converter.load(path)
    net = converter.load(path, input_shapes={"x": (1, 2, 3, 3), "label": (1, 1, 3, 3)})
    assert net.inputs == ["x", "label"]
    assert net({"x": torch.ones(1, 2, 3, 3)})["y"].shape == (1, 2, 3, 3)
