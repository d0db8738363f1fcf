"""Samples as a graph or a file takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converter.onnx.graph import Dim
from converter.onnx.runtime import Arrays
from prototxt.errors import ShapeError, UnsupportedError, UsageError


def batches_for(inputs: Mapping[str, Sequence[Dim]], feeds: Sequence[Arrays]) -> list[Arrays]:
    """Return feeds in batches of the size that inputs are fixed to; as they are if it is free.

    The last batch is filled with the last sample. Raises UsageError where an input is lacking,
    ShapeError for one of another shape than the input's, and UnsupportedError for NaN and infinity.
    """
    size = _batch(inputs)
    batches: list[Arrays] = []
    for at in range(0, len(feeds), size):
        some = [*feeds[at : at + size]]
        some += some[-1:] * (size - len(some))
        batches.append(
            {
                name: _joined([_input(feed, name) for feed in some], dims)
                for name, dims in inputs.items()
            }
        )
    for name, dims in inputs.items():
        _check(name, batches[0][name].shape, dims)
    for at, batch in enumerate(batches):
        if broken := [name for name, array in batch.items() if not np.isfinite(array).all()]:
            raise UnsupportedError(
                f"the calibration data's {broken[0]!r} is not finite in batch {at + 1}",
                fix="calibrate on inputs that the network is made for",
            )
    return batches


def first_batch(inputs: Mapping[str, Sequence[Dim]], feeds: Sequence[Arrays]) -> Arrays:
    """Return the first of `batches_for`, without making the others."""
    return batches_for(inputs, feeds[: _batch(inputs)])[0]


def _batch(inputs: Mapping[str, Sequence[Dim]]) -> int:
    """Return how many samples one batch has."""
    sizes = [dims[0] for dims in inputs.values() if dims]
    return next((size for size in sizes if isinstance(size, int) and size > 1), 1)


def _input(feed: Arrays, name: str) -> np.ndarray:
    if name not in feed:
        raise UsageError(
            f"the calibration data have no {name!r}, which the network reads",
            fix="give an .npz with an array for each input, the samples along its first axis",
        )
    return np.asarray(feed[name])


def _joined(arrays: Sequence[np.ndarray], dims: Sequence[Dim]) -> np.ndarray:
    """Return samples as one array; one that is as large as it is wanted stands for all."""
    first = arrays[0]
    if len(arrays) == 1 or (first.ndim and first.shape[:1] == tuple(dims[:1])):
        return first
    return np.concatenate(list(arrays))


def _check(name: str, shape: tuple[int, ...], dims: Sequence[Dim]) -> None:
    free = [not isinstance(dim, int) for dim in dims]
    if len(shape) != len(dims) or any(
        not any_size and size != dim for size, dim, any_size in zip(shape, dims, free, strict=True)
    ):
        wanted = " x ".join(
            "any" if any_size else str(dim) for dim, any_size in zip(dims, free, strict=True)
        )
        raise ShapeError(
            f"the calibration data's {name!r} is {' x '.join(map(str, shape))}, the network takes "
            f"{wanted}"
        )
