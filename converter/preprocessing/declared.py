"""The sizes that a data layer brings its images to, by BVLC's fields and by its forks'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from caffe_layers.base.message import enum_name, fork_field, is_set
from prototxt.schema import Schema

from .spec import Size

CROPS = (("crop_h", "crop_w"), ("crop_height", "crop_width"))
"""What forks call the sides of a crop that need be no square."""


@dataclass(frozen=True)
class Declared:
    """Arguments of `Preprocessing`, and the transform's set fields that nothing here does."""

    resize: int | Size | None
    crop: Size | None
    undone: tuple[str, ...]


def declared_sizes(layer: Any, schema: Schema) -> Declared:
    """Return what a data layer says of sizes.

    It crops images as they are: only their own tools resized them, or ImageData, or SSD's
    `resize_param`. Fields that a fork marks as neutral change training's images alone.

    Caffe: weiliu89/caffe, branch ssd, src/caffe/util/im_transforms.cpp, ApplyResize
    """
    param, resize = layer.transform_param, None
    done = {f"transform_param.{name}" for pair in CROPS for name in pair}
    if is_set(param, "resize_param"):
        resize = _resize(param.resize_param)
        done |= set() if resize is None else {"transform_param.resize_param"}
    elif layer.type == "ImageData" and layer.image_data_param.new_height and not param.mean_file:
        resize = (layer.image_data_param.new_height, layer.image_data_param.new_width)
    extras = (extra.path for extra in schema.extra_fields(layer, phase="TEST"))
    undone = [path for path in extras if path.startswith("transform_param.") and path not in done]
    return Declared(resize, _crop(param), tuple(dict.fromkeys(undone)))


def _crop(param: Any) -> Size | None:
    sides = [[fork_field(param, name, 0) or param.crop_size for name in pair] for pair in CROPS]
    height, width = max(sides)
    return (height, width) if height and width else None


def _resize(param: Any) -> int | Size | None:
    """Return the size that images are resized to; None for what is not done here."""
    if not hasattr(param, "height"):  # MobileNet-YOLO's list, whose sizes take turns
        return None
    ways = param.DESCRIPTOR.fields_by_name["interp_mode"].enum_type.values_by_number
    mode, bilinear = enum_name(param, "resize_mode"), [ways[n].name for n in param.interp_mode]
    if not (param.height and param.width) or (bilinear and "LINEAR" not in bilinear):
        return None
    if mode == "WARP":
        return param.height, param.width
    return param.height if mode == "FIT_SMALL_SIZE" and param.height == param.width else None
