"""Through what a layer writes its ONNX form (`Op`) and its Python source (`Py`).

They are protocols: whoever writes networks implements them, and a layer knows no more than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn

from .operators import Attribute, Operators
from .shape import Shape

Values = str | Sequence[str]
"""What `onnx` returns: the name of the top's value, or those of several tops, in their order."""


class Axis(NamedTuple):
    """The size that an axis of a value will have when the network runs."""

    at: int


class Op(Operators, Protocol):
    """Writes the nodes of one layer: `op.Relu(x)` appends a Relu and returns its output's name.

    What a layer's `onnx` returns becomes its tops. Inner values are named `layer/Relu`,
    `layer/Relu_2`, ...; `name` stands for the type where it tells a reader of the file more.
    """

    opset: int
    float_type: np.dtype[Any]
    """The network's float type."""
    tops: tuple[str, ...]
    """The names to ask for the tops' shapes by."""

    def takes(self, op_type: str, *inputs: str, **attributes: Attribute) -> bool:
        """Tell whether what the file is written for runs an operator, and runs it rightly.

        `attributes` are those that matter. A layer that has several forms asks before the first.
        With `inputs` it is asked of the very node.
        """

    def shape(self, value: str) -> Shape:
        """Return the shape of a bottom or top as the network was loaded."""

    def dynamic(self, value: str) -> tuple[bool, ...]:
        """Tell for each axis of a bottom or top whether its size is known only at run time."""

    def sizes(self, value: str) -> list[int | Axis]:
        """Return a bottom's sizes: numbers, and for those known only at run time their axes."""

    def weight(self, layer: nn.Module, name: str, *, shape: Sequence[int] | None = None) -> str:
        """Return the initializer that holds a layer's blob, in another shape if one is given."""

    def array(self, name: str, values: Any) -> str:
        """Return the initializer `layer.name` with these values, in the network's float type."""

    def const(self, array: np.ndarray) -> str:
        """Return an initializer with these values; equal ones are shared."""

    def ints(self, *values: int) -> str:
        """Return a constant vector of int64."""

    def floats(self, values: Iterable[float]) -> str:
        """Return a constant vector of the network's float type."""

    def scalar(self, value: float) -> str:
        """Return a constant without axes, of the network's float type."""

    def cast(self, value: str, dtype: Any, *, name: str = "") -> str:
        """Append a Cast to one of numpy's types."""

    def to_float(self, value: str, *, name: str = "") -> str:
        """Append a Cast to the network's float type."""

    def to_int(self, value: str, *, name: str = "") -> str:
        """Append a Cast to int64, which truncates toward 0 as Caffe does with labels."""

    def to_bool(self, value: str, *, name: str = "") -> str:
        """Append a Cast to bool: what is not 0 is true."""

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

    def reshape(self, value: str, shape: Shape, dynamic: Sequence[bool], *, name: str = "") -> str:
        """Append a Reshape to `shape`, whose `dynamic` axes follow those of a bottom or top.

        One dynamic axis is inferred; several must be the same axes of `value`.
        """

    def reshape_by(self, value: str, sizes: Sequence[int | Axis], *, name: str = "") -> str:
        """Append a Reshape to numbers, sizes of `value`'s own axes, and -1 for what is left."""

    def reshape_to_top(self, value: str, index: int = 0) -> str:
        """Append a Reshape to the shape of a top of this layer."""

    def append(self, op_type: str, *inputs: str, name: str = "", **attributes: Attribute) -> str:
        """Append an operator of one output whose type is known only when the layer is written."""

    def scan(
        self,
        step: Callable[..., Sequence[str]],
        state: Sequence[str],
        sequences: Sequence[str],
        *,
        stacked: int,
        ranks: Sequence[int] = (),
    ) -> tuple[str, ...]:
        """Append a Scan over the first axis of `sequences`; return the last state and `stacked`.

        `step` gets the names of the state and of one slice of each sequence, writes the nodes of
        one step, and returns the names of the next state and of the values whose steps are stacked.
        `ranks` are those of the state and then of one step's stacked values, where ONNX Runtime,
        1.16 above all, does not find them out.
        """


class Py(Protocol):
    """Writes the source of one layer, which needs torch alone; values are Python expressions."""

    shapes: tuple[Shape, ...]
    """The bottoms' shapes."""

    def call(self, function: str, *args: object, **options: object) -> str:
        """Return a call; strings are expressions, and options of the function's default go."""

    def sizes(self, numbers: Sequence[int]) -> int | tuple[int, ...]:
        """Return sizes of several axes as torch takes them: one number if they are equal."""

    def module(
        self, cls: str, *args: object, tensors: Mapping[str, Tensor | None], **options: object
    ) -> str:
        """Declare a torch module with its parameters and buffers; return its expression."""

    def tensor(self, blob: str, tensor: Tensor) -> str:
        """Declare a parameter of the network's own; return its expression."""
