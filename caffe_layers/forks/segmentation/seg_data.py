"""SegData, from yjxiong's Caffe."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed


class SegData(Fed, type="SegData", fork="tsn", bottoms=0, tops=2):
    """Images N x C x H x W and their labellings, not read: both are fed, in the images' own sizes.

    Caffe: yjxiong/caffe, src/caffe/layers/seg_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SegData:
        return cls(None, None, transform=DataTransformer.from_caffe(layer.transform_param))
