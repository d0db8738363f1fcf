"""BinActiv, of the XNOR networks of loswensiana's Caffe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.arithmetic.window import read_window
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class BinActiv(
    Layer, type="BinActiv", fork="bwn_xnor", param="convolution_param", bottoms=1, tops=2
):
    """The signs of x, 1 from 0 on and else -1, and a map of how large x is around each pixel.

    x is N x C x H x W; the map is N x 1 x H x W, a convolution of the mean over channels, divided
    by the kernel's size, with the constants of `weight_filler` and `bias_filler`: it has no blobs.
    The signs' gradient is the top's from -1 to 1 and else 0, the map's none.

    Errors: ShapeError for a window that changes the size, for other fillers than constant ones,
    which no file keeps, and for another `num_output` than 1.
    Caffe: loswensiana/BWN-XNOR-caffe at 2ccf4e7, src/caffe/ex_layers/binactiv_layer.cpp
    """

    family = "activation"

    def __init__(
        self,
        kernel: int,
        *,
        num_output: int,
        bias_term: bool = True,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        require(num_output == 1, f"num_output {num_output}, wants 1")
        require(kernel % 2 == 1, f"kernel_size {kernel} changes the size, wants an odd one")
        for filler in (weight_filler, *([bias_filler] if bias_term else [])):
            constant = filler.type == "constant"
            require(constant, f"a {filler.type} filler, whose values no file keeps, wants constant")
        self.kernel = kernel
        self.weight = float32(weight_filler.value)
        self.bias = float32(bias_filler.value) if bias_term else 0.0

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BinActiv:
        x = bottoms[0]
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        _, window = read_window(layer.convolution_param, x)
        kernel = window["kernel_size"][0]
        square = window["kernel_size"] == (kernel, kernel)
        same = all(pad == kernel // 2 for pad in window["pad"])
        plain = all(step == 1 for name in ("stride", "dilation") for step in window[name])
        require(square and same and plain, "the window changes the size, or is not square")
        return cls(kernel, **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return [x, (x[0], 1, *x[2:])]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        plain = x.detach()
        signs = torch.where(plain >= 0, 1, -1).to(x.dtype)
        size = self.kernel
        ones = plain.new_full((1, 1, size, size), self.weight)
        around = torch.nn.functional.conv2d(plain.mean(1, keepdim=True), ones, padding=size // 2)
        return gradient_of(signs, x * (plain.abs() <= 1)), (around + self.bias) / (size * size)

    def onnx(self, op: Op, x: str) -> Values:
        size = self.kernel
        signs = op.Where(op.GreaterOrEqual(x, op.scalar(0)), op.scalar(1), op.scalar(-1))
        ones = op.array("weight", torch.full((1, 1, size, size), self.weight))
        pads = [size // 2] * 4
        mean = op.reduce("ReduceMean", x, (1,), keepdims=1)
        around = op.Conv(mean, ones, kernel_shape=[size, size], pads=pads)
        around = op.Add(around, op.scalar(self.bias)) if self.bias else around
        return signs, op.Div(around, op.scalar(size * size))
