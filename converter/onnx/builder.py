"""The ONNX network, emitted layer by layer with Caffe's blob names kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import defs, helper
from torch import Tensor

from caffe_layers import Layer, Shape
from prototxt.errors import UnsupportedError

Dim = int | str | None
"""A fixed size, the name of a dynamic one, or a dynamic one without a name."""


class Axis(NamedTuple):
    """The size that an axis of a value will have when the network runs."""

    at: int


@dataclass
class Graph:
    """An ONNX graph whose weights are arrays that no protobuf message holds."""

    name: str
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: dict[str, tuple[int, list[Dim]]] = field(default_factory=dict)
    outputs: dict[str, tuple[int, list[Dim]]] = field(default_factory=dict)
    values: dict[str, tuple[int, list[Dim]]] = field(default_factory=dict)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    image: str = ""
    """The input that takes images, where preprocessing is a part of the graph."""
    layers: dict[str, str] = field(default_factory=dict)
    """The layer that made a value."""
    learned: set[str] = field(default_factory=set)
    """The initializers that are layers' blobs; the others are constants."""
    notes: list[str] = field(default_factory=list)
    """What whoever uses the model should know."""

    def drop_unread(self, names: Iterable[str]) -> None:
        """Forget those initializers of these names that nothing reads any more."""
        read = {name for node in self.nodes for name in node.input} | self.outputs.keys()
        for name in (set(names) & self.initializers.keys()) - read:
            del self.initializers[name]


