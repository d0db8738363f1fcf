"""Lstm, of which the sequences are given as they are, without a blob that says where they begin."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.gradient import bounded
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.recurrent.cell import emit_lstm_cell, lstm_cell
from prototxt.errors import ShapeError


class Lstm(Layer, type="Lstm", fork="caffe_lstm", param="lstm_param", bottoms=(1, 2)):
    """T steps of `gates = W_i x + b + W_h h`, and of them c and h; the top is every h.

    `c = sigmoid(f) * c + sigmoid(i) * tanh(g)` and `h = sigmoid(o) * tanh(c)`, where i, f, o and g
    are the gates in this order; both begin at 0. x is T x N x I (CTPN, caffe_ocr), or (T N) x I for
    N = `batch_size` (junhyukoh); the top is as x, with H = `num_output` values in the place of I.
    A second bottom of T N values is 0 where a sequence begins; with it the state goes on from one
    forward pass to the next, without a gradient, until `reset_state`. A compiled or exported model
    starts every pass at 0.

    In training `clipping_threshold`, if it is above 0, is the most that the gradient of a gate's
    sum may be, and less it the least.

    Blobs: W_i 4H x I, W_h 4H x H, b 4H.

    Errors: ShapeError for x of another rank, for T N that N does not divide, and for a second
    bottom of another size.
    Caffe: junhyukoh/caffe-lstm, src/caffe/layers/lstm_layer.cpp; senlinuc/caffe_ocr,
    src/caffe/layers/lstm_layer_Junhyuk.cpp; makefile/frcnn, src/caffe/CTPN/lstm_layer.cpp
    """

    time_first = True
    fixed_bottoms = (1,)
    asks: ClassVar[Mapping[int, Asked]] = {1: "cont"}
    h: Tensor | None
    c: Tensor | None

    def __init__(
        self,
        inputs: int,
        *,
        num_output: int,
        batch_size: int = 1,
        clipping_threshold: float = 0.0,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        require(batch_size > 0, f"batch_size is {batch_size}, wants 1 or more")
        self.inputs, self.num_output, self.batch_size = inputs, num_output, batch_size
        self.clipping_threshold = clipping_threshold
        self.add_blob("W_i", (4 * num_output, inputs), weight_filler)
        self.add_blob("W_h", (4 * num_output, num_output), weight_filler)
        self.add_blob("b", (4 * num_output,), bias_filler)
        self.register_buffer("h", None, persistent=False)
        self.register_buffer("c", None, persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Lstm:
        return cls(_values(bottoms[0]), **cls.fields(layer))

    def shapes(self, x: Shape, clip: Shape | None = None) -> list[Shape]:
        require(_values(x) == self.inputs, f"x {x} has not {self.inputs} values a step")
        steps, streams = self._steps(x), self._streams(x)
        require(
            steps * streams == prod(x[:-1]),
            f"x {x} has {x[0]} rows, wants a multiple of batch_size {self.batch_size}",
        )
        if clip is not None and prod(clip) != steps * streams:
            raise ShapeError(f"the second bottom is {clip}, wants a value for each row of x {x}")
        return [(*x[:-1], self.num_output)]

    def _streams(self, x: Shape) -> int:
        return x[1] if len(x) == 3 else self.batch_size

    def _steps(self, x: Shape) -> int:
        return x[0] if len(x) == 3 else x[0] // self.batch_size

    def reset_state(self) -> None:
        self.h = self.c = None

    def forward(self, x: Tensor, clip: Tensor | None = None) -> Tensor:
        rows = x.reshape(-1, self._streams(tuple(x.shape)), self.inputs)
        clips = self.training and self.clipping_threshold > 0
        alone = clip is None and not clips
        top = self._whole(rows) if alone else self._step_by_step(rows, clip)
        return top.reshape(*x.shape[:-1], self.num_output)

    def _whole(self, rows: Tensor) -> Tensor:
        """Run all steps in one call, from a state of 0."""
        weights = [self._as_torch(blob) for blob in (self.W_i, self.W_h, self.b)]
        none = rows.new_zeros(1, rows.shape[1], self.num_output)
        weights.append(torch.zeros_like(weights[2]))
        return torch.lstm(rows, (none, none), weights, True, 1, 0.0, False, False, False)[0]

    @staticmethod
    def _as_torch(blob: Tensor) -> Tensor:
        """Return a blob's gates in torch's order: the output gate comes last there."""
        i, f, o, g = blob.chunk(4)
        return torch.cat((i, f, g, o))

    def _step_by_step(self, rows: Tensor, clip: Tensor | None) -> Tensor:
        steps, streams = rows.shape[:2]
        drive = F.linear(rows, self.W_i, self.b)
        if clip is None:
            h = c = rows.new_zeros(streams, self.num_output)
            goes_on = rows.new_ones(steps, streams, 1)
        else:
            h, c = self._kept(rows)
            goes_on = (clip.detach().reshape(steps, streams, 1) != 0).to(rows)
        hidden = []
        for now, cont in zip(drive, goes_on, strict=True):
            sums = now + F.linear(cont * h, self.W_h)
            if self.training and self.clipping_threshold > 0:
                sums = bounded(sums, self.clipping_threshold)
            c, h = lstm_cell(c, sums, cont)
            hidden.append(h)
        if clip is not None and not torch.compiler.is_compiling():
            self.h, self.c = h.detach(), c.detach()
        return torch.stack(hidden)

    def _kept(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        shape = (rows.shape[1], self.num_output)
        h, c = self.h, self.c
        if torch.compiler.is_compiling() or h is None or c is None or tuple(h.shape) != shape:
            return rows.new_zeros(shape), rows.new_zeros(shape)
        return h.to(rows), c.to(rows)

    def onnx(self, op: Op, x: str, clip: str = "") -> Values:
        flat = len(op.shape(x)) == 2
        rows = op.Reshape(x, op.ints(-1, self.batch_size, self.inputs)) if flat else x
        product = op.MatMul(rows, op.Transpose(op.weight(self, "W_i"), perm=[1, 0]))
        drive = op.Add(product, op.weight(self, "b"))
        sizes = op.Shape(rows)
        places = op.Concat(op.Slice(sizes, op.ints(0), op.ints(2), op.ints(0)), op.ints(1), axis=0)
        if clip:
            given = op.Reshape(clip, places)
            goes_on = op.to_float(op.to_bool(given))
        else:
            goes_on = op.Expand(op.scalar(1), places)
        streams = op.Slice(sizes, op.ints(1), op.ints(2), op.ints(0))
        none = op.Expand(op.scalar(0), op.Concat(streams, op.ints(self.num_output), axis=0))
        weight = op.Transpose(op.weight(self, "W_h"), perm=[1, 0])

        def step(h: str, c: str, now: str, cont: str) -> tuple[str, ...]:
            sums = op.Add(now, op.MatMul(op.Mul(cont, h), weight))
            c, h = emit_lstm_cell(op, c, sums, cont, self.num_output)
            return h, c, op.Identity(h)

        *_, hidden = op.scan(step, (none, none), (drive, goes_on), stacked=1)
        return op.Reshape(hidden, op.ints(-1, self.num_output)) if flat else hidden

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        rows = prod(bottoms[0][:-1])
        return rows * 4 * self.num_output * (self.inputs + self.num_output)


def _values(x: Shape) -> int:
    """Return I of x."""
    if len(x) not in (2, 3):
        raise ShapeError(
            f"x {x} has {len(x)} axes, wants T x N x I, or (T N) x I",
            fix="a Reshape says which of its axes are time",
        )
    return x[-1]
