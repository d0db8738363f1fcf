"""What every layer checks of its bottoms and parameters."""

from __future__ import annotations

from prototxt.errors import ShapeError


def require(holds: bool, otherwise: str, *, fix: str = "") -> None:
    """Raise ShapeError(`otherwise`) unless the condition holds."""
    if not holds:
        raise ShapeError(otherwise, fix=fix)


def canonical_axis(axis: int, rank: int, name: str = "axis") -> int:
    """Return `axis` counted from the front; a negative one counts from the end, as in Caffe."""
    require(-rank <= axis < rank, f"{name} {axis} is none of the {rank} axes of the bottom")
    return axis % rank
