"""Small groups of convolutions, joined in the ONNX files of optimised networks."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper

import converter
from converter.onnx.runtime import run_onnx
from converter.verification.compare import relative_error

NET = """
input: "data" input_shape {{ dim: 2 dim: {channels} dim: 6 dim: 7 }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{
  num_output: {outputs} kernel_size: 3 group: {group} weight_filler {{ type: "xavier" }}
  bias_filler {{ type: "uniform" }} }} }}
"""


def exported(folder: Path, net: converter.CaffeNet) -> tuple[onnx.ModelProto, converter.Graph]:
    graph = converter.export_onnx(net, folder / "net.onnx")
    return onnx.load(folder / "net.onnx"), graph


@pytest.mark.parametrize(
    ("channels", "outputs", "group", "joined"),
    [
        pytest.param(32, 32, 8, 2, id="of 4 channels"),
        pytest.param(32, 16, 4, 2, id="of 8, to half as many outputs"),
        pytest.param(48, 96, 12, 3, id="of 4, to twice as many outputs"),
        pytest.param(32, 32, 2, 2, id="of 16 as they are"),
        pytest.param(32, 32, 16, 16, id="of 2: too many products"),
        pytest.param(32, 32, 32, 32, id="of 1: each channel by itself"),
        pytest.param(12, 12, 3, 3, id="of 4, whose number does not divide"),
        pytest.param(36, 36, 6, 6, id="of 6, no part of 16"),
        pytest.param(8, 8, 1, 1, id="one group"),
    ],
)
def test_groups_have_16_channels(tmp_path, channels, outputs, group, joined):
    text = NET.format(channels=channels, outputs=outputs, group=group)
    (tmp_path / "net.prototxt").write_text(text)
    torch.manual_seed(1701)
    net = converter.load(tmp_path / "net.prototxt")
    model, graph = exported(tmp_path, net.optimize())
    (conv,) = model.graph.node
    numbers = {each.name: each.i for each in conv.attribute}
    shapes = {each.name: tuple(each.dims) for each in model.graph.initializer}
    assert numbers.get("group", 1) == joined
    assert shapes[conv.input[1]] == (outputs, channels // joined, 3, 3)
    assert len(shapes) == 2  # the weight as it was is gone
    said = "joined the small groups of 1 convolutions, zeros between them"
    assert graph.notes == ([said] if joined != group else [])
    x = torch.randn(2, channels, 6, 7)
    with torch.no_grad():
        want = net({"data": x})["conv"].numpy()
    got = run_onnx(tmp_path / "net.onnx", {"data": x.numpy()})["conv"]
    assert relative_error(got, want) <= 1e-6


def test_a_plain_export_has_the_groups_as_they_are(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET.format(channels=32, outputs=32, group=8))
    model, graph = exported(tmp_path, converter.load(tmp_path / "net.prototxt"))
    (conv,) = model.graph.node
    assert {each.name: each.i for each in conv.attribute}["group"] == 8
    assert graph.notes == []


def test_openvino_gets_the_groups_as_they_are(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET.format(channels=32, outputs=32, group=8))
    net = converter.load(tmp_path / "net.prototxt").optimize()
    graph = converter.export_onnx(net, tmp_path / "net.onnx", target="openvino")
    (conv,) = onnx.load(tmp_path / "net.onnx").graph.node
    assert {each.name: each.i for each in conv.attribute}["group"] == 8
    assert not any("joined" in note for note in graph.notes)


def test_a_shared_weight_stays_for_who_reads_it(tmp_path):
    """The same filters in groups of 4, and as those of one convolution without groups."""
    shared = ' param { name: "w" } param { name: "b" }'
    text = NET.format(channels=32, outputs=32, group=8).replace(
        "convolution_param", f"{shared} convolution_param"
    )
    second = text[text.index("layer") :].replace("data", "four").replace('"conv"', '"two"')
    cut = (
        '\nlayer { name: "cut" type: "Slice" bottom: "data" top: "four" top: "rest"'
        " slice_param { axis: 1 slice_point: 4 } }\n"
    )
    (tmp_path / "net.prototxt").write_text(text + cut + second.replace("group: 8", "group: 1"))
    torch.manual_seed(1701)
    net = converter.load(tmp_path / "net.prototxt")
    model, _ = exported(tmp_path, net.optimize())
    assert len([each for each in model.graph.initializer if len(each.dims) == 4]) == 2
    x = torch.randn(2, 32, 6, 7)
    with torch.no_grad():
        want = net({"data": x})
    for name, value in run_onnx(tmp_path / "net.onnx", {"data": x.numpy()}).items():
        assert relative_error(value, want[name].numpy()) <= 1e-6
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    joined = next(array for array in weights.values() if array.shape == (32, 16, 3, 3))
    assert (joined == 0).mean() == 0.75
