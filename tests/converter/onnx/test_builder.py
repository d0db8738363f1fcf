"""What a layer's `onnx` returns are its tops; the builder names the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import converter
import converter.__main__
from caffe_layers.base.op import Op, Values
from converter.onnx.builder import Builder
from converter.onnx.graph import Graph, reads
from converter.onnx.runtime import run_onnx
from converter.onnx.targets import get_target
from prototxt.errors import UnsupportedError

X = np.array([[-1.5, 2.0, 0.25]], np.float32)


def built(form: object, tops: tuple[str, ...] = ("y",), bottoms: tuple[str, ...] = ("x",)) -> Graph:
    static = dict.fromkeys((*bottoms, *tops), (1, 3))
    graph = Graph("g", 17)
    Builder(graph, static, {name: [1, 3] for name in static}).write("L", form, bottoms, tops)
    return graph


def test_a_named_result_is_the_top() -> None:
    graph = built(lambda op, x: op.Relu(op.Neg(x), name="result"))
    neg, relu = graph.nodes
    assert (neg.output[0], neg.name) == ("L/Neg", "L/Neg")
    assert (relu.input[0], relu.output[0], relu.name) == ("L/Neg", "y", "L")
    assert graph.layers == {"L/Neg": "L", "y": "L"}


def test_the_last_operator_need_not_be_the_top() -> None:
    def form(op: Op, x: str) -> Values:
        top = op.Neg(x)
        return top, op.Relu(top)

    neg, relu = built(form, ("first", "second")).nodes
    assert (neg.output[0], relu.input[0], relu.output[0]) == ("first", "first", "second")
    assert (neg.name, relu.name) == ("L", "L:1")


def test_inner_values_are_numbered_and_never_take_a_blobs_name() -> None:
    graph = built(lambda op, x: op.Add(op.Neg(x), op.Neg(x)), ("L/Neg",))
    assert [node.output[0] for node in graph.nodes] == ["L/Neg_2", "L/Neg_3", "L/Neg"]


@pytest.mark.parametrize(
    ("form", "tops"),
    [
        (lambda op, x: x, ("y",)),
        (lambda op, x: op.scalar(3), ("y",)),
        (lambda op, x: [op.Neg(x)] * 2, ("y", "z")),
    ],
)
def test_a_value_that_keeps_its_name_becomes_a_top_by_an_identity(
    form: object, tops: tuple[str, ...]
) -> None:
    graph = built(form, tops)
    assert graph.nodes[-1].op_type == "Identity"
    assert graph.nodes[-1].output[0] == tops[-1]
    assert {name for node in graph.nodes for name in node.output} >= set(tops)


def test_several_outputs_of_one_operator_are_tops() -> None:
    (split,) = built(lambda op, x: op.Split(x, axis=1, outputs=2), ("y", "z")).nodes
    assert (list(split.output), split.name) == (["y", "z"], "L")


def test_what_a_scan_reads_from_outside_follows_the_new_name() -> None:
    def form(op: Op, x: str) -> Values:
        top = op.Neg(x)
        (rows,) = op.scan(lambda row: (op.Add(row, top),), [], [x], stacked=1, ranks=[1])
        return top, rows

    graph = built(form, ("y", "rows"))
    assert "y" in set(reads(graph.nodes[-1]))
    assert not any(name.startswith("L/Neg") for node in graph.nodes for name in reads(node))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda op, x: (op.Neg(x), op.Neg(x)), "its onnx returned 2 values for 1 tops"),
        (lambda op, x: None, "its onnx returned 0 values for 1 tops"),
        (lambda op, x: "lost", "its onnx returned 'lost', which no operator of it made"),
    ],
)
def test_a_wrong_result_is_refused(form: object, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        built(form)
    assert str(caught.value) == (
        f"{message}\n  fix: return what the last operator of each top returned"
    )


def test_an_attribute_that_no_opset_has_is_refused() -> None:
    with pytest.raises(UnsupportedError) as caught:
        built(lambda op, x: op.Relu(x, top=0))
    assert str(caught.value) == "opset 17: Relu has no 'top'"
    with pytest.raises(UnsupportedError, match="Resize has no 'antialias'\n  fix: take a newer"):
        built(lambda op, x: op.Resize(x, antialias=1))


OWN = """
from caffe_layers import Layer

class Twice(Layer, type="{fork}", fork="{fork}"):
    def shapes(self, x):
        return [x]

    def forward(self, x):
        return x + x

    def onnx(self, op, x):
        {body}
"""
NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 3] } } }
layer { name: "twice" type: "%s" bottom: "x" top: "y" }
layer { name: "act" type: "ReLU" bottom: "y" top: "z" }
"""


