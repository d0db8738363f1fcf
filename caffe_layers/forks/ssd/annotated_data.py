"""AnnotatedData and VideoData, from SSD."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.message import enum_name, fork_field, is_set
from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed

NO_BOXES: Shape = (1, 1, 1, 8)
"""What Caffe gives for a batch without any object: one row of -1s."""


class AnnotatedData(Fed, type="AnnotatedData", fork="ssd", bottoms=0, tops=(1, 3)):
    """Images N x C x H x W and the objects in them, 1 x 1 x G x 8, which are fed.

    An object's row is the image's index in the batch, label, instance, xmin, ymin, xmax, ymax in
    fractions of the image, and whether it is difficult. H and W are known where the layer resizes
    or crops, C where there is a mean for each channel.

    MobileNet-YOLO adds the classes of pixels, of a size that is not said; neither is that of its
    objects where `yolo_data_type` brings them into another form.

    Caffe: weiliu89/caffe, src/caffe/layers/annotated_data_layer.cpp
    """

    fork_fields = (
        "annotated_data_param.yolo_data_type",
        "annotated_data_param.seg_scales",
        "transform_param.resize_param",  # MobileNet-YOLO takes one of several
    )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> AnnotatedData:
        listed = not fork_field(layer.annotated_data_param, "yolo_data_type", 0)
        tops = _image(layer), NO_BOXES if listed else None, None
        return cls(*tops[: len(layer.top)], transform=_transform(layer))


class VideoData(Fed, type="VideoData", fork="ssd", bottoms=0, tops=(1, 2)):
    """Frames N x C x H x W and labels N, which are fed.

    Caffe: weiliu89/caffe, src/caffe/layers/video_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> VideoData:
        batch = layer.data_param.batch_size
        tops = _image(layer), (batch,) if batch else None
        return cls(*tops[: len(layer.top)], transform=_transform(layer))


def _transform(layer: Any) -> DataTransformer:
    return DataTransformer.from_caffe(layer.transform_param)


def _image(layer: Any) -> Shape | None:
    """Return the images' shape if the definition says it."""
    param, batch = layer.transform_param, layer.data_param.batch_size
    height, width = _resized(param)
    height = param.crop_h or param.crop_size or height
    width = param.crop_w or param.crop_size or width
    channels = len(param.mean_value)
    whole = batch and channels > 1 and height and width
    return (batch, channels, height, width) if whole else None


def _resized(param: Any) -> tuple[int, int]:
    """Return the size that images are brought to, 0 where it is not one and the same for all."""
    if not is_set(param, "resize_param"):
        return 0, 0
    given = param.resize_param
    # MobileNet-YOLO's field is a list, whose sizes take turns.
    sizes = [given] if hasattr(given, "height") else list(given)
    if len(sizes) > 1 or enum_name(sizes[0], "resize_mode") == "FIT_SMALL_SIZE":
        return 0, 0  # FIT_SMALL_SIZE gives the shorter side alone
    return sizes[0].height, sizes[0].width
