"""Which sizes of a network's values are free, found by asking the shape rules twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from caffe_layers import Shape
from converter.network.exported import Exported
from converter.network.layers import Layers
from converter.network.shapes import shapes_of
from converter.network.steps import Step
from prototxt.errors import CaffeError, ShapeError, headline, within

from .graph import Dim

Made = TypeVar("Made")

AXES = {"batch": 0, "height": 2, "width": 3}
GROWTH = {"batch": (1,), "height": (32, 64, 1), "width": (32, 64, 1)}
"""By how much an axis grows to see what follows it: the first that the network admits."""


class FreeAxisError(ShapeError):
    """A network, or what was made of it, is right at one size only along an axis of its inputs."""

    def __init__(self, axis: str, why: str) -> None:
        super().__init__(why, fix="export with fewer dynamic axes, or none")
        self.axis = axis


Fixed = Mapping[str, CaffeError]
"""The axes that are not free, though they were to be, each with why."""


def with_free_axes(
    axes: Collection[str] | None,
    make: Callable[[Collection[str]], Made],
    known: Fixed = MappingProxyType({}),
) -> tuple[Made, Fixed]:
    """Return what `make` makes of the inputs' free axes, and which of them are fixed.

    Free are those that the user asked for, or the batch where that is not said (None), but for
    those that are `known` to fail, and those for which `make` raises FreeAxisError. Where nobody
    asked, any error fixes the batch. Raises the error that is left where fixing does not help.
    """
    fixed = dict(known)
    free = [axis for axis in (("batch",) if axes is None else axes) if axis not in fixed]
    while True:
        try:
            return make(tuple(free)), fixed
        except CaffeError as error:
            axis = error.axis if isinstance(error, FreeAxisError) else ""
            axis = "batch" if axes is None else axis
            if axis not in free:
                raise
            free.remove(axis)
            fixed[axis] = error


def fixed_axes(what: str, fixed: Fixed) -> list[str]:
    """Say which axes of what was made are fixed, and why."""
    return [
        f"the {axis} of {what} is fixed, since a free one fails: {headline(error)}"
        for axis, error in fixed.items()
    ]


def dynamic_dims(
    exported: Exported, layers: Layers, dynamic: Collection[str]
) -> dict[str, list[Dim]]:
    """Return each value's dimensions: an int, or the name (None if derived) of a free one.

    `dynamic` names the free axes of the inputs: batch (axis 0), height and width (axes 2 and 3
    of 4-D inputs). Raises FreeAxisError, naming the layer, where the network admits one size only.
    """
    steps, inputs, base = exported.plan.steps, exported.inputs, exported.shapes
    dims: dict[str, list[Dim]] = {name: list(shape) for name, shape in base.items()}
    for axis in dynamic:
        if axis not in AXES:
            raise ShapeError(f"dynamic axis {axis!r} is none of {', '.join(AXES)}")
        symbols = _symbols(inputs, axis)
        varied = _varied(steps, layers, inputs, axis)
        if axis == "batch":
            _refuse_mixing(steps, base, varied)
        for name, shape in varied.items():
            for index, (before, after) in enumerate(zip(base[name], shape, strict=True)):
                if before != after:
                    # A derived size is the batch if it is at the batch's place and moves alike.
                    follows = axis == "batch" and index == 0 and after == before + 1
                    named = name in inputs or follows
                    dims[name][index] = symbols.get(before) if named else None
    if any(step.cls.free_axis is not None for step in steps):
        for name, shape in _with_more_rows(steps, layers, inputs).items():
            for index, (before, after) in enumerate(zip(base[name], shape, strict=True)):
                if before != after:
                    dims[name][index] = None
    return dims


def _refuse_mixing(
    steps: Iterable[Step], base: Mapping[str, Shape], varied: Mapping[str, Shape]
) -> None:
    """Raise FreeAxisError where a layer gives the values of all images one place of another axis.

    So does `Reshape` to `dim: 1 dim: -1 dim: 4`: of 4420 boxes of each of two images it makes 8840
    of one. Caffe does too, but nobody can tell such a file's answers apart. That an axis of the
    images' number moves to another place is no mixing.
    """
    for step in (step for step in steps if step.cls.is_view):
        (bottom, *_), (top, *_) = step.bottoms, step.tops
        before, after = base[top], varied[top]
        moved = base[bottom][:1] != varied[bottom][:1]
        grown = [size for size, more in zip(before, after, strict=True) if size != more]
        if moved and before[:1] == after[:1] and any(size != base[bottom][0] for size in grown):
            one, more = " x ".join(map(str, before)), " x ".join(map(str, after))
            said = f"it puts all images into one: {one} becomes {more} with another batch"
            raise FreeAxisError("batch", f"{step.place}: {said}")


def _symbols(inputs: Mapping[str, Shape], axis: str) -> dict[int, str]:
    """Return the name of each size that an axis has among the inputs: equal sizes move together."""
    symbols: dict[int, str] = {}
    for name, shape in inputs.items():
        if _has(shape, axis):
            symbols.setdefault(shape[AXES[axis]], f"{axis}_of_{name}" if symbols else axis)
    return symbols


def _has(shape: Shape, axis: str) -> bool:
    return len(shape) > AXES[axis] and (axis == "batch" or len(shape) == 4)


def _with_more_rows(
    steps: Iterable[Step], layers: Layers, inputs: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the values' shapes where layers with a free axis make one row more than their rule."""
    shapes = dict(inputs)
    for step in steps:
        with within(step.place):
            tops = layers[step.key].shapes(*(shapes[name] for name in step.bottoms))
        at = step.cls.free_axis
        if at is not None:
            first = step.cls.first_free_top
            longer = [(*top[:at], top[at] + 1, *top[at + 1 :]) for top in tops[first:]]
            tops = [*tops[:first], *longer]
        shapes.update(zip(step.tops, tops, strict=True))
    return shapes


def _varied(
    steps: Sequence[Step], layers: Layers, inputs: Mapping[str, Shape], axis: str
) -> dict[str, Shape]:
    """Return the values' shapes with another size along an axis of the inputs."""
    at = AXES[axis]
    failure: CaffeError | None = None
    for more in GROWTH[axis]:
        changed = {
            name: (*shape[:at], shape[at] + more, *shape[at + 1 :]) if _has(shape, axis) else shape
            for name, shape in inputs.items()
        }
        try:
            return shapes_of(steps, layers, changed)
        except CaffeError as error:
            failure = error
    assert failure is not None
    raise FreeAxisError(axis, f"with another {axis}: {headline(failure)}") from failure
