"""L1Loss, from FlowNet2."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .masked_loss import (
    check_bottoms,
    difference,
    emit_difference,
    emit_normalizer,
    magnitude,
    normalizer,
)


class L1Loss(Layer, type="L1Loss", fork="flownet2", param="l1_loss_param", bottoms=(1, 2)):
    """`top = sum |d| / N`, a scalar, for `d = a - b` or the lone bottom; NaN counts as 0.

    With `l2_per_location` it is the sum over all pixels of `sqrt(sum over c of d^2 + epsilon)`,
    where `l2_prescale_by_channels` divides the inner sum by C. Magnitudes below `plateau` count as
    0 (in a pixel: before epsilon is added). `normalize_by_num_entries` divides by the number of
    values that are not NaN, over C, instead of the number of images.

    The gradient of `|d|` is -1 at 0, but 0 for NaN and below the plateau. NVIDIA's L1Loss, which
    has no parameters, is the same for values that are not NaN.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/l1loss_layer.{cpp,cu}
    """

    is_loss = True

    def __init__(
        self,
        *,
        l2_per_location: bool = False,
        l2_prescale_by_channels: bool = False,
        normalize_by_num_entries: bool = False,
        epsilon: float = 1e-2,
        plateau: float = 0.0,
    ) -> None:
        super().__init__()
        self.l2_per_location = l2_per_location
        self.l2_prescale_by_channels = l2_prescale_by_channels
        self.normalize_by_num_entries = normalize_by_num_entries
        self.epsilon = float32(epsilon)
        self.plateau = float32(plateau)

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        check_bottoms(*bottoms)
        return [()]

    def forward(self, *bottoms: Tensor) -> Tensor:
        d, known = difference(bottoms)
        count = normalizer(known, d, by_entries=self.normalize_by_num_entries)
        if self.l2_per_location:
            square = d.square().sum(1)
            if self.l2_prescale_by_channels:
                square = square / d.shape[1]
            if self.plateau > 0:
                square = square.where(square >= float32(self.plateau * self.plateau), 0)
            return (square + self.epsilon).sqrt().sum() / count
        if self.plateau > 0:
            d = d.where(d.abs() >= self.plateau, 0)
        return magnitude(d).sum() / count

    def onnx(self, op: Op, *bottoms: str) -> Values:
        d, known = emit_difference(op, bottoms)
        if self.l2_per_location:
            terms = self._onnx_lengths(op, d, len(op.shape(bottoms[0])))
        else:
            terms = op.Abs(d)
            if self.plateau > 0:
                flat = op.Less(terms, op.scalar(self.plateau))
                terms = op.Where(flat, op.scalar(0), terms)
        total = op.ReduceSum(terms, keepdims=0)
        by = self.normalize_by_num_entries
        return op.Div(total, emit_normalizer(op, known, bottoms[0], by_entries=by))

    def _onnx_lengths(self, op: Op, d: str, rank: int) -> str:
        """Append the length of d in every pixel."""
        square = op.Mul(d, d)
        if rank > 1:
            kind = "ReduceMean" if self.l2_prescale_by_channels else "ReduceSum"
            square = op.reduce(kind, square, [1], keepdims=0)
        if self.plateau > 0:
            least = float32(self.plateau * self.plateau)
            flat = op.Less(square, op.scalar(least))
            square = op.Where(flat, op.scalar(0), square)
        return op.Sqrt(op.Add(square, op.scalar(self.epsilon)))
