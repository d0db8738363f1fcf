"""Photos as inputs: prepared by the settings, or whole for a model that prepares them itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from prototxt.data.images import read_image

from . import Preprocessing, Transform, image_input, preprocessing_of
from .photo_shapes import is_image, read_input


@dataclass(frozen=True)
class Photo:
    """A photo that is fed: H x W x 3 bytes, R, G, B, and what is done to it."""

    pixels: np.ndarray
    preprocessing: Preprocessing | None = None

    def array(self) -> np.ndarray:
        """Return the input, N x C x H x W: the photo's B, G, R as they are if nothing is done."""
        if self.preprocessing is None:
            planes = self.pixels[:, :, ::-1].transpose(2, 0, 1)[None]
            return np.ascontiguousarray(planes, np.float32)
        return array_of(Transform(self.preprocessing)(self.pixels))


def read_photo(path: str) -> Photo:
    """Read a photo from an image file."""
    return Photo(np.ascontiguousarray(read_image(path)[:, :, ::-1]))


def read_fed(files: Iterable[tuple[str, str]]) -> dict[str, np.ndarray | Photo]:
    """Return `{input: array or photo}` of `(input, file)` pairs; see `read_input` for arrays."""
    return {
        name: read_photo(path)
        if is_image(path) and Path(path).is_file()
        else read_input(name, Path(path))
        for name, path in files
    }


def photos_among(inputs: Mapping[str, Any]) -> bool:
    """Tell whether a photo is among the inputs."""
    return any(isinstance(value, Photo) for value in inputs.values())


def as_arrays(
    net: CaffeNet, inputs: Mapping[str, Any], settings: Mapping[str, Any], *, whole: bool = False
) -> dict[str, Any]:
    """Return the inputs with an array for each photo, prepared where there are `settings`.

    `settings` are those of `preprocessing_of`. With `whole` the model prepares photos itself: what
    is for no other input of the network stays N x H x W x 3 bytes.
    """
    if not photos_among(inputs):
        return dict(inputs)
    others = set(net.inputs) - {image_input(net)} if whole else set()
    wanted = preprocessing_of(net, **settings) if settings and not whole else None
    arrays: dict[str, Any] = {}
    for name, value in inputs.items():
        if not isinstance(value, Photo):
            arrays[name] = value
        elif whole and name not in others:
            arrays[name] = value.pixels[None]
        else:
            arrays[name] = Photo(value.pixels, wanted).array()
    return arrays
