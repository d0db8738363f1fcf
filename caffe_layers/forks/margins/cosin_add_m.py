"""CosinAddm, of xialuxi's ArcFace."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.number import float32

from .arc_margin import widened
from .label_specific import LabelSpecific


class CosinAddm(
    LabelSpecific, type="CosinAddm", fork="arcface", param="cosin_add_m_param", bottoms=(1, 2)
):
    """`top = cos(t + m)` for the `cos(t)` of each sample's label, x elsewhere; x is N x D.

    Where `t + m` goes beyond pi it is `cos(t) - m sin(m)`. A cosine above 1 counts as 1; there, and
    beyond pi, the gradient passes as it is. In TEST the top is x, whatever `transform_test` says:
    so it is on Caffe's GPU, whereas its CPU goes on as in TRAIN.

    Errors: ShapeError for other numbers of labels, and for a label that is no column.
    Caffe: xialuxi/arcface-caffe, cosin_add_m_layer.cpp and cosin_add_m_layer.cu
    """

    in_test = False

    def __init__(self, *, m: float = 0.5, transform_test: bool = False) -> None:
        super().__init__()
        self.m, self.transform_test = float32(m), transform_test

    def change(self, own: Tensor) -> Tensor:
        return widened(own, self.m)
