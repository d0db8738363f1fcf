"""What engines do not compute, or compute wrongly, of the ONNX that layers write.

One table, an entry an engine, each with the version that was run. A layer that has several forms
asks `Op.takes`; what is left of the others after the last rewriting is an error of the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx

from prototxt.errors import UnsupportedError, UsageError, within

from .graph import Graph, attribute, makers, subgraphs
from .least import least

WRONG, REFUSES = "computes wrongly", "does not run"
NOTED = "may compute otherwise"
"""Where it is the data that decide: the file is written, and a note says it."""


@dataclass(frozen=True)
class Limit:
    """An operator that an engine computes wrongly or does not run, and when."""

    operator: str
    verdict: str
    """WRONG, REFUSES or NOTED."""
    why: str
    attributes: tuple[tuple[str, object], ...] = ()
    """Those that must be there, with these values; axes may be a constant input."""
    after: str = ""
    """The operator that its first input must come from."""
    unless_after: str = ""
    """The operator in front of it that mends it."""
    computed: int | None = None
    """The input that must be no constant."""
    free: bool = False
    """Whether it holds only where the graph has free axes."""
    below: int | None = None
    """The first opset where it holds no more."""
    when: Callable[[onnx.NodeProto, Graph], bool] | None = None
    """What a node must be besides."""

    def asked(self, operator: str, attributes: Mapping[str, object], opset: int) -> bool:
        """Tell whether a layer's question is about this."""
        whole = self.operator == operator and attributes.items() >= dict(self.attributes).items()
        plain = not self.free and self.when is None
        return whole and (self.below is None or opset < self.below) and plain

    def holds(self, node: onnx.NodeProto, graph: Graph, made_by: Mapping[str, str]) -> bool:
        """Tell whether a node of a graph is one of these."""
        if node.op_type != self.operator or (self.below is not None and graph.opset >= self.below):
            return False
        if any(_value(node, name, graph) != value for name, value in self.attributes):
            return False
        source = made_by.get(node.input[0], "") if node.input else ""
        if (self.after and source != self.after) or (
            self.unless_after and source == self.unless_after
        ):
            return False
        if self.computed is not None:
            read = node.input[self.computed] if len(node.input) > self.computed else ""
            if not read or read in graph.initializers:
                return False
        if self.when is not None and not self.when(node, graph):
            return False
        return not self.free or _has_free_axes(graph)


@dataclass(frozen=True)
class Target:
    """An engine that a file is written for."""

    version: str
    """What was run."""
    limits: tuple[Limit, ...] = ()
    newest_opset: int | None = None
    """The newest opset that it reads, where that is not any that ONNX has."""
    volumes: bool = True
    """Whether it tells the batch of what has five axes by itself."""
    half: str = ""
    """Why it is given no float16 file, if it is not."""
    untried: str = ""
    """Why nothing was run, if so."""


