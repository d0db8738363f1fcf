"""CombinedMargin, of xialuxi's ArcFace."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op

from .label_specific import LabelSpecific


class CombinedMargin(
    LabelSpecific, type="CombinedMargin", fork="arcface", param="combined_margin_param", bottoms=2
):
    """`top = cos(m1 t + m2) - m3` for the `cos(t)` of each sample's label, x elsewhere.

    x is N x D; a negative label leaves its sample as it is. t is rounded to a float32, as in
    Caffe's C++ also in doubles. In TEST it is as in TRAIN, whatever `transform_test` says.

    Errors: ShapeError for other numbers of labels, and for a label that is no column.
    Caffe: xialuxi/arcface-caffe, combined_margin_layer.cpp
    """

    keeps = True

    def __init__(
        self,
        *,
        m1: float = 4.0,
        m2: float = 0.5,
        m3: float = 0.35,
        transform_test: bool = False,
    ) -> None:
        super().__init__()
        self.m1, self.m2, self.m3 = map(float32, (m1, m2, m3))
        self.transform_test = transform_test

    def change(self, own: Tensor) -> Tensor:
        with torch.no_grad():
            angle = self.m1 * own.acos().float().to(own.dtype) + self.m2
            slope = self.m1 * (1 - own**2) ** -0.5 * angle.sin()
        return gradient_of(angle.cos() - self.m3, slope * own)

    def emit_change(self, op: Op, own: str) -> str:
        angle = op.cast(op.cast(op.Acos(own), np.float32), op.float_type)
        angle = op.Add(op.Mul(angle, op.scalar(self.m1)), op.scalar(self.m2))
        return op.Sub(op.Cos(angle), op.scalar(self.m3))
