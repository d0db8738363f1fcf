"""VideoData, of video-caffe."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed


class ClipData(Fed, type="VideoData", fork="video_caffe", bottoms=0, tops=2):
    """Clips N x C x `new_length` x H x W and labels N, which are fed.

    C is 3, or 1 without `is_color`. H and W are known where the layer crops or resizes.

    Caffe: chuckcho/video-caffe at fc232b3, src/caffe/layers/video_data_layer.cpp
    """

    only_by_name = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ClipData:
        param, crop = layer.video_data_param, layer.transform_param.crop_size
        height, width = crop or param.new_height, crop or param.new_width
        batch, channels = param.batch_size, 3 if param.is_color else 1
        clip = (batch, channels, param.new_length, height, width)
        return cls(
            clip if min(clip) else None,
            (batch,),
            transform=DataTransformer.from_caffe(layer.transform_param),
        )
