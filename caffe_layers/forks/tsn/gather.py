"""Gather and Scatter, from yjxiong."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class _HandedOn(Layer):
    """Base of layers that pass between processes, and in one process hand their bottoms on."""

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Layer:
        tops = len(layer.top)
        require(tops == len(bottoms), f"{len(bottoms)} bottoms and {tops} tops, wants as many")
        return cls()

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return list(bottoms)

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        return tuple(x.clone() for x in bottoms)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return bottoms


class Gather(_HandedOn, type="Gather", fork="tsn", bottoms=(1, None), tops=(1, None)):
    """The batches of all MPI processes one behind the other: in one process each top its bottom.

    Caffe: yjxiong/caffe, src/caffe/layers/gather_layer.cpp
    """


class Scatter(_HandedOn, type="Scatter", fork="tsn", bottoms=(1, None), tops=(1, None)):
    """A part of the batch for each MPI process: in one process each top is its bottom.

    Caffe: yjxiong/caffe, src/caffe/layers/scatter_layer.cpp
    """
