"""Which sizes of a network's values are free, found by asking the shape rules twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from caffe_layers import Shape
from prototxt.errors import CaffeError, ShapeError

from .emitter import Dim
from .module import CaffeNet

AXES = {"batch": 0, "height": 2, "width": 3}
STEPS = {"batch": (1,), "height": (32, 64, 1), "width": (32, 64, 1)}


def dynamic_dims(
    net: CaffeNet, inputs: Mapping[str, Shape], dynamic: Collection[str]
) -> dict[str, list[Dim]]:
    """Return each value's dimensions: an int, or the name (None if derived) of a free one.

    `dynamic` names the free axes of the inputs: batch (axis 0), height and width (axes 2 and 3
    of 4-D inputs). Raises ShapeError, naming the layer, where the network admits one size only.
    """
    base = net.shapes(inputs)
    dims: dict[str, list[Dim]] = {name: list(shape) for name, shape in base.items()}
    for axis in dynamic:
        if axis not in AXES:
            raise ShapeError(f"dynamic axis {axis!r} is none of {', '.join(AXES)}")
        for name, shape in _varied(net, inputs, axis).items():
            for index, (before, after) in enumerate(zip(base[name], shape, strict=True)):
                if before != after:
                    free = (
                        axis if name in inputs or _same(base, inputs, name, index, axis) else None
                    )
                    dims[name][index] = free
    return dims


def _same(
    base: dict[str, Shape], inputs: Mapping[str, Shape], name: str, index: int, axis: str
) -> bool:
    """Tell whether this size can be called by the input's name: the batch, at its own place."""
    return axis == "batch" and index == 0 and base[name][0] in {s[0] for s in inputs.values() if s}


def _varied(net: CaffeNet, inputs: Mapping[str, Shape], axis: str) -> dict[str, Shape]:
    at = AXES[axis]
    failure: CaffeError | None = None
    for step in STEPS[axis]:
        changed = {
            name: (*shape[:at], shape[at] + step, *shape[at + 1 :])
            if len(shape) > at and (axis == "batch" or len(shape) == 4)
            else shape
            for name, shape in inputs.items()
        }
        try:
            return net.shapes(changed)
        except CaffeError as error:
            failure = error
    assert failure is not None
    raise failure
