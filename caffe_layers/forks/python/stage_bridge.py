"""The Python layer `pylayer.stage_bridge_layer.StageBridgeLayer`: MNC's moved regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import PythonShapes, register_python
from caffe_layers.forks.rcnn.region import check_regions

from .mnc import MASK


@register_python("pylayer.stage_bridge_layer", "StageBridgeLayer")
class StageBridgeLayer(Layer, bottoms=(4, 7), tops=(1, 8)):
    """Regions moved by the shifts of their best class, within the image: R x 5, all of image 0.

    Bottoms: regions R x 5, shifts R x 4C, scores R x C, and the image's numbers 1 x 3, of which
    height and width count. A region's class is that of its largest score, background included, and
    the first of equal ones. With a width `w = x2 - x1 + 1` and centre `x1 + w / 2` the shifts dx
    and dw make the box about `dx * w + centre` whose width is `exp(dw) * w`, without the 1; heights
    alike. It is cut to 0 .. width - 1 and 0 .. height - 1. There is no gradient here.

    With more tops, which train the next stage, the shapes alone are known (`TrainedBridge`).

    Errors: ShapeError for bottoms that do not fit each other.
    Caffe: daijifeng001/MNC, lib/pylayer/stage_bridge_layer.py, lib/transform/bbox_transform.py
    """

    free_axis = 0
    fixed_bottoms = (0, 1, 2, 3)
    asks: ClassVar[Mapping[int, Asked]] = {3: "image info"}

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Any:
        if len(layer.top) > 1 or len(layer.bottom) > 4:
            return TrainedBridge.from_caffe(layer, bottoms)
        return cls()

    def shapes(self, rois: Shape, shifts: Shape, scores: Shape, info: Shape) -> list[Shape]:
        rows = check_regions(rois)
        require(
            len(scores) == 2 and scores[0] == rows,
            f"the scores are {scores}, wants {rows} x C for regions {rois}",
        )
        want = (rows, 4 * scores[1])
        require(shifts == want, f"the shifts are {shifts}, wants {want[0]} x {want[1]}")
        require(len(info) == 2 and info[1] >= 2, f"the image's numbers are {info}, wants 1 x 3")
        return [(rows, 5)]

    def forward(self, rois: Tensor, shifts: Tensor, scores: Tensor, info: Tensor) -> Tensor:
        rois, shifts, scores, info = (x.detach() for x in (rois, shifts, scores, info))
        best = scores.argmax(1)[:, None, None].expand(-1, 1, 4)
        by, grown = shifts.reshape(len(shifts), -1, 4).gather(1, best)[:, 0].chunk(2, 1)
        low, high = rois.flatten(1)[:, 1:].chunk(2, 1)
        sizes = high - low + 1
        centre = by * sizes + (low + 0.5 * sizes)
        half = 0.5 * (grown.exp() * sizes)
        limit = info[0, [1, 0, 1, 0]] - 1
        boxes = torch.cat((centre - half, centre + half), 1).minimum(limit).clamp(min=0)
        return torch.cat((torch.zeros_like(boxes[:, :1]), boxes), 1)

    def onnx(self, op: Op, rois: str, shifts: str, scores: str, info: str) -> Values:
        rows = op.Flatten(rois, axis=1) if len(op.shape(rois)) > 2 else rois
        each = op.Reshape(shifts, op.ints(0, -1, 4))
        best = op.ArgMax(scores, axis=1, keepdims=1)
        by, grown = op.Split(
            op.GatherND(each, best, batch_dims=1), op.ints(2, 2), axis=1, outputs=2
        )
        image, low, high = op.Split(rows, op.ints(1, 2, 2), axis=1, outputs=3)
        sizes = op.Add(op.Sub(high, low), op.scalar(1))
        middle = op.Add(low, op.Mul(sizes, op.scalar(0.5)))
        centre = op.Add(op.Mul(by, sizes), middle)
        half = op.Mul(op.Mul(op.Exp(grown), sizes), op.scalar(0.5))
        boxes = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1)
        first = op.Slice(info, op.ints(0), op.ints(1), op.ints(0))
        limit = op.Sub(op.Gather(first, op.ints(1, 0, 1, 0), axis=1), op.scalar(1))
        boxes = op.Max(op.Min(boxes, limit), op.scalar(0))
        return op.Concat(op.Mul(image, op.scalar(0)), boxes, axis=1)


class TrainedBridge(PythonShapes, bottoms=(4, 7), tops=(1, 8)):
    """The moved regions with what trains the next stage: shapes alone, of one region.

    Errors: UnsupportedError on running.
    """

    fixed_bottoms = (0, 1, 2, 3, 4, 5, 6)

    def __init__(self, *, num_classes: int, tops: int) -> None:
        super().__init__()
        self.num_classes, self.count = num_classes, tops

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        known = ("num_classes", "feat_stride", "use_clip", "clip_base")
        param = read_param_str(layer.python_param.param_str, known)
        require("num_classes" in param, "param_str has no num_classes")
        return {"num_classes": int(param["num_classes"]), "tops": len(layer.top)}

    def shapes(self, rois: Shape, *others: Shape) -> list[Shape]:
        check_regions(rois)
        targets = (1, 4 * self.num_classes)
        shapes = [(1, 5), (1, 1), MASK, MASK, (1, 4), targets, targets, targets]
        return shapes[: self.count]
