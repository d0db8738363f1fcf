"""PointwiseSpatialAttention, of PSANet."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class PointwiseSpatialAttention(
    Layer,
    type="PointwiseSpatialAttention",
    fork="psanet",
    param="pointwise_spatial_attention_param",
    bottoms=2,
):
    """`top[n, c, p]` = the sum over all places q of `x[n, c, q] * w[n, q, p] / factor`.

    x is N x C x H x W, the masks N x (MH MW) x H x W: mask value (i, j) of a place is about the
    place that lies `i - (MH - 1) / 2` rows and `j - (MW - 1) / 2` columns from it. In COLLECT
    `w[q, p]` is what the mask of p says of q, in DISTRIBUTE what the mask of q says of p; places
    that a mask does not reach have 0. With `is_softmax` the softmax over q is taken of that.
    Where `normalization_factor` is not given it is MH MW, and MH and MW are 2 H - 1 and 2 W - 1.

    Errors: ShapeError for masks of other sizes, and for even ones.
    Caffe: hszhao/PSANet, src/caffe/layers/pointwise_spatial_attention_layer.{cpp,cu}
    """

    def __init__(
        self,
        mask: tuple[int, int],
        *,
        normalization_factor: float | None = None,
        is_softmax: bool = False,
        psa_type: str = "COLLECT",
    ) -> None:
        super().__init__()
        for size in mask:
            require(size > 1 and size % 2 == 1, f"the masks are {mask}, want odd sizes above 1")
        self.mask, self.is_softmax = mask, is_softmax
        self.distributes = psa_type == "DISTRIBUTE"
        given = mask[0] * mask[1] if normalization_factor is None else normalization_factor
        self.factor = float32(given)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PointwiseSpatialAttention:
        param = layer.pointwise_spatial_attention_param
        sizes = (param.attention_mask_height, param.attention_mask_width)
        given = [param.HasField(f"attention_mask_{name}") for name in ("height", "width")]
        if any(given) and not all(given):
            raise ShapeError("attention_mask_height and attention_mask_width are given together")
        require(len(bottoms[0]) == 4, f"bottom {bottoms[0]} has not 4 axes: N x C x H x W")
        whole = (2 * bottoms[0][2] - 1, 2 * bottoms[0][3] - 1)
        return cls(sizes if all(given) else whole, **cls.fields(layer))

    def shapes(self, x: Shape, masks: Shape) -> list[Shape]:
        want = (x[0], self.mask[0] * self.mask[1], *x[2:])
        require(masks == want, f"the masks are {masks}, wants {want} for x {x}")
        return [x]

    def forward(self, x: Tensor, masks: Tensor) -> Tensor:
        count, _, height, width = x.shape
        whole = self.mask[0] >= 2 * height - 1 and self.mask[1] >= 2 * width - 1
        values = x.flatten(2)
        if whole:
            weights = self._whole(masks, height, width)
            values = values.flip(2) if self.distributes else values
        else:
            at, inside = _seen(self.mask, height, width)
            places = torch.from_numpy(at).to(masks.device)
            weights = masks.flatten(1).index_select(1, places).view(count, height * width, -1)
            weights = weights * torch.from_numpy(inside).to(x)
        if self.distributes:
            weights = weights.transpose(1, 2)
        if self.is_softmax:
            weights = weights.softmax(1)
        top = values @ weights / self.factor
        return (top.flip(2) if whole and not self.distributes else top).view_as(x)

    def _whole(self, masks: Tensor, height: int, width: int) -> Tensor:
        """Return what `_seen` picks of masks that reach everywhere, the places p from the last on.

        So it is a view of the masks: a step of q moves through the mask, one back of p moves
        through it alike, and to the place before.
        """
        area = height * width
        line = self.mask[1] * area
        first = (self.mask[0] // 2 - height + 1) * line + (self.mask[1] // 2 - width + 1) * area
        masks = masks.contiguous()
        view = masks.as_strided(
            (len(masks), height, width, height, width),
            (masks.stride(0), line, area, line - width, area - 1),
            masks.storage_offset() + first + area - 1,
        )
        return view.reshape(len(masks), area, area)

    def onnx(self, op: Op, x: str, masks: str) -> Values:
        height, width = op.shape(x)[2:]
        places = np.arange(height * width)
        rows, columns = op.const(places // width), op.const(places % width)
        inside, parts = "", []
        for values, size in ((rows, self.mask[0]), (columns, self.mask[1])):
            away = op.Sub(op.Unsqueeze(values, op.ints(1)), values)
            at = op.Add(away, op.ints(size // 2))
            low = op.Not(op.Less(at, op.ints(0)))
            fits = op.And(low, op.Less(at, op.ints(size)))
            inside = op.And(inside, fits) if inside else fits
            parts.append(at)
        at = op.Add(op.Mul(parts[0], op.ints(self.mask[1])), parts[1])
        at = op.Where(inside, at, op.ints(0))
        flat = op.Reshape(masks, op.ints(0, 0, -1))
        count = op.Slice(op.Shape(flat), op.ints(0), op.ints(1))
        each = op.Concat(count, op.ints(height * width, height * width), axis=0)
        found = op.GatherElements(flat, op.Expand(at, each), axis=1)
        weights = op.Mul(found, op.to_float(inside))
        if self.distributes:
            weights = op.Transpose(weights, perm=[0, 2, 1])
        if self.is_softmax:
            weights = op.Softmax(weights, axis=1)
        product = op.MatMul(op.Reshape(x, op.ints(0, 0, -1)), weights)
        return op.reshape_to_top(op.Div(product, op.scalar(self.factor)))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        count, channels, height, width = bottoms[0]
        return count * channels * (height * width) ** 2


@lru_cache(maxsize=8)
def _seen(
    mask: tuple[int, int], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where in an image's masks all that places say of each other lies, as q x p.

    And which of it there is.
    """
    rows, columns = np.divmod(np.arange(height * width), width)
    down = rows[:, None] - rows + mask[0] // 2
    across = columns[:, None] - columns + mask[1] // 2
    inside = (down >= 0) & (down < mask[0]) & (across >= 0) & (across < mask[1])
    at = np.where(inside, down * mask[1] + across, 0) * (height * width)
    return (at + np.arange(height * width)).ravel(), inside
