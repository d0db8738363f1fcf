"""PriorBox, from SSD."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import fork_field
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

SAME_RATIO = 1e-6
Pair = tuple[float, float]


class PriorBox(Layer, type="PriorBox", fork="ssd", param="prior_box_param", bottoms=2):
    """Boxes of several sizes and shapes around every place of a feature map: 1 x 2 x 4P.

    Bottoms: the feature map, N x C x H x W, and the image, of which only the sizes count. Channel 0
    of the top holds xmin, ymin, xmax, ymax of each box, in fractions of the image's width and
    height; channel 1 their variances. Boxes go by row, column, `min_size`; for each of these a
    square of that side, with `max_size` one of side `sqrt(min * max)`, then for each aspect ratio
    r, and with `flip` for 1/r, a box of `min sqrt(r)` by `min / sqrt(r)`. Sizes are cut to whole
    pixels. Places are `step` apart, by default the image's size by the map's; the first is at
    `offset * step`. `clip` cuts boxes to the image.

    Errors: ShapeError for sizes, steps and variances that do not fit; UnsupportedError for
    chuanqi305's `reduce_boxes`, whose first layer makes other boxes, which ones is not known.
    Caffe: weiliu89/caffe, src/caffe/layers/prior_box_layer.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = ("prior_box_param.reduce_boxes",)

    def __init__(
        self,
        *,
        min_size: Sequence[float],
        max_size: Sequence[float] = (),
        aspect_ratio: Sequence[float] = (),
        flip: bool = True,
        clip: bool = False,
        variance: Sequence[float] = (),
        image: tuple[int, int] | None = None,
        step: Pair | None = None,
        offset: float = 0.5,
    ) -> None:
        """`image` and `step` are height and width, in pixels; None reads them of the bottoms."""
        super().__init__()
        require(len(min_size) > 0, "there is no min_size, wants at least one")
        require(min(min_size) > 0, f"min_size {tuple(min_size)} wants sizes above 0")
        if len(max_size) not in (0, len(min_size)):
            raise ShapeError(
                f"{len(max_size)} max_size for {len(min_size)} min_size, wants as many"
            )
        for least, most in zip(min_size, max_size, strict=bool(max_size)):
            require(most > least, f"max_size {most:g} wants more than min_size {least:g}")
        variance = tuple(variance) or (0.1,)
        if len(variance) not in (1, 4) or not min(variance) > 0:
            raise ShapeError(f"variance {variance} wants 1 or 4 numbers above 0")
        for name, pair in (("img_h and img_w", image), ("step_h and step_w", step)):
            require(pair is None or min(pair) > 0, f"{name} {pair} want numbers above 0")
        self.flip, self.clip, self.image = flip, clip, image
        self.step = None if step is None else (float32(step[0]), float32(step[1]))
        self.offset = float32(offset)
        self.variance = tuple(map(float32, variance * (4 // len(variance))))
        self.sizes = _sizes(min_size, max_size, _ratios(aspect_ratio, flip=flip))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PriorBox:
        param = layer.prior_box_param
        if fork_field(param, "reduce_boxes"):
            raise UnsupportedError("reduce_boxes makes other boxes, which ones is not known")
        image = _pair(param, "img_size", "img_h", "img_w")
        step = _pair(param, "step", "step_h", "step_w")
        return cls(image=image, **cls.fields(layer, step=step))

    def shapes(self, feature: Shape, data: Shape) -> list[Shape]:
        *_, height, width = legacy_shape(feature, "the feature map")
        legacy_shape(data, "the image")
        return [(1, 2, height * width * len(self.sizes) * 4)]

    def forward(self, feature: Tensor, data: Tensor) -> Tensor:
        *_, height, width = legacy_shape(feature.shape, "the feature map")
        image = self.image or legacy_shape(data.shape, "the image")[2:]
        y, x = (
            self._places(feature, axis, count, side).double()
            for axis, (count, side) in enumerate(zip((height, width), image, strict=True))
        )
        y, x = y[:, None].expand(height, width), x.expand(height, width)
        half = torch.tensor(self.sizes, dtype=torch.float64, device=feature.device) / 2
        boxes = torch.stack([x, y, x, y], -1)[:, :, None] + torch.cat([-half, half], -1)
        sides = torch.stack([boxes.new_full((), side) for side in (*image[::-1], *image[::-1])])
        boxes = (boxes / sides).to(feature.dtype)
        if self.clip:
            boxes = boxes.clamp(0, 1)
        variances = boxes.new_tensor(self.variance).expand(boxes.shape)
        return torch.stack([boxes.flatten(), variances.flatten()])[None]

    def _places(self, feature: Tensor, axis: int, count: int, side: int) -> Tensor:
        """Return the places along one axis, in pixels: in float, as in C++."""
        index = torch.arange(count, dtype=torch.float32, device=feature.device)
        step = self.step[axis] if self.step else index.new_full((), side) / count
        places: Tensor = (index + self.offset) * step
        return places

    def onnx(self, op: Op, feature: str, data: str) -> Values:
        free = any(op.dynamic(feature)[2:]) or (not self.image and any(op.dynamic(data)[2:]))
        if free:
            return self._emit(op, feature, data)
        of_type = torch.from_numpy(np.zeros((), op.float_type))
        bottoms = (of_type.expand(op.shape(name)) for name in (feature, data))
        return op.array("boxes", self.forward(*bottoms).numpy())

    def _emit(self, op: Op, feature: str, data: str) -> str:
        """Append what `forward` does, for sizes that are known only when the model runs."""
        half = np.array(self.sizes) / 2
        corners: list[str] = []
        counts: list[str] = []
        for name, axis in (("x", 3), ("y", 2)):
            count, side = self._emit_sides(op, feature, data, axis)
            counts.insert(0, count)
            first, last = (op.const(np.array(value, np.int64)) for value in (0, 1))
            scalar = op.Squeeze(count, op.ints(0))
            index = op.Range(first, scalar, last)
            index = op.cast(index, np.float32)
            if self.step:
                step = op.const(np.array(self.step[axis - 2], np.float32))
            else:
                divisor = op.cast(count, np.float32)
                step = op.Div(side, divisor)
            place = op.Add(index, op.const(np.array(self.offset, np.float32)))
            place = op.Mul(place, step)
            shape = (1, -1, 1, 1, 1) if name == "x" else (-1, 1, 1, 1, 1)
            place = op.Reshape(place, op.ints(*shape))
            place = op.cast(place, np.float64)
            own = half[:, 3 - axis]
            edge = op.const(np.stack([-own, own], -1)[:, :, None])
            side = op.cast(side, np.float64)
            corner = op.Add(place, edge)
            corners.append(op.Div(corner, side))
        each = op.Concat(*counts, op.ints(len(half), 2, 1), axis=0)
        full = [op.Expand(c, each) for c in corners]
        boxes = op.to_float(op.Concat(*full, axis=4))
        if self.clip:
            boxes = op.Clip(boxes, op.scalar(0), op.scalar(1))
        boxes = op.Reshape(boxes, op.ints(-1, 4))
        variances = op.Expand(op.floats(self.variance), op.Shape(boxes))
        whole = op.Concat(boxes, variances, axis=0)
        return op.Reshape(whole, op.ints(1, 2, -1))

    def _emit_sides(self, op: Op, feature: str, data: str, axis: int) -> tuple[str, str]:
        """Return the map's size along an axis, as int64, and the image's, as float."""
        sizes = op.Shape(feature)
        count = op.Gather(sizes, op.ints(axis), axis=0)
        if self.image:
            return count, op.const(np.array([self.image[axis - 2]], np.float32))
        whole = op.Shape(data)
        side = op.Gather(whole, op.ints(axis), axis=0)
        return count, op.cast(side, np.float32)


def _pair(param: Any, one: str, high: str, wide: str) -> Any:
    """Read a height and a width, given alike in one field or each in its own."""
    if param.HasField(high) or param.HasField(wide):
        require(not param.HasField(one), f"both {one} and {high} or {wide} are given")
        return getattr(param, high), getattr(param, wide)
    return (getattr(param, one),) * 2 if param.HasField(one) else None


def _ratios(given: Sequence[float], *, flip: bool) -> list[float]:
    """Return 1 and the ratios that are not among those before; a flipped one is not looked at."""
    ratios = [1.0]
    for ratio in map(float32, given):
        require(ratio > 0, f"aspect_ratio {ratio:g} wants numbers above 0")
        if all(abs(ratio - other) >= SAME_RATIO for other in ratios):
            ratios += [ratio, float32(1 / ratio)] if flip else [ratio]
    return ratios


def _sizes(
    min_size: Sequence[float], max_size: Sequence[float], ratios: Sequence[float]
) -> list[Pair]:
    """Return width and height of every box of a place, in pixels, in the top's order."""
    sizes = []
    for index, least in enumerate(map(int, min_size)):
        sizes.append((float(least), float(least)))
        if max_size:
            side = float32(sqrt(least * int(max_size[index])))
            sizes.append((side, side))
        for ratio in ratios:
            if abs(ratio - 1) >= SAME_RATIO:
                root = float32(sqrt(ratio))
                sizes.append((float32(least * root), float32(least / root)))
    return sizes
