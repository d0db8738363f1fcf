"""LaneData, from MobileNet-YOLO."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed


class LaneData(Fed, type="LaneData", fork="yolo", bottoms=0, tops=3):
    """Images, lanes and classes of pixels, not read: all are fed, in shapes that no file tells.

    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/lane_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LaneData:
        return cls(None, None, None, transform=DataTransformer.from_caffe(layer.transform_param))
