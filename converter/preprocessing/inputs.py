"""Inputs from files: arrays, and photos, prepared or left for a model that prepares them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from prototxt.data.images import read_image
from prototxt.errors import CaffeError, FormatError, UsageError

from .families import image_input, image_inputs, preprocessing_of
from .settings import ImageSettings
from .spec import Preprocessing, numbers
from .transform import Transform

ARRAY_SUFFIXES = {".npy", ".npz"}


@dataclass(frozen=True)
class Photo:
    """A photo that is fed: H x W x 3 bytes, R, G, B."""

    pixels: np.ndarray

    def prepared(self, preprocessing: Preprocessing) -> np.ndarray:
        """Return the input that it becomes, N x C x H x W."""
        return array_of(Transform(preprocessing)(self.pixels))


def read_fed(files: Iterable[tuple[str, str]]) -> dict[str, np.ndarray | Photo]:
    """Return `{input: array or photo}` of `(input, file)` pairs.

    A file is taken for an image unless its suffix is that of a file of arrays.
    """
    return {name: _read_input(name, Path(path)) for name, path in files}


def photos_among(inputs: Mapping[str, Any]) -> bool:
    """Tell whether a photo is among the inputs."""
    return any(isinstance(value, Photo) for value in inputs.values())


def as_arrays(
    net: CaffeNet, inputs: Mapping[str, Any], settings: ImageSettings, *, whole: bool = False
) -> dict[str, Any]:
    """Return the inputs with an array for each photo, prepared as `preprocessing_of` says.

    `settings` are its settings. With `whole` the model prepares photos itself: what is for no other
    input of the network stays N x H x W x 3 bytes. Raises what `preprocessing_of` does, and
    UsageError for a photo that another input than the network's images is to be.
    """
    arrays: dict[str, Any] = {}
    for name, value in inputs.items():
        if not isinstance(value, Photo):
            arrays[name] = value
        elif whole and (name not in net.inputs or name == image_input(net)):
            arrays[name] = value.pixels[None]
        else:
            arrays[name] = value.prepared(preprocessing_by_name(net, name, settings))
    return arrays


def photos_said(
    net: CaffeNet, inputs: Mapping[str, Any], settings: ImageSettings, *, whole: bool = False
) -> list[str]:
    """Say what `as_arrays` does to each photo, one sentence each."""
    prepared = [
        name
        for name, value in inputs.items()
        if isinstance(value, Photo)
        and not (whole and (name not in net.inputs or name == image_input(net)))
    ]
    return [
        f"images become {name!r} so: {preprocessing_by_name(net, name, settings)}"
        for name in prepared
    ]


def preprocessing_by_name(net: CaffeNet, name: str, settings: ImageSettings) -> Preprocessing:
    """Return what a photo for an input wants; UsageError for an input that takes no photo."""
    if name not in net.inputs:
        raise UsageError(f"input {name!r} is unknown: they are {', '.join(net.inputs)}")
    if name not in image_inputs(net):
        shape = net.input_shapes[name]
        raise UsageError(f"a photo is given for {name!r}, which is {shape}: no image")
    return preprocessing_of(net, **settings, image=name)


def _read_input(name: str, path: Path) -> np.ndarray | Photo:
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if path.suffix in ARRAY_SUFFIXES:
        return _read_array(name, path)
    return Photo(np.ascontiguousarray(read_image(str(path), upright=True)[:, :, ::-1]))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz`; FormatError for what is none, UsageError if none is there."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (ValueError, TypeError, EOFError, OSError, KeyError, BadZipFile, zlib.error):
        raise FormatError(f"{path}: no .npz file, or a damaged one") from None
    return {name: numbers(array, f"{path}: {name!r}") for name, array in arrays.items()}


def _read_array(name: str, path: Path) -> np.ndarray:
    """Return one input's array from a file of arrays.

    A `.npz` gives its array of the input's name, or its only one. Raises FormatError for what is no
    such file.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if path.suffix == ".npy":
            return numbers(np.asarray(loaded), path)
        with loaded as archive:
            held = archive.files
            if name in held or len(held) == 1:
                return numbers(np.asarray(archive[name if name in held else held[0]]), path)
    except CaffeError:
        raise
    except (ValueError, TypeError, EOFError, OSError, KeyError, BadZipFile, zlib.error):
        raise FormatError(f"{path}: no {path.suffix} file, or a damaged one") from None
    raise FormatError(f"{path}: no array {name!r} among {', '.join(held) or 'none'}")
