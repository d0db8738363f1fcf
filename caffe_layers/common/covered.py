"""The axes of a bottom that Scale's and Bias's blobs cover."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape


def covered_shape(bottom: Shape, axis: int, num_axes: int) -> Shape:
    """Return the sizes of `num_axes` axes of the bottom from `axis` on; -1 means up to the end."""
    start = canonical_axis(axis, len(bottom))
    require(num_axes >= -1, f"num_axes is {num_axes}, wants -1 (up to the end) or more")
    end = len(bottom) if num_axes == -1 else start + num_axes
    require(end <= len(bottom), f"axis {axis} + num_axes {num_axes} is outside of {bottom}")
    return bottom[start:end]


def check_covers(bottom: Shape, axis: int, blob: Shape, name: str) -> None:
    """Raise ShapeError unless the blob's sizes are those of the bottom's axes from `axis` on."""
    want = covered_shape(bottom, axis, len(blob)) if blob else ()
    fix = f"{name} is not broadcast: its sizes are the bottom's from axis on"
    require(blob == want, f"{name} is {blob}, wants {want} of the bottom {bottom}", fix=fix)


def spread(blob: Tensor, axis: int, rank: int) -> Tensor:
    """Return the blob with axes of size 1 behind it, so that it meets the bottom's axes."""
    return blob.reshape(spread_shape(tuple(blob.shape), axis, rank))


def spread_shape(blob: Shape, axis: int, rank: int) -> Shape:
    """Return the shape that `spread` gives a blob."""
    return (*blob, *(1,) * _behind(len(blob), axis, rank))


def spread_value(op: Op, value: str, axis: int, rank: int) -> str:
    """Append what `spread` does to a value of an ONNX graph."""
    covers = len(op.shape(value))
    behind = _behind(covers, axis, rank)
    if not behind:
        return value
    return op.Unsqueeze(value, op.ints(*range(covers, covers + behind)))


def spread_source(value: str, axis: int, rank: int, covers: int) -> str:
    """Return Python source of what `spread` does to a value of so many axes."""
    more = ", None" * _behind(covers, axis, rank)
    return f"{value}[...{more}]" if more else value


def _behind(covers: int, axis: int, rank: int) -> int:
    return rank - canonical_axis(axis, rank) - covers if covers else 0
