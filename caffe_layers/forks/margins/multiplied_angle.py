"""Inner products whose angle with the weight of the label is multiplied: L-Softmax, SphereFace."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .passes import CountsPasses

TIMES = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}


class MultipliedAngle(CountsPasses):
    """Base of `top = x * weight^T`, but for the label's column: see the layers.

    With the angle t between x and the weight w of the label, and m from `type` (SINGLE 1, DOUBLE 2,
    TRIPLE 3, QUADRUPLE 4), its value is `(|x| |w| f(t) + lambda * x * w) / (1 + lambda)`, where
    `f(t) = (-1)^k cos(m t) - 2 k` goes down all the way: k counts the multiples of pi / m below t.
    SINGLE is the plain product, and so it is in TEST without labels, which only a training has:
    `--deploy` leaves them out. `lambda = max(base * (1 + gamma * pass)^-power, lambda_min)`, with
    passes counted from `iteration` on (`CountsPasses`); it is the second top, 1, if there is one.
    """

    family = "inner product"
    fixed_bottoms = (1,)

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        type: str = "SINGLE",
        weight_filler: Filler = Filler(),
        axis: int = 1,
        base: float = 1.0,
        gamma: float = 0.0,
        power: float = 1.0,
        iteration: int = 0,
        lambda_min: float = 0.0,
        bottoms: int = 2,
        tops: int = 1,
    ) -> None:
        super().__init__(iteration)
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        self.inputs, self.num_output, self.axis, self.times = inputs, num_output, axis, TIMES[type]
        self.base, self.gamma, self.power = float32(base), float32(gamma), float32(power)
        self.lambda_min = float32(lambda_min)
        self.tells = tops == 2
        if bottoms < 3:
            self.add_blob("weight", (num_output, inputs), weight_filler)

    @classmethod
    def learns(cls, layer: Any) -> bool:
        return len(layer.bottom) < 3

    @classmethod
    def does_without_labels(cls, layer: Any) -> bool:
        return len(layer.bottom) < 3

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MultipliedAngle:
        x, fields = bottoms[0], {"num_output": 0, "axis": 1} | cls.fields(layer)
        if len(bottoms) == 3:
            fields["num_output"] = bottoms[2][0]
        inputs = prod(x[canonical_axis(fields["axis"], len(x)) :])
        return cls(inputs, bottoms=len(bottoms), tops=len(layer.top), **fields)

    def shapes(self, x: Shape, *others: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        inputs = prod(x[axis:])
        if inputs != self.inputs:
            raise ShapeError(
                f"bottom {x} has {inputs} values from axis {axis} on, wants {self.inputs}"
            )
        wants = prod(x[:axis])
        for label in others[:1]:
            require(prod(label) == wants, f"labels {label} are {prod(label)}, wants {wants}")
        for weight in others[1:]:
            count = self.num_output * inputs
            require(prod(weight) == count, f"the weight is {weight}, wants {count} values")
        top = (*x[:axis], self.num_output)
        return [top, (1,)] if self.tells else [top]

    def anneal(self, like: Tensor) -> Tensor:
        """Return this pass's lambda, 1 value, after counting it."""
        number = (1 + self.gamma * self.counted(like)) ** -self.power * self.base
        return number.clamp(min=self.lambda_min).reshape(1)

    def read_weight(self, *given: Tensor) -> Tensor:
        """Return the weight, num_output x K."""
        return given[0].reshape(self.num_output, self.inputs) if given else self.weight

    def margin(self, x: Tensor, w: Tensor) -> Tensor:
        """Return `|x| |w| f(t)` of M x K rows and the weights of their labels, M x 1."""
        raise NotImplementedError

    def emit_margin(self, op: Op, x: str, w: str, product: str) -> str:
        """Append what `margin` does; `product` is `x * w`, M x 1."""
        raise NotImplementedError

    def forward(self, x: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, ...]:
        require(bool(others) or not self.training, "there are no labels, which it learns by")
        rows = x.reshape(-1, self.inputs)
        weight, share = self.read_weight(*others[1:]), self.anneal(x)
        top = F.linear(rows, weight)
        if self.times > 1 and others:
            index = others[0].detach().reshape(-1, 1).long()
            check_indices(index, self.num_output, "labels")
            value = self.margin(rows, weight[index[:, 0]])
            mixed = (value + share * top.gather(1, index)) / (1 + share)
            top = top.scatter(1, index, mixed)
        axis = canonical_axis(self.axis, x.dim())
        top = top.reshape(*x.shape[:axis], self.num_output)
        return (top, share) if self.tells else top

    def onnx(self, op: Op, x: str, *others: str) -> Values:
        like = torch.zeros((), dtype=torch.float64)
        was, self.training = self.training, False
        share = float(self.anneal(like))
        self.training = was
        rows = op.Reshape(x, op.ints(-1, self.inputs))
        if len(others) == 2:
            weight = op.Reshape(others[1], op.ints(self.num_output, self.inputs))
        else:
            weight = self.emit_weight(op)
        top = op.MatMul(rows, op.Transpose(weight, perm=[1, 0]))
        if self.times > 1 and others:
            index = op.to_int(op.Reshape(others[0], op.ints(-1, 1)))
            product = op.GatherElements(top, index, axis=1)
            own = op.Gather(weight, op.Squeeze(index, op.ints(1)), axis=0)
            value = self.emit_margin(op, rows, own, product)
            mixed = op.Add(value, op.Mul(product, op.scalar(share)))
            mixed = op.Div(mixed, op.scalar(1 + share))
            top = op.ScatterElements(top, index, mixed, axis=1)
        top = op.reshape_to_top(top)
        return (top, op.floats([share])) if self.tells else top

    def emit_weight(self, op: Op) -> str:
        """Append the weight."""
        return op.weight(self, "weight")

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * self.inputs


