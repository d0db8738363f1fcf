"""DecodeBBox, of MS-CNN and Cascade R-CNN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.forks.rcnn.region import check_regions
from prototxt.errors import ShapeError

from .bbox_reg import NO_MEAN, NO_STD, Four, decoded, emit_decoded, normalization


class DecodeBBox(
    Layer, type="DecodeBBox", fork="cascade_rcnn", param="decode_bbox_param", bottoms=(2, 3)
):
    """Regions moved by what a network predicts: R x 5, as the regions of the second bottom.

    The first bottom, R x 8, has the shifts of background and of objects: the latter are taken. In
    TRAIN those regions go whose box is turned inside out, and with a third bottom, whose last value
    is how much a region overlaps its object, those that overlap it by `gt_iou_thr` or more.

    Errors: ShapeError unless the bottoms are R x 8 and R x 5; for a third bottom in TEST.
    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/decode_bbox_layer.cpp
    """

    free_axis = 0
    fixed_bottoms = (0, 1, 2)

    def __init__(
        self, *, gt_iou_thr: float = 0.95, bbox_mean: Four = NO_MEAN, bbox_std: Four = NO_STD
    ) -> None:
        super().__init__()
        self.gt_iou_thr = float32(gt_iou_thr)
        self.bbox_mean, self.bbox_std = bbox_mean, bbox_std

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DecodeBBox:
        return cls(**cls.fields(layer), **normalization(layer))

    def shapes(self, shifts: Shape, rois: Shape, matched: Shape | None = None) -> list[Shape]:
        rows = check_regions(rois)
        if legacy_shape(shifts, "the shifts")[:2] != (rows, 8):
            raise ShapeError(f"the shifts are {shifts}, wants {rows} x 8 for regions {rois}")
        if matched is not None and (not self.training or matched[0] != rows):
            raise ShapeError(f"a third bottom {matched} is for {rows} regions in TRAIN")
        return [rois]

    def forward(self, shifts: Tensor, rois: Tensor, matched: Tensor | None = None) -> Tensor:
        flat, regions = shifts.detach().flatten(1), rois.detach().flatten(1)
        boxes = decoded(flat[:, 4:], regions[:, 1:], self.bbox_mean, self.bbox_std)
        top = torch.cat((regions[:, :1], boxes), 1)
        if self.training:
            good = (boxes[:, :2] <= boxes[:, 2:]).all(1)
            if matched is not None:
                good &= matched.detach().flatten(1)[:, -1] < self.gt_iou_thr
            top = top[good]
        return top.reshape(-1, *rois.shape[1:])

    def onnx(self, op: Op, shifts: str, rois: str) -> Values:
        beyond = op.shape(rois)[2:]
        flat = op.Flatten(shifts, axis=1) if len(op.shape(shifts)) > 2 else shifts
        regions = op.Flatten(rois, axis=1) if beyond else rois
        image, priors = op.Split(regions, op.ints(1, 4), axis=1, outputs=2)
        own = op.Slice(flat, op.ints(4), op.ints(8), op.ints(1))
        boxes = emit_decoded(op, own, priors, self.bbox_mean, self.bbox_std)
        top = op.Concat(image, boxes, axis=1)
        return op.Reshape(top, op.ints(-1, 5, *beyond)) if beyond else top
