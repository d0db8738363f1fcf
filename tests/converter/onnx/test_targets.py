"""Targets: what is known to be wrong in an engine is an error of the export."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import converter
from converter.engines import ENGINES
from converter.onnx.builder import Builder
from converter.onnx.graph import Graph
from converter.onnx.targets import (
    NOTED,
    REFUSES,
    TARGETS,
    WRONG,
    Limit,
    Target,
    check_graph,
    check_options,
    get_target,
)
from prototxt.errors import UnsupportedError, UsageError

SOFTPLUS = Limit("Softplus", WRONG, "it overflows")


def graph_of(*nodes: onnx.NodeProto, opset: int = 17, batch: int | str = "batch") -> Graph:
    graph = Graph("g", opset, list(nodes), inputs={"x": (1, [batch, 3])})
    graph.outputs = {"y": (1, [batch, 3])}
    graph.layers = {node.output[0]: f"layer {node.output[0]}" for node in nodes}
    return graph


def said(monkeypatch: pytest.MonkeyPatch, limit: Limit, graph: Graph) -> str:
    monkeypatch.setitem(TARGETS, "tract", Target("tract 9", (limit,)))
    try:
        check_graph("tract", graph)
    except UnsupportedError as error:
        return str(error)
    return ""


NODE = helper.make_node("Softplus", ["x"], ["y"])


def test_layer_engine_and_version_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(monkeypatch, SOFTPLUS, graph_of(NODE))
    assert text.startswith("layer 'layer y': tract 9 computes wrongly Softplus: it overflows\n")
    refuses = Limit("Softplus", REFUSES, "why")
    assert "tract 9 does not run Softplus" in said(monkeypatch, refuses, graph_of(NODE))
    assert said(monkeypatch, SOFTPLUS, graph_of(helper.make_node("Relu", ["x"], ["y"]))) == ""


def test_a_node_within_a_body_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    body = helper.make_graph([NODE], "body", [], [])
    scan = helper.make_node("Scan", ["x"], ["z"], body=body, num_scan_inputs=1)
    assert "'layer z'" in said(monkeypatch, SOFTPLUS, graph_of(scan))


def test_what_stands_before_a_node_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = helper.make_node("Clip", ["x"], ["c"])
    tanh = helper.make_node("Tanh", ["c"], ["y"])
    bare = helper.make_node("Tanh", ["x"], ["y"])
    unmended = Limit("Tanh", WRONG, "why", unless_after="Clip")
    after = Limit("Tanh", WRONG, "why", after="Clip")
    assert said(monkeypatch, unmended, graph_of(clip, tanh)) == ""
    assert said(monkeypatch, unmended, graph_of(bare)) != ""
    assert said(monkeypatch, after, graph_of(clip, tanh)) != ""
    assert said(monkeypatch, after, graph_of(bare)) == ""


def test_attributes_opsets_constants_and_free_axes_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    last = helper.make_node("ArgMax", ["x"], ["y"], select_last_index=1)
    first = helper.make_node("ArgMax", ["x"], ["y"])
    limit = Limit("ArgMax", WRONG, "why", (("select_last_index", 1),))
    assert said(monkeypatch, limit, graph_of(last)) != ""
    assert said(monkeypatch, limit, graph_of(first)) == ""
    over = Limit("ReduceMean", WRONG, "why", (("axes", [0, 2]),))
    for axes in ([0, 2], [2, 3]):
        told = helper.make_node("ReduceMean", ["x"], ["y"], axes=axes)
        given = graph_of(helper.make_node("ReduceMean", ["x", "a"], ["y"]))
        given.initializers["a"] = np.array(axes)
        for graph in (graph_of(told), given):
            assert bool(said(monkeypatch, over, graph)) == (axes == [0, 2])
    older = Limit("Softplus", WRONG, "why", below=18)
    assert said(monkeypatch, older, graph_of(NODE)) != ""
    assert said(monkeypatch, older, graph_of(NODE, opset=18)) == ""
    free = Limit("Softplus", WRONG, "why", free=True)
    assert said(monkeypatch, free, graph_of(NODE)) != ""
    assert said(monkeypatch, free, graph_of(NODE, batch=2)) == ""
    top = helper.make_node("TopK", ["x", "k"], ["y", "i"])
    computed = Limit("TopK", REFUSES, "why", computed=1)
    graph = graph_of(top)
    assert said(monkeypatch, computed, graph) != ""
    graph.initializers["k"] = None  # type: ignore[assignment]
    assert said(monkeypatch, computed, graph) == ""


def test_what_the_data_decide_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(NODE, helper.make_node("Softplus", ["y"], ["z"]))
    assert said(monkeypatch, Limit("Softplus", NOTED, "of some"), graph) == ""
    assert graph.notes == [
        f"layer 'layer {name}': tract 9 may compute otherwise Softplus: of some" for name in "yz"
    ]
    builder = Builder(Graph("g", 17), {}, {}, target=TARGETS["tract"])
    assert builder.takes("Softplus"), "a note asks for no other form"
    assert builder.takes("Softplus", "x")


def test_tensorrt_is_held_to_its_operators_list() -> None:
    check_options("tensorrt", 20, half=True)
    with pytest.raises(UnsupportedError, match="reads no opset 21"):
        check_options("tensorrt", 21, half=False)
    for count, taken in ((3839, True), (3840, False)):
        graph = graph_of(helper.make_node("TopK", ["x", "k"], ["y", "i"]))
        graph.initializers["k"] = np.array([count])
        if taken:
            check_graph("tensorrt", graph)
            continue
        with pytest.raises(UnsupportedError, match=r"TensorRT 10\.1 does not run TopK"):
            check_graph("tensorrt", graph)


def test_a_layer_asks_before_it_writes() -> None:
    limit = Limit("ArgMax", WRONG, "why", (("select_last_index", 1),), below=20)
    assert limit.asked("ArgMax", {"select_last_index": 1, "axis": 1}, 17)
    assert not limit.asked("ArgMax", {"axis": 1}, 17)
    assert not limit.asked("ArgMax", {"select_last_index": 1}, 20)
    assert not limit.asked("TopK", {"select_last_index": 1}, 17)


def test_every_target_is_an_engine_with_a_version_and_reasons() -> None:
    assert set(TARGETS) == set(ENGINES)
    for target in TARGETS.values():
        assert any(character.isdigit() for character in target.version)
        for limit in target.limits:
            assert limit.verdict in (WRONG, REFUSES, NOTED)
            assert limit.why
            onnx.defs.get_schema(limit.operator)
    with pytest.raises(UsageError, match=r"'caffe' is unknown\n.*openvino"):
        get_target("caffe")


def test_an_opset_or_a_type_that_an_engine_does_not_read() -> None:
    check_options("ncnn", 17, half=False)
    with pytest.raises(UnsupportedError, match="reads no opset 27"):
        check_options("ncnn", 27, half=False)
    with pytest.raises(UnsupportedError, match="takes no float16 file"):
        check_options("ncnn", 17, half=True)
    check_options("openvino", 28, half=True)


NET = """layer {{ name: "in" type: "Input" top: "x"
  input_param {{ shape {{ dim: [1, 4, 6, 6] }} }} }}
