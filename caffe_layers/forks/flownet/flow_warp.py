"""FlowWarp, from FlowNet2."""

from __future__ import annotations

from math import nan

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

FILL = {"ZERO": 0.0, "NOT_A_NUMBER": nan}


class FlowWarp(Layer, type="FlowWarp", fork="flownet2", param="flow_warp_param", bottoms=2):
    """`top[y, x] = image[y + v, x + u]`, between pixels bilinear, for a flow (u, v) a pixel.

    The image is N x C x H x W, the flow N x 2 x H x W. Where `0 <= x + u < W` and
    `0 <= y + v < H` do not both hold the value is `fill_value`: ZERO or NOT_A_NUMBER. Beyond the
    last row and column the last counts.

    The ONNX form gathers, where GridSample would do but for its coordinates between -1 and 1, which
    lose a ten-thousandth of a pixel in an image of a thousand.

    Errors: ShapeError unless the shapes are those.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/flow_warp_layer.{cpp,cu}
    """

    def __init__(self, *, fill_value: str = "ZERO") -> None:
        super().__init__()
        self.fill = FILL[fill_value]

    def shapes(self, image: Shape, flow: Shape) -> list[Shape]:
        require(len(image) == 4, f"the image is {image}, wants N x C x H x W")
        want = (image[0], 2, *image[2:])
        require(flow == want, f"the flow is {flow}, wants {want} for the image {image}")
        return [image]

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        height, width = image.shape[2:]
        columns = torch.arange(width, dtype=image.dtype, device=image.device)
        rows = torch.arange(height, dtype=image.dtype, device=image.device)
        x, y = flow[:, 0] + columns, flow[:, 1] + rows[:, None]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        x, y = x.where(inside, 0), y.where(inside, 0)
        left, top = x.detach().long(), y.detach().long()
        right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
        across, down = (x - left).unsqueeze(1), (y - top).unsqueeze(1)
        flat = image.flatten(2)

        def read(row: Tensor, column: Tensor) -> Tensor:
            at = (row * width + column).flatten(1).unsqueeze(1).expand(-1, flat.shape[1], -1)
            return flat.gather(2, at).view_as(image)

        upper = (1 - across) * read(top, left) + across * read(top, right)
        lower = (1 - across) * read(bottom, left) + across * read(bottom, right)
        warped = (1 - down) * upper + down * lower
        return warped.where(inside.unsqueeze(1), self.fill)

    def onnx(self, op: Op, image: str, flow: str) -> Values:
        size = op.Shape(image)
        one, zero = op.const(np.array(1)), op.scalar(0)

        def along(channel: int, axis: int, name: str) -> tuple[str, str, str, str]:
            """Return places inside as floats, both neighbours as int64, and what is inside."""
            count = op.Squeeze(op.Gather(size, op.ints(axis)))
            grid = op.Range(op.const(np.array(0)), count, one)
            grid = op.to_float(grid)
            if axis == 2:
                grid = op.Unsqueeze(grid, op.ints(1))
            part = op.Gather(flow, op.ints(channel), axis=1)
            at = op.Add(part, grid)
            low = op.GreaterOrEqual(at, zero)
            high = op.Less(at, op.to_float(count))
            return at, count, op.And(low, high), name

        x, y = along(0, 3, "x"), along(1, 2, "y")
        inside = op.And(x[2], y[2])

        def neighbours(at: str, count: str, name: str) -> tuple[str, str, str]:
            kept = op.Where(inside, at, zero)
            first = op.to_int(kept)
            last = op.Sub(count, one)
            second = op.Min(op.Add(first, one), last)
            part = op.Sub(kept, op.to_float(first))
            return first, second, part

        left, right, across = neighbours(x[0], x[1], "x")
        top, bottom, down = neighbours(y[0], y[1], "y")
        flat = op.Reshape(image, op.ints(0, 0, -1))
        flat_shape = op.Shape(flat)

        def read(row: str, column: str, name: str) -> str:
            at = op.Mul(row, x[1])
            at = op.Add(at, column)
            at = op.Reshape(at, op.ints(0, 1, -1))
            at = op.Expand(at, flat_shape)
            got = op.GatherElements(flat, at, axis=2)
            return str(op.Reshape(got, size))

        def mix(a: str, b: str, part: str, name: str) -> str:
            change = op.Mul(part, op.Sub(b, a))
            return str(op.Add(a, change))

        upper = mix(read(top, left, "top_left"), read(top, right, "top_right"), across, "upper")
        lower = mix(
            read(bottom, left, "bottom_left"), read(bottom, right, "bottom_right"), across, "lower"
        )
        return op.Where(inside, mix(upper, lower, down, "warped"), op.scalar(self.fill))
