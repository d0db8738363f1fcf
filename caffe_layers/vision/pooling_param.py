"""Reading a PoolingParameter."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.message import enum_name, is_set
from prototxt.errors import ShapeError

EACH: dict[str, tuple[int, ...] | None] = {"kernel_size": None, "stride": (1,), "pad": (0,)}
"""PoolingND's sizes, with what they are where nothing says them."""


def read_each_axis(
    param: Any, name: str, axes: int, none: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """Read a size that is given once, once an axis, or of images by its `_h` and `_w`.

    Raises ShapeError for other numbers of them, and for a mixture.
    """
    given = tuple(getattr(param, name))
    pair = tuple(f"{name.partition('_')[0]}_{axis}" for axis in "hw")
    said = [field for field in pair if param.HasField(field)]
    if said:
        if given or axes != len(pair) or len(said) != len(pair):
            raise ShapeError(f"{name} wants numbers, or of an image {' and '.join(pair)}, not both")
        return tuple(getattr(param, field) for field in pair)
    given = given or none or ()
    require(len(given) in (0, 1, axes), f"{name} {given} wants 1 number, or {axes}: one an axis")
    return (given * axes if len(given) == 1 else given) or None


def read_round_mode(param: Any) -> str:
    """Read how the number of places is rounded; Intel's message has no say in it."""
    mode = enum_name(param, "round_mode") if is_set(param, "round_mode") else ""
    if not is_set(param, "ceil_mode"):
        return mode or "CEIL"
    said = "CEIL" if param.ceil_mode else "FLOOR"
    if mode not in ("", said):
        raise ShapeError(f"ceil_mode says {said} and round_mode {mode}, wants one of them")
    return said


def read_kernel(param: Any, axes: int) -> tuple[int, ...] | None:
    """Read the kernel: kernel_size, or kernel_h and kernel_w; None if there is neither."""
    pair = param.HasField("kernel_h") and param.HasField("kernel_w")
    if param.global_pooling:
        fields = ("kernel_size", "kernel_h", "kernel_w")
        if any(param.HasField(name) for name in fields):
            raise ShapeError("global_pooling takes the bottom's size, wants no kernel")
        return None
    if param.HasField("kernel_size") == pair:
        raise ShapeError("the kernel wants kernel_size, or kernel_h and kernel_w, but not both")
    if not pair:
        return (param.kernel_size,) * axes
    require(axes == 2, "kernel_h and kernel_w are of an image, a volume wants kernel_size")
    return param.kernel_h, param.kernel_w


def read_sizes(param: Any, name: str, axes: int) -> tuple[int, ...]:
    """Read stride or pad: one number, or `_h` and `_w`."""
    pair = (f"{name}_h", f"{name}_w")
    given = [param.HasField(field) for field in pair]
    if not any(given):
        return (getattr(param, name),) * axes
    if not all(given) or param.HasField(name):
        raise ShapeError(f"{name} wants one number, or {' and '.join(pair)}, but not a mixture")
    require(axes == 2, f"{' and '.join(pair)} are of an image, a volume wants {name}")
    return getattr(param, pair[0]), getattr(param, pair[1])
