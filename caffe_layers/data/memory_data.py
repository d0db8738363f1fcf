"""MemoryData."""

from __future__ import annotations

from typing import Any

from ..checks import require
from ..layer import Shape
from .fed import Fed
from .transform import Transform


class MemoryData(Fed, type="MemoryData", bottoms=0, tops=2):
    """Images batch_size x channels x height x width and their labels, batch_size, fed by name.

    Errors: ShapeError for a size of 0.
    Caffe: BVLC/caffe, src/caffe/layers/memory_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MemoryData:
        param = layer.memory_data_param
        image = (param.batch_size, param.channels, param.height, param.width)
        require(min(image) > 0, f"batch_size, channels, height, width are {image}, wants 1 or more")
        transform = Transform.from_caffe(layer.transform_param)
        return cls(image, image[:1], transform=transform)
