"""What every layer checks of its bottoms and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from caffe_layers.memory import MOST_VALUES, SIZES
from prototxt.errors import ShapeError

MAX_AXES = 32


def require(holds: bool, otherwise: str, *, fix: str = "") -> None:
    """Raise ShapeError(`otherwise`) unless the condition holds."""
    if not holds:
        raise ShapeError(otherwise, fix=fix)


def require_axes(shape: Sequence[int], name: str) -> None:
    """Raise ShapeError for more axes than a Caffe blob can have."""
    rank = len(shape)
    require(rank <= MAX_AXES, f"{name} has {rank} axes, wants {MAX_AXES} at most")


def require_countable(shape: Sequence[int], name: str) -> None:
    """Raise ShapeError for more values than the system's numbers count."""
    what = f"{name} {tuple(shape)} has {prod(shape):,} values"
    require(prod(shape) <= MOST_VALUES, f"{what}, which nothing here counts", fix=SIZES)


def require_values(shape: Sequence[int], name: str) -> None:
    """Raise ShapeError for a blob without a single value: Caffe aborts when it is touched."""
    require(min(shape, default=1) > 0, f"{name} {tuple(shape)} is empty, wants sizes of 1 or more")


def canonical_axis(axis: int, rank: int, name: str = "axis") -> int:
    """Return `axis` counted from the front; a negative one counts from the end, as in Caffe."""
    require(-rank <= axis < rank, f"{name} {axis} is none of the {rank} axes of the bottom")
    return axis % rank


def legacy_shape(shape: Sequence[int], name: str) -> tuple[int, int, int, int]:
    """Return N, C, H and W as Caffe's oldest layers read them: absent axes are 1, a fifth fails."""
    require(len(shape) <= 4, f"{name} {tuple(shape)} has {len(shape)} axes, wants 4 at most")
    n, c, h, w = (*shape, 1, 1, 1, 1)[:4]
    return n, c, h, w
