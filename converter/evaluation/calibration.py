"""What a network is fed for calibration: images, prepared as it wants them, or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from converter.network.net import CaffeNet
from converter.preprocessing import Transform, image_input, preprocessing_of
from converter.preprocessing.inputs import read_arrays
from prototxt.errors import FormatError, UsageError, within

from .samples import open_samples

MOST_SAMPLES = 128
"""So many are taken where there are more, evenly spaced."""


def calibration_feeds(
    net: CaffeNet,
    data: str | PathLike[str],
    settings: Mapping[str, Any] | None = None,
    *,
    most: int = MOST_SAMPLES,
) -> list[dict[str, np.ndarray]]:
    """Return samples, each a batch of one, that a network's inputs are made of.

    `data` is an `.npz` of arrays by the inputs' names, samples along their first axis and prepared
    for the network; or images as `open_samples` takes them, labelled or not, which are prepared as
    `preprocessing_of` says with `settings`. An array of one sample goes with each of the others'.
    Raises CaffeError for what cannot be read, and UsageError for images where the network has other
    inputs too.
    """
    if Path(data).suffix == ".npz":
        return _arrays(net, Path(data), most)
    if Path(data).suffix == ".npy":
        raise UsageError(
            f"{data}: an array without a name",
            fix="np.savez(FILE, INPUT=array) makes an .npz of it",
        )
    if len(inputs := list(net.exported().inputs)) > 1:
        raise UsageError(
            f"{data}: images alone do not do, the network reads {', '.join(inputs)}",
            fix="give an .npz with an array for each input",
        )
    samples = open_samples(data, labelled=False)
    if not len(samples):
        raise FormatError(f"{data}: no images in it")
    transform = Transform(preprocessing_of(net, **(settings or {})), net.dtype)
    feeds = []
    for index in _spaced(len(samples), most):
        image, _ = samples[index]
        with within(samples.name(index)):
            feeds.append({image_input(net): transform(image).numpy()})
    return feeds


def _arrays(net: CaffeNet, path: Path, most: int) -> list[dict[str, np.ndarray]]:
    """Return the samples of a file of arrays."""
    arrays = read_arrays(path)
    inputs = net.exported().inputs
    if len(inputs) == len(arrays) == 1:
        arrays = dict(zip(inputs, arrays.values(), strict=True))
    if lacking := [name for name in inputs if name not in arrays]:
        held = ", ".join(arrays) or "none"
        raise FormatError(f"{path}: no array {lacking[0]!r}, which the network reads, among {held}")
    taken = {}
    for name in inputs:
        with within(f"{path}: {name!r}"):
            taken[name] = _in_float32(arrays[name])
    if flat := [name for name, array in taken.items() if not (array.ndim and len(array))]:
        raise FormatError(f"{path}: {flat[0]!r} holds no samples along a first axis")
    count = max(len(array) for array in taken.values())
    if odd := [name for name, array in taken.items() if len(array) not in (1, count)]:
        raise FormatError(f"{path}: {len(taken[odd[0]])} samples of {odd[0]!r}, wants 1 or {count}")
    return [
        {
            name: array[index : index + 1] if len(array) > 1 else array
            for name, array in taken.items()
        }
        for index in _spaced(count, most)
    ]


def _in_float32(array: np.ndarray) -> np.ndarray:
    """Return an array in float32; FormatError for what that does not hold."""
    with np.errstate(over="ignore"):
        taken = array.astype(np.float32, copy=False)
    if not (finite := np.isfinite(taken)).all():
        place = [int(index) for index in np.argwhere(~finite)[0]]
        raise FormatError(f"{array[tuple(place)]} at {place}, wants finite numbers of float32")
    return taken


def _spaced(count: int, most: int) -> list[int]:
    """Return at most so many indices, evenly spaced."""
    taken = min(count, most)
    return [index * (count - 1) // max(taken - 1, 1) for index in range(taken)]
