"""Eltwise, with yjxiong's STOCHASTIC_SUM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.common.eltwise_operation import EltwiseOperation


class StochasticSum(EltwiseOperation, type="Eltwise", fork="tsn", bottoms=(2, None)):
    """`operation` STOCHASTIC_SUM: in training each bottom counts with the probability `coeff`.

    In testing the top is the sum of the bottoms times their coefficients, which are 1 where none
    are given. With `in_place` the top overwrites the first bottom, which Caffe clears before it
    reads it. An ONNX model tests, whatever the phase of the network.

    Errors: ShapeError for bottoms of different shapes, and unless there are as many coefficients.
    Caffe: yjxiong/caffe, src/caffe/layers/eltwise_layer.cpp
    """

    operation = "STOCHASTIC_SUM"

    def __init__(self, *, coeff: Sequence[float], in_place: bool = False) -> None:
        super().__init__(in_place=in_place)
        self.coeff = tuple(map(float32, coeff))

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        coeff = tuple(layer.eltwise_param.coeff) or (1.0,) * len(layer.bottom)
        return super().fields(layer, coeff=coeff, **computed)

    def forward(self, *bottoms: Tensor) -> Tensor:
        terms = list(zip(bottoms, self.coeff, strict=True))[self.in_place :]
        if self.training:
            drawn = torch.rand(len(terms), device=bottoms[0].device)
            scaled = [
                x.where(draw <= coeff, 0) for (x, coeff), draw in zip(terms, drawn, strict=True)
            ]
        else:
            scaled = [x * coeff for x, coeff in terms]
        return torch.stack(scaled).sum(0)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        terms = list(zip(bottoms, self.coeff, strict=True))[self.in_place :]
        scaled = [op.Mul(x, op.scalar(coeff)) for x, coeff in terms]
        return op.Sum(*scaled)
