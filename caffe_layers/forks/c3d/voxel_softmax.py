"""VOXEL_SOFTMAX and its loss, of C3D 1.0."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import floored, gradient_of
from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.threshold import LOG_FLT_MIN

from .volume import require_volume


class VoxelSoftmax(Layer, type="VOXEL_SOFTMAX", fork="c3d"):
    """`top = exp(x) / sum(exp(x))`, the sum over the channels of x, N x C x L x H x W.

    Errors: ShapeError for a bottom without 5 axes.
    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.0/src/caffe/layers/voxel_wise_softmax_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        require_volume(x)
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.softmax(1)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Softmax(x, axis=1)


class VoxelSoftmaxLoss(Layer, type="VOXEL_SOFTMAX_LOSS", fork="c3d", bottoms=2):
    """`-sum(log(softmax(x)[label])) / (N L H W)` over the voxels of x, N x C x L x H x W.

    There is one label for each voxel, N x 1 x L x H x W; those of C and more do not count, and the
    divisor is that of all voxels. The gradient is that of the unclamped logarithm; voxels that do
    not count have that of `log(sum(exp(x)))`, as Caffe's code leaves it.

    Errors: ShapeError for other numbers of axes or labels, and negative labels.
    Caffe: facebookarchive/C3D at 71336a2,
    C3D-v1.0/src/caffe/layers/voxel_wise_softmax_loss_layer.cpp
    """

    is_loss = True
    applies = "softmax"
    fixed_bottoms = (1,)

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        require_volume(x)
        wants = (x[0], 1, *x[2:])
        require(label == wants, f"labels are {label}, wants {wants}: one for each voxel of {x}")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        index = label.detach().long()
        counts = index < x.shape[1]
        index = index.where(counts, 0)
        check_indices(index, x.shape[1], "labels")
        logs = floored(x.log_softmax(1).gather(1, index), LOG_FLT_MIN)
        rest = x.logsumexp(1, keepdim=True)
        return torch.where(counts, -logs, gradient_of(torch.zeros_like(rest), rest)).mean()

    def onnx(self, op: Op, x: str, label: str) -> Values:
        index = op.to_int(label)
        counts = op.Less(index, op.ints(op.shape(x)[1]))
        index = op.Where(counts, index, op.ints(0))
        logs = op.GatherElements(op.LogSoftmax(x, axis=1), index, axis=1)
        losses = op.Where(counts, op.Max(logs, op.scalar(LOG_FLT_MIN)), op.scalar(0))
        total = op.Neg(op.ReduceSum(losses, keepdims=0))
        return op.Div(total, op.to_float(op.Size(losses)))
