"""The ONNX network, written layer by layer with Caffe's blob names kept."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import onnx
from onnx import defs, helper
from torch import Tensor, nn

from caffe_layers import Shape
from caffe_layers.base.op import Axis, Op, Values
from caffe_layers.base.operators import Attribute
from prototxt.errors import UnsupportedError

from .graph import Dim, Graph, makers, rename
from .targets import NOTED, Target

VARIADIC = defs.OpSchema.FormalParameterOption.Variadic


class Builder:
    """Writes the nodes of a network's layers: it is what they know as `Op`.

    `static` are the shapes of all values as the network was loaded, `dims` their dimensions in the
    model; both say too which names are taken. `target` is what the file is written for, None for
    any engine.
    """

    def __init__(
        self,
        graph: Graph,
        static: Mapping[str, Shape],
        dims: Mapping[str, Sequence[Dim]],
        float_type: Any = np.float32,
        target: Target | None = None,
    ) -> None:
        self.graph = graph
        self.opset = graph.opset
        self.float_type: np.dtype[Any] = np.dtype(float_type)
        self.layer = ""
        self.tops: tuple[str, ...] = ()
        self.target = target
        self._static = static
        self._dims = dims
        self._weights: dict[tuple[int, Shape], str] = {}
        self._taken: set[str] = set(static)
        self._made: dict[str, onnx.NodeProto] = {}

    def write(
        self, layer: str, form: Callable[..., Values], bottoms: Sequence[str], tops: Sequence[str]
    ) -> None:
        """Append the nodes of a layer, whose `onnx` is `form`; what it returns becomes its tops.

        Raises UnsupportedError where it does not return one value for each top.
        """
        self.layer, self.tops = layer, tuple(tops)
        self._made = {}
        first = len(self.graph.nodes)
        got = form(cast(Op, self), *bottoms)
        values = [got] if isinstance(got, str) else list(got or ())
        if len(values) != len(tops):
            raise UnsupportedError(
                f"its onnx returned {len(values)} values for {len(tops)} tops",
                fix="return what the last operator of each top returned",
            )
        known = self._made.keys() | self.graph.initializers.keys() | set(bottoms)
        if unknown := [value for value in values if value not in known]:
            raise UnsupportedError(
                f"its onnx returned {unknown[0]!r}, which no operator of it made",
                fix="return what the last operator of each top returned",
            )
        self._bind(values, first)

    def _bind(self, values: Sequence[str], first: int) -> None:
        """Give values the names of the tops, through an Identity where they have one to keep."""
        names: dict[str, str] = {}
        for index, (value, top) in enumerate(zip(values, self.tops, strict=True)):
            node = self._made.get(value)
            if node is None or value in names:
                node = helper.make_node("Identity", [value], [top])
                self.graph.nodes.append(node)
            else:
                names[value] = top
            if index == 0 or node.name != self.layer:
                node.name = self.layer if index == 0 else f"{self.layer}:{index}"
            self.graph.layers[top] = self.layer
        for node in self.graph.nodes[first:]:
            rename(node, names)
        for value in names:
            del self.graph.layers[value]

    def _name(self, name: str) -> str:
        """Return `layer/name`, with a number where that is taken."""
        full = _free(f"{self.layer}/{name}", self._taken)
        self._taken.add(full)
        return full

    def takes(self, op_type: str, *inputs: str, **attributes: Attribute) -> bool:
        """Tell whether what the file is written for runs an operator, and runs it rightly."""
        target = self.target.limits if self.target is not None else ()
        limits = [limit for limit in target if limit.verdict != NOTED]
        if not inputs:
            return not any(limit.asked(op_type, attributes, self.opset) for limit in limits)
        asked = [limit for limit in limits if limit.operator == op_type]
        if not asked:
            return True
        node = helper.make_node(op_type, inputs, ["asked"], **spelt(op_type, attributes))
        made_by = {value: made.op_type for value, made in makers(self.graph.nodes).items()}
        return not any(limit.holds(node, self.graph, made_by) for limit in asked)

    def shape(self, value: str) -> Shape:
        """Return a value's shape as the network was loaded."""
        return self._static[value]

    def dynamic(self, value: str) -> tuple[bool, ...]:
        """Tell for each axis of a value whether its size is known only at run time."""
        return tuple(not isinstance(dim, int) for dim in self._dims[value])

    def weight(self, layer: nn.Module, name: str, *, shape: Sequence[int] | None = None) -> str:
        """Return the initializer that holds a layer's blob, in another shape if one is given."""
        tensor: Tensor = getattr(layer, name)
        array = tensor.detach().cpu().numpy()
        array = array.reshape(shape) if shape is not None else array
        key = (tensor.data_ptr(), array.shape)
        if key not in self._weights or array.size == 0:
            self._weights[key] = f"{self.layer}.{name}"
            self.graph.initializers[self._weights[key]] = array
            self.graph.learned.add(self._weights[key])
        return self._weights[key]

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

    def array(self, name: str, values: Any) -> str:
        """Return an initializer `layer.name` with these values, in the network's float type."""
        full = _free(f"{self.layer}.{name}", self.graph.initializers)
        self.graph.initializers[full] = np.ascontiguousarray(values, self.float_type)
        return full

    def cast(self, value: str, dtype: Any, *, name: str = "") -> str:
        """Append a Cast to one of numpy's types."""
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.append("Cast", value, name=name, to=to)

    def to_float(self, value: str, *, name: str = "") -> str:
        """Append a Cast to the network's float type."""
        return self.cast(value, self.float_type, name=name)

    def to_int(self, value: str, *, name: str = "") -> str:
        """Append a Cast to int64, which truncates toward 0 as Caffe does with labels."""
        return self.cast(value, np.int64, name=name)

    def to_bool(self, value: str, *, name: str = "") -> str:
        """Append a Cast to bool: what is not 0 is true."""
        return self.cast(value, np.bool_, name=name)

    def reduce(
        self,
        op_type: str,
        value: str,
        axes: Sequence[int],
        *,
        keepdims: int | None = None,
        name: str = "",
    ) -> str:
        """Append a ReduceSum, ReduceMean, ... over `axes`: an attribute once, an input since 18."""
        schema = defs.get_schema(op_type, self.opset, "")
        if "axes" in schema.attributes:
            return self.append(op_type, value, axes=list(axes), keepdims=keepdims, name=name)
        return self.append(op_type, value, self.ints(*axes), keepdims=keepdims, name=name)

    def sizes(self, value: str) -> list[int | Axis]:
        """Return a value's sizes: numbers, and for those known only at run time their axes."""
        return [
            Axis(axis) if free else size
            for axis, (size, free) in enumerate(
                zip(self.shape(value), self.dynamic(value), strict=True)
            )
        ]

    def reshape_by(self, value: str, sizes: Sequence[int | Axis], *, name: str = "") -> str:
        """Append a Reshape to numbers, sizes of `value`'s own axes, and -1 for what is left."""
        wanted: list[int | Axis] = [
            0 if isinstance(size, Axis) and size.at == at else size for at, size in enumerate(sizes)
        ]
        moved = [at for at, size in enumerate(wanted) if isinstance(size, Axis)]
        if len(moved) == 1 and -1 not in wanted:
            wanted[moved.pop()] = -1
        if not moved:
            numbers = [size for size in wanted if isinstance(size, int)]
            return self.append("Reshape", value, self.ints(*numbers), name=name)
        whole = self.append("Shape", value)
        parts = [
            self.append("Gather", whole, self.ints(size.at), axis=0)
            if isinstance(size, Axis)
            else self.ints(size)
            for size in wanted
        ]
        return self.append("Reshape", value, self.append("Concat", *parts, axis=0), name=name)

    def reshape(self, value: str, shape: Shape, dynamic: Sequence[bool], *, name: str = "") -> str:
        """Append a Reshape to `shape`, whose `dynamic` axes follow those of `value`.

        One dynamic axis is inferred; several must be the same axes of `value`.
        """
        wanted = [-1 if moves else size for size, moves in zip(shape, dynamic, strict=True)]
        if wanted.count(-1) > 1:
            have = self.dynamic(value) if value in self._dims else ()  # inner values' are not known
            for axis, moves in enumerate(dynamic):
                same = axis < len(have) and shape[axis] == self.shape(value)[axis]
                if moves and same and have[axis]:
                    wanted[axis] = 0
        if wanted.count(-1) > 1:
            raise UnsupportedError(
                f"the sizes of {shape} cannot be told before the network runs",
                fix="export with fewer dynamic axes",
            )
        return self.append("Reshape", value, self.ints(*wanted), name=name)

    def reshape_to_top(self, value: str, index: int = 0) -> str:
        """Append a Reshape to the shape of a top of this layer."""
        top = self.tops[index]
        return self.reshape(value, self.shape(top), self.dynamic(top))

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
        dtype = helper.np_dtype_to_tensor_dtype(self.float_type)
        before = [self._name("before") for _ in state]
        slices = [self._name("slice") for _ in sequences]
        outer, self.graph.nodes = self.graph.nodes, []
        outer_made, self._made = self._made, {}
        made = step(*before, *slices)
        nodes, self.graph.nodes, self._made = self.graph.nodes, outer, outer_made
        assert len(made) == len(state) + stacked
        shapes = [[None] * rank for rank in ranks] + [None] * (len(made) - len(ranks))
        value = partial(helper.make_tensor_value_info, elem_type=dtype)
        given = [value(name, shape=shape) for name, shape in zip(before, shapes, strict=False)]
        given += [value(name, shape=None) for name in slices]
        taken = [value(name, shape=shape) for name, shape in zip(made, shapes, strict=True)]
        body = helper.make_graph(nodes, f"{self.layer}/step", given, taken)
        inputs, count = (*state, *sequences), len(sequences)
        return self._append("Scan", inputs, len(made), body=body, num_scan_inputs=count)

    def append(self, op_type: str, *inputs: str, name: str = "", **attributes: Attribute) -> str:
        """Append an operator of one output whose type is known only when the layer is written."""
        return self._append(op_type, inputs, 1, name, **attributes)[0]

    def _append(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: int,
        name: str = "",
        **attributes: Attribute,
    ) -> tuple[str, ...]:
        schema = defs.get_schema(op_type, self.opset, "")
        given = spelt(op_type, attributes)
        if unexpected := given.keys() - schema.attributes.keys():
            lacking = min(unexpected)
            newer = lacking in defs.get_schema(op_type).attributes
            raise UnsupportedError(
                f"opset {self.opset}: {op_type} has no {lacking!r}",
                fix="take a newer opset" if newer else "",
            )
        made = tuple(self._name(name or op_type) for _ in range(outputs))
        node = helper.make_node(op_type, inputs, made, made[0], **given)
        self.graph.nodes.append(node)
        self.graph.layers.update(dict.fromkeys(made, self.layer))
        self._made.update(dict.fromkeys(made, node))
        return made

    def __getattr__(self, op_type: str) -> Any:
        """Return what appends an operator: its method in `caffe_layers.base.operators`."""
        if not op_type[0].isupper():
            raise AttributeError(op_type)
        schema = defs.get_schema(op_type, self.opset, "")

        def add(
            *inputs: str, outputs: int | None = None, name: str = "", **attributes: Attribute
        ) -> str | tuple[str, ...]:
            count = outputs or max(schema.min_output, 1)
            made = self._append(op_type, inputs, count, name, **attributes)
            return made if len(made) > 1 or schema.outputs[0].option == VARIADIC else made[0]

        return add


def spelt(op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that are set, with the defaults that some readers want to see written.

    MNN's converter ends with a signal at a pooling without strides; pnnx leaves a Pad without its
    mode as it is, which ncnn does not know then.
    """
    given = {key: value for key, value in attributes.items() if value is not None}
    if op_type == "Pad":
        given.setdefault("mode", "constant")
    elif op_type in ("AveragePool", "MaxPool"):
        axes = len(given["kernel_shape"])
        given.setdefault("strides", [1] * axes)
        given.setdefault("pads", [0] * 2 * axes)
    return given


def _free(name: str, taken: Container[str]) -> str:
    """Return a name, with a number where it is taken."""
    numbered, number = name, 2
    while numbered in taken:
        numbered, number = f"{name}_{number}", number + 1
    return numbered
