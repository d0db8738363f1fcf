"""PredictBox, of happynear's MTCNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.forks.mscnn.suppressed import emit_or_else
from prototxt.errors import ShapeError

UNIT = 12
"""The field's side in the network's own pixels, by which places are counted."""
SLACK = 1e-5
STITCH, NMS = 3, 2


class PredictBox(
    Layer,
    type="PredictBox",
    fork="happynear",
    param="predict_box_param",
    bottoms=(1, 3),
    tops=(1, 2),
):
    """A window [x, y, width, height, score] at each place whose score is above `positive_thresh`.

    Bottoms: scores N x 2 x H x W, of which the second is the window's; shifts N x 4 x H x W; and,
    with 2 channels, scores as a MaxPooling leaves them, of which only the largest stay, or, with
    3, the picture that each place belongs to: where that begins, x and y, and how large a field is
    there, 0 for none. A window is as wide as the field, `receptive_field`, and begins at
    `(stride * w - begin) / 12` fields. With `bbreg_exp` the shifts are dx, dy, log width and log
    height; else dy1, dx1, dy2 and dx2, of its corners. They are measured in fields.

    Tops: the windows, N x 5 x H x W, with 0 where there is none; and those of a single image as
    1 x K x 5, column by column, of which there is one of zeros where there are none, and N x 1 x 5
    zeros for several images. There is no gradient.

    Errors: ShapeError for bottoms of other sizes and a threshold below 0.
    Caffe: happynear/caffe-windows, src/caffe/layers/predict_box_layer.cpp
    """

    free_axis = 1
    first_free_top = 1

    def __init__(
        self,
        *,
        stride: int = 2,
        receptive_field: int = 12,
        positive_thresh: float = 0.5,
        bbreg_exp: bool = True,
        tops: int = 1,
    ) -> None:
        super().__init__()
        self.stride, self.receptive_field = stride, receptive_field
        self.positive_thresh, self.bbreg_exp = float32(positive_thresh), bbreg_exp
        self.lists = tops == 2
        require(positive_thresh >= 0, f"positive_thresh is {positive_thresh}, wants 0 or more")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PredictBox:
        return cls(**cls.fields(layer), tops=len(layer.top))

    def shapes(self, scores: Shape, *others: Shape) -> list[Shape]:
        require(len(scores) == 4, f"bottom {scores} has {len(scores)} axes, wants N x 2 x H x W")
        names = (
            ("scores", scores, (2,)),
            *zip(("shifts", "third bottom"), others, ((4,), (NMS, STITCH)), strict=False),
        )
        for name, shape, channels in names:
            if (shape[0], *shape[2:]) != (scores[0], *scores[2:]) or shape[1] not in channels:
                wants = " or ".join(map(str, channels))
                raise ShapeError(
                    f"the {name} are {shape}, wants {wants} channels and {scores[0]} x {scores[2:]}"
                )
        images, _, height, width = scores
        windows = (images, 5, height, width)
        most = (images, height * width if images == 1 else 1, 5)
        return [windows, most] if self.lists else [windows]

    def forward(
        self, scores: Tensor, shifts: Tensor | None = None, third: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        score = scores.detach()[:, 1]
        hit = score > self.positive_thresh
        across = (ramp(score, score.shape[2]) * self.stride).expand_as(score)
        down = (ramp(score, score.shape[1]) * self.stride)[:, None].expand_as(score)
        field = torch.full_like(score, self.receptive_field)
        if third is not None and third.shape[1] == NMS:
            hit = hit & (score > third.detach()[:, 1] - SLACK)
        elif third is not None:
            begin_x, begin_y, field = third.detach().unbind(1)
            hit = hit & (field != 0)
            across, down = across - begin_x, down - begin_y
        x, y, width, height = across / UNIT * field, down / UNIT * field, field, field
        if shifts is not None:
            a, b, c, d = shifts.detach().unbind(1)
            if self.bbreg_exp:
                x, y, width, height = x + a * field, y + b * field, field * c.exp(), field * d.exp()
            else:
                x, y = x + b * field, y + a * field
                width, height = field + (d - b) * field, field + (c - a) * field
        windows = torch.where(hit[:, None], torch.stack((x, y, width, height, score), 1), 0)
        if not self.lists:
            return windows
        found = windows[0].permute(2, 1, 0)[hit[0].T] if len(hit) == 1 else windows[0, :, 0, :0].T
        if not len(found):
            found = found.new_zeros(1, 5)
        return windows, found.expand(len(hit), -1, -1)

    def onnx(self, op: Op, scores: str, shifts: str = "", third: str = "") -> Values:
        score = _channel(op, scores, 1)
        hit = op.Greater(score, op.scalar(self.positive_thresh))
        stride, unit = op.scalar(self.stride), op.scalar(UNIT)
        across = op.Mul(emit_ramp(op, scores, 3), stride)
        down = op.Mul(op.Unsqueeze(emit_ramp(op, scores, 2), op.ints(1)), stride)
        zeros = op.Mul(score, op.scalar(0))
        field = op.Add(zeros, op.scalar(self.receptive_field))
        if third and op.shape(third)[1] == NMS:
            best = op.Sub(_channel(op, third, 1), op.scalar(SLACK))
            hit = op.And(hit, op.Greater(score, best))
        elif third:
            begin_x, begin_y, field = (_channel(op, third, at) for at in range(STITCH))
            hit = op.And(hit, op.to_bool(field))
            across, down = op.Sub(across, begin_x), op.Sub(down, begin_y)
        x, y = (op.Mul(op.Div(op.Add(at, zeros), unit), field) for at in (across, down))
        width = height = field
        if shifts:
            a, b, c, d = (_channel(op, shifts, at) for at in range(4))
            if self.bbreg_exp:
                x, y = op.Add(x, op.Mul(a, field)), op.Add(y, op.Mul(b, field))
                width, height = op.Mul(field, op.Exp(c)), op.Mul(field, op.Exp(d))
            else:
                x, y = op.Add(x, op.Mul(b, field)), op.Add(y, op.Mul(a, field))
                width = op.Add(field, op.Mul(op.Sub(d, b), field))
                height = op.Add(field, op.Mul(op.Sub(c, a), field))
        whole = op.Concat(x, y, width, height, score, axis=1)
        windows = op.Where(hit, whole, op.scalar(0))
        return [windows, self._emit_list(op, windows, hit)] if self.lists else windows

    @staticmethod
    def _emit_list(op: Op, windows: str, hit: str) -> str:
        """Append the windows of a single image in a row, or a row of zeros."""
        images = op.Slice(op.Shape(windows), op.ints(0), op.ints(1), op.ints(0))
        one = op.Reshape(op.Equal(images, op.ints(1)), op.ints(1, 1, 1, 1))
        by_column = op.Reshape(op.Transpose(op.And(hit, one), perm=[0, 3, 2, 1]), op.ints(-1))
        rows = op.Reshape(op.Transpose(windows, perm=[0, 3, 2, 1]), op.ints(-1, 5))
        found = op.Squeeze(op.NonZero(by_column), op.ints(0))
        none = op.Slice(op.Shape(rows), op.ints(0), op.ints(1), op.ints(0))
        padded = op.Concat(rows, op.array("no_window", np.zeros((1, 5))), axis=0)
        chosen = op.Gather(padded, emit_or_else(op, found, none), axis=0)
        shape = op.Concat(images, op.ints(1, 5), axis=0)
        return op.Expand(op.Unsqueeze(chosen, op.ints(0)), shape)


def _channel(op: Op, x: str, at: int) -> str:
    return op.Slice(x, op.ints(at), op.ints(at + 1), op.ints(1))