class Emitter:
    """Writes the nodes of one layer: `op.Relu(x)` appends a Relu and returns its output's name.

    Without `name` a node writes the layer's tops; with `name` it writes the inner value
    `layer/name` (`outputs` says how many: `layer/name:0`, ...); `top=i` writes the i-th top alone.
    """

    def __init__(self, graph: Graph, static: dict[str, Shape], dims: dict[str, list[Dim]]) -> None:
        self.graph = graph
        self.opset = graph.opset
        self._static = static
        self._dims = dims
        self._names: dict[tuple[int, Shape], str] = {}
        self.layer = ""
        self.tops: tuple[str, ...] = ()
        self.float_type: np.dtype[Any] = np.dtype(np.float32)

    def shape(self, value: str) -> Shape:
        """Return a value's shape as the network was loaded."""
        return self._static[value]

    def dynamic(self, value: str) -> tuple[bool, ...]:
        """Tell for each axis of a value whether its size is known only at run time."""
        return tuple(not isinstance(dim, int) for dim in self._dims[value])

    def weight(self, layer: Layer, name: str, *, shape: Sequence[int] | None = None) -> str:
        """Return the initializer that holds a layer's blob, in another shape if one is given."""
        tensor: Tensor = getattr(layer, name)
        array = tensor.detach().cpu().numpy()
        array = array.reshape(shape) if shape is not None else array
        key = (tensor.data_ptr(), array.shape)
        if key not in self._names or array.size == 0:
            self._names[key] = f"{self.layer}.{name}"
            self.graph.initializers[self._names[key]] = array
            self.graph.learned.add(self._names[key])
        return self._names[key]

    def const(self, array: np.ndarray) -> str:
        """Return an initializer with these values; equal ones are shared."""
        key = f"const/{array.dtype}{list(array.shape)}/" + (
            ",".join(map(str, array.ravel().tolist()))
            if array.size <= 8
            else f"{self.layer}/{len(self.graph.initializers)}"
        )
        self.graph.initializers.setdefault(key, array)
        return key

    def ints(self, *values: int) -> str:
        """Return a constant vector of int64."""
        return self.const(np.array(values, np.int64))

    def floats(self, values: Iterable[float]) -> str:
        """Return a constant vector of the network's float type."""
        return self.const(np.array(list(values), self.float_type))

    def scalar(self, value: float) -> str:
        """Return a constant without axes, of the network's float type."""
        return self.const(np.array(value, self.float_type))

    def array(self, name: str, values: np.ndarray) -> str:
        """Return the initializer `layer.name` with these values, in the network's float type."""
        full = f"{self.layer}.{name}"
        self.graph.initializers[full] = np.ascontiguousarray(values, self.float_type)
        return full

    def cast(self, value: str, dtype: Any, **to: Any) -> Any:
        """Append a Cast to one of numpy's types."""
        return self.Cast(value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), **to)

    def to_float(self, value: str, **to: Any) -> Any:
        """Append a Cast to the network's float type."""
        return self.cast(value, self.float_type, **to)

    def to_int(self, value: str, **to: Any) -> Any:
        """Append a Cast to int64, which truncates toward 0 as Caffe does with labels."""
        return self.Cast(value, to=onnx.TensorProto.INT64, **to)

    def reduce(self, op_type: str, value: str, axes: Sequence[int], **to: Any) -> Any:
        """Append a ReduceSum, ReduceMean, ... over `axes`: an attribute once, an input since 18."""
        schema = defs.get_schema(op_type, self.opset, "")
        if "axes" in schema.attributes:
            return getattr(self, op_type)(value, axes=list(axes), **to)
        return getattr(self, op_type)(value, self.ints(*axes), **to)

    def to_bool(self, value: str, **to: Any) -> Any:
        """Append a Cast to bool: what is not 0 is true."""
        return self.Cast(value, to=onnx.TensorProto.BOOL, **to)

    def sizes(self, value: str) -> list[int | Axis]:
        """Return a value's sizes: numbers, and for those known only at run time their axes."""
        return [
            Axis(axis) if free else size
            for axis, (size, free) in enumerate(
                zip(self.shape(value), self.dynamic(value), strict=True)
            )
        ]

    def reshape_by(self, value: str, sizes: Sequence[int | Axis], **to: Any) -> Any:
        """Append a Reshape to numbers, sizes of `value`'s own axes, and -1 for what is left."""
        wanted: list[int | Axis] = [
            0 if isinstance(size, Axis) and size.at == at else size for at, size in enumerate(sizes)
        ]
        moved = [at for at, size in enumerate(wanted) if isinstance(size, Axis)]
        if len(moved) == 1 and -1 not in wanted:
            wanted[moved.pop()] = -1
        if not moved:
            return self.Reshape(
                value, self.ints(*(size for size in wanted if isinstance(size, int))), **to
            )
        whole = self.Shape(value, name="sizes")
        parts = [
            self.Gather(whole, self.ints(size.at), axis=0, name=f"size{at}")
            if isinstance(size, Axis)
            else self.ints(size)
            for at, size in enumerate(wanted)
        ]
        return self.Reshape(value, self.Concat(*parts, axis=0, name="shape"), **to)

    def reshape(self, value: str, shape: Shape, dynamic: Sequence[bool], **to: Any) -> Any:
        """Append a Reshape to `shape`, whose `dynamic` axes follow those of `value`.

        One dynamic axis is inferred; several must be the same axes of `value`.
        """
        wanted = [-1 if moves else size for size, moves in zip(shape, dynamic, strict=True)]
        if wanted.count(-1) > 1:
            have = self.dynamic(value)
            for axis, moves in enumerate(dynamic):
                same = axis < len(have) and shape[axis] == self.shape(value)[axis]
                if moves and same and have[axis]:
                    wanted[axis] = 0
        if wanted.count(-1) > 1:
            raise UnsupportedError(
                f"the sizes of {shape} cannot be told before the network runs",
                fix="export with fewer dynamic axes",
            )
        return self.Reshape(value, self.ints(*wanted), **to)

    def reshape_to_top(self, value: str, index: int = 0) -> Any:
        """Append a Reshape to the shape of a top of this layer."""
        top = self.tops[index]
        return self.reshape(value, self.shape(top), self.dynamic(top), top=index)

    def scan(
        self,
        step: Callable[..., tuple[str, ...]],
        state: Sequence[str],
        sequences: Sequence[str],
        *,
        stacked: int,
        ranks: Sequence[int] = (),
    ) -> tuple[str, ...]:
        """Append a Scan over the first axis of `sequences`; return the last state and `stacked`.

        `step` gets the names of the state and of one slice of each sequence, emits the nodes of one
        step, and returns the names of the next state and of the values whose steps are stacked.
        `ranks` are those of the state and then of one step's stacked values, where ONNX Runtime,
        1.16 above all, does not find them out.
        """
        kind = helper.np_dtype_to_tensor_dtype(self.float_type)
        before = [f"{self.layer}/before:{index}" for index in range(len(state))]
        slices = [f"{self.layer}/slice:{index}" for index in range(len(sequences))]
        outer, self.graph.nodes = self.graph.nodes, []
        made = step(*before, *slices)
        nodes, self.graph.nodes = self.graph.nodes, outer
        assert len(made) == len(state) + stacked
        shapes = [[None] * rank for rank in ranks] + [None] * (len(made) - len(ranks))
        value = partial(helper.make_tensor_value_info, elem_type=kind)
        given = [value(name, shape=shape) for name, shape in zip(before, shapes, strict=False)]
        given += [value(name, shape=None) for name in slices]
        taken = [value(name, shape=shape) for name, shape in zip(made, shapes, strict=True)]
        body = helper.make_graph(nodes, f"{self.layer}/step", given, taken)
        results = self.Scan(
            *state,
            *sequences,
            body=body,
            num_scan_inputs=len(sequences),
            name="scan",
            outputs=len(made),
        )
        return results if isinstance(results, tuple) else (results,)

    def __getattr__(self, op_type: str) -> Any:
        if not op_type[0].isupper():
            raise AttributeError(op_type)
        schema = defs.get_schema(op_type, self.opset, "")

        def add(
            *inputs: str,
            name: str = "",
            top: int | None = None,
            outputs: int = 1,
            **attributes: Any,
        ) -> Any:
            given = {key: value for key, value in attributes.items() if value is not None}
            if stray := given.keys() - schema.attributes.keys():
                raise UnsupportedError(
                    f"opset {self.opset}: {op_type} has no {stray.pop()!r}",
                    fix="take a newer opset",
                )
            if name:
                full = f"{self.layer}/{name}"
                made = [full] if outputs == 1 else [f"{full}:{i}" for i in range(outputs)]
            else:
                full = self.layer if top is None else f"{self.layer}:{top}"
                made = list(self.tops) if top is None else [self.tops[top]]
            self.graph.layers.update(dict.fromkeys(made, self.layer))
            self.graph.nodes.append(helper.make_node(op_type, inputs, made, full, **given))
            return made[0] if len(made) == 1 else tuple(made)

        return add
