"""BoxOutput, of MS-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.arithmetic.reversed import emit_reversed
from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bbox_reg import COORDINATES, clip_bounds, normalization, part
from .box_proposal import BoxProposal, ProposalFields, emit_places


class BoxOutput(
    BoxProposal,
    type="BoxOutput",
    fork="mscnn",
    param="box_output_param",
    bottoms=(1, None),
    tops=(1, 2),
):
    """Regions from maps of several scales, N x (C + 4) x H x W each: C scores and 4 shifts.

    Map j is of fields of `field_w[j]` x `field_h[j]` pixels, `downsample_rate[j]` apart. A place's
    score is its best but the first minus the first, which is the background's. Its box has its
    centre at `(w + 0.5) * rate + dx * field_w` and is `field_w * exp(dw)` wide, for shifts that are
    denormalised and then kept to `1 / field_xyr` and the logarithm of `field_whr`; what lies beyond
    the image is cut off. Boxes whose score is `fg_thr` and whose sides are `min_size` at least are
    sorted, of equal ones the later first, and the first `max_nms_num` go through the suppression,
    without a pixel that counts twice.

    Errors: ShapeError unless there is a field and a rate for each bottom.
    Caffe: zhaoweicai/mscnn, src/caffe/layers/box_output_layer.cpp
    """

    pixel = 0.0

    def __init__(
        self,
        bottoms: int,
        *,
        field_h: Sequence[int] = (),
        field_w: Sequence[int] = (),
        downsample_rate: Sequence[float] = (),
        **settings: Unpack[ProposalFields],
    ) -> None:
        super().__init__(**settings)
        for name, given in (("field_h", field_h), ("field_w", field_w)):
            require(len(given) == bottoms, f"{len(given)} {name} for {bottoms} bottoms")
        require(
            len(downsample_rate) == bottoms,
            f"{len(downsample_rate)} downsample_rate for {bottoms} bottoms",
        )
        self.fields_of_maps = tuple(zip(field_w, field_h, strict=True))
        self.rates = tuple(map(float32, downsample_rate))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BoxOutput:
        own = cls.fields(layer) | normalization(layer)
        return cls(len(bottoms), **own, tops=len(layer.top))

    def shapes(self, *maps: Shape) -> list[Shape]:
        first = maps[0]
        for one in maps:
            require(len(one) == 4, f"bottom {one} has {len(one)} axes, wants N x (C + 4) x H x W")
            alike = one[:2] == first[:2]
            require(alike, f"bottoms {first} and {one} differ in images or channels")
        classes = first[1] - COORDINATES
        require(
            classes >= 2, f"bottom {first} has {first[1]} channels, wants 4 more than 2 classes"
        )
        return self._tops(first[0], sum(one[2] * one[3] for one in maps))

    def forward(self, *maps: Tensor) -> Tensor | tuple[Tensor, ...]:
        parts = [
            self._boxes(x.detach(), field, rate)
            for x, field, rate in zip(maps, self.fields_of_maps, self.rates, strict=True)
        ]
        boxes, scores = (torch.cat(part, 1).flip(1) for part in zip(*parts, strict=True))
        large = (boxes[..., 2:] >= self.min_size).all(-1)
        corners = torch.cat((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), -1)
        return self._regions(corners, scores, large & (scores >= self.fg_thr))

    def _boxes(self, x: Tensor, field: Sequence[int], rate: float) -> tuple[Tensor, Tensor]:
        """Return a map's boxes, N x (H W) x 4: corner and sides, and their scores."""
        images, channels, height, width = x.shape
        classes = channels - COORDINATES
        scores = x[:, 1:classes].amax(1) - x[:, 0]
        shifts = x[:, classes:].permute(0, 2, 3, 1)
        shifts = shifts * torch.tensor(self.bbox_std).to(x) + torch.tensor(self.bbox_mean).to(x)
        low, high = (torch.from_numpy(b).to(x) for b in clip_bounds(self.field_whr, self.field_xyr))
        shifts = shifts.maximum(low).minimum(high)
        sides = torch.tensor(field).to(x)
        across, down = (ramp(x, width) + 0.5) * rate, (ramp(x, height) + 0.5) * rate
        places = torch.stack((across.expand(height, -1), down[:, None].expand(-1, width)), -1)
        sizes = sides * shifts[..., 2:].exp()
        corner = (shifts[..., :2] * sides + places - sizes / 2).clamp(min=0)
        image = torch.tensor((int(width * rate), int(height * rate))).to(x)
        sizes = sizes.minimum(image - corner)
        return torch.cat((corner, sizes), -1).reshape(images, -1, 4), scores.flatten(1)

    def onnx(self, op: Op, *maps: str) -> Values:
        parts = [
            self._emit_boxes(op, x, field, rate)
            for x, field, rate in zip(maps, self.fields_of_maps, self.rates, strict=True)
        ]
        corners, sides, scores = (
            emit_reversed(op, op.Concat(*part, axis=1) if len(part) > 1 else part[0], 1)
            for part in zip(*parts, strict=True)
        )
        corners = op.Concat(corners, op.Add(corners, sides), axis=2)
        return self._emit_regions(op, corners, self._emit_valid(op, scores, sides))

    def _emit_boxes(
        self, op: Op, x: str, field: Sequence[int], rate: float
    ) -> tuple[str, str, str]:
        classes = op.shape(x)[1] - COORDINATES
        x = op.Transpose(x, perm=[0, 2, 3, 1])
        objects = part(op, x, 1, classes - 1)
        best = op.reduce("ReduceMax", objects, [3], keepdims=1)
        scores = op.Sub(best, part(op, x, 0, 1))
        shifts = part(op, x, classes, 4)
        shifts = op.Add(op.Mul(shifts, op.floats(self.bbox_std)), op.floats(self.bbox_mean))
        low, high = (op.floats(bound) for bound in clip_bounds(self.field_whr, self.field_xyr))
        shifts = op.Min(op.Max(shifts, low), high)
        places, image = emit_places(op, x, rate)
        sides = op.floats(field)
        sizes = op.Mul(sides, op.Exp(part(op, shifts, 2)))
        centre = op.Add(op.Mul(part(op, shifts, 0), sides), places)
        corner = op.Max(op.Sub(centre, op.Mul(sizes, op.scalar(0.5))), op.scalar(0))
        sizes = op.Min(sizes, op.Sub(image, corner))
        flat = op.ints(0, -1, 2)
        return op.Reshape(corner, flat), op.Reshape(sizes, flat), op.Reshape(scores, op.ints(0, -1))
