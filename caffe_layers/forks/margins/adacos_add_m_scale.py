"""AdaCosAddmScale, of xialuxi's AdaCos."""

from __future__ import annotations

from math import log, pi, prod, sqrt

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.number import float32
from caffe_layers.base.op import Op

from .arc_margin import emit_widened, widened
from .label_specific import LabelSpecific


class AdaCosAddmScale(
    LabelSpecific,
    type="AdaCosAddmScale",
    fork="arcface",
    param="adacos_add_m_scale_param",
    bottoms=2,
):
    """`top = s y`, y being ArcFace's cosines with the margin m: see CosinAddm. x is N x D.

    The scale s follows the passes: it begins with `sqrt(2) log(num_classes - 1)`, and each pass
    makes it `log(sum of e^(s x) / N) / cos(min(mean of t, pi / 4))`. The sum is over all columns,
    those of labels counting as `e^0`; the mean over all angles, each rounded to a float32. The
    gradient takes s as it is. A negative label leaves its sample without a margin.

    In TEST it is as in TRAIN, whatever `transform_test` says, but every pass begins with the first
    scale: no snapshot keeps another one. Caffe's GPU takes the mean of other numbers, the first N
    angles and the cosines behind them: here it is the CPU's.

    Errors: ShapeError for other numbers of labels, and for a label that is no column.
    Caffe: xialuxi/arcface-caffe, AdaCos/adacos_add_m_scale_layer.cpp
    """

    keeps = True
    scale: Tensor

    def __init__(
        self, *, m: float = 0.5, num_classes: float = 8750.0, transform_test: bool = False
    ) -> None:
        super().__init__()
        self.m, self.transform_test = float32(m), transform_test
        self.first = sqrt(2) * log(float32(num_classes) - 1)
        self.register_buffer("scale", torch.tensor(self.first, dtype=torch.float64))

    def change(self, own: Tensor) -> Tensor:
        return widened(own, self.m)

    def change_rows(self, rows: Tensor, index: Tensor) -> Tensor:
        with torch.no_grad():
            scale = self.scale.to(rows.dtype) if self.training else rows.new_tensor(self.first)
            whose = torch.arange(rows.shape[1], device=rows.device) == index
            total = (scale * rows.masked_fill(whose, 0)).exp().sum() / rows.shape[0]
            angle = rows.acos().float().to(rows.dtype).mean().clamp(max=pi / 4)
            scale = total.log() / angle.cos()
            if self.training:
                self.scale.copy_(scale)
        return scale * super().change_rows(rows, index)

    def emit_change(self, op: Op, own: str) -> str:
        return emit_widened(op, own, self.m)

    def emit_rows(self, op: Op, rows: str, index: str) -> str:
        columns = op.const(np.arange(prod(op.shape(op.tops[0])[1:]))[None])
        whose = op.Equal(columns, index)
        others = op.Where(whose, op.scalar(0), rows)
        total = op.ReduceSum(op.Exp(op.Mul(others, op.scalar(self.first))), keepdims=0)
        count = op.to_float(op.Gather(op.Shape(rows), op.const(np.array(0)), axis=0))
        angle = op.ReduceMean(op.Acos(rows), keepdims=0)
        narrow = op.Cos(op.Min(angle, op.scalar(pi / 4)))
        scale = op.Div(op.Log(op.Div(total, count)), narrow)
        return op.Mul(super().emit_rows(op, rows, index), scale)
