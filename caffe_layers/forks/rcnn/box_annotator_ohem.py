"""BoxAnnotatorOHEM, R-FCN's mining of hard examples."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_indices
from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class BoxAnnotatorOHEM(
    Layer, type="BoxAnnotatorOHEM", fork="rfcn", param="box_annotator_ohem_param", bottoms=4, tops=2
):
    """The labels and weights of the `roi_per_img` regions of each image with the largest losses.

    Bottoms are the regions, N x 5 (x H x W): [image, x1, y1, x2, y2], their losses and labels, as
    many as there are regions, and the weights of their boxes, N x C (x H x W). The tops are the
    labels, `ignore_label` for all other regions, and the weights, 0 for the others. Of equal
    losses the earlier region goes first; Caffe's order of them is not told. There is no gradient.

    Errors: ShapeError for bottoms that differ in regions, and for `roi_per_img` 0.
    Caffe: daijifeng001/caffe-rfcn, src/caffe/layers/box_annotator_ohem_layer.cu
    """

    fixed_bottoms = (0, 1, 2, 3)

    def __init__(self, *, roi_per_img: int, ignore_label: int = -1) -> None:
        super().__init__()
        require(roi_per_img > 0, f"roi_per_img {roi_per_img} wants 1 or more")
        self.roi_per_img, self.ignore_label = roi_per_img, ignore_label

    def shapes(self, rois: Shape, loss: Shape, label: Shape, weight: Shape) -> list[Shape]:
        n, five, h, w = legacy_shape(rois, "the regions' bottom")
        require(five == 5, f"the regions are {rois}, wants 5 numbers for each")
        for name, shape in (("losses", loss), ("labels", label)):
            if legacy_shape(shape, name) != (n, 1, h, w):
                raise ShapeError(f"the {name} {shape} are not one for each region of {rois}")
        same = (legacy_shape(weight, "weights")[0], *legacy_shape(weight, "weights")[2:])
        require(same == (n, h, w), f"the weights {weight} are not the regions' of {rois}")
        return [label, weight]

    def forward(
        self, rois: Tensor, loss: Tensor, label: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        regions = rois.shape[0]
        image = rois.detach().reshape(regions, 5, -1)[:, 0].flatten().long()
        order = loss.detach().flatten().argsort(descending=True, stable=True)
        same = image[order, None] == image[order]
        rank = same.tril(-1).sum(1)
        hard = torch.zeros_like(image, dtype=torch.bool)
        hard[order] = rank < self.roi_per_img
        labels = torch.where(hard, label.detach().flatten(), self.ignore_label)
        planes = weight.detach().reshape(regions, prod(weight.shape[1:2]), -1)
        kept = torch.where(hard.reshape(regions, 1, -1), planes, 0)
        return labels.reshape(label.shape), kept.reshape(weight.shape)

    def onnx(self, op: Op, rois: str, loss: str, label: str, weight: str) -> Values:
        planes = op.Reshape(rois, op.ints(0, 5, -1))
        image = op.Slice(planes, op.ints(0), op.ints(1), op.ints(1))
        image = op.to_int(op.Reshape(image, op.ints(-1)))
        flat = op.Reshape(loss, op.ints(-1))
        count = op.Shape(flat)
        _, order = op.TopK(flat, count, axis=0)
        ordered = op.Gather(image, order, axis=0)
        same = op.Equal(op.Unsqueeze(ordered, op.ints(1)), ordered)
        index = emit_indices(op, op.Squeeze(count, op.ints(0)))
        earlier = op.Less(index, op.Unsqueeze(index, op.ints(1)))
        ones = op.to_float(op.And(same, earlier))
        rank = op.ReduceSum(ones, op.ints(1), keepdims=0)
        near = op.Less(rank, op.scalar(self.roi_per_img))
        near = op.to_float(near)
        hard = op.ScatterElements(near, order, near, axis=0)
        hard = op.to_bool(hard)
        as_label = op.Reshape(hard, op.Shape(label))
        labels = op.Where(as_label, label, op.scalar(self.ignore_label))
        sizes = op.Shape(weight)
        first = op.Slice(sizes, op.ints(0), op.ints(1))
        rest = [1] * (len(op.shape(weight)) > 1)
        after = op.Slice(sizes, op.ints(2), op.ints(len(op.shape(weight))))
        wanted = op.Concat(first, op.ints(*rest), after, axis=0)
        of_weight = op.Reshape(hard, wanted)
        return labels, op.Where(of_weight, weight, op.scalar(0))
