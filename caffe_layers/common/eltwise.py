"""Eltwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.message import enum_name
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .scaling import is_scaling

OPERATIONS = ("SUM", "PROD", "MAX")
"""Others are those of forks."""


def _larger(a: Tensor, b: Tensor) -> Tensor:
    """Return the larger value; a tie and its gradient go to b, where torch.maximum halves it."""
    return torch.where(a > b, a, b)


def _folded(operator: Callable[[str, str], str], values: Sequence[str]) -> str:
    """Append an operator of two for all values in turn: some engines drop a third."""
    top = values[0]
    for value in values[1:]:
        top = operator(top, value)
    return top


class Eltwise(Layer, type="Eltwise", param="eltwise_param", bottoms=(2, None)):
    """`top = sum of coeff[i] * bottom[i]`, or their product or maximum; all of one shape.

    `operation` is SUM, PROD or MAX, `coeff` empty (all 1) or one number for each bottom. Of equal
    maxima the second bottom wins over the first, a later one only if it is strictly greater.
    `in_place` says that the top overwrites the first bottom: Caffe's SUM and MAX clear it before
    they read it, so the first bottom does not count. `stable_prod_grad` changes nothing: Caffe's
    other gradient of a product differs only by being NaN at zeros. In ONNX a NaN always wins a
    maximum, in Caffe it loses in the first bottom.

    Errors: ShapeError for bottoms of different shapes, and for coefficients that are not one for
    each bottom or that stand beside PROD.
    Caffe: BVLC/caffe, src/caffe/layers/eltwise_layer.cpp
    """

    family = "sum"

    def __init__(
        self,
        *,
        operation: str = "SUM",
        coeff: Sequence[float] = (),
        stable_prod_grad: bool = True,
        in_place: bool = False,
    ) -> None:
        super().__init__()
        if operation not in OPERATIONS:
            raise UnsupportedError(f"operation {operation!r} is none of SUM, PROD and MAX")
        if coeff and operation == "PROD":
            raise ShapeError(f"operation PROD has no use for coefficients, got {len(coeff)}")
        self.operation = operation
        self.coeff = tuple(float32(value) for value in coeff)
        self.stable_prod_grad = stable_prod_grad
        self.in_place = in_place

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        scales = is_scaling(layer) and layer.eltwise_param.coeff
        return enum_name(layer.eltwise_param, "operation") in OPERATIONS and not scales

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Eltwise:
        return cls(in_place=layer.top[0] == layer.bottom[0], **cls.fields(layer))

    @property
    def details(self) -> list[str]:
        return [self.operation]

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        for index, shape in enumerate(bottoms):
            if shape != bottoms[0]:
                raise ShapeError(f"bottoms 0 {bottoms[0]} and {index} {shape} differ")
        if len(self.coeff) not in (0, len(bottoms)):
            raise ShapeError(
                f"{len(self.coeff)} coefficients for {len(bottoms)} bottoms, wants none or one each"
            )
        return [bottoms[0]]

    def forward(self, *bottoms: Tensor) -> Tensor:
        if self.operation == "MAX":
            top = bottoms[1] if self.in_place else _larger(bottoms[0], bottoms[1])
            for bottom in bottoms[2:]:
                top = _larger(bottom, top)
            return top
        if self.operation == "PROD":
            product, *factors = bottoms
            for factor in factors:
                product = product * factor
            return product
        terms: list[Tensor] = [x if c == 1 else x * c for x, c in self._terms(bottoms)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def onnx(self, op: Op, *bottoms: str) -> Values:
        if self.operation == "MAX":
            return _folded(op.Max, bottoms[int(self.in_place) :])
        if self.operation == "PROD":
            return _folded(op.Mul, bottoms)
        scaled = [x if c == 1 else op.Mul(x, op.scalar(c)) for x, c in self._terms(bottoms)]
        return _folded(op.Add, scaled)

    def python(self, py: Py, *bottoms: str) -> str:
        if self.operation == "MAX":
            top, *others = bottoms[int(self.in_place) :]
            for bottom in others:
                top = py.call("torch.maximum", top, bottom)
            return top
        if self.operation == "PROD":
            return " * ".join(bottoms)
        return " + ".join(x if c == 1 else f"{c} * {x}" for x, c in self._terms(bottoms))

    def _terms(self, bottoms: Sequence[Any]) -> list[tuple[Any, float]]:
        """Return what SUM adds: bottoms and their coefficients."""
        coeff = self.coeff or (1.0,) * len(bottoms)
        return list(zip(bottoms, coeff, strict=True))[int(self.in_place) :]
