"""Unpooling, from DeconvNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.arithmetic.placing import emit_placed, last_placed
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

FIELDS = {"kernel_size": "kernel", "stride": "stride", "pad": "pad", "unpool_size": "unpool"}


class Unpooling(Layer, type="Unpooling", fork="deconvnet", param="unpooling_param", bottoms=(1, 2)):
    """Each value of N x C x H x W at the place that a mask, of the same shape, names; else 0.

    The mask is MAX pooling's second top: `h * W' + w` in a plane of the top. Without a mask the
    value of row i and column j goes to row `i * stride` and column `j * stride`, or to the last
    ones. The top is `unpool_size` high and wide (or `unpool_h` and `unpool_w`), else
    `max((H - 1) stride + kernel, H stride + 1)` high, alike its width. Of several values for one
    place the last, row by row, stays; each gets that place's gradient. Caffe keeps the first size
    that it has computed; here it follows the bottom's.

    Errors: ShapeError for a mask of another shape, a place beyond the top, a pad, and fields given
    in part; UnsupportedError for `unpool` AVE and TILE, which add to what the top's memory held.
    Caffe: HyeonwooNoh/caffe, src/caffe/layers/unpooling_layer.{cpp,cu}
    """

    fixed_bottoms = (1,)

    def __init__(
        self,
        kernel: Shape,
        *,
        stride: Shape,
        unpool_size: Shape | None = None,
        unpool: str = "MAX",
    ) -> None:
        super().__init__()
        if unpool != "MAX":
            raise UnsupportedError(
                f"unpool {unpool} adds to what the top's memory held, which Caffe does not clear "
                "on a CPU"
            )
        require(min(kernel) > 0, f"the kernel is {kernel}, wants 1 or more")
        self.kernel, self.stride, self.unpool_size = kernel, stride, unpool_size

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Unpooling:
        param = layer.unpooling_param
        kernel, stride, pad, size = (_pair(param, *names) for names in FIELDS.items())
        require(kernel is not None, "wants kernel_size, or kernel_h and kernel_w")
        require(not any(pad or ()), f"pad {pad}, wants 0")
        sizes = {"kernel": kernel, "stride": stride or (1, 1), "unpool_size": size}
        return cls(**cls.fields(layer, **sizes))

    def shapes(self, x: Shape, *mask: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4")
        require(mask in ((), (x,)), f"bottom {x} and its mask {mask} differ")
        return [(*x[:2], *self._sizes(x[2:]))]

    def _sizes(self, spatial: Sequence[int]) -> Shape:
        if self.unpool_size is not None:
            return self.unpool_size
        return tuple(
            max((size - 1) * stride + kernel, size * stride + 1)
            for size, stride, kernel in zip(spatial, self.stride, self.kernel, strict=True)
        )

    def _places(self, spatial: Sequence[int]) -> np.ndarray:
        """Return the places that values have without a mask, row by row."""
        height, width = self._sizes(spatial)
        rows, columns = (
            np.minimum(np.arange(size) * stride, most - 1)
            for size, stride, most in zip(spatial, self.stride, (height, width), strict=True)
        )
        return (rows[:, None] * width + columns).flatten()

    def forward(self, x: Tensor, *mask: Tensor) -> Tensor:
        spatial = x.shape[2:]
        height, width = self._sizes(spatial)
        values = x.flatten(2)
        if mask:
            index = mask[0].detach().flatten(2).long()
            check_indices(index, height * width, "mask's places")
        else:
            index = torch.from_numpy(self._places(spatial)).to(x.device).expand(values.shape)
        top = last_placed(values, index, height * width)
        if values.requires_grad and torch.is_grad_enabled():
            top = gradient_of(top, torch.zeros_like(top).scatter(2, index, values))
        return top.reshape(*x.shape[:2], height, width)

    def onnx(self, op: Op, x: str, *mask: str) -> Values:
        spatial = op.shape(x)[2:]
        if any(op.dynamic(x)[2:]) and (self.unpool_size is None or not mask):
            raise UnsupportedError(
                "the places depend on height and width, which cannot be free",
                fix="export with a free batch alone",
            )
        values = op.Reshape(x, op.ints(0, 0, -1))
        lead = op.Slice(op.Shape(x), op.ints(0), op.ints(2))
        if mask:
            index = op.Reshape(op.to_int(mask[0]), op.ints(0, 0, -1))
        else:
            places = op.const(self._places(spatial).astype(np.int64)[None, None])
            index = op.Expand(places, op.Shape(values))
        return emit_placed(op, values, index, lead, op.ints(*self._sizes(spatial)))


def _pair(param: Any, both: str, each: str) -> Shape | None:
    """Return height and width, given by one field or by two; None where neither is set."""
    high, wide = f"{each}_h", f"{each}_w"
    pair = [param.HasField(name) for name in (high, wide)]
    one = param.HasField(both)
    require(all(pair) or not any(pair), f"{high} and {wide}: only one of them is set")
    require(not (one and any(pair)), f"{both}, and {high} and {wide}: wants one of the two")
    if any(pair):
        return getattr(param, high), getattr(param, wide)
    return (getattr(param, both),) * 2 if one else None
