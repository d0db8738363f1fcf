"""Correlation, from FlowNet2."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .cost_volume import MULTIPLY, SUBTRACT, CostVolume, check_settings, require_settings


class Correlation(Layer, type="Correlation", fork="flownet2", param="correlation_param", bottoms=2):
    """`top[q] = mean(a * shifted b)`: how well each patch of a fits b moved by up to a distance.

    a and b are N x C x H x W, both padded with `pad` zeros. With `g = max_displacement / stride_2`
    rounded down, channel `q` of the (2g + 1)^2 of the top moves b by `(q div (2g + 1) - g) *
    stride_2` rows and `(q mod (2g + 1) - g) * stride_2` columns; the mean is over the channels and
    over patches of `kernel_size` x `kernel_size`, every `stride_1` places. Of each side
    `max_displacement + (kernel_size - 1) / 2` places are left out. With `correlation_type`
    SUBTRACT it is the mean of `|a - b|`. `do_abs` has no effect, nor has `single_direction`.

    Errors: ShapeError for bottoms that differ, an even kernel, and where nothing would be left.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/correlation_layer.{cpp,cu}
    """

    def __init__(
        self,
        *,
        kernel_size: int,
        max_displacement: int,
        pad: int = 0,
        stride_1: int = 1,
        stride_2: int = 1,
        correlation_type: str = MULTIPLY,
    ) -> None:
        super().__init__()
        check_settings(kernel_size, stride_1, stride_2)
        assert correlation_type in (MULTIPLY, SUBTRACT)
        reach = max_displacement // stride_2
        steps = range(-reach * stride_2, (reach + 1) * stride_2, stride_2)
        self.volume = CostVolume(
            pad=(pad, pad),
            margin=(max_displacement, max_displacement),
            rows=steps,
            columns=steps,
            kernel=kernel_size,
            stride=stride_1,
            operation=correlation_type,
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Correlation:
        require_settings(layer.correlation_param)
        return cls(**cls.fields(layer))

    def shapes(self, a: Shape, b: Shape) -> list[Shape]:
        return [self.volume.shape(a, b)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.volume.compute(a, b)

    def onnx(self, op: Op, a: str, b: str) -> Values:
        return self.volume.emit(op, a, b)
