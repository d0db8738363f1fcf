"""InnerDistance, of NormFace."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.normalization.unit_rows import kept_unit, unit_rows
from prototxt.errors import ShapeError, UnsupportedError


class InnerDistance(
    Layer, type="InnerDistance", fork="happynear", param="inner_distance_param", bottoms=(1, 3)
):
    """`top[m, n] = sum of (x[m] - weight[n])^2`, or of `|x[m] - weight[n]|`: M x N distances.

    x is M x K over all axes from `axis` on. The weight, N x K, is the blob, or the second bottom;
    `distance_type` is L2 or L1. With `normalize` each pass first divides each row w of the blob by
    `sqrt(|w|^2 + 1e-6)`, and so keeps it, but in a compiled model. With `update_center_only`
    a third bottom holds M labels, and a weight learns of the rows of its own label alone. There is
    no bias, whatever `bias_term` says.

    Errors: ShapeError for bottoms that do not fit; UnsupportedError for `transpose`, which Caffe
    takes for other numbers than it stores, for another `distance_type`, and for
    `update_center_only` without three bottoms, which takes x or the weight for labels.
    Caffe: happynear/caffe-windows, src/caffe/layers/inner_distance_layer.cpp
    """

    family = "inner product"
    fixed_bottoms = (2,)

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        bias_term: bool = True,
        weight_filler: Filler = Filler(),
        axis: int = 1,
        transpose: bool = False,
        distance_type: str = "L2",
        normalize: bool = False,
        update_center_only: bool = False,
        bottoms: int = 1,
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        if transpose:
            raise UnsupportedError("transpose is stored and not computed with")
        if distance_type not in ("L1", "L2"):
            raise UnsupportedError(f"distance_type {distance_type!r} is neither L1 nor L2")
        if update_center_only and bottoms != 3:
            raise UnsupportedError(
                f"update_center_only with {bottoms} bottoms takes the last one for labels",
                fix="give x, the weight and the labels as bottoms",
            )
        self.inputs, self.num_output, self.axis = inputs, num_output, axis
        self.bias_term, self.distance_type = bias_term, distance_type
        self.normalize = normalize and bottoms == 1
        self.update_center_only = update_center_only
        if bottoms == 1:
            self.add_blob("weight", (num_output, inputs), weight_filler)

    @classmethod
    def learns(cls, layer: Any) -> bool:
        return len(layer.bottom) == 1

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> InnerDistance:
        x, fields = bottoms[0], {"num_output": 0, "axis": 1} | cls.fields(layer)
        if len(bottoms) > 1:
            fields["num_output"] = bottoms[1][0]
        inputs = prod(x[canonical_axis(fields["axis"], len(x)) :])
        return cls(inputs, bottoms=len(bottoms), **fields)

    def shapes(self, x: Shape, *given: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        inputs = prod(x[axis:])
        if inputs != self.inputs:
            raise ShapeError(
                f"bottom {x} has {inputs} values from axis {axis} on, wants {self.inputs}"
            )
        for weight in given[:1]:
            wants = weight[0] * inputs
            require(prod(weight) == wants, f"the weight is {weight}, wants {wants} values")
        for label in given[1:]:
            wants = prod(x[:axis])
            require(prod(label) == wants, f"labels {label} are {prod(label)}, wants {wants}")
        return [(*x[:axis], given[0][0] if given else self.num_output)]

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        rows = x.reshape(-1, self.inputs)
        weight = given[0].reshape(-1, self.inputs) if given else self._weight()
        if not self.update_center_only:
            top = self._distance(rows, weight)
        else:
            label = given[1].detach().reshape(-1, 1).long()
            check_indices(label, weight.shape[0], "labels")
            whose = torch.arange(weight.shape[0], device=x.device) == label
            taught = self._distance(rows.detach(), weight)
            top = self._distance(rows, weight.detach())
            top = top + torch.where(whose, taught - taught.detach(), 0)
        axis = canonical_axis(self.axis, x.dim())
        return top.reshape(*x.shape[:axis], weight.shape[0])

    def _distance(self, rows: Tensor, weight: Tensor) -> Tensor:
        if self.distance_type == "L1":
            away: Tensor = torch.cdist(rows, weight, p=1)
            return away
        exact = "donot_use_mm_for_euclid_dist"
        distance: Tensor = torch.cdist(rows, weight, compute_mode=exact)
        return distance.square()

    def _weight(self) -> Tensor:
        weight: Tensor = self.weight
        return kept_unit(weight) if self.normalize else weight

    def onnx(self, op: Op, x: str, *given: str) -> Values:
        rows = op.Reshape(x, op.ints(-1, 1, self.inputs))
        if given:
            weight = op.Reshape(given[0], op.ints(-1, self.inputs))
        elif self.normalize:
            unit = unit_rows(self.weight.detach().cpu().double())
            weight = op.array("unit_weight", unit.numpy())
        else:
            weight = op.weight(self, "weight")
        away = op.Sub(rows, weight)
        if self.distance_type != "L1":
            return op.reshape_to_top(op.reduce("ReduceSumSquare", away, [2], keepdims=0))
        # Not ReduceL1, whose axes OpenVINO ignores below opset 18.
        return op.reshape_to_top(op.reduce("ReduceSum", op.Abs(away), [2], keepdims=0))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * self.inputs
