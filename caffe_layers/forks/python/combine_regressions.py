"""DenseReg's `CombineRegressionsLayer`: from bins and the residuals of each to coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import register_python


class Combined(Layer, bottoms=4, tops=2):
    """Base: for bins h and v, 1 x 1 x H x W, and residuals 1 x D x H x W of each, both directions.

    A place in bin j > 0 has the residual of channel j there, one in bin 0 or in none has 0.

    Errors: ShapeError for several images, whose published code fails, and for maps that differ.
    """

    fixed_bottoms = (0, 1)

    def shapes(self, h: Shape, v: Shape, h_residuals: Shape, v_residuals: Shape) -> list[Shape]:
        require(
            len(h) == 4 and h[:2] == (1, 1) and v == h, f"bins {h} and {v}, wants 1 x 1 x H x W"
        )
        for residuals in (h_residuals, v_residuals):
            fits = len(residuals) == 4 and residuals[0] == 1 and residuals[2:] == h[2:]
            require(fits, f"residuals {residuals}, wants 1 x D x {h[2]} x {h[3]}")
        require(h_residuals == v_residuals, f"residuals {h_residuals} and {v_residuals} differ")
        return [h, h]

    def forward(self, h: Tensor, v: Tensor, *residuals: Tensor) -> tuple[Tensor, ...]:
        tops = []
        for bins, each in zip((h, v), residuals, strict=True):
            numbers = torch.arange(1, each.shape[1]).to(bins)[:, None, None]
            chosen = (each[:, 1:] * (bins == numbers)).sum(1, keepdim=True)
            tops.append(self.finished(bins.detach(), chosen, each.shape[1]))
        return tuple(tops)

    def onnx(self, op: Op, h: str, v: str, *residuals: str) -> Values:
        tops = []
        for bins, each in zip((h, v), residuals, strict=True):
            count = op.shape(each)[1]
            numbers = op.floats(range(1, count))
            numbers = op.Unsqueeze(numbers, op.ints(1, 2))
            here = op.to_float(op.Equal(bins, numbers))
            behind = op.Slice(each, op.ints(1), op.ints(count), op.ints(1))
            chosen = op.reduce("ReduceSum", op.Mul(behind, here), [1], keepdims=1)
            tops.append(self.onnx_finished(op, bins, chosen, count))
        return tops

    def finished(self, bins: Tensor, residual: Tensor, count: int) -> Tensor:
        """Return a top of the bins and of the residual in each."""
        raise NotImplementedError

    def onnx_finished(self, op: Op, bins: str, residual: str, count: int) -> str:
        """Append what `finished` does."""
        raise NotImplementedError


@register_python("CombineRegressions", "CombineRegressionsLayer")
class FaceRegressions(Combined, bottoms=4, tops=2):
    """`Combined` for faces: `top = (bin + residual - 1) / (D - 1)`, or -1 where that is below 0.

    Caffe: ralpguler/DenseReg, CombineRegressions.py
    """

    def finished(self, bins: Tensor, residual: Tensor, count: int) -> Tensor:
        place = (bins + residual - 1) / (count - 1)
        return torch.where(place < 0, -1, place)

    def onnx_finished(self, op: Op, bins: str, residual: str, count: int) -> str:
        place = op.Sub(op.Add(bins, residual), op.scalar(1))
        place = op.Div(place, op.scalar(count - 1))
        return op.Where(op.Less(place, op.scalar(0)), op.scalar(-1), place)


@register_python("CombineRegressionsHuman", "CombineRegressionsLayer")
class HumanRegressions(Combined, bottoms=4, tops=2):
    """`Combined` for bodies: `top = min(max(residual, 0), 1)`.

    Caffe: ralpguler/DenseReg, CombineRegressionsHuman.py
    """

    def finished(self, bins: Tensor, residual: Tensor, count: int) -> Tensor:
        return residual.clamp(0, 1)

    def onnx_finished(self, op: Op, bins: str, residual: str, count: int) -> str:
        return op.Min(op.Max(residual, op.scalar(0)), op.scalar(1))
