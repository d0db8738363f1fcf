"""Pooling with holes, of greentea."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MAX
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.binary.blob import MAX_COUNT
from prototxt.errors import ShapeError, UnsupportedError
from prototxt.schema import dialect_of

FIELDS = ("kernel_size", "stride", "pad", "dilation")
POOLS = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


class DilatedPooling(Layer, type="Pooling", fork="greentea", param="pooling_param"):
    """The largest value that each window sees, `dilation` values apart, along any 1 to 3 axes.

    N x C x H x ... becomes N x C x H' x ..., `H' = ceil((H + 2 pad - extent) / stride) + 1` with
    `extent = (kernel - 1) dilation + 1`; along an axis with padding a last window that would start
    beyond H + pad is dropped. Each field is given once or once an axis.

    Errors: ShapeError for windows that do not fit; UnsupportedError for AVE and STOCHASTIC, and for
    another channel axis than 1.
    Caffe: naibaf7/caffe, src/caffe/layers/pooling_layer.cpp
    """

    family = "pooling"

    def __init__(
        self,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
        dilation: Sequence[int],
    ) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel_size), tuple(stride)
        self.pad, self.dilation = tuple(pad), tuple(dilation)
        for name, sizes in zip(FIELDS, (kernel_size, stride, dilation), strict=False):
            require(all(size > 0 for size in sizes), f"{name} {tuple(sizes)} wants 1 or more")
        self.extent = tuple(
            (k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)
        )
        # So much at the end, and rounding down is Caffe's way, whatever the size.
        self.ends = tuple(
            min(pad + stride - 1, extent - 1) if pad else stride - 1
            for pad, stride, extent in zip(self.pad, self.stride, self.extent, strict=True)
        )

    @classmethod
    def fits(cls, layer: Any, blobs: Any) -> bool:
        """Tell whether the layer has a field of greentea's, of which it was read."""
        return dialect_of(layer) == cls.fork

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DilatedPooling:
        param, axes = layer.pooling_param, len(bottoms[0]) - 2
        if param.pool != param.MAX or len(layer.top) > 1:
            raise UnsupportedError("greentea's pooling is known here as MAX with one top alone")
        if param.axis != 1 or not 1 <= axes <= len(POOLS):
            raise UnsupportedError(f"axis {param.axis} of {bottoms[0]}, wants 1 and 1 to 3 beyond")
        if param.global_pooling:
            return cls(bottoms[0][2:], *((size,) * axes for size in (1, 0, 1)))
        sizes = [
            _each(param, name, axes, default)
            for name, default in zip(FIELDS, (None, 1, 0, 1), strict=True)
        ]
        return cls(*sizes)

    def shapes(self, x: Shape) -> list[Shape]:
        padded = [sum(sizes) for sizes in zip(x[2:], self.pad, self.ends, strict=True)]
        if max(padded) > MAX_COUNT:  # its fields are of 64 bits
            raise ShapeError(f"with pad and stride {x} would be {padded}, more than a blob holds")
        axes = zip(padded, self.extent, self.stride, strict=True)
        sizes = [(size - extent) // stride + 1 for size, extent, stride in axes]
        if min(sizes) <= 0:
            raise ShapeError(f"the top would be {(*x[:2], *sizes)}: {self.extent} does not fit {x}")
        return [(*x[:2], *sizes)]

    def forward(self, x: Tensor) -> Tensor:
        x = x.where(x > -FLT_MAX, -FLT_MAX)  # a NaN never wins
        pairs = zip(reversed(self.pad), reversed(self.ends), strict=True)
        x = F.pad(x, tuple(chain.from_iterable(pairs)), value=-FLT_MAX)
        pool = POOLS[len(self.kernel) - 1]
        top: Tensor = pool(x, self.kernel, self.stride, 0, self.dilation)
        return top

    def onnx(self, op: Op, x: str) -> Values:
        pads = op.ints(0, 0, *self.pad, 0, 0, *self.ends)
        wide = op.Pad(x, pads, op.const(np.array(-FLT_MAX, op.float_type)))
        return op.MaxPool(
            wide,
            kernel_shape=list(self.kernel),
            strides=list(self.stride),
            dilations=list(self.dilation),
        )


def _each(param: Any, name: str, axes: int, default: int | None) -> tuple[int, ...]:
    """Return a field's sizes, one for each axis; those of BVLC's `kernel_h` and `kernel_w` too."""
    stem = name.removesuffix("_size")
    pair = (f"{stem}_h", f"{stem}_w")
    fields = param.DESCRIPTOR.fields_by_name
    if all(field in fields and param.HasField(field) for field in pair):
        return tuple(getattr(param, field) for field in pair)
    given = tuple(getattr(param, name)) or ((default,) if default is not None else ())
    if len(given) not in (1, axes):
        raise ShapeError(f"{len(given)} {name} for {axes} axes, wants one, or one for each")
    return tuple(int(size) for size in given) * (1 if len(given) == axes else axes)
