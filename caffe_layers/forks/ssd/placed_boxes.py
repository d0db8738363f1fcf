"""Boxes of several sizes around every place of a map: what every PriorBox makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any, ClassVar, TypedDict

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Required

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

SAME_RATIO = 1e-6
Pair = tuple[float, float]
Moves = tuple[Sequence[float], Sequence[float]]


class PlaceFields(TypedDict, total=False):
    """Where prior boxes are, and what they vary by, whatever their sizes."""

    clip: bool
    variance: Sequence[float]
    image: tuple[int, int] | None
    step: Pair | None
    offset: float


class BoxFields(PlaceFields, total=False):
    """What a PriorBox is told: `PlacedBoxes`' keywords."""

    min_size: Required[Sequence[float]]
    max_size: Sequence[float]
    aspect_ratio: Sequence[float]
    flip: bool


class PlacedBoxes(Layer):
    """Base of the PriorBox layers: boxes around every place of a map, as `PriorBox` says.

    Its fields are those of `PriorBox`; a fork's layer changes `whole_sizes`, `sizes`, `offsets`,
    `moves` or `bounded`.
    """

    whole_sizes: ClassVar[bool] = True
    """Whether `min_size` and `max_size` are cut to whole pixels."""

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
        cut: Callable[[float], float] = int if self.whole_sizes else float32
        ratios = ratios_of(aspect_ratio, flip=flip)
        self.sizes = _sizes([*map(cut, min_size)], [*map(cut, max_size)], ratios)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Any:
        return cls(**cls.read(layer))

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        """Return the arguments of `__init__` that a layer's message gives."""
        param = layer.prior_box_param
        image = _pair(param, "img_size", "img_h", "img_w")
        step = _pair(param, "step", "step_h", "step_w")
        return {"image": image, **cls.fields(layer, step=step)}

    def shapes(self, feature: Shape, data: Shape) -> list[Shape]:
        *_, height, width = legacy_shape(feature, "the feature map")
        legacy_shape(data, "the image")
        return [(1, 2, height * width * len(self.sizes) * 4)]

    def forward(self, feature: Tensor, data: Tensor) -> Tensor:
        *_, height, width = legacy_shape(feature.shape, "the feature map")
        image = self.image or legacy_shape(data.shape, "the image")[2:]
        half = torch.tensor(self.sizes, dtype=torch.float64, device=feature.device).flip(1) / 2
        sides: list[Tensor] = []
        for axis, (count, side) in enumerate(zip((height, width), image, strict=True)):
            place = self._places(feature, axis, count, side).double()
            # A scalar of the image's side, which may vary where the layer is traced.
            whole = place.new_full((), side)
            ends = ((place + shift) / whole for shift in (-half[:, axis], half[:, axis]))
            sides += [end.to(feature.dtype) for end in ends]
        top, bottom, left, right = sides
        each = (height, width, len(self.sizes))
        edges = (left, top[:, None], right, bottom[:, None])
        boxes = self.bounded(torch.stack([edge.expand(each) for edge in edges], -1))
        variances = boxes.new_tensor(self.variance).expand(boxes.shape)
        return torch.stack([boxes.flatten(), variances.flatten()])[None]

    def _places(self, feature: Tensor, axis: int, count: int, side: int) -> Tensor:
        """Return the boxes' centres along one axis, in pixels: in float, as in C++.

        They are `count` x B for B boxes of a place, or `count` x 1 where all have the same.
        """
        index = torch.arange(count, dtype=torch.float32, device=feature.device)[:, None]
        step = self.step[axis] if self.step else index.new_full((), side) / count
        places: Tensor = (index + index.new_tensor(self.offsets(axis))) * step
        if moves := self.moves(axis):
            back, on = (torch.tensor(move, dtype=torch.float64) for move in moves)
            places = ((places - back.to(places)).double() + on.to(places.device)).float()
        return places

    def offsets(self, axis: int) -> Sequence[float]:
        """Return how many steps a box's centre lies behind its place's edge, or one for all.

        Axis 0 goes down, axis 1 to the right.
        """
        return [self.offset]

    def moves(self, axis: int) -> Moves | None:
        """Return by how many pixels each box goes back, and then on; None where none moves."""
        return None

    def bounded(self, boxes: Tensor) -> Tensor:
        """Return the boxes, ... x 4, as far as they are kept within the image."""
        return boxes.clamp(0, 1) if self.clip else boxes

    def emit_bounded(self, op: Op, boxes: str) -> str:
        """Append what `bounded` does."""
        return op.Clip(boxes, op.scalar(0), op.scalar(1)) if self.clip else boxes

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
            offsets = np.array(self.offsets(axis - 2), np.float32)
            if len(offsets) == 1:
                place = op.Add(index, op.const(offsets[0]))
            else:
                place = op.Add(op.Unsqueeze(index, op.ints(1)), op.const(offsets))
            place = op.Mul(place, step)
            if moves := self.moves(axis - 2):
                back, on = (np.array(move) for move in moves)
                place = op.Unsqueeze(place, op.ints(1)) if len(offsets) == 1 else place
                place = op.Sub(place, op.const(back.astype(np.float32)))
                place = op.Add(op.cast(place, np.float64), op.const(on))
                place = op.cast(place, np.float32)
            each = len(half) if moves or len(offsets) > 1 else 1
            shape = (1, -1, each, 1, 1) if name == "x" else (-1, 1, each, 1, 1)
            place = op.Reshape(place, op.ints(*shape))
            place = op.cast(place, np.float64)
            own = half[:, 3 - axis]
            edge = op.const(np.stack([-own, own], -1)[:, :, None])
            side = op.cast(side, np.float64)
            corner = op.Add(place, edge)
            corners.append(op.Div(corner, side))
        whole = op.Concat(*counts, op.ints(len(half), 2, 1), axis=0)
        full = [op.Expand(c, whole) for c in corners]
        boxes = op.to_float(op.Concat(*full, axis=4))
        boxes = op.Reshape(boxes, op.ints(-1, 4))
        boxes = self.emit_bounded(op, boxes)
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


def ratios_of(given: Sequence[float], *, flip: bool) -> list[float]:
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
    for index, least in enumerate(min_size):
        sizes.append((float(least), float(least)))
        if max_size:
            side = float32(sqrt(least * max_size[index]))
            sizes.append((side, side))
        for ratio in ratios:
            if abs(ratio - 1) >= SAME_RATIO:
                root = float32(sqrt(ratio))
                sizes.append((float32(least * root), float32(least / root)))
    return sizes
