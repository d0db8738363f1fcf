"""The Python layer `roi_data_layer.layer.RoIDataLayer` of Fast and Faster R-CNN: fed."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python


@register_python("roi_data_layer.layer", "RoIDataLayer")
class RoIDataLayer(Fed, bottoms=0, tops=(3, 6)):
    """Images with labelled boxes, which are fed by name; of the shapes that the code starts with.

    With 3 tops, the second of which is `im_info`, the image 1 x 3 x 600 x 1000, its numbers 1 x 3
    (height, width, scale) and its boxes G x 5 (x1, y1, x2, y2, class), G = 1. Else the images
    2 x 3 x 600 x 1000, regions R x 5 and labels R; with 5 or 6 tops also targets and one or two
    weights R x 4C, with R = 1 and C = `num_classes`.

    Errors: ShapeError for another number of tops.
    Caffe: rbgirshick/py-faster-rcnn and rbgirshick/fast-rcnn, lib/roi_data_layer/layer.py
    """

    assumed = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> RoIDataLayer:
        param = read_param_str(layer.python_param.param_str, ("num_classes",))
        require("num_classes" in param, "param_str has no num_classes")
        tops, targets = len(layer.top), (1, 4 * param["num_classes"])
        if tops == 3 and layer.top[1] == "im_info":
            return cls((1, 3, 600, 1000), (1, 3), (1, 5))
        require(tops != 4, f"{tops} tops, wants 3, or 5 or 6 for targets of regions from a file")
        return cls((2, 3, 600, 1000), (1, 5), (1,), *[targets] * (tops - 3))
