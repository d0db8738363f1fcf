"""Tile."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Tile(Layer, type="Tile", param="tile_param"):
    """The bottom `tiles` times, one copy behind the other along `axis`.

    Errors: ShapeError without a number of tiles.
    Caffe: BVLC/caffe, src/caffe/layers/tile_layer.cpp
    """

    def __init__(self, tiles: int, *, axis: int = 1) -> None:
        super().__init__()
        require(tiles > 0, f"tiles is {tiles}, wants 1 or more")
        self.tiles = tiles
        self.axis = axis

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        return [(*x[:axis], x[axis] * self.tiles, *x[axis + 1 :])]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x] * self.tiles, dim=self.axis)

    def onnx(self, op: Op, x: str) -> Values:
        if self.tiles == 1:
            return x
        if not op.takes("Tile"):
            return op.Concat(*[x] * self.tiles, axis=canonical_axis(self.axis, len(op.shape(x))))
        repeats = [1] * len(op.shape(x))
        repeats[self.axis] = self.tiles
        return op.Tile(x, op.ints(*repeats))

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.cat", f"[{x}] * {self.tiles}", self.axis)
