"""CenterLoss: ydwen's, and happynear's."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import with_gradient
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.labels import check_batch, emit_first, first_labels
from prototxt.errors import UnsupportedError


class CenterLoss(
    Layer, type="CenterLoss", fork="center_loss", param="center_loss_param", bottoms=2
):
    """`top = sum of |x[n] - centers[label[n]]|^2 / (2 N)`, a scalar, for N samples of K values.

    The centres, num_output x K, are the blob. They learn by no gradient of the loss, but by
    `sum of (centers[c] - x[n]) / (1 + count)` over the `count` samples n of the class c: neither
    N nor `loss_weight` divides or scales it, only the solver's rate does.

    Errors: ShapeError for an `axis` other than 1, and for a label that is no class.
    Caffe: ydwen/caffe-face, src/caffe/layers/center_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1,)

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        center_filler: Filler = Filler(),
        axis: int = 1,
        distance_type: str = "L2",
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        if distance_type not in ("L1", "L2"):
            raise UnsupportedError(f"distance_type {distance_type!r} is neither L1 nor L2")
        self.inputs, self.num_output, self.axis = inputs, num_output, axis
        self.distance_type = distance_type
        self.add_blob("centers", (num_output, inputs), center_filler)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return not _says_distance(layer)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CenterLoss:
        x, fields = bottoms[0], {"num_output": 0, "axis": 1} | cls.fields(layer)
        return cls(prod(x[canonical_axis(fields["axis"], len(x)) :]), **fields)

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        require(prod(label) == x[0], f"labels {label} are {prod(label)}, wants {x[0]}")
        inputs = prod(x[1:])
        require(inputs == self.inputs, f"bottom {x} has {inputs} values each, wants {self.inputs}")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        rows = x.flatten(1)
        index = first_labels(label, x, self.num_output)[:, 0]
        away = rows - self.centers.detach()[index]
        total = away.abs().sum() if self.distance_type == "L1" else away.square().sum() / 2
        with torch.no_grad():
            step = away.sign() if self.distance_type == "L1" else away
            pulled = torch.zeros_like(self.centers).index_add(0, index, -step)
            count = torch.bincount(index, minlength=self.num_output)[:, None]
            gradient = self.gradient(pulled, count.to(x.dtype))
        return with_gradient(total / x.shape[0], self.centers, gradient)

    def gradient(self, pulled: Tensor, count: Tensor) -> Tensor:
        """Return the centres' gradient, of the sums of steps and the samples of each class."""
        return pulled / (1 + count)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        rows = op.Reshape(x, op.ints(-1, self.inputs))
        index = op.Squeeze(emit_first(op, label, x), op.ints(1))
        away = op.Sub(rows, op.Gather(op.weight(self, "centers"), index, axis=0))
        count = op.to_float(op.Gather(op.Shape(rows), op.ints(0), axis=0))
        if self.distance_type == "L1":
            total = op.ReduceSum(op.Abs(away), keepdims=0)
        else:
            total = op.Mul(op.ReduceSum(op.Mul(away, away), keepdims=0), op.scalar(0.5))
        return op.Squeeze(op.Div(total, count), op.ints(0))


class FaceCenterLoss(CenterLoss, type="CenterLoss", fork="happynear", bottoms=2):
    """ydwen's CenterLoss, also with absolute distances, and another gradient of the centres.

    `distance_type` L1 makes the loss `sum of |x[n] - centers[label[n]]| / N`, and signs of what the
    centres' gradient sums. The sum is added once for each sample of the class, which makes it
    `count` times ydwen's: `count / (1 + count)` of the sum. So it is on Caffe's CPU; on its GPU
    processes overwrite each other's sums.

    Errors: those of CenterLoss; UnsupportedError for another `distance_type`.
    Caffe: happynear/caffe-windows, src/caffe/layers/center_loss_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return _says_distance(layer)

    def gradient(self, pulled: Tensor, count: Tensor) -> Tensor:
        return count * pulled / (1 + count)


def _says_distance(layer: Any) -> bool:
    param = fork_field(layer, "center_loss_param")
    return param is not None and is_set(param, "distance_type")
