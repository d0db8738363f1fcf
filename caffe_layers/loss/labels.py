"""Labels, one for each prediction along an axis."""

from __future__ import annotations

from math import prod

from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape


def check_batch(x: Shape, label: Shape) -> None:
    """Check what every loss asks: as many labels as samples."""
    require(min(len(x), len(label)) > 0, f"bottoms {x} and {label} want a batch axis each")
    require(x[0] == label[0], f"bottom {x} has {x[0]} samples, its labels {label} are {label[0]}")


def check_labels(x: Shape, label: Shape, axis: int) -> None:
    """Check that there is one label for each row of classes along `axis` of x."""
    axis = canonical_axis(axis, len(x))
    wants = prod(x) // x[axis]
    got = prod(label)
    require(got == wants, f"labels {label} are {got}, wants {wants}: one for each place of {x}")


def read_labels(
    label: Tensor, x: Tensor, axis: int, ignore_label: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return the labels as integers, and which of them count (None where all do).

    Both have the shape of x with size 1 on `axis`; labels that do not count become 0. Raises
    ShapeError for a label that is none of the classes along `axis`.
    """
    shape = list(x.shape)
    shape[axis] = 1
    index, valid = label.reshape(shape).long(), None
    if ignore_label is not None:
        valid = index != ignore_label
        index = index.masked_fill(~valid, 0)
    check_indices(index, x.shape[axis], "labels")
    return index, valid


def emit_labels(
    op: Op, label: str, x: str, axis: int, ignore_label: int | None
) -> tuple[str, str | None]:
    """Append what `read_labels` does."""
    sizes = op.shape(x)
    axis = canonical_axis(axis, len(sizes))
    if op.shape(label) == (*sizes[:axis], *sizes[axis + 1 :]):
        label = op.Unsqueeze(label, op.ints(axis))
    elif op.shape(label) != (*sizes[:axis], 1, *sizes[axis + 1 :]):
        whole = op.Shape(x)
        before = op.Slice(whole, op.ints(0), op.ints(axis))
        after = op.Slice(whole, op.ints(axis + 1), op.ints(len(sizes)))
        places = op.Concat(before, op.ints(1), after, axis=0)
        label = op.Reshape(label, places)
    index = op.to_int(label)
    if ignore_label is None:
        return index, None
    valid = emit_valid(op, index, ignore_label)
    return op.Where(valid, index, op.ints(0)), valid


def emit_valid(op: Op, label: str, ignore_label: int) -> str:
    """Append the test which of the integer labels count."""
    ignored = op.Equal(label, op.ints(ignore_label))
    valid: str = op.Not(ignored)
    return valid


def first_labels(label: Tensor, x: Tensor, classes: int) -> Tensor:
    """Return one integer label for each sample of x, as N x 1; Caffe ignores any further ones.

    Raises ShapeError for a label that is not in 0..classes - 1.
    """
    index = label.reshape(-1, 1)[: x.shape[0]].long()
    check_indices(index, classes, "labels")
    return index


def emit_first(op: Op, label: str, x: str) -> str:
    """Append what `first_labels` does."""
    column = op.Reshape(label, op.ints(-1, 1))
    if prod(op.shape(label)) != op.shape(x)[0]:
        samples = op.Slice(op.Shape(x), op.ints(0), op.ints(1))
        column = op.Slice(column, op.ints(0), samples, op.ints(0))
    return op.to_int(column)
