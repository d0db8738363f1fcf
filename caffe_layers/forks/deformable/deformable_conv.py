"""DeformableConvolution, from deformable convolutional networks."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.window import Sizes, make_window, read_window
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class DeformableConvolution(
    Layer,
    type="DeformableConvolution",
    fork="deformable",
    param="deformable_convolution_param",
    bottoms=2,
):
    """A convolution whose window reads each value at an offset of its own, between pixels bilinear.

    The bottoms are x, N x C x H x W, and the offsets, N x 2 D K x H' x W', for the K places of the
    kernel, row by row, in each of D = `deformable_group` groups of channels: down, then right. The
    top is N x O x H' x W' as Convolution's. Where the place is not `0 <= y < H`, `0 <= x < W` the
    value is 0; beyond the last row and column the last counts.
    Blobs: weight O x C/group x kernel, bias O.

    In ONNX it is DeformConv since opset 19: its values beyond the last pixel fade, so x gets one
    row and one column more, and a mask leaves out what is outside.

    Errors: those of Convolution; ShapeError for offsets of another shape.
    Caffe: unsky/Deformable-ConvNets-caffe, caffe/src/caffe/util/deformable_im2col.cu
    """

    family = "convolution"

    def __init__(
        self,
        channels: int,
        *,
        num_output: int,
        kernel_size: Sizes,
        bias_term: bool = True,
        pad: Sizes = 0,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        group: int = 1,
        deformable_group: int = 4,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        self.channels, self.num_output, self.group = channels, num_output, group
        self.deformable_group = deformable_group
        self.window = make_window(kernel_size, stride, pad, dilation)
        require(num_output > 0, f"num_output {num_output} wants 1 or more")
        for name, number, parts in (
            ("channels", channels, group),
            ("num_output", num_output, group),
            ("channels", channels, deformable_group),
        ):
            if parts <= 0 or number % parts != 0:
                raise ShapeError(f"{number} {name} cannot be split into {parts} groups")
        self.add_blob("weight", (num_output, channels // group, *self.window.kernel), weight_filler)
        if bias_term:
            self.add_blob("bias", (num_output,), bias_filler)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DeformableConvolution:
        x = bottoms[0]
        axis, window = read_window(layer.deformable_convolution_param, x)
        require(axis == 1 and len(x) == 4, f"bottom {x} with axis {axis}, wants N x C x H x W")
        return cls(x[1], **cls.fields(layer, **window))

    @property
    def details(self) -> list[str]:
        return self.window.details(self.group)

    def shapes(self, x: Shape, offset: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        require(x[1] == self.channels, f"bottom {x} has {x[1]} channels, wants {self.channels}")
        places = self.window.convolved(x[2:])
        top = (x[0], self.num_output, *places)
        require(min(top) > 0, f"the top would be {top}: kernel {self.window.kernel} in {x}")
        want = (x[0], 2 * self.deformable_group * prod(self.window.kernel), *places)
        require(offset == want, f"the offsets are {offset}, wants {want}")
        return [top]

    def _taps(self) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
        """Return where each place of the kernel lies before any stride, for every group."""
        grid = np.indices(self.window.kernel).reshape(2, -1)
        return tuple(
            np.tile(steps * dilation - pad, self.deformable_group).reshape(-1, 1, 1).astype(float)
            for steps, dilation, pad in zip(
                grid, self.window.dilation, self.window.pad, strict=True
            )
        )

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        n, _, *size = x.shape
        height, width = offset.shape[2:]
        groups, taps = self.deformable_group, prod(self.window.kernel)
        inside = torch.ones_like(offset[:, 0::2], dtype=torch.bool)
        lows, highs, parts = [], [], []
        for axis, (tap, stride) in enumerate(zip(self._taps(), self.window.stride, strict=True)):
            steps = torch.arange(offset.shape[2 + axis], dtype=x.dtype, device=x.device) * stride
            base = steps[:, None] if axis == 0 else steps
            at = offset[:, axis::2] + (torch.as_tensor(tap, dtype=x.dtype, device=x.device) + base)
            within = (at >= 0) & (at < size[axis])
            inside = inside & within
            at = at.where(within, 0).clamp(max=size[axis] - 1)
            low = at.detach().long()
            lows.append(low)
            highs.append((low + 1).clamp(max=size[axis] - 1))
            parts.append((at - low).reshape(n, groups, 1, -1))
        flat = x.reshape(n, groups, -1, size[0] * size[1])

        def read(rows: Tensor, columns: Tensor) -> Tensor:
            at = (rows * size[1] + columns).reshape(n, groups, 1, -1)
            return flat.gather(3, at.expand(-1, -1, flat.shape[2], -1))

        down, right = parts
        upper = (1 - right) * read(lows[0], lows[1]) + right * read(lows[0], highs[1])
        lower = (1 - right) * read(highs[0], lows[1]) + right * read(highs[0], highs[1])
        seen = ((1 - down) * upper + down * lower).where(inside.reshape(n, groups, 1, -1), 0)
        seen = seen.reshape(n, self.group, self.channels // self.group * taps, height * width)
        weight: Tensor = self.weight.reshape(self.group, self.num_output // self.group, -1)
        top = (weight @ seen).reshape(n, self.num_output, height, width)
        return top + self.bias.reshape(-1, 1, 1) if "bias" in self.blob_names else top

    def onnx(self, op: Op, x: str, offset: str) -> Values:
        sizes = op.Shape(x)
        places = op.Shape(offset)
        axes = [self._onnx_axis(op, axis, offset, sizes, places) for axis in (0, 1)]
        inside = op.And(axes[0][1], axes[1][1])
        if op.opset >= 19 and min(self.window.pad) > 0:
            return self._onnx_native(op, x, offset, inside)
        return self._onnx_gathered(op, x, inside, axes, places)

    def _onnx_axis(
        self, op: Op, axis: int, offset: str, sizes: str, places: str
    ) -> tuple[str, str, str]:
        """Append where windows read along one axis, whether that is inside, and the axis' size."""
        name = "yx"[axis]
        count = op.Gather(places, op.const(np.array(2 + axis)), axis=0)
        steps = op.Range(op.const(np.array(0)), count, op.const(np.array(1)))
        steps = op.to_float(steps)
        steps = op.Mul(steps, op.scalar(self.window.stride[axis]))
        if axis == 0:
            steps = op.Unsqueeze(steps, op.ints(1))
        base = op.Add(op.array(f"{name}_taps", self._taps()[axis]), steps)
        ends, every = op.ints(np.iinfo(np.int64).max), op.ints(2)
        moved = op.Slice(offset, op.ints(axis), ends, op.ints(1), every)
        at = op.Add(moved, base)
        size = op.Gather(sizes, op.const(np.array(2 + axis)), axis=0)
        low = op.GreaterOrEqual(at, op.scalar(0))
        high = op.Less(at, op.to_float(size))
        return at, op.And(low, high), size

    def _onnx_native(self, op: Op, x: str, offset: str, inside: str) -> str:
        bias = op.weight(self, "bias") if "bias" in self.blob_names else ""
        more = op.ints(0, 0, 0, 0, 0, 0, 1, 1)
        return op.DeformConv(
            op.Pad(x, more, mode="edge"),
            op.weight(self, "weight"),
            offset,
            bias,
            op.to_float(inside),
            strides=self.window.stride,
            dilations=self.window.dilation,
            pads=[*self.window.pad, *(pad - 1 for pad in self.window.pad)],
            group=self.group,
            offset_group=self.deformable_group,
        )

    def _onnx_gathered(
        self, op: Op, x: str, inside: str, axes: list[tuple[str, str, str]], places: str
    ) -> str:
        groups, one = self.deformable_group, op.const(np.array(1))
        line = op.ints(0, groups, 1, -1)
        lows, highs, parts = [], [], []
        for at, _, size in axes:
            last = op.Sub(size, one)
            kept = op.Where(inside, at, op.scalar(0))
            kept = op.Min(kept, op.to_float(last))
            low = op.to_int(kept)
            lows.append(low)
            highs.append(op.Min(op.Add(low, one), last))
            part = op.Sub(kept, op.to_float(low))
            parts.append(op.Reshape(part, line))
        share = self.channels // groups
        flat = op.Reshape(x, op.ints(0, groups, share, -1))

        def read(rows: str, columns: str, name: str) -> str:
            at = op.Add(op.Mul(rows, axes[1][2]), columns)
            at = op.Reshape(at, line)
            at = op.Expand(at, op.ints(1, 1, share, 1))
            return str(op.GatherElements(flat, at, axis=3))

        def mix(a: str, b: str, part: str, name: str) -> str:
            change = op.Mul(part, op.Sub(b, a))
            return str(op.Add(a, change))

        (top, left), (bottom, right), (down, across) = lows, highs, parts
        pairs = ((top, left), (top, right), (bottom, left), (bottom, right))
        corners = [read(*pair, f"corner{index}") for index, pair in enumerate(pairs)]
        upper = mix(corners[0], corners[1], across, "upper")
        lower = mix(corners[2], corners[3], across, "lower")
        mask = op.Reshape(inside, line)
        seen = op.Where(mask, mix(upper, lower, down, "mixed"), op.scalar(0))
        taps = self.channels // self.group * prod(self.window.kernel)
        columns = op.Reshape(seen, op.ints(0, self.group, taps, -1))
        share = self.num_output // self.group
        weight = op.weight(self, "weight", shape=(self.group, share, taps))
        product = op.MatMul(weight, columns)
        if "bias" in self.blob_names:
            bias = op.weight(self, "bias", shape=(self.group, share, 1))
            product = op.Add(product, bias)
        images, spatial = (
            op.Slice(places, op.ints(at), op.ints(to)) for at, to in ((0, 1), (2, 4))
        )
        shape = op.Concat(images, op.ints(self.num_output), spatial, axis=0)
        return op.Reshape(product, shape)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * int(prod(self.weight.shape[1:]))