layer {{ name: "up" type: "Deconvolution" bottom: "x" top: "up"
  convolution_param {{ num_output: 4 group: {group} kernel_size: 2 stride: 2
    weight_filler {{ type: "bilinear" }} }} }}
layer {{ name: "root" type: "BNLL" bottom: "up" top: "y" }}
"""


def test_a_free_batch_is_fixed_where_the_engine_wants_it(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET.format(group=4))
    report = converter.convert(
        tmp_path / "net.prototxt", None, tmp_path / "out", formats=["onnx"], target="litert"
    )
    size = onnx.load(tmp_path / "out/net.onnx").graph.input[0].type.tensor_type.shape.dim[0]
    assert size.dim_value == 1
    assert any("fixed" in note and "onnx2tf" in note for note in report.notes)
    with pytest.raises(UnsupportedError, match=re.escape("layer 'up': LiteRT")):
        converter.convert(
            tmp_path / "net.prototxt",
            None,
            tmp_path / "asked",
            formats=["onnx"],
            target="litert",
            dynamic=("batch",),
        )
    assert not (tmp_path / "asked").exists()


def test_the_file_says_what_it_was_written_for(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET.format(group=1))
    net = converter.load(tmp_path / "net.prototxt")
    graph = converter.export_onnx(net, tmp_path / "net.onnx", target="openvino")
    said = {one.key: one.value for one in onnx.load(tmp_path / "net.onnx").metadata_props}
    version = TARGETS["openvino"].version
    assert said["caffeport.target"] == version
    assert graph.notes == [f"written for {version}"]


def test_a_condition_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit("Softplus", WRONG, "why", when=lambda node, graph: graph.opset == 13)
    assert said(monkeypatch, limit, graph_of(NODE, opset=13))
    assert not said(monkeypatch, limit, graph_of(NODE))
    assert not limit.asked("Softplus", {}, 13), "a layer cannot know"


POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
MEASURED = [
    ("opencv", helper.make_node("ReduceMean", ["x"], ["y"], axes=[0, 2, 3]), True),
    ("opencv", helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3]), False),
    ("opencv", helper.make_node("ReduceMean", ["x"], ["y"], axes=[0]), False),
    ("mnn", helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3] * 3, group=2), True),
    ("mnn", helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3] * 3), False),
    ("mnn", helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3] * 2, group=2), False),
    ("mnn", helper.make_node("ConvTranspose", ["x", "w"], ["y"], kernel_shape=[3] * 3), True),
    ("mnn", helper.make_node("ConvTranspose", ["x", "w"], ["y"], kernel_shape=[3] * 2), False),
    ("mnn", helper.make_node("MaxPool", ["x"], ["y", "z"], pads=[1, 1, 1, 1], **POOL), True),
    ("mnn", helper.make_node("MaxPool", ["x"], ["y", "z"], pads=[0, 0, 0, 0], **POOL), False),
    ("mnn", helper.make_node("MaxPool", ["x"], ["y"], pads=[1, 1, 1, 1], **POOL), False),
    ("ncnn", helper.make_node("MaxPool", ["x"], ["y"], pads=[1, 1, 2, 1], **POOL), True),
    ("ncnn", helper.make_node("MaxPool", ["x"], ["y"], pads=[1, 1, 1, 1], **POOL), False),
    ("ncnn", helper.make_node("MaxPool", ["x"], ["y"], pads=[0, 0, 1, 1], **POOL), False),
    ("ncnn", helper.make_node("AveragePool", ["x"], ["y"], pads=[0, 0, 1, 1], **POOL), True),
    ("ncnn", helper.make_node("AveragePool", ["x"], ["y"], pads=[1, 1, 1, 1], **POOL), False),
    ("ncnn", helper.make_node("MaxPool", ["x"], ["y", "z"], pads=[0] * 4, **POOL), True),
    ("ncnn", helper.make_node("Identity", ["x"], ["y"]), True),
    ("ncnn", helper.make_node("Identity", ["x"], ["z"]), False),
    ("tensorrt", helper.make_node("MaxPool", ["x"], ["y", "z"], pads=[0] * 4, **POOL), True),
    ("tensorrt", helper.make_node("ScatterND", ["x", "i", "u"], ["y"], reduction="add"), True),
    ("tensorrt", helper.make_node("ScatterND", ["x", "i", "u"], ["y"]), False),
    ("tensorrt", helper.make_node("GatherND", ["x", "i"], ["y"]), False),
    ("ncnn", helper.make_node("Log", ["x"], ["y"]), True),
    ("ncnn", helper.make_node("Pow", ["x", "w"], ["y"]), True),
    ("ncnn", helper.make_node("ReduceSum", ["x"], ["y"], axes=[1]), True),
    ("ncnn", helper.make_node("ReduceSum", ["x"], ["y"], axes=[1, 2]), False),
]


@pytest.mark.parametrize(("target", "node", "wrong"), MEASURED)
def test_what_was_measured_is_an_error_and_its_neighbours_are_not(
    target: str, node: onnx.NodeProto, wrong: bool
) -> None:
    if not wrong:
        check_graph(target, graph_of(node))
        return
    with pytest.raises(UnsupportedError, match=f"(computes wrongly|does not run) {node.op_type}"):
        check_graph(target, graph_of(node))


def test_axes_that_are_an_input_are_read() -> None:
    graph = graph_of(helper.make_node("ReduceMean", ["x", "axes"], ["y"]), opset=18)
    graph.initializers["axes"] = np.array([0, 2, 3])
    with pytest.raises(UnsupportedError, match="statistics of the batch"):
        check_graph("opencv", graph)
