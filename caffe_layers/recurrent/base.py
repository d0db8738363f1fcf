"""What LSTM and RNN have in common: a state that goes from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

UNROLLED = 32
"""Up to so many steps are written one after the other, as fast as a Scan, which most engines lack.
Beyond, the file and the time to load it grow with every step."""


class Recurrent(Layer, param="recurrent_param"):
    """Base of layers that run over x, T x N x ..., one step for each of T, N sequences at a time.

    `inputs` is the number of values of x in a step, `static_inputs` that of a further bottom, N x
    ..., which every step sees (0: there is none). cont, T x N, is 0 where a sequence begins: the
    state before is then forgotten.

    The state, H = num_output values each, goes on from one forward pass to the next, without a
    gradient, until `reset_state`, which makes it 0; so does another N. With `expose_hidden` it
    comes from further bottoms, 1 x N x H each, and goes to as many tops. A compiled or exported
    model without it starts every pass at 0.

    Caffe: BVLC/caffe, src/caffe/layers/recurrent_layer.cpp
    """

    time_first = True
    unrolled = True
    fixed_bottoms = (1,)
    asks: ClassVar[Mapping[int, Asked]] = {1: "cont"}
    letter: ClassVar[str]
    """What Caffe's names of the blobs call the values that a step sums up."""
    sums: ClassVar[int]
    """How many times num_output these are."""
    states: ClassVar[tuple[str, ...]]
    """The names of the state's parts; the first goes into the next step's sums."""

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        static_inputs: int = 0,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
        expose_hidden: bool = False,
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        self.inputs = inputs
        self.num_output = num_output
        self.static_inputs = static_inputs
        self.expose_hidden = expose_hidden
        rows = self.sums * num_output
        self.from_x, self.bias = f"W_x{self.letter}", f"b_{self.letter}"
        self.from_static, self.from_h = f"{self.from_x}_static", f"W_h{self.letter}"
        self.add_blob(self.from_x, (rows, inputs), weight_filler)
        self.add_blob(self.bias, (rows,), bias_filler)
        if static_inputs:
            self.add_blob(self.from_static, (rows, static_inputs), weight_filler)
        self.add_blob(self.from_h, (rows, num_output), weight_filler)
        for state in self.states:
            self.register_buffer(state, None, persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Recurrent:
        param = layer.recurrent_param
        exposed = len(cls.states) if param.expose_hidden else 0
        given, tops = len(bottoms) - 2 - exposed, len(layer.top)
        says = "with" if exposed else "without"
        if given not in (0, 1):
            wants = f"{2 + exposed} or {3 + exposed}"
            raise ShapeError(f"{len(bottoms)} bottoms {says} expose_hidden, wants {wants}")
        require(tops == 1 + exposed, f"{tops} tops {says} expose_hidden, wants {1 + exposed}")
        return cls(
            prod(bottoms[0][2:]),
            static_inputs=prod(bottoms[2][1:]) if given else 0,
            **cls.fields(layer),
        )

    def shapes(self, x: Shape, cont: Shape, *rest: Shape) -> list[Shape]:
        require(len(x) >= 3, f"x {x} has {len(x)} axes, wants T x N x ...")
        require(cont == x[:2], f"cont is {cont}, wants T x N as x {x} has them")
        values = prod(x[2:])
        require(values == self.inputs, f"x {x} has {values} values a step, wants {self.inputs}")
        others = list(rest)
        if self.static_inputs:
            static = others.pop(0)
            values = prod(static[1:])
            if len(static) < 2 or static[0] != x[1] or values != self.static_inputs:
                raise ShapeError(
                    f"static x is {static}, wants N x ... with N {x[1]} and {self.static_inputs} "
                    "values each"
                )
        state = (1, x[1], self.num_output)
        for name, other in zip(self.states, others, strict=False):
            require(other == state, f"{name} is {other}, wants {state}")
        return [(*x[:2], self.num_output), *[state] * len(others)]

    def reset_state(self) -> None:
        for state in self.states:
            setattr(self, state, None)

    def forward(self, x: Tensor, cont: Tensor, *rest: Tensor) -> Any:
        others = list(rest)
        drive = F.linear(
            x.reshape(*x.shape[:2], self.inputs), self._of(self.from_x), self._of(self.bias)
        )
        if self.static_inputs:
            static = others.pop(0)
            drive = drive + F.linear(
                static.reshape(-1, self.static_inputs), self._of(self.from_static)
            )
        state = tuple(other[0] for other in others) or self._kept(drive)
        weight = self._of(self.from_h)
        hidden = []
        for now, goes_on in zip(drive, cont.detach().to(x.dtype).unsqueeze(2), strict=True):
            state = self.step(now + F.linear(goes_on * state[0], weight), goes_on, *state)
            hidden.append(state[0])
        top = self.output(torch.stack(hidden))
        if self.expose_hidden:
            return top, *(part.unsqueeze(0) for part in state)
        if not torch.compiler.is_compiling():
            for name, part in zip(self.states, state, strict=True):
                setattr(self, name, part.detach())
        return top

    def _of(self, name: str) -> Tensor:
        blob: Tensor = getattr(self, name)
        return blob

    def _kept(self, drive: Tensor) -> tuple[Tensor, ...]:
        shape = (drive.shape[1], self.num_output)
        kept = [
            None if torch.compiler.is_compiling() else getattr(self, name) for name in self.states
        ]
        return tuple(
            drive.new_zeros(shape) if part is None or part.shape != shape else part.to(drive)
            for part in kept
        )

    def step(self, sums: Tensor, cont: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the next state."""
        raise NotImplementedError

    def output(self, hidden: Tensor) -> Tensor:
        """Return the top of the first part of all states."""
        return hidden

    def onnx(self, op: Op, x: str, cont: str, *rest: str) -> Values:
        others = list(rest)
        rows = op.Reshape(x, op.ints(0, 0, self.inputs))
        drive = self._emit_product(op, rows, self.from_x)
        drive = op.Add(drive, op.weight(self, self.bias))
        if self.static_inputs:
            static = others.pop(0)
            flat = op.Reshape(static, op.ints(0, self.static_inputs))
            constant = self._emit_product(op, flat, self.from_static)
            drive = op.Add(drive, constant)
        goes_on = op.Unsqueeze(cont, op.ints(2))
        weight = op.Transpose(op.weight(self, self.from_h), perm=[1, 0])

        def step(now: str, goes_on: str, before: Sequence[str]) -> tuple[str, ...]:
            seen = op.Mul(goes_on, before[0])
            sums = op.Add(now, op.MatMul(seen, weight))
            return self.emit_step(op, sums, goes_on, *before)

        known = not op.dynamic(x)[0]
        if known and (op.shape(x)[0] <= UNROLLED or not op.takes("Scan")):
            state = others or [self._emit_zeros(op, cont, 1)] * len(self.states)
            hidden, after = self._emit_steps(op, step, (drive, goes_on), state, op.shape(x)[0])
            return self.emit_output(op, hidden), *(after if others else [])
        state = [op.Squeeze(other, op.ints(0)) for other in others]
        state = state or [self._emit_zeros(op, cont)] * len(self.states)

        def scanned(*values: str) -> tuple[str, ...]:
            *before, now, goes_on = values
            after = step(now, goes_on, before)
            return *after, op.Identity(after[0])

        *after, hidden = op.scan(scanned, state, (drive, goes_on), stacked=1)
        last = [op.Unsqueeze(part, op.ints(0)) for part in after] if others else []
        return self.emit_output(op, hidden), *last

    def _emit_steps(
        self,
        op: Op,
        step: Callable[[str, str, Sequence[str]], tuple[str, ...]],
        sequences: tuple[str, str],
        state: Sequence[str],
        steps: int,
    ) -> tuple[str, Sequence[str]]:
        """Append one step after the other, each 1 x N x ...; return all states and the last."""
        ones = op.ints(*[1] * steps)
        parts = (
            op.Split(value, ones, axis=0, outputs=steps) if steps > 1 else (value,)
            for value in sequences
        )
        hidden = []
        for now, goes_on in zip(*parts, strict=True):
            state = step(now, goes_on, state)
            hidden.append(state[0])
        return op.Concat(*hidden, axis=0), state

    def _emit_product(self, op: Op, rows: str, blob: str) -> str:
        weight = op.Transpose(op.weight(self, blob), perm=[1, 0])
        return op.MatMul(rows, weight)

    def _emit_zeros(self, op: Op, cont: str, *lead: int) -> str:
        """Append a state of zeros, N x H behind axes of the sizes `lead`."""
        if not op.dynamic(cont)[1]:
            shape = (*lead, op.shape(cont)[1], self.num_output)
            return op.Expand(op.scalar(0), op.ints(*shape))
        streams = op.Gather(op.Shape(cont), op.ints(1), axis=0)
        before = [op.ints(*lead)] if lead else []
        return op.Expand(
            op.scalar(0), op.Concat(*before, streams, op.ints(self.num_output), axis=0)
        )

    def emit_step(self, op: Op, sums: str, cont: str, *state: str) -> tuple[str, ...]:
        """Append what `step` does."""
        raise NotImplementedError

    def emit_output(self, op: Op, hidden: str) -> str:
        """Append what `output` does."""
        return hidden

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        steps, streams = bottoms[0][:2]
        each = steps * (self.inputs + self.num_output) + self.static_inputs
        return streams * self.sums * self.num_output * each
