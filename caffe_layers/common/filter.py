"""Filter, and the one of pruned channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.choosing import emit_chosen
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Filter(Layer, type="Filter", bottoms=(2, None), tops=(1, None)):
    """`top[i]` = the rows of `bottom[i]` at which the last bottom, the selector, is not 0.

    The selector is N or N x 1 x ..., each other bottom N x ...; it has no gradient. The number of
    rows that come out is known only when the values are; there may be none. Until then the shape
    rule says N, as Caffe's does.

    Errors: ShapeError for bottoms of different N, and unless there is a top for each of them.
    Caffe: BVLC/caffe, src/caffe/layers/filter_layer.cpp
    """

    free_axis = 0

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Filter:
        tops, wants = len(layer.top), len(bottoms) - 1
        require(tops == wants, f"{tops} tops, wants {wants}: one for each bottom but the selector")
        return cls()

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        *filtered, selector = bottoms
        if not selector or not set(selector[1:]) <= {1}:
            raise ShapeError(f"the selector is {selector}, wants N or N x 1 x ...")
        for index, shape in enumerate(bottoms):
            if shape[:1] != selector[:1]:
                raise ShapeError(
                    f"bottom {index} {shape} has not as many rows as the selector {selector}"
                )
        return filtered

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        *filtered, selector = bottoms
        rows = selector.flatten() != 0
        return tuple(x[rows] for x in filtered)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        *filtered, selector = bottoms
        flat = op.Reshape(selector, op.ints(-1))
        rows = emit_chosen(op, op.to_bool(flat))
        return tuple(op.Gather(x, rows, axis=0) for x in filtered)


class ChannelFilter(
    Layer, type="Filter", fork="caffe_pro", param="filter_param", bottoms=(1, None), tops=(1, None)
):
    """`top[i]` = the channels of `bottom[i]` at which the blob `selector` is not 0: `num_output`.

    Channels lie along `axis`; the selector is C, and 1 to begin with. Caffe computes it on GPUs
    alone, and there no gradient of the selector.

    Errors: ShapeError for bottoms of different C, for other numbers of tops than of bottoms, and on
    running where the selector chooses others than `num_output` channels.
    Caffe: yihui-he/caffe-pro at 602b9e37, src/caffe/layers/filter_layer.{cpp,cu}
    """

    selector: Tensor

    def __init__(self, channels: int, *, num_output: int, axis: int = 1) -> None:
        super().__init__()
        require(0 < num_output <= channels, f"num_output {num_output} wants 1 to {channels}")
        self.channels, self.num_output, self.axis = channels, num_output, axis
        self.add_blob("selector", (channels,), Filler(value=1.0), learnable=False)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer, "filter_param")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ChannelFilter:
        tops, wants = len(layer.top), len(bottoms)
        require(tops == wants, f"{tops} tops, wants {wants}: one for each bottom")
        axis = canonical_axis(layer.filter_param.axis, len(bottoms[0]))
        require(axis > 0, "axis 0, which Caffe lacks too")
        return cls(bottoms[0][axis], **cls.fields(layer, axis=axis))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        at, tops = self.axis, []
        for shape in bottoms:
            got = shape[at] if len(shape) > at else 0
            require(got == self.channels, f"bottom {shape} has {got} channels, not {self.channels}")
            tops.append((*shape[:at], self.num_output, *shape[at + 1 :]))
        return tops

    def _chosen(self) -> Tensor:
        chosen = self.selector.nonzero().flatten()
        require(
            len(chosen) == self.num_output,
            f"the selector chooses {len(chosen)} channels, num_output is {self.num_output}",
            fix="give the weights: they hold the selector",
        )
        return chosen

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        chosen = self._chosen()
        return tuple(x.index_select(self.axis, chosen) for x in bottoms)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        chosen = op.const(self._chosen().cpu().numpy())
        return tuple(op.Gather(x, chosen, axis=self.axis) for x in bottoms)