def own(folder: Path, fork: str, body: str) -> tuple[Path, Path]:
    (folder / f"{fork}.py").write_text(OWN.replace("{fork}", fork).replace("{body}", body))
    (folder / f"{fork}.proto").write_text('syntax = "proto2";\n')
    (folder / "net.prototxt").write_text(NET % fork)
    return folder / "net.prototxt", folder / f"{fork}.py"


def test_an_own_layer_may_name_its_result_and_write_more_than_it_returns(tmp_path: Path) -> None:
    net, layers = own(tmp_path, "names", 'top = op.Add(x, x, name="sum"); op.Neg(top); return top')
    converter.export_onnx(converter.load(net, layers=layers), tmp_path / "net.onnx")
    converter.check_onnx(tmp_path / "net.onnx")
    np.testing.assert_array_equal(run_onnx(tmp_path / "net.onnx", {"x": X})["z"], [[0, 4, 0.5]])
    names = {name for node in onnx.load(tmp_path / "net.onnx").graph.node for name in node.output}
    assert {"y", "z"} <= names


def test_a_wrong_number_of_results_names_the_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, layers = own(tmp_path, "returns_nothing", "op.Add(x, x)")
    with pytest.raises(
        UnsupportedError, match=r"layer 'twice' \(returns_nothing\): its onnx returned 0"
    ):
        converter.export_onnx(converter.load(net, layers=layers), tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()
    assert converter.__main__.main(["check", str(net), "--layers", str(layers)]) == 1
    assert "its onnx returned 0 values for 1 tops" in capsys.readouterr().out


def test_defaults_that_readers_want_to_see_are_written() -> None:
    def form(op: Op, x: str) -> Values:
        pads = op.ints(*[0, 0, 1, 1] * 2)
        padded = [op.Pad(x, pads), op.Pad(x, pads, mode="edge")]
        pooled = [op.MaxPool(one, kernel_shape=[3, 2]) for one in padded]
        return [*pooled, op.AveragePool(x, kernel_shape=[2, 2], strides=[2, 1])]

    made = built(form, ("a", "b", "c")).nodes
    attributes = [
        {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute} for node in made
    ]
    assert [one.get("mode") for one in attributes[:2]] == [b"constant", b"edge"]
    assert [one["strides"] for one in attributes[2:]] == [[1, 1], [1, 1], [2, 1]]
    assert [one["pads"] for one in attributes[2:]] == [[0] * 4] * 3


@pytest.mark.parametrize(("pads", "taken"), [([1, 1, 1, 1], True), ([1, 1, 2, 1], False)])
def test_a_layer_asks_of_the_very_node(pads: list[int], taken: bool) -> None:
    static = {"x": (1, 3), "y": (1, 3)}
    for target in ("ncnn", "openvino", None):
        builder = Builder(
            Graph("g", 17),
            static,
            {name: [1, 3] for name in static},
            target=get_target(target) if target else None,
        )
        asked = builder.takes("MaxPool", "x", kernel_shape=[3, 3], strides=[1, 1], pads=pads)
        assert asked == (taken or target != "ncnn")
        assert builder.takes("MaxPool"), "what depends on a node is not asked of all"
        assert builder.takes("Relu", "x")


def test_nodes_that_nothing_reads_are_left_out() -> None:
    def form(op: Op, x: str) -> Values:
        inner = op.Neg(x)
        op.Abs(op.Exp(inner))
        op.Split(inner, op.ints(1, 2), axis=1, outputs=2)
        return op.Relu(inner)

    graph = built(form)
    graph.outputs["y"] = (1, [1, 3])
    assert len(graph.nodes) == 5
    graph.drop_dead()
    assert [node.op_type for node in graph.nodes] == ["Neg", "Relu"]
    assert set(graph.layers) == {"L/Neg", "y"}


def test_a_blob_is_kept_and_what_only_a_body_reads() -> None:
    def form(op: Op, x: str) -> Values:
        outside = op.Neg(x)
        _, stacked = op.scan(lambda a, b: (op.Add(a, b), op.Mul(b, outside)), [x], [x], stacked=1)
        return stacked

    graph = built(form)
    graph.values["y"] = (1, [1, 3])
    graph.drop_dead()
    assert [node.op_type for node in graph.nodes] == ["Neg", "Scan"]


def test_two_free_sizes_of_a_value_between_operators_cannot_be_told() -> None:
    dims = {"x": [None, 3], "y": [None, None]}
    graph = Graph("g", 17)
    builder = Builder(graph, {"x": (2, 3), "y": (2, 3)}, dims)
    with pytest.raises(UnsupportedError, match="cannot be told before the network runs"):
        builder.write("L", lambda op, x: op.reshape_to_top(op.Neg(x)), ("x",), ("y",))
