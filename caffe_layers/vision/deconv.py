"""Deconvolution."""

from __future__ import annotations

from caffe_layers.base.op import Py

from .transposed import Transposed


class Deconvolution(Transposed, type="Deconvolution", bottoms=(1, None), tops=(1, None)):
    """Convolution's transpose: each value of N x C x H x W adds a weighted kernel to the top.

    Blobs: weight C x O/group x kernel, bias O. The top is N x O x H' x W' with
    `H' = stride * (H - 1) + dilation * (kernel - 1) + 1 - 2 pad`. Upsampling with a bilinear filler
    has group = C = O, which leaves a weight of C x 1 x kernel.

    Errors: those of Convolution, and UnsupportedError for more than 3 spatial axes.
    Caffe: BVLC/caffe, src/caffe/layers/deconv_layer.cpp
    """

    def python(self, py: Py, *bottoms: str) -> str:
        module = self.torch_module(py, "ConvTranspose")
        return ", ".join(f"{module}({x})" for x in bottoms)
