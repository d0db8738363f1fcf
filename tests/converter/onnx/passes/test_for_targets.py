"""What passes write for one engine: outputs that are inputs, and a mark of the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import converter
from converter.keywords import complete
from converter.onnx.graph import Graph
from converter.onnx.options import ExportOptions
from converter.onnx.passes import Request
from converter.onnx.passes.mark_batch import mark_batch
from converter.onnx.passes.spell_identities import spell_identities
from converter.onnx.runtime import run_onnx
from tests.support.definitions import layer

node = onnx.helper.make_node


def asked(target: str | None) -> Request:
    return Request(complete(ExportOptions, {"target": target}))


def graph_of(*nodes: onnx.NodeProto, rank: int = 4) -> Graph:
    dims = ["batch", *[3] * (rank - 1)]
    graph = Graph("g", 17, list(nodes), inputs={"x": (1, [*dims])}, outputs={"y": (1, [*dims])})
    graph.layers = {name: "L" for one in nodes for name in one.output}
    return graph


def operators(graph: Graph) -> list[str]:
    return [one.op_type for one in graph.nodes]


def test_an_output_that_is_an_input_is_computed_for_who_loses_it() -> None:
    graph = graph_of(node("Identity", ["x"], ["a"]), node("Identity", ["a"], ["y"], name="L"))
    for target in (None, "openvino"):
        assert spell_identities(graph, asked(target)) == ""
        assert operators(graph) == ["Identity"] * 2
    spell_identities(graph, asked("ncnn"))
    assert operators(graph) == ["Identity", "LeakyRelu"]
    assert (graph.nodes[1].name, graph.nodes[1].attribute[0].f) == ("L", 1.0)


def test_an_output_that_was_computed_may_have_two_names() -> None:
    graph = graph_of(node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"]))
    spell_identities(graph, asked("ncnn"))
    assert operators(graph) == ["Relu", "Identity"]


@pytest.mark.parametrize(
    ("target", "rank", "operator", "marked"),
    [
        ("ncnn", 5, "Abs", True),
        ("ncnn", 4, "Abs", False),
        ("ncnn", 5, "GlobalMaxPool", False),
        ("openvino", 5, "Abs", False),
        (None, 5, "Abs", False),
    ],
)
def test_the_batch_is_marked_where_no_operator_tells_it(
    target: str | None, rank: int, operator: str, marked: bool
) -> None:
    graph = graph_of(node(operator, ["x"], ["y"]), rank=rank)
    mark_batch(graph, asked(target))
    assert operators(graph) == ["MaxPool"] * marked + [operator]
    if marked:
        assert list(graph.nodes[0].attribute[0].ints) == [1] * (rank - 2)
        assert graph.nodes[1].input[0] == graph.nodes[0].output[0] != "x"


NET = (
    layer("in", "Input", "", "x", "input_param { shape { dim: [2, 3, 2, 2, 2] } }")
    + layer("drop", "Dropout", "x", "y")
    + layer("soft", "Softmax", "x", "z", "softmax_param { axis: 2 }")
)


def test_the_file_computes_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = converter.load(tmp_path / "net.prototxt")
    fed = {"x": np.random.default_rng(1701).standard_normal((2, 3, 2, 2, 2), np.float32)}
    plain, other = tmp_path / "plain.onnx", tmp_path / "ncnn.onnx"
    assert operators(converter.export_onnx(net, plain)) == ["Identity", "Softmax"]
    graph = converter.export_onnx(net, other, target="ncnn")
    assert operators(graph) == ["MaxPool", "LeakyRelu", "Softmax"]
    want, got = run_onnx(plain, fed), run_onnx(other, fed)
    assert want.keys() == got.keys() == {"y", "z"}
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
