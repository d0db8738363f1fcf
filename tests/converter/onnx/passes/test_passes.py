"""The passes together: their order, and what they say."""

from __future__ import annotations

from pathlib import Path

import converter
from converter.onnx.graph import Graph, attribute, makers, readers
from converter.onnx.passes import PASSES, Request
from converter.preprocessing import Preprocessing
from tests.support.definitions import SCALE, convolution, layer

NET = (
    layer("data", "Input", "", "data", "input_param { shape { dim: [2, 32, 8, 7] } }")
    + convolution("conv", "data", 32, 3, "group: 8")
    + layer("conv/bn", "BatchNorm", "conv", "conv")
    + layer("conv/scale", "Scale", "conv", "conv", SCALE)
)


def test_nothing_is_done_and_said_unasked() -> None:
    graph = Graph("net", 17)
    assert [one(graph, Request()) for one in PASSES] == [""] * len(PASSES)
    assert graph == Graph("net", 17)


def test_the_notes_say_what_was_done_in_the_passes_order(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = converter.load(tmp_path / "net.prototxt")
    graph = converter.export_onnx(net.optimize(), tmp_path / "net.onnx", half=True)
    assert graph.notes == [
        "joined the small groups of 1 convolutions, zeros between them",
        "1 of 1 layers compute in float16",
    ]
    graph = converter.export_onnx(net, tmp_path / "net.onnx", half=True)
    assert graph.notes == [
        "folded 1 batch normalisations into the weights before them",
        "1 of 1 layers compute in float16",
    ]


def test_images_are_prepared_in_float32(tmp_path: Path) -> None:
    data = layer("data", "Input", "", "data", "input_param { shape { dim: [2, 3, 8, 7] } }")
    (tmp_path / "net.prototxt").write_text(data + convolution("image", "data", 4, 3))
    net = converter.load(tmp_path / "net.prototxt")
    wanted = Preprocessing(resize=9, crop=(8, 7), scale=0.01)
    path = tmp_path / "net.onnx"
    graph = converter.export_onnx(net, path, half=True, half_io=True, preprocessing=wanted)
    assert graph.notes == [
        f"takes RGB images, N x H x W x 3 bytes of any size, as 'image_': {wanted}",
        "1 of 2 layers compute in float16; in float32 stay image_ (Resize)",
    ]
    assert converter.verify(net, path, preprocessing=wanted).passed


def test_the_index_of_values(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    graph = converter.export_onnx(converter.load(tmp_path / "net.prototxt"), tmp_path / "net.onnx")
    conv, bn, mul, add = graph.nodes
    assert makers(graph.nodes)[mul.input[0]] == bn
    assert readers(graph.nodes)[conv.output[0]] == [bn]
    assert readers([add, add])[add.input[0]] == [add, add]
    assert attribute(conv, "group", 1) == 8
    assert attribute(mul, "group", 1) == 1
