"""BoxData, of caffe-yolov2."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed

NUMBERS = 150
"""Of an image's objects: 30 of class, centre and size."""

CELL, SIDE = 32, 13
"""Pixels of an image for a cell, in every YOLO; cells of the grid, as the fork's layers begin."""


class BoxData(Fed, type="BoxData", fork="yolov2", bottoms=0, tops=(1, None)):
    """Images N x C x H x W, whose size the database says, and objects of each, N x 150; fed.

    For each `side` there is a top of objects, all alike.

    Caffe: gklz1982/caffe-yolov2 at ebb2702, src/caffe/layers/box_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BoxData:
        batch, crop = layer.data_param.batch_size, layer.transform_param.crop_size
        image = (batch, 3, crop, crop) if batch and crop else None
        objects = (batch, NUMBERS) if batch else None
        tops = [image, *[objects] * (len(layer.top) - 1)]
        data = cls(*tops, transform=DataTransformer.from_caffe(layer.transform_param))
        if batch:
            size = CELL * max(layer.data_param.side, default=SIDE)
            image = (batch, 3, size, size)
            data.examples = (image, *[(batch, NUMBERS)] * (len(layer.top) - 1))
        return data
