"""DummyData."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require, require_values
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

LEGACY = ("num", "channels", "height", "width")


class DummyData(Layer, type="DummyData", param="dummy_data_param", bottoms=0, tops=(1, None)):
    """Each top is set by a filler: once by a constant one, anew in every forward by the others.

    `shape` holds one shape for each top, and `data_filler` one filler for all tops or one for each
    (none means 0). A top that is fed by name is not made. An exported model has the tops as inputs;
    as constants where all are constant and other layers bring the inputs.

    Caffe: BVLC/caffe, src/caffe/layers/dummy_data_layer.cpp
    """

    is_source = True
    own_values = True

    def __init__(self, *shape: Shape, data_filler: Sequence[Filler] = ()) -> None:
        super().__init__()
        tops, fillers = len(shape), tuple(data_filler) or (Filler(),)
        self.top_shapes = shape
        self.fillers = fillers * tops if len(fillers) == 1 else fillers
        if len(self.fillers) != tops:
            raise ShapeError(
                f"{len(fillers)} data fillers for {tops} tops, wants none, one, or one for each"
            )
        for top, filler in zip(shape, self.fillers, strict=True):
            require_values(top, "top")
            filler.require_known()  # no weights take its place
            filler.check(top)
        self.constant_tops = all(filler.type == "constant" for filler in self.fillers)
        # What the tops are made of follows the network's type and device.
        self.register_buffer("values", torch.zeros(tops), persistent=False)
        for value, filler in zip(self.values, self.fillers, strict=True):
            if filler.type == "constant":
                filler.fill(value)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DummyData:
        param, tops = layer.dummy_data_param, len(layer.top)
        if any(getattr(param, field) for field in LEGACY):
            require(not param.shape, "it has both shape and num, channels, ..., wants one of them")
            columns = [_for_each(field, getattr(param, field), tops) for field in LEGACY]
            shapes: list[Shape] = list(zip(*columns, strict=True))
        else:
            shapes = _for_each("shape", [tuple(shape.dim) for shape in param.shape], tops)
        return cls(*shapes, **cls.fields(layer))

    def shapes(self) -> list[Shape]:
        return list(self.top_shapes)

    def forward(self) -> tuple[Tensor, ...]:
        return tuple(map(self._made, self.values, self.top_shapes, self.fillers))

    def _made(self, value: Tensor, shape: Shape, filler: Filler) -> Tensor:
        top = value.expand(shape).clone(memory_format=torch.contiguous_format)
        if filler.type != "constant":
            filler.fill(top)
        return top

    def onnx(self, op: Op) -> Values:
        assert self.constant_tops, "random tops are inputs of an exported model"
        return [
            op.Expand(op.scalar(float(value)), op.ints(*shape))
            for shape, value in zip(self.top_shapes, self.values, strict=True)
        ]


def _for_each(name: str, given: Sequence[Any], tops: int) -> list[Any]:
    if len(given) not in (1, tops):
        raise ShapeError(f"{len(given)} of {name!r} for {tops} tops, wants one, or one for each")
    return list(given) if len(given) == tops else list(given) * tops
