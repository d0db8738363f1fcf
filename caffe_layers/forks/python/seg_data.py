"""The data layers of FCN's networks: images of any size with a label for each pixel, fed."""

from __future__ import annotations

from typing import Any, ClassVar

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python

CHANNELS = {"color": 3, "hha": 3, "depth": 1, "label": 1}
"""Of NYUDv2's tops by their kind."""


class SegData(Fed, bottoms=0):
    """Base: an image 1 x C x H x W and maps of labels 1 x 1 x H x W, of sizes that vary."""

    size: ClassVar[Shape] = (500, 500)
    """What is advised: the largest that the images of the data have, or theirs."""

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SegData:
        channels = cls.channels(layer)
        made = cls(*[None] * len(layer.top))
        made.examples = tuple((1, each, *cls.size) for each in channels)
        return made

    @classmethod
    def channels(cls, layer: Any) -> list[int]:
        """Return the channels of each top."""
        return [3] + [1] * (len(layer.top) - 1)


@register_python("voc_layers", "VOCSegDataLayer")
@register_python("voc_layers", "SBDDSegDataLayer")
@register_python("pascalcontext_layers", "PASCALContextSegDataLayer")
class PascalSegData(SegData, bottoms=0, tops=2):
    """An image of PASCAL VOC or SBDD, 1 x 3 x H x W, and its labels, 1 x 1 x H x W.

    Caffe: shelhamer/fcn.berkeleyvision.org, voc_layers.py, pascalcontext_layers.py
    """


@register_python("siftflow_layers", "SIFTFlowSegDataLayer")
class SiftFlowSegData(SegData, bottoms=0, tops=3):
    """An image, 1 x 3 x 256 x 256, its semantic and its geometric labels, 1 x 1 x 256 x 256.

    Caffe: shelhamer/fcn.berkeleyvision.org, siftflow_layers.py
    """

    size = (256, 256)


@register_python("nyud_layers", "NYUDSegDataLayer")
class NYUDSegData(SegData, bottoms=0, tops=(1, None)):
    """What `tops` of `param_str` lists: color and hha 1 x 3 x H x W, depth and label 1 x 1 x H x W.

    Errors: ShapeError for another number of tops.
    Caffe: shelhamer/fcn.berkeleyvision.org, nyud_layers.py
    """

    size = (425, 560)

    @classmethod
    def channels(cls, layer: Any) -> list[int]:
        known = ("nyud_dir", "split", "tops", "seed", "randomize")
        kinds = read_param_str(layer.python_param.param_str, known).get("tops") or []
        require(len(kinds) == len(layer.top), f"param_str lists the tops {kinds}")
        return [CHANNELS.get(kind, 1) for kind in kinds]
