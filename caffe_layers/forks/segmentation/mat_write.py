"""MatWrite, from DeepLab."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class MatWrite(Layer, type="MatWrite", fork="deeplab", bottoms=(1, None), tops=0):
    """Caffe writes its bottoms to MATLAB files under `prefix`; here the layer writes nothing.

    The files are named after a list on the machine that ran the network. The blobs can be had by
    name instead: `net.blobs(...)`, or `caffeport run --output`.

    Caffe: hszhao/PSPNet, src/caffe/layers/mat_write_layer.cpp
    """

    is_metric = True  # it only looks at what an exported model gives

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return []

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        return ()

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return ()
