"""Correlation1D, from FlowNet2."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .cost_volume import MULTIPLY, SUBTRACT, CostVolume, check_settings, require_settings


class Correlation1D(
    Layer, type="Correlation1D", fork="flownet2", param="correlation_param", bottoms=2
):
    """Correlation with shifts along the rows alone, for stereo pairs.

    Only the width is padded, and loses `max_displacement` places a side; the height loses those of
    the kernel. With `g = max_displacement / stride_2` rounded down the top has a channel for each
    of -g ... g steps of `stride_2` columns; with `single_direction` 1 for 0 ... g; with -1 for
    -(g + 1) ... -1, where Caffe starts one step too far to the left.

    Errors: those of Correlation; ShapeError for another direction; UnsupportedError where that
    step would read the end of the row above.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/correlation_layer1d.{cpp,cu}
    """

    def __init__(
        self,
        *,
        kernel_size: int,
        max_displacement: int,
        pad: int = 0,
        stride_1: int = 1,
        stride_2: int = 1,
        single_direction: int = 0,
        correlation_type: str = MULTIPLY,
    ) -> None:
        super().__init__()
        check_settings(kernel_size, stride_1, stride_2)
        assert correlation_type in (MULTIPLY, SUBTRACT)
        if single_direction not in (-1, 0, 1):
            raise ShapeError(f"single_direction is {single_direction}, wants -1, 0 or 1")
        reach = max_displacement // stride_2
        first, end = {-1: (-reach - 1, 0), 0: (-reach, reach + 1), 1: (0, reach + 1)}[
            single_direction
        ]
        columns = range(first * stride_2, end * stride_2, stride_2)
        if (beyond := -columns[0] - max_displacement) > pad:
            raise UnsupportedError(
                f"single_direction -1 reads {beyond} columns before the row, which are the end of "
                f"the row above: pad is {pad}",
                fix=f"pad wants to be {beyond} or more",
            )
        self.volume = CostVolume(
            pad=(0, pad),
            margin=(0, max_displacement),
            rows=range(1),
            columns=columns,
            kernel=kernel_size,
            stride=stride_1,
            operation=correlation_type,
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Correlation1D:
        require_settings(layer.correlation_param)
        return cls(**cls.fields(layer))

    def shapes(self, a: Shape, b: Shape) -> list[Shape]:
        return [self.volume.shape(a, b)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.volume.compute(a, b)

    def onnx(self, op: Op, a: str, b: str) -> Values:
        return self.volume.emit(op, a, b)
