"""BoxGroupOutput, of Cascade R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .bbox_reg import clip_bounds, normalization, part
from .box_proposal import BoxProposal, ProposalFields, emit_places

Group = tuple[tuple[tuple[int, int], ...], float]
"""The fields of a group, width and height each, and how many pixels its places are apart."""


class BoxGroupOutput(
    BoxProposal,
    type="BoxGroupOutput",
    fork="cascade_rcnn",
    param="box_group_output_param",
    bottoms=(2, None),
    tops=(1, 2),
):
    """Regions from pairs of maps: probabilities (N A) x C x H x W, and shifts (N A) x 4 x H x W.

    Pair j belongs to `box_group_param` j, whose A fields are those of the A maps of an image, with
    places `stride` pixels apart. A place's score is 1 minus the first probability, that of
    background. Its box has its centre at `(w + 0.5) * stride + dx * field_w` and is
    `field_w * exp(dw)` wide, for shifts that are denormalised and then kept to `1 / field_xyr` and
    the logarithm of `field_whr`, and ends a pixel before; it is cut off at 0 and at the image's
    size. Boxes whose score is `fg_thr` and whose sides, `x2 - x1 + 1`, are `min_size` at least are
    sorted, and the first `max_nms_num` go through the suppression, whose sides count the 1.

    Errors: ShapeError unless there is a group for each pair, whose maps fit.
    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/box_group_output_layer.cpp and
    src/caffe/util/bbox_util.cpp
    """

    pixel = 1.0

    def __init__(self, *groups: Group, **settings: Unpack[ProposalFields]) -> None:
        super().__init__(**settings)
        self.groups = groups

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BoxGroupOutput:
        groups: list[Group] = []
        for group in layer.box_group_output_param.box_group_param:
            if len(group.field_w) != len(group.field_h):
                raise ShapeError(f"{len(group.field_w)} field_w for {len(group.field_h)} field_h")
            fields = tuple(zip(group.field_w, group.field_h, strict=True))
            groups.append((fields, float32(group.stride)))
        return cls(*groups, **cls.fields(layer), **normalization(layer), tops=len(layer.top))

    def shapes(self, *maps: Shape) -> list[Shape]:
        require(
            len(maps) == 2 * len(self.groups),
            f"{len(maps)} bottoms for {len(self.groups)} box_group_param, wants two for each",
        )
        images, boxes = set(), 0
        for (fields, _), prob, shifts in zip(self.groups, maps[::2], maps[1::2], strict=True):
            count = len(fields)
            fit = len(prob) == 4 and shifts == (prob[0], 4, *prob[2:]) and prob[1] == maps[0][1]
            if not fit or count == 0 or prob[0] % count:
                raise ShapeError(
                    f"probabilities {prob} and shifts {shifts}, wants (N {count}) x C x H x W and "
                    f"as many x 4 x H x W for {count} fields"
                )
            images.add(prob[0] // count)
            boxes += count * prob[2] * prob[3]
        require(len(images) == 1, f"the bottoms are of {sorted(images)} images, wants one number")
        return self._tops(images.pop(), boxes)

    def forward(self, *maps: Tensor) -> Tensor | tuple[Tensor, ...]:
        parts = [
            self._boxes(prob.detach(), shifts.detach(), *group)
            for group, prob, shifts in zip(self.groups, maps[::2], maps[1::2], strict=True)
        ]
        boxes, scores = (torch.cat(one, 1) for one in zip(*parts, strict=True))
        large = (boxes[..., 2:] - boxes[..., :2] + 1 >= self.min_size).all(-1)
        return self._regions(boxes, scores, large & (scores >= self.fg_thr))

    def _boxes(
        self, prob: Tensor, shifts: Tensor, fields: Sequence[tuple[int, int]], stride: float
    ) -> tuple[Tensor, Tensor]:
        """Return a group's boxes, N x (A H W) x 4, and their scores."""
        height, width = prob.shape[2:]
        scores = (1 - prob[:, 0]).reshape(-1, len(fields) * height * width)
        shifts = shifts.permute(0, 2, 3, 1).reshape(-1, len(fields), height, width, 4)
        shifts = shifts * torch.tensor(self.bbox_std).to(prob)
        shifts = shifts + torch.tensor(self.bbox_mean).to(prob)
        bounds = clip_bounds(self.field_whr, self.field_xyr)
        low, high = (torch.from_numpy(bound).to(prob) for bound in bounds)
        shifts = shifts.maximum(low).minimum(high)
        sides = torch.tensor(fields).to(prob)[:, None, None]
        across, down = (ramp(prob, width) + 0.5) * stride, (ramp(prob, height) + 0.5) * stride
        places = torch.stack((across.expand(height, -1), down[:, None].expand(-1, width)), -1)
        sizes = sides * shifts[..., 2:].exp()
        first = shifts[..., :2] * sides + places - sizes / 2
        image = torch.tensor((int(width * stride), int(height * stride))).to(prob)
        boxes = torch.cat((first.clamp(min=0), (first + sizes - 1).minimum(image)), -1)
        return boxes.reshape(len(scores), -1, 4), scores

    def onnx(self, op: Op, *maps: str) -> Values:
        parts = [
            self._emit_boxes(op, prob, shifts, *group)
            for group, prob, shifts in zip(self.groups, maps[::2], maps[1::2], strict=True)
        ]
        boxes, scores = (
            op.Concat(*one, axis=1) if len(one) > 1 else one[0] for one in zip(*parts, strict=True)
        )
        inner = op.Sub(part(op, boxes, 2), part(op, boxes, 0))
        sides = op.Add(inner, op.scalar(1))
        return self._emit_regions(op, boxes, self._emit_valid(op, scores, sides))

    def _emit_boxes(
        self, op: Op, prob: str, shifts: str, fields: Sequence[tuple[int, int]], stride: float
    ) -> tuple[str, str]:
        count = len(fields)
        background = op.Slice(prob, op.ints(0), op.ints(1), op.ints(1))
        groups = op.Concat(
            op.ints(-1, count), op.Slice(op.Shape(prob), op.ints(2), op.ints(4)), axis=0
        )
        scores = op.Sub(op.scalar(1), op.Reshape(background, groups))
        shifts = op.Transpose(shifts, perm=[0, 2, 3, 1])
        places, image = emit_places(op, shifts, stride)
        shifts = op.Reshape(shifts, op.Concat(groups, op.ints(4), axis=0))
        shifts = op.Add(op.Mul(shifts, op.floats(self.bbox_std)), op.floats(self.bbox_mean))
        low, high = (op.floats(bound) for bound in clip_bounds(self.field_whr, self.field_xyr))
        shifts = op.Min(op.Max(shifts, low), high)
        sides = op.Reshape(op.floats(v for field in fields for v in field), op.ints(count, 1, 1, 2))
        sizes = op.Mul(sides, op.Exp(part(op, shifts, 2)))
        centre = op.Add(op.Mul(part(op, shifts, 0), sides), places)
        first = op.Sub(centre, op.Mul(sizes, op.scalar(0.5)))
        last = op.Sub(op.Add(first, sizes), op.scalar(1))
        boxes = op.Concat(op.Max(first, op.scalar(0)), op.Min(last, image), axis=-1)
        each = op.Reshape(op.Mul(op.scalar(1), boxes), self._flat(op, groups, 4))
        return each, op.Reshape(scores, self._flat(op, groups))

    @staticmethod
    def _flat(op: Op, groups: str, *beyond: int) -> str:
        """Append the shape N x (A H W) x ...: of an image's maps one list."""
        sizes = op.Slice(groups, op.ints(1), op.ints(4))
        return op.Concat(op.ints(-1), op.reduce("ReduceProd", sizes, [0], keepdims=1),
                         *([op.ints(*beyond)] if beyond else []), axis=0)  # fmt: skip