def _over_the_batch(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether a reduction goes over the first axis and others."""
    axes = attribute(node, "axes", None)
    if axes is None and len(node.input) > 1 and node.input[1] in graph.initializers:
        axes = graph.initializers[node.input[1]].tolist()
    return axes is not None and len(axes) > 1 and 0 in axes


def _over_one_axis(node: onnx.NodeProto, graph: Graph) -> bool:
    axes = _value(node, "axes", graph)
    return not isinstance(axes, list) or len(axes) == 1


def _of_zero_and_below(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether the first input is not known to be positive."""
    return least(node.input[0], graph) <= 0


def _by_no_square(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether it is another power than 2, of what may be 0 or below."""
    power = graph.initializers.get(node.input[1])
    square = power is not None and bool((power == 2).all())
    return not square and _of_zero_and_below(node, graph)


def _padded_unevenly(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether there is padding before, and not as much after."""
    pads = list(attribute(node, "pads", ()))
    half = len(pads) // 2
    return any(pads[:half]) and pads[:half] != pads[half:]


def _ends_otherwise(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether the padding after is not that before."""
    pads = list(attribute(node, "pads", ()))
    return pads[: len(pads) // 2] != pads[len(pads) // 2 :]


def _is_an_input(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether an Identity makes an output of an input, with others between or none."""
    made_by, value = makers(graph.nodes), node.input[0]
    while value in made_by and made_by[value].op_type == "Identity":
        value = made_by[value].input[0]
    return node.output[0] in graph.outputs and value in graph.inputs


def _of_many(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether 3840 of the largest or more are asked."""
    count = graph.initializers.get(node.input[1])
    return count is not None and bool((count >= 3840).any())


def _reduces(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether values of one place are joined."""
    return bool(attribute(node, "reduction", b"none") != b"none")


def _larger_than_its_input(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether a window that hangs over is known to be larger than the image."""
    known = graph.inputs.get(node.input[0]) or graph.values.get(node.input[0])
    if known is None or not attribute(node, "ceil_mode", 0):
        return False
    sizes = zip(known[1][2:], attribute(node, "kernel_shape", ()), strict=True)
    return any(isinstance(size, int) and size < kernel for size, kernel in sizes)


def _of_volumes(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether a convolution's or pooling's window has three axes."""
    return len(attribute(node, "kernel_shape", ())) == 3


def _of_volumes_in_groups(node: onnx.NodeProto, graph: Graph) -> bool:
    return _of_volumes(node, graph) and attribute(node, "group", 1) > 1


def _tells_places(node: onnx.NodeProto, graph: Graph) -> bool:
    """Tell whether a maximum's place is wanted too."""
    return len(node.output) > 1


def _places_beside_padding(node: onnx.NodeProto, graph: Graph) -> bool:
    return _tells_places(node, graph) and any(attribute(node, "pads", ()))


LAST = (("select_last_index", 1),)


def _lacks(why: str, *operators: str) -> tuple[Limit, ...]:
    return tuple(Limit(operator, REFUSES, why) for operator in operators)


TARGETS: dict[str, Target] = {
    "litert": Target(
        "LiteRT of TensorFlow 2.19 (onnx2tf 1.29.24)",
        limits=(
            *_lacks("onnx2tf has no such operator", "Scan", "MaxRoiPool"),
            Limit("ConvTranspose", REFUSES, "onnx2tf wants a fixed batch for it", free=True),
            Limit(
                "ArgMax",
                REFUSES,
                "onnx2tf has no select_last_index",
                LAST,
            ),
        ),
    ),
    "mnn": Target(
        "MNN 3.6.1",
        limits=(
            *_lacks("its converter writes no file", "Scan"),
            Limit(
                "ArgMax",
                WRONG,
                "it takes the first of equal values",
                LAST,
            ),
            Limit("TopK", WRONG, "of equal values it takes any, not the first", after="Slice"),
            Limit("TopK", NOTED, "equal values come in any order"),
            Limit("MaxPool", WRONG, "a window of nothing but padding", after="Pad"),
            Limit("MaxPool", WRONG, "places beside padding", when=_places_beside_padding),
            Limit("Conv", WRONG, "groups of volumes", when=_of_volumes_in_groups),
            Limit("ConvTranspose", WRONG, "volumes", when=_of_volumes),
        ),
    ),
    "ncnn": Target(
        "ncnn 1.0.20261020 (pnnx 20261020)",
        limits=(
            *_lacks("ncnn has no layer for it", "Scan", "MaxRoiPool", "NonMaxSuppression"),
            *_lacks("ncnn has no layer for it", "ArgMax", "TopK", "NonZero", "Greater"),
            *_lacks("ncnn has no layer for it", "Tile"),
            Limit("Identity", REFUSES, "pnnx loses an output that is an input", when=_is_an_input),
            Limit("ReduceSum", WRONG, "over one axis it sums nothing", when=_over_one_axis),
            Limit("Log", WRONG, "of 0, of less and of infinity", when=_of_zero_and_below),
            Limit("Pow", WRONG, "of 0, of less and of infinity", when=_by_no_square),
            Limit("MaxPool", REFUSES, "pnnx ends at places of maxima", when=_tells_places),
            Limit("MaxPool", WRONG, "padding that is not even", when=_padded_unevenly),
            Limit("AveragePool", REFUSES, "padding that is not even", when=_ends_otherwise),
            Limit(
                "AveragePool",
                WRONG,
                "a window that is larger than the image",
                when=_larger_than_its_input,
            ),
        ),
        volumes=False,
        newest_opset=26,
        half="pnnx leaves the weights of a float16 file where ncnn does not find them",
    ),
    "onnx2torch": Target(
        "onnx2torch 1.5.15",
        limits=(
            *_lacks("it has no such operator", "Scan", "MaxRoiPool", "Compress", "Size"),
            *_lacks("it has no such operator", "GlobalMaxPool", "GreaterOrEqual"),
            Limit("AveragePool", REFUSES, "padding that is not even", when=_ends_otherwise),
            Limit("MaxPool", WRONG, "places of maxima: it loses the batch", when=_tells_places),
            Limit("TopK", WRONG, "of equal values it takes any, not the first", after="Slice"),
            Limit("TopK", NOTED, "equal values come in any order"),
        ),
        newest_opset=21,
    ),
    "onnxruntime": Target("ONNX Runtime 1.32.0"),
    "onnxruntime_web": Target("ONNX Runtime Web 1.30.0"),
    "opencv": Target(
        "OpenCV 5.0.0.93",
        limits=(
            *_lacks("its importer has no such operator", "Scan", "MaxRoiPool", "Compress"),
            Limit("Tanh", WRONG, "it gives NaN beyond 44.2", unless_after="Clip"),
            Limit("Softplus", WRONG, "it gives infinity beyond 89"),
            Limit("ReduceMean", WRONG, "statistics of the batch", when=_over_the_batch),
        ),
    ),
    "openvino": Target(
        "OpenVINO 2026.4.1",
        limits=(
            *_lacks("it refuses the steps' body", "Scan"),
            Limit("ReduceL1", WRONG, "it reduces all axes", below=18),
            Limit("ReduceLogSumExp", WRONG, "it reduces all axes", below=18),
            Limit(
                "TopK",
                WRONG,
                "of equal values it takes any, not the first",
                after="Slice",
            ),
            Limit("TopK", NOTED, "equal values come in any order"),
        ),
    ),
    "tensorrt": Target(
        "TensorRT 10.1",
        limits=(
            *_lacks("its operators' list says so", "MaxRoiPool", "Compress"),
            Limit("MaxPool", REFUSES, "it tells no places of maxima", when=_tells_places),
            Limit("TopK", REFUSES, "it takes less than 3840", when=_of_many),
            Limit("ScatterND", REFUSES, "it has no reduction", when=_reduces),
        ),
        newest_opset=20,
        untried="of its documentation (onnx/onnx-tensorrt 10.1, docs/operators.md): it was not run",
    ),
    "tract": Target(
        "tract 0.23.9",
        limits=(
            *_lacks("it has no such operator", "MaxRoiPool"),
            Limit("NonMaxSuppression", REFUSES, "it wants a constant number of boxes", computed=2),
            Limit("TopK", REFUSES, "it wants a constant k", computed=1),
            Limit("TopK", REFUSES, "it does not turn rows before it", after="Slice"),
            Limit("Resize", REFUSES, "it wants constant sizes", computed=3),
            Limit("Softplus", WRONG, "it gives infinity beyond 89"),
        ),
    ),
}
"""By the names of the engines that run them."""


def get_target(name: str) -> Target:
    """Return a target by its name; raises UsageError for one that is not there."""
    if name not in TARGETS:
        raise UsageError(f"target {name!r} is unknown", fix=f"known: {', '.join(TARGETS)}")
    return TARGETS[name]


def check_options(name: str, opset: int, *, half: bool) -> None:
    """Raise UnsupportedError for an opset or an element type that a target does not read."""
    target = get_target(name)
    if target.newest_opset is not None and opset > target.newest_opset:
        raise UnsupportedError(
            f"{target.version} reads no opset {opset}", fix=f"--opset {target.newest_opset}"
        )
    if half and target.half:
        raise UnsupportedError(
            f"{target.version} takes no float16 file: {target.half}", fix="leave out --dtype"
        )


def check_graph(name: str, graph: Graph) -> None:
    """Raise UnsupportedError, naming layer, engine and version, for what a target is wrong for.

    What depends on the data is added to the graph's notes.
    """
    noted = []
    target = get_target(name)
    made_by = {value: node.op_type for value, node in makers(graph.nodes).items()}
    for node, top in _all_nodes(graph.nodes):
        for limit in target.limits:
            if limit.holds(node, graph, made_by):
                layer = f"layer {graph.layers.get(top, top)!r}"
                if limit.verdict == NOTED:
                    noted.append(f"{layer}: {target.version} {NOTED} {limit.operator}: {limit.why}")
                    continue
                with within(layer):
                    raise UnsupportedError(
                        f"{target.version} {limit.verdict} {limit.operator}: {limit.why}",
                        fix="--dynamic none where its sizes are free, or leave out --target",
                    )
    graph.notes += dict.fromkeys(noted)


def _all_nodes(nodes: list[onnx.NodeProto]) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Yield every node, those of bodies too, with the value that its outermost node makes."""
    for node in nodes:
        yield node, node.output[0]
        for body in subgraphs(node):
            yield from ((inner, node.output[0]) for inner, _ in _all_nodes(list(body.node)))


def _value(node: onnx.NodeProto, name: str, graph: Graph) -> object:
    """Return an attribute of a node; axes, which newer opsets have as a second input, of either."""
    if name == "axes" and len(node.input) > 1 and node.input[1] in graph.initializers:
        return graph.initializers[node.input[1]].tolist()
    return attribute(node, name, None)


def _has_free_axes(graph: Graph) -> bool:
    return any(not isinstance(size, int) for _, dims in graph.inputs.values() for size in dims)
