"""FlowTransformer, of Hidden Two-Stream networks."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bilinear import Bilinear, emit_moved, emit_sample, moved, of_equal_sizes, sample


class FlowTransformer(Bilinear, type="FlowTransformer", fork="hidden_two_stream", bottoms=2):
    """`top[y, x] = image[y + v, x + u]` for a flow (u, v) a pixel.

    A pixel beyond the image counts as 0, also beside one that is in it: there it fades, where
    PWC-Net's Warp ends.

    Errors: ShapeError unless the flow has two values for each pixel.
    Caffe: bryanyzhu/Hidden-Two-Stream, src/caffe/layers/flow_transformer_layer.cu
    """

    def shapes(self, image: Shape, places: Shape) -> list[Shape]:
        tops = super().shapes(image, places)
        of_equal_sizes(image, places)
        return tops

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        return sample(image, *moved(flow))

    def onnx(self, op: Op, image: str, flow: str) -> Values:
        return emit_sample(op, image, *emit_moved(op, flow))
