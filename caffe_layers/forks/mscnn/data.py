"""Data layers of MS-CNN and Cascade R-CNN: images with boxes from a window file, not read here."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any, ClassVar

from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed

CHANNELS = 3
"""Images are read in colour."""
LABEL_VALUES = 2
"""Of a place's label beside its box: the class and the overlap."""


def image_size(param: Any) -> tuple[int, int] | None:
    """Return the height and width that the layer begins with; None where only its files tell."""
    for height, width in (
        ("crop_height", "crop_width"),
        ("crop_long_size", "crop_short_size"),
        ("resize_height", "resize_width"),
        ("long_size", "short_size"),
    ):
        given = (fork_field(param, height, 0), fork_field(param, width, 0))
        if all(given):
            return given
    return None


class _WindowData(Fed):
    """Base: images N x 3 x H x W, a label N x 6 x h x w for each field, and boxes if asked for.

    H and W are those that the definition says: a crop's, else what images are resized to. A label's
    sizes are those of the image over the field's distance in pixels, to the nearest whole number
    where not rounded `down`.
    """

    down: ClassVar[bool] = False

    @classmethod
    def tops_of(cls, param: Any, strides: Sequence[float], boxes: Shape) -> list[Shape | None]:
        """Return the tops' shapes."""
        size, count = image_size(param), param.batch_size
        found: list[Shape | None] = [(count, CHANNELS, *size) if size else None]
        for stride in strides:
            label = [floor(side / stride + 0.5 * (not cls.down)) for side in size or ()]
            channels = LABEL_VALUES + param.coord_num
            found.append((count, channels, *label) if size else None)
        return [*found, boxes] if param.output_gt_boxes else found


class ImageGtData(_WindowData, type="ImageGtData", fork="mscnn", bottoms=0, tops=(1, None)):
    """Images, labels of fields and boxes, 1 x 7 x 1 x 1 to begin with.

    Caffe: zhaoweicai/mscnn, src/caffe/layers/image_gt_data_layer.cpp
    """

    assumed = True
    down = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ImageGtData:
        param = layer.image_gt_data_param
        tops = cls.tops_of(param, param.downsample_rate, (1, 7, 1, 1))
        return cls(*tops, transform=DataTransformer.from_caffe(layer.transform_param))


class DetectionData(
    _WindowData, type="DetectionData", fork="cascade_rcnn", bottoms=0, tops=(1, None)
):
    """Images, labels of fields and boxes, 1 x 8 x 1 x 1 to begin with.

    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/detection_data_layer.cpp
    """

    assumed = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DetectionData:
        param = layer.detection_data_param
        tops = cls.tops_of(param, param.stride, (1, 8, 1, 1))
        return cls(*tops, transform=DataTransformer.from_caffe(layer.transform_param))


class EvalData(Fed, type="EvalData", fork="cascade_rcnn", bottoms=0, tops=(2, 3)):
    """Images N x 3 x H x W, boxes 1 x 8 x 1 x 1 to begin with, and the sizes N x 2 x 1 x 1.

    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/eval_data_layer.cpp
    """

    assumed = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> EvalData:
        param = layer.eval_data_param
        size, count = image_size(param), param.batch_size
        images = (count, CHANNELS, *size) if size else None
        tops: list[Shape | None] = [images, (1, 8, 1, 1), (count, 2, 1, 1)]
        transform = DataTransformer.from_caffe(layer.transform_param)
        return cls(*tops[: len(layer.top)], transform=transform)
