"""SpatialTransformer, of spatial transformer networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .bilinear import emit_sample, sample

FIELDS = tuple(f"theta_{row}_{column}" for row in (1, 2) for column in (1, 2, 3))
"""The matrix, row by row: the first row makes rows of the image, the second columns."""


class SpatialTransformer(Layer, type="SpatialTransformer", fork="stn", param="st_param", bottoms=2):
    """`top[n, c, i, j] = x[n, c]` at row `(r + 1) / 2 H` and column `(s + 1) / 2 W`.

    (r, s) is the matrix, 2 x 3, times `(2 i / H' - 1, 2 j / W' - 1, 1)` for tops of H' x W', which
    are `output_H` x `output_W`, or as x. The second bottom has what of the matrix is not fixed by
    `theta_1_1` and so on, in order. Between pixels x is bilinear, and 0 is beyond it.
    x has a gradient only with `to_compute_dU`, as the definition or the fork says.

    Errors: ShapeError for another number of values; UnsupportedError for other types.
    Caffe: daerduoCarey/SpatialTransformerLayer and bryanyzhu/Hidden-Two-Stream,
    src/caffe/layers/st_layer.{cpp,cu}
    """

    def __init__(
        self,
        size: tuple[int, int],
        fixed: tuple[float | None, ...] = (None,) * len(FIELDS),
        *,
        to_compute_dU: bool = True,  # noqa: N803  # the fork's name
    ) -> None:
        super().__init__()
        require(min(size) > 0, f"output_H and output_W are {size}, want 1 or more")
        self.size, self.fixed = size, fixed
        self.image_learns = to_compute_dU
        self.free = [at for at, value in enumerate(fixed) if value is None]

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SpatialTransformer:
        param = layer.st_param
        for name, known in (("transform_type", "affine"), ("sampler_type", "bilinear")):
            if getattr(param, name) != known:
                raise UnsupportedError(
                    f"{name} {getattr(param, name)!r}: Caffe knows {known} alone"
                )
        require(len(bottoms[0]) == 4, f"bottom {bottoms[0]} has not 4 axes: N x C x H x W")
        height = param.output_H if param.HasField("output_H") else bottoms[0][2]
        width = param.output_W if param.HasField("output_W") else bottoms[0][3]
        fixed = [getattr(param, name) if param.HasField(name) else None for name in FIELDS]
        return cls((height, width), tuple(fixed), to_compute_dU=param.to_compute_dU)

    def shapes(self, x: Shape, theta: Shape) -> list[Shape]:
        values = int(np.prod(theta[1:]))
        if theta[0] != x[0] or values != len(self.free):
            raise ShapeError(f"theta is {theta}, wants {x[0]} x {len(self.free)}")
        return [(*x[:2], *self.size)]

    def forward(self, x: Tensor, theta: Tensor) -> Tensor:
        if not self.image_learns:
            x = x.detach()
        matrix = self._matrix(theta)
        grid = torch.from_numpy(self._grid()).to(x)
        places = (torch.einsum("nrk,kij->nrij", matrix, grid) + 1) / 2
        height, width = x.shape[2:]
        return sample(x, places[:, 1] * width, places[:, 0] * height)

    def _matrix(self, theta: Tensor) -> Tensor:
        """Return the matrices, N x 2 x 3."""
        given = iter(theta.flatten(1).unbind(1))
        whole = [
            next(given) if value is None else theta.new_full((len(theta),), value)
            for value in self.fixed
        ]
        return torch.stack(whole, 1).view(-1, 2, 3)

    def _grid(self) -> np.ndarray:
        """Return what the matrices are multiplied with, 3 x H' x W'."""
        rows, columns = (np.arange(size) / size * 2 - 1 for size in self.size)
        down, across = np.meshgrid(rows, columns, indexing="ij")
        return np.stack((down, across, np.ones_like(down)))

    def onnx(self, op: Op, x: str, theta: str) -> Values:
        flat = op.Reshape(theta, op.ints(0, -1))
        count = op.Slice(op.Shape(flat), op.ints(0), op.ints(1))
        column = op.Concat(count, op.ints(1), axis=0)
        given = (op.Slice(flat, op.ints(at), op.ints(at + 1), op.ints(1)) for at in range(6))
        parts = [
            next(given) if value is None else op.Expand(op.scalar(value), column)
            for value in self.fixed
        ]
        matrix = op.Reshape(op.Concat(*parts, axis=1), op.ints(0, 2, 3))
        grid = op.array("grid", self._grid().reshape(3, -1))
        places = op.Mul(op.Add(op.MatMul(matrix, grid), op.scalar(1)), op.scalar(0.5))
        places = op.Reshape(places, op.ints(0, 2, *self.size))
        down, across = op.Split(places, op.ints(1, 1), axis=1, outputs=2)
        sizes = op.Shape(x)
        height, width = (
            op.to_float(op.Slice(sizes, op.ints(axis), op.ints(axis + 1))) for axis in (2, 3)
        )
        return emit_sample(op, x, op.Mul(across, width), op.Mul(down, height))
