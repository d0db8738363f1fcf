"""PairwiseLoss, of HashNet."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.gradient import with_gradient
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError


class PairwiseLoss(Layer, type="PairwiseLoss", fork="hashnet", param="pairwise_param", bottoms=4):
    """A logistic loss of whether two codes are alike, over all pairs of two batches: a scalar.

    Bottoms: codes a and labels of one batch, codes b and labels of another, N x K and N x L each,
    labels of several classes. A pair (i, j) is alike (s = 1) where its labels have a class in
    common, and unlike (s = 0) where `label_i * label_j` is 0; one below 0, or of L or more, does
    not count. With `z = sigmoid_param * a_i * b_j` its term is `log(1 + e^z) - s z`, from
    `z = l_threshold` on (where that is not negative) `(1 - s) z`, times `class_num` where it is
    alike. `top` is the sum over the sum of the pairs that count, alike ones as `class_num`; 0 for
    an `l_lambda` that is not positive, which otherwise scales the gradient alone.

    As in Caffe the gradient is twice that of the loss, holds the logistic form beyond the
    threshold, is not scaled by `loss_weight`, and of it `sigmoid_param` scales the first N numbers
    alone, of the N K of each batch. With `continous_similarity` it is multiplied by 4 and by
    `(label_i * label_j)^2 / (|label_i|^2 |label_j|^2)`, 1/4 where that is 0.

    Errors: ShapeError for bottoms that do not fit; UnsupportedError for an `axis` other than 1.
    Caffe: thuml/HashNet, caffe/src/caffe/layers/pairwise_loss_layer.cu, its CPU does nothing
    """

    is_loss = True
    fixed_bottoms = (1, 3)

    def __init__(
        self,
        *,
        axis: int = 1,
        l_threshold: float = -1.0,
        q_threshold: float = -1.0,
        l_lambda: float = 1.0,
        q_gamma: float = 1.0,
        class_num: float = 1.0,
        sigmoid_param: float = 1.0,
        continous_similarity: bool = False,
    ) -> None:
        """Take `q_threshold` and `q_gamma`, which are not used."""
        super().__init__()
        if axis != 1:
            raise UnsupportedError(f"axis {axis} makes pairs of other rows than the codes are")
        self.axis, self.threshold, self.share = axis, float32(l_threshold), float32(l_lambda)
        self.q_threshold, self.q_gamma = q_threshold, q_gamma
        self.class_num, self.sigmoid_param = float32(class_num), float32(sigmoid_param)
        self.continous_similarity = continous_similarity

    def shapes(self, a: Shape, label_a: Shape, b: Shape, label_b: Shape) -> list[Shape]:
        for one, other in ((a, b), (label_a, label_b)):
            require(one == other, f"bottoms {one} and {other} differ in shape")
        require(a[0] == label_a[0], f"bottom {a} has {a[0]} samples, its labels {label_a[0]}")
        return [()]

    def forward(self, a: Tensor, label_a: Tensor, b: Tensor, label_b: Tensor) -> Tensor:
        first, second = a.flatten(1), b.flatten(1)
        labels, others = label_a.detach().flatten(1), label_b.detach().flatten(1)
        with torch.no_grad():
            common = labels @ others.t()
            valid = (common >= 0) & (common < labels.shape[1])
            alike = valid & (common > 0)
            z = first @ second.t() * self.sigmoid_param
            s = alike.to(z.dtype)
            losses = F.softplus(z) - s * z
            if self.threshold >= 0:
                losses = torch.where(z >= self.threshold, z * (1 - s), losses)
            weight = torch.where(alike, self.class_num, valid.to(z.dtype))
            count = weight.sum()
            count = torch.where(count > 0, count, 1)
            slope = 2 * (z.sigmoid() - s) * weight
            if self.continous_similarity:
                own = [rows.square().sum(1) for rows in (labels, others)]
                sizes = [torch.where(size == 0, 1, size) for size in own]
                likeness = common**2 / (sizes[0][:, None] * sizes[1])
                slope = slope * 4 * torch.where(likeness == 0, 0.25, likeness)
            slope = slope * (self.share / count)
            value = (losses * weight).sum() / count * (self.share > 0)
            gradients = [self._scaled(slope @ second), self._scaled(slope.t() @ first)]
        for bottom, gradient in zip((a, b), gradients, strict=True):
            value = with_gradient(value, bottom, gradient.reshape(bottom.shape))
        return value

    def _scaled(self, gradient: Tensor) -> Tensor:
        """Scale the first N numbers, as Caffe, which means all of them."""
        numbers = gradient.flatten()
        count = gradient.shape[0]
        return torch.cat([numbers[:count] * self.sigmoid_param, numbers[count:]])

    def onnx(self, op: Op, a: str, label_a: str, b: str, label_b: str) -> Values:
        classes = prod(op.shape(label_a)[1:])
        rows = [op.Flatten(bottom, axis=1) for bottom in (a, label_a, b, label_b)]
        turned = [op.Transpose(bottom, perm=[1, 0]) for bottom in rows[2:]]
        common = op.MatMul(rows[1], turned[1])
        zero, one = op.scalar(0), op.scalar(1)
        valid = op.And(op.Not(op.Less(common, zero)), op.Less(common, op.scalar(classes)))
        alike = op.And(valid, op.Greater(common, zero))
        z = op.Mul(op.MatMul(rows[0], turned[0]), op.scalar(self.sigmoid_param))
        s = op.to_float(alike)
        losses = op.Sub(op.Softplus(z), op.Mul(s, z))
        if self.threshold >= 0:
            linear = op.Mul(z, op.Sub(one, s))
            near = op.Less(z, op.scalar(self.threshold))
            losses = op.Where(near, losses, linear)
        weight = op.Where(alike, op.scalar(self.class_num), op.to_float(valid))
        count = op.ReduceSum(weight, keepdims=0)
        count = op.Where(op.Greater(count, zero), count, one)
        total = op.ReduceSum(op.Mul(losses, weight), keepdims=0)
        return op.Mul(op.Div(total, count), op.scalar(float(self.share > 0)))
