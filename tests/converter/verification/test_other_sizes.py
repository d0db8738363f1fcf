"""Free axes are run with another size than the file's, a fixed batch with its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import converter
from converter.__main__ import main
from converter.onnx.model import OnnxModel
from converter.verification.verify import verify

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [%d, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
"""


def network(folder: Path, batch: int = 1) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(NET % batch)
    return converter.load(folder / "net.prototxt")


@pytest.mark.parametrize(
    ("batch", "dynamic", "said"),
    [
        (1, ("batch",), "with another size (batch of data)"),
        (2, ("batch",), "with another size (batch of data)"),
        (10, ("batch",), ""),  # 2 are fed
        (1, ("height",), "with another size (height of data)"),
        (10, ("batch", "width"), "with another size (width of data)"),
        (1, ("batch", "height", "width"), "(batch of data, height of data, width of data)"),
        (10, (), ""),
    ],
)
def test_each_free_axis_is_run_with_another_size(batch, dynamic, said, tmp_path):
    net = network(tmp_path, batch)
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=dynamic)
    report = verify(net, tmp_path / "net.onnx")
    assert report.passed
    titles = [one.title for one in report.comparisons[2:]]
    assert [said in title for title in titles] == ([True] if said else [])


def test_a_file_that_is_right_at_one_size_only_does_not_pass(tmp_path):
    net = network(tmp_path)
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("batch",))
    proto = onnx.load(tmp_path / "net.onnx")
    proto.graph.node[0].output[0] = "inner"
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, -1, 6]), "shape"))
    proto.graph.node.append(onnx.helper.make_node("Reshape", ["inner", "shape"], ["flat"]))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(6), "first"))
    proto.graph.node.append(onnx.helper.make_node("Gather", ["flat", "first"], ["conv"], axis=2))
    onnx.save(proto, tmp_path / "wrong.onnx")
    report = verify(net, tmp_path / "wrong.onnx")
    assert [one.passed for one in report.comparisons[:2]] == [True, True]
    assert not report.passed
    assert "with another size (batch of data)" in report.comparisons[2].title
    assert report.notes[-1] == (
        "with another batch: layer 'conv' (Convolution): "
        "what was written of it makes 1x2x6x6, wants 2x2x6x6"
    )
    proto.graph.node.pop()
    proto.graph.initializer[-2].CopyFrom(
        onnx.numpy_helper.from_array(np.array([1, 2, 6, 6]), "shape")
    )
    proto.graph.node[-1].output[0] = "conv"
    onnx.save(proto, tmp_path / "wrong.onnx")
    report = verify(net, tmp_path / "wrong.onnx")
    assert [one.passed for one in report.comparisons] == [True, True, False]
    assert "stops within the model" in report.comparisons[2].refused


def test_what_no_layer_of_the_network_asks_for_is_said_so(tmp_path):
    net = network(tmp_path)
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("batch",), softmax=True)
    proto = onnx.load(tmp_path / "net.onnx")
    (last,) = (node for node in proto.graph.node if node.output[0] == "softmax")
    last.output[0] = "inner"
    first = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "first")
    proto.graph.initializer.append(first)
    proto.graph.node.append(onnx.helper.make_node("Gather", ["inner", "first"], ["softmax"]))
    onnx.save(proto, tmp_path / "wrong.onnx")
    report = verify(net, tmp_path / "wrong.onnx")
    assert [one.passed for one in report.comparisons[:2]] == [True, True]
    assert not report.passed
    assert report.notes[-1] == (
        "with another batch: the outputs are wrong, and the layers one by one are right"
    )


def graph_of(path: Path) -> tuple[tuple[int, ...], set[str]]:
    """Return the shape of the photos, 0 for what is free, and the operators."""
    model = OnnxModel(path)
    return model.inputs.shapes["image"], {node.op_type for node in model.proto.graph.node}


@pytest.mark.parametrize(
    ("words", "shape", "shapeless"),
    [
        ("--dynamic none", (1, 8, 8, 3), True),
        ("--dynamic none --resize 10x12", (1, 10, 12, 3), True),
        ("--dynamic none --resize 10", (1, 0, 0, 3), False),
        ("--resize 10x12", (0, 0, 0, 3), False),
    ],
)
def test_photos_have_the_size_that_they_would_be_resized_to(
    words, shape, shapeless, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    network(tmp_path)
    args = ["convert", "net.prototxt", "-o", "out", "--embed-preprocessing", "--mean", "100"]
    assert main([*args, *words.split(), "--format", "onnx"]) == 0
    got, operators = graph_of(tmp_path / "out" / "net.onnx")
    assert got == shape
    assert bool(operators & {"Shape", "Resize"}) is not shapeless
    pixels = np.random.default_rng(1).integers(256, size=(16, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    run = ["run", "--input"]
    assert main([*run, "image=photo.png", "out/net.onnx", "--output", "got.npz"]) == 0
    more = [word for word in words.split() if word not in ("--dynamic", "none")]
    prepared = [*run, "data=photo.png", "net.prototxt", "--mean", "100", *more]
    assert main([*prepared, "--output", "want.npz"]) == 0
    with np.load("got.npz") as ours, np.load("want.npz") as theirs:
        assert np.abs(ours["conv"] - theirs["conv"]).max() < 2, "bytes of a photo are rounded"


def test_a_model_of_fixed_photos_is_fed_as_many_as_it_takes(tmp_path):
    net = network(tmp_path, 5)
    wanted = {"mean": "100"}
    options = {"embed_preprocessing": True, "preprocessing": wanted, "formats": ["onnx"]}
    report = converter.convert(net.source, None, tmp_path / "out", dynamic=(), **options)
    assert report.passed
    assert graph_of(tmp_path / "out" / "net.onnx")[0] == (5, 8, 8, 3)
    assert report.usage is not None
    assert "cv2.resize(cv2.imread" in report.usage.program
