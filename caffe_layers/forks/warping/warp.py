"""Warp, of PWC-Net."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bilinear import Bilinear, emit_moved, emit_sample, moved, of_equal_sizes, sample


class Warp(Bilinear, type="Warp", fork="flownet2", bottoms=2):
    """`top[y, x] = image[y + v, x + u]` for a flow (u, v) a pixel; 0 where that is no place of it.

    The places are those from the first pixel's centre to the last one's. PWC-Net adds the layer to
    FlowNet2's Caffe. LiteFlowNet's Warp is given the coordinates themselves.

    Errors: ShapeError unless the flow has two values for each pixel.
    Caffe: NVlabs/PWC-Net, Caffe/warping_code/warp_layer.cu
    """

    def shapes(self, image: Shape, places: Shape) -> list[Shape]:
        tops = super().shapes(image, places)
        of_equal_sizes(image, places)
        return tops

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        height, width = image.shape[2:]
        x, y = moved(flow)
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        x, y = x.where(inside, 0), y.where(inside, 0)
        return sample(image, x, y) * inside.unsqueeze(1).to(image)

    def onnx(self, op: Op, image: str, flow: str) -> Values:
        x, y = emit_moved(op, flow)
        zero, sizes = op.scalar(0), op.Shape(image)
        inside = ""
        for at, axis in ((x, 3), (y, 2)):
            last = op.to_float(
                op.Sub(op.Slice(sizes, op.ints(axis), op.ints(axis + 1)), op.ints(1))
            )
            fits = op.And(op.GreaterOrEqual(at, zero), op.LessOrEqual(at, last))
            inside = op.And(inside, fits) if inside else fits
        x, y = (op.Where(inside, at, zero) for at in (x, y))
        return op.Mul(emit_sample(op, image, x, y), op.to_float(inside))
