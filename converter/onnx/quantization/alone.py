"""How exact eight bits are for each unit by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from onnx import TensorProto, helper

from converter.onnx.file import write_onnx
from converter.onnx.graph import Graph, makers, rename
from converter.onnx.runtime import Arrays, open_onnx

from .decibels import decibels
from .numbers import Rounding
from .pairs import PairsWriter
from .units import Unit, Units


def copied(graph: Graph) -> Graph:
    """Return a graph that may be changed beside the other: its arrays are shared."""
    return replace(
        graph,
        nodes=deepcopy(graph.nodes),
        initializers=dict(graph.initializers),
        values=dict(graph.values),
        outputs=dict(graph.outputs),
        layers=dict(graph.layers),
        learned=set(graph.learned),
        notes=list(graph.notes),
    )


def alone(
    graph: Graph, units: Units, roundings: Mapping[str, Rounding], feeds: Sequence[Arrays]
) -> list[float]:
    """Return each unit's signal-to-noise ratio in decibels, from the float network's own values.

    Beside a graph of float32 each unit computes once more in eight bits, of the same values.
    """
    both = copied(graph)
    both.outputs = {}
    names = [_append_twin(both, graph, unit, roundings, at) for at, unit in enumerate(units.units)]
    sums = dict.fromkeys((name for pair in names for name in pair), 0.0)
    with TemporaryDirectory() as folder:
        path = Path(folder, "alone.onnx")
        write_onnx(both, path, "")
        run = open_onnx(path)
        for feed in feeds:
            for name, value in run(feed).items():
                sums[name] += float(value)
    return [decibels(sums[noise], sums[signal]) for noise, signal in names]


def _append_twin(
    both: Graph, graph: Graph, unit: Unit, roundings: Mapping[str, Rounding], at: int
) -> tuple[str, str]:
    """Append a unit in eight bits, and the squares of its error and of what it should make."""
    nodes = deepcopy(unit.nodes)
    made = list(nodes[-1].output)[:1]
    twin = replace(unit, nodes=nodes)
    names = {name for node in nodes for name in node.input}
    own = Graph(
        "twin",
        graph.opset,
        nodes=list(nodes),
        inputs={name: (TensorProto.FLOAT, []) for name in unit.reads},
        initializers={name: graph.initializers[name] for name in names & graph.initializers.keys()},
    )
    PairsWriter(own, roundings).write(Units([twin]))
    mark = f"alone/{at}/"
    renamed = {name: mark + name for name in (*makers(own.nodes), *own.initializers)}
    for node in own.nodes:
        rename(node, renamed)
        node.name = mark + node.name if node.name else ""
    both.nodes += own.nodes
    both.initializers |= {mark + name: array for name, array in own.initializers.items()}
    (name,) = made
    error, noise, signal = (f"{mark}{what}" for what in ("error", "noise", "signal"))
    both.nodes += [
        helper.make_node("Sub", [renamed[name], name], [error]),
        helper.make_node("ReduceSumSquare", [error], [noise], keepdims=0),
        helper.make_node("ReduceSumSquare", [name], [signal], keepdims=0),
    ]
    both.outputs |= {noise: (TensorProto.FLOAT, []), signal: (TensorProto.FLOAT, [])}
    return noise, signal
