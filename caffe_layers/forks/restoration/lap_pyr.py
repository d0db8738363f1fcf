"""LapPyr, of RealSR: a Laplacian pyramid of three levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
DOWN, UP = BINOMIAL / 256, BINOMIAL / 64


class LapPyr(
    Layer,
    type="LapPyr",
    fork="realsr",
    param="laplacianpyramid_param",
    bottoms=(1, 3),
    tops=(1, 3),
):
    """The Laplacian pyramid of N x C x H x W, or with `is_down` false an image from its levels.

    `down` is every second pixel, from the first on, of a 5 x 5 binomial filter (weights
    `(1 4 6 4 1)^2 / 256`, 0 outside); `up` that filter, times 4, over the pixels with a 0 before
    each. From x come `x - up(down(x))`, `down(x) - up(down(down(x)))` and `down(down(x))`, the
    finest first; and back, `finest + up(middle + up(coarsest))`.

    Errors: ShapeError for other numbers of bottoms and tops, for levels that do not halve, and for
    sizes that are no multiples of 4, of which Caffe's layer reads pixels of other rows.
    Caffe: csjcai/RealSR at f8c724a, Layer/Laplacian Pyramid/LapPyr_Layer.cpp; it has no backward
    """

    def __init__(self, *, is_down: bool = True) -> None:
        super().__init__()
        self.is_down = is_down

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LapPyr:
        made = cls(**cls.fields(layer))
        want = (1, 3) if made.is_down else (3, 1)
        got = (len(layer.bottom), len(layer.top))
        says = "{} bottoms and {} tops"
        require(got == want, f"{says.format(*got)}, wants {says.format(*want)}")
        return made

    def shapes(self, *levels: Shape) -> list[Shape]:
        x = levels[0]
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        n, c, h, w = x
        require(h % 4 == w % 4 == 0, f"bottom {x} wants sizes that 4 divides")
        every: list[Shape] = [(n, c, h // s, w // s) for s in (1, 2, 4)]
        if self.is_down:
            return every
        require(list(levels) == every, f"the levels are {levels}, want {every}")
        return [x]

    def forward(self, *levels: Tensor) -> Tensor | Sequence[Tensor]:
        x = levels[0]
        if not self.is_down:
            return x + _up(levels[1] + _up(levels[2]))
        half = _down(x)
        quarter = _down(half)
        return x - _up(half), half - _up(quarter), quarter

    def onnx(self, op: Op, *levels: str) -> Values:
        c = op.shape(levels[0])[1]
        weights = [op.array(name, np.tile(kernel, (c, 1, 1, 1)))
                   for name, kernel in (("down", DOWN), ("up", UP))]  # fmt: skip
        window: dict[str, Any] = {"kernel_shape": [5, 5], "strides": [2, 2], "group": c}
        window["pads"] = [2, 2, 2, 2]

        def up(value: str) -> str:
            return op.ConvTranspose(value, weights[1], **window, output_padding=[1, 1])

        if not self.is_down:
            return op.Add(levels[0], up(op.Add(levels[1], up(levels[2]))))
        half = op.Conv(levels[0], weights[0], **window)
        quarter = op.Conv(half, weights[0], **window)
        return op.Sub(levels[0], up(half)), op.Sub(half, up(quarter)), quarter


def _kernel(x: Tensor, values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).to(x).expand(x.shape[1], 1, 5, 5)


def _down(x: Tensor) -> Tensor:
    return F.conv2d(x, _kernel(x, DOWN), stride=2, padding=2, groups=x.shape[1])


def _up(x: Tensor) -> Tensor:
    kernel = _kernel(x, UP)
    return F.conv_transpose2d(x, kernel, stride=2, padding=2, output_padding=1, groups=x.shape[1])