def multiplied(cosine: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """Return f(t) and its slope by `cos(t)`, for a multiple of 2 to 4.

    As in Caffe a cosine of 0, or one where a polynomial's sign turns, has the sign 0.
    """
    sign, c = cosine.sign(), cosine
    if times == 2:
        return 2 * sign * c**2 - 1, 4 * sign * c
    if times == 3:
        turn = (c.abs() - 0.5).sign()
        return turn * (4 * c**3 - 3 * c) + sign * (1 + turn) - 2, turn * (12 * c**2 - 3)
    turn = sign * (2 * c**2 - 1).sign()
    value = turn * (8 * c**4 - 8 * c**2 + 1) + 2 * sign + turn - 3
    return value, turn * (32 * c**3 - 16 * c)


def emit_multiplied(op: Op, cosine: str, times: int) -> str:
    """Append f(t), of `multiplied`."""
    sign, square = op.Sign(cosine), op.Mul(cosine, cosine)
    one = op.scalar(1)
    if times == 2:
        double = op.Mul(op.Mul(square, sign), op.scalar(2))
        return op.Sub(double, one)
    if times == 3:
        turn = op.Sign(op.Sub(op.Abs(cosine), op.scalar(0.5)))
        inner = op.Sub(op.Mul(square, op.scalar(4)), op.scalar(3))
        triple = op.Mul(turn, op.Mul(inner, cosine))
        offset = op.Sub(op.Mul(sign, op.Add(turn, one)), op.scalar(2))
        return op.Add(triple, offset)
    turn = op.Mul(sign, op.Sign(op.Sub(op.Mul(square, op.scalar(2)), one)))
    inner = op.Mul(op.Mul(op.Sub(square, one), square), op.scalar(8))
    fourfold = op.Mul(turn, op.Add(inner, one))
    offset = op.Sub(op.Add(op.Mul(sign, op.scalar(2)), turn), op.scalar(3))
    return op.Add(fourfold, offset)


def length(rows: Tensor) -> Tensor:
    """Return the lengths of M x K rows: M x 1."""
    return rows.square().sum(1, keepdim=True).sqrt()


def with_slopes(
    value: Tensor, x: Tensor, w: Tensor, slopes: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Return a value M x 1 with the gradient `a w + b x` for x, and `a x + c w` for w."""
    a, b, c = slopes
    plain = a * (x * w).sum(1, keepdim=True)
    squares = [rows.square().sum(1, keepdim=True) / 2 for rows in (x, w)]
    return gradient_of(value, plain + b * squares[0] + c * squares[1])
