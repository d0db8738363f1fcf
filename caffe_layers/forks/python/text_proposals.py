"""Boxes of a text line's slices: `layers.text_proposal_layer.ProposalLayer`, of CTPN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python

HEIGHTS = (11, 16, 23, 33, 48, 68, 97, 139, 198, 283)
"""Of the anchors, all 16 pixels wide."""
CENTRE = 7.5
LAST = 15
"""The last of the 16 columns."""


@register_python("layers.text_proposal_layer", "ProposalLayer")
class TextProposals(Layer, bottoms=3, tops=2):
    """All boxes and scores of ten anchors at each place: (H W 10) x 4, (H W 10) x 1.

    Scores are 1 x 20 x H x W, those of text last; shifts 1 x 20 x H x W, dy and dh of each anchor;
    the image's numbers 1 x 2 or more: height and width. At place (y, x) an anchor of height h about
    c is moved by `feat_stride` times y and x; its box is `exp(dh) * h` high about `c + dy * h`,
    from the anchor's first column to its last, and clipped to 0 and the image's size less 1.
    Nothing is sorted or suppressed: finding lines is up to the authors' detector. There is no
    gradient.

    The anchors are whole numbers, cut towards 0, about 7.5 by half of a height that Python 2, in
    which the code is written, rounds down.

    Errors: ShapeError for more than one image, and where the maps are not the anchors'.
    Caffe: tianzhi0549/CTPN, src/layers/text_proposal_layer.py, src/anchor.py, src/other.py
    """

    fixed_bottoms = (0, 1, 2)
    asks: ClassVar[Mapping[int, Asked]] = {2: "image info"}

    def __init__(self, *, feat_stride: int) -> None:
        super().__init__()
        require(feat_stride >= 1, f"feat_stride {feat_stride} wants 1 or more")
        self.feat_stride = feat_stride
        halves = [height // 2 for height in HEIGHTS]
        upper = np.array([int(CENTRE - half) for half in halves], np.float64)
        lower = np.array([int(CENTRE + half) for half in halves], np.float64)
        self.heights, self.centres = lower - upper + 1, (upper + lower) / 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> TextProposals:
        param = read_param_str(layer.python_param.param_str, ("feat_stride",))
        require("feat_stride" in param, "param_str has no feat_stride")
        return cls(**param)

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        channels = 2 * len(HEIGHTS)
        for name, shape in (("scores", scores), ("shifts", shifts)):
            fits = len(shape) == 4 and shape[:2] == (1, channels)
            require(fits, f"the {name} are {shape}, wants 1 x {channels} x H x W")
        require(scores == shifts, f"the scores {scores} and the shifts {shifts} differ in places")
        fits = len(info) == 2 and info[1] >= 2
        require(fits, f"the image's numbers are {info}, wants 1 x 2 or more: height, width")
        rows = len(HEIGHTS) * scores[2] * scores[3]
        return [(rows, 4), (rows, 1)]

    def forward(self, scores: Tensor, shifts: Tensor, info: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = scores.shape[2:]
        score = scores.detach()[0, len(HEIGHTS) :].permute(1, 2, 0).reshape(-1, 1)
        shifts = shifts.detach()[0].permute(1, 2, 0).reshape(rows, columns, -1, 2)
        heights, centres = (
            torch.from_numpy(each).to(shifts) for each in (self.heights, self.centres)
        )
        down = ramp(shifts, rows)[:, None, None] * self.feat_stride
        left = (ramp(shifts, columns)[:, None] * self.feat_stride).expand(shifts.shape[:3])
        high = shifts[..., 1].exp() * heights
        upper = shifts[..., 0] * heights + (centres + down) - high / 2
        boxes = torch.stack((left, upper, left + LAST, upper + high), -1).reshape(-1, 4)
        limit = info.detach()[0, :2].flip(0).repeat(2) - 1
        return boxes.minimum(limit).clamp(min=0), score

    def onnx(self, op: Op, scores: str, shifts: str, info: str) -> Values:
        count = len(HEIGHTS)
        text = op.Slice(scores, op.ints(count), op.ints(2 * count), op.ints(1))
        score = op.Reshape(op.Transpose(text, perm=[0, 2, 3, 1]), op.ints(-1, 1))
        # H x W x 10 x 1, as are all parts of a box.
        shifted = op.Transpose(shifts, perm=[0, 2, 3, 1])
        places = op.Slice(op.Shape(shifted), op.ints(1), op.ints(3))
        shifted = op.Reshape(shifted, op.Concat(places, op.ints(count, 2), axis=0))
        dy, dh = (op.Slice(shifted, op.ints(at), op.ints(at + 1), op.ints(3)) for at in (0, 1))
        heights, centres = (
            op.array(name, value.reshape(1, 1, count, 1))
            for name, value in (("heights", self.heights), ("centres", self.centres))
        )
        down, left = (
            op.Mul(op.Unsqueeze(emit_ramp(op, shifts, axis), axes), op.scalar(self.feat_stride))
            for axis, axes in ((2, op.ints(1, 2, 3)), (3, op.ints(0, 2, 3)))
        )
        high = op.Mul(op.Exp(dh), heights)
        centre = op.Add(op.Mul(dy, heights), op.Add(centres, down))
        upper = op.Sub(centre, op.Mul(high, op.scalar(0.5)))
        left = op.Add(left, op.Mul(upper, op.scalar(0)))
        right = op.Add(left, op.scalar(LAST))
        boxes = op.Concat(left, upper, right, op.Add(upper, high), axis=3)
        limit = op.Sub(op.Gather(info, op.ints(1, 0, 1, 0), axis=1), op.scalar(1))
        limit = op.Slice(limit, op.ints(0), op.ints(1), op.ints(0))
        boxes = op.Max(op.Min(op.Reshape(boxes, op.ints(-1, 4)), limit), op.scalar(0))
        return boxes, score
