"""LpqLoss, from FlowNet2."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .masked_loss import (
    check_bottoms,
    difference,
    emit_difference,
    emit_normalizer,
    magnitude,
    normalizer,
)


class LpqLoss(Layer, type="LpqLoss", fork="flownet2", param="lpq_loss_param", bottoms=(1, 2)):
    """`top = sum over pixels of (sum over c of (|d| + p_epsilon)^p + q_epsilon)^q / N`.

    d is `a - b` or the lone bottom, with 0 for NaN; the top is a scalar.
    `l2_prescale_by_channels` divides the inner sum by C; `normalize_by_num_entries` divides by the
    number of values that are not NaN, over C, instead of the number of images.

    Errors: ShapeError unless there is one p and one q; UnsupportedError for several, which change
    with the solver's iteration.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/lpq_loss_layer.{cpp,cu}
    """

    is_loss = True

    def __init__(
        self,
        *,
        p: float,
        q: float,
        p_epsilon: float = 0.0,
        q_epsilon: float = 1e-2,
        l2_prescale_by_channels: bool = False,
        normalize_by_num_entries: bool = False,
    ) -> None:
        super().__init__()
        self.p, self.q = float32(p), float32(q)
        self.p_epsilon, self.q_epsilon = float32(p_epsilon), float32(q_epsilon)
        self.l2_prescale_by_channels = l2_prescale_by_channels
        self.normalize_by_num_entries = normalize_by_num_entries

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LpqLoss:
        param = layer.lpq_loss_param
        starts = list(param.pq_episode_starts_at_iter)
        numbers = f"{len(param.p)} p, {len(param.q)} q and {len(starts)} starts of episodes"
        if not len(param.p) == len(param.q) > 0 or len(starts) not in (len(param.p), 0):
            raise ShapeError(f"{numbers}, wants as many of each")
        if len(param.p) > 1:
            raise UnsupportedError(
                f"{numbers}: they change with the solver's iteration, which a network alone does "
                "not know",
                fix="keep the p and q of the episode that you want, and no start",
            )
        require(starts in ([], [0]), f"the first episode starts at {starts}, wants 0")
        return cls(**cls.fields(layer, p=param.p[0], q=param.q[0]))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        check_bottoms(*bottoms)
        return [()]

    def forward(self, *bottoms: Tensor) -> Tensor:
        d, known = difference(bottoms)
        count = normalizer(known, d, by_entries=self.normalize_by_num_entries)
        inner = (magnitude(d) + self.p_epsilon).pow(self.p).sum(1)
        if self.l2_prescale_by_channels:
            inner = inner / d.shape[1]
        return (inner + self.q_epsilon).pow(self.q).sum() / count

    def onnx(self, op: Op, *bottoms: str) -> Values:
        d, known = emit_difference(op, bottoms)
        lifted = op.Add(op.Abs(d), op.scalar(self.p_epsilon))
        inner = op.Pow(lifted, op.scalar(self.p))
        if len(op.shape(bottoms[0])) > 1:
            kind = "ReduceMean" if self.l2_prescale_by_channels else "ReduceSum"
            inner = op.reduce(kind, inner, [1], keepdims=0)
        outer = op.Add(inner, op.scalar(self.q_epsilon))
        terms = op.Pow(outer, op.scalar(self.q))
        total = op.ReduceSum(terms, keepdims=0)
        by = self.normalize_by_num_entries
        return op.Div(total, emit_normalizer(op, known, bottoms[0], by_entries=by))
