"""VideoData, from yjxiong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.base.message import enum_name
from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed

CHANNELS = {"RGB": 3, "FLOW": 2}


class SegmentedVideoData(Fed, type="VideoData", fork="tsn", bottoms=0, tops=(1, 2)):
    """Snippets of videos N x C x H x W and labels N, which are fed.

    C is 3 (RGB) or 2 (FLOW) channels for each of `new_length` frames of `num_segments` snippets.
    H and W are known where the layer crops or resizes.

    Caffe: yjxiong/caffe, src/caffe/layers/video_data_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return "modality" in layer.video_data_param.DESCRIPTOR.fields_by_name

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SegmentedVideoData:
        param, batch = layer.video_data_param, layer.video_data_param.batch_size
        crop = layer.transform_param.crop_size or param.crop_size
        height, width = crop or param.new_height, crop or param.new_width
        channels = CHANNELS[enum_name(param, "modality")] * param.new_length * param.num_segments
        whole = batch and height and width
        image = (batch, channels, height, width) if whole else None
        tops = (image, (batch,) if batch else None)
        return cls(
            *tops[: len(layer.top)], transform=DataTransformer.from_caffe(layer.transform_param)
        )
