"""Mixup, of images and their labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError


class Mixup(
    Layer, type="Mixup", fork="bag_of_tricks", param="mixup_param", bottoms=(1, 2), tops=(1, 2)
):
    """`top[n] = a x[n] + (1 - a) x[m[n]]`, and the labels alike: N x C.

    x is N x ..., and there are N labels of `cls_num` classes, or weights of the classes, N x C.
    Each pass draws a, of the distribution Beta(`alpha`, `alpha`), and the order m of the images, in
    either phase. Nothing has a gradient. Without labels (`--deploy`) the top is x, the only one.

    Errors: ShapeError for fewer than 2 classes, `alpha` of 0 or less, other numbers of labels or
    tops and a label that is no class; UnsupportedError on writing ONNX with labels.
    Caffe: Wheatly2/Bag-of-Tricks-for-Image-Classification at 9661ccc9, mixup_layer.cpp
    """

    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        cls_num: int = 0,
        labels: Shape | None = None,
        tops: int = 2,
    ) -> None:
        """`labels` is their shape, None without any."""
        super().__init__()
        wants = 1 if labels is None else 2
        require(tops == wants, f"{tops} tops, wants {wants} with {wants} bottoms")
        require(alpha > 0, f"alpha is {alpha:g}, wants more than 0")
        self.weighted = labels is not None and len(labels) == 2
        self.classes = labels[1] if labels is not None and self.weighted else cls_num
        require(
            labels is None or self.classes > 1,
            f"{self.classes} classes, wants 2 or more",
            fix="set cls_num",
        )
        self.alpha, self.draws = float32(alpha), labels is not None

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Mixup:
        labels = bottoms[1] if len(bottoms) > 1 else None
        return cls(labels=labels, tops=len(layer.top), **cls.fields(layer))

    @classmethod
    def does_without_labels(cls, layer: Any) -> bool:
        return True

    def shapes(self, x: Shape, *labels: Shape) -> list[Shape]:
        for label in labels:
            require(label[0] == x[0], f"labels {label} are of {label[0]} samples, wants {x[0]}")
        return [x, (x[0], self.classes)] if labels else [x]

    @torch.no_grad()
    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        if label is None:
            return x
        if not self.weighted:
            index = label.reshape(x.shape[0], -1)[:, :1].long()
            check_indices(index, self.classes, "labels")
            label = x.new_zeros(x.shape[0], self.classes).scatter(1, index, 1)
        order = torch.randperm(x.shape[0], device=x.device)
        alpha = torch.tensor(self.alpha, dtype=x.dtype, device=x.device)
        share = torch.distributions.Beta(alpha, alpha).sample()
        return share * x + (1 - share) * x[order], share * label + (1 - share) * label[order]

    def onnx(self, op: Op, x: str, *label: str) -> Values:
        if label:
            raise UnsupportedError(
                f"{self.caffe_type} draws from a Beta distribution, which ONNX lacks",
                fix="--deploy leaves the labels out, and with them the mixing",
            )
        return op.Identity(x)
