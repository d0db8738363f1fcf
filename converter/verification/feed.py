"""What torch and ONNX Runtime are both fed: a network's inputs, or images that become one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers import Shape
from converter.network.arrays import arrays_of, tensors_of
from converter.network.example_inputs import random_images, random_inputs
from converter.network.net import CaffeNet
from converter.onnx.model import OnnxModel
from converter.preprocessing import (
    ImageSettings,
    Preprocessing,
    Transform,
    image_input,
    preprocessing_of,
)
from prototxt.errors import ShapeError, within

ANY_IMAGES = (0, 0, 0, 3)
"""What a model takes that prepares photos of any size."""


@dataclass(frozen=True)
class Feed:
    """The inputs of the network; `images` are what a model that prepares them is fed for one."""

    tensors: dict[str, Tensor]
    images: np.ndarray | None = None
    preprocessing: Preprocessing | None = None
    """What makes the network's input of the images."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the network's inputs."""
        return {name: tuple(value.shape) for name, value in self.tensors.items()}

    def arrays(self, image: str) -> dict[str, np.ndarray]:
        """Return what an ONNX model is fed; `image` is its input of images, if it has one."""
        arrays = arrays_of(self.tensors)
        return arrays if self.images is None else arrays | {image: self.images}


def feed(
    net: CaffeNet,
    model: OnnxModel | None,
    inputs: Mapping[str, Any],
    preprocessing: Preprocessing | None,
    seed: int,
) -> Feed:
    """Return the inputs given, or seeded random ones, for the network and its model (if any).

    A model that prepares images itself is fed images, and the network what `preprocessing` makes
    of them (default: what the definition or its family says). Raises ShapeError for what one of
    them does not take.
    """
    if preprocessing is None and model is not None and model.inputs.image:
        preprocessing = embedded_preprocessing(net, model.path)
    losses = model is not None and takes_losses(net, model.inputs.shapes)
    taken = model.inputs.shapes if model is not None else {}
    own = net.exported(with_losses=losses).inputs if _fixed_batch(taken) else None
    if preprocessing is not None:
        random = random_inputs(net, seed, losses=losses, several=True, shapes=own)
        image = taken[model.inputs.image] if model is not None else ANY_IMAGES
        fed = _feed_images(net, inputs, random, preprocessing, image, seed)
    elif inputs:
        fed = Feed(tensors_of(net, inputs))
    else:
        fed = Feed(random_inputs(net, seed, losses=losses, shapes=own))
    if model is not None:
        net.feed(fed.tensors)  # what the network itself refuses is said by its layer
        model.check_shapes(fed.shapes)
    return fed


def embedded_preprocessing(
    net: CaffeNet, model: str | PathLike[str], **settings: Unpack[ImageSettings]
) -> Preprocessing:
    """Return what a model that takes images does to them, by the settings it was written with.

    Raises what `preprocessing_of` does.
    """
    with within(f"{model} takes images"):
        return preprocessing_of(net, **settings)


def takes_losses(net: CaffeNet, taken: Collection[str]) -> bool:
    """Tell whether the inputs that an ONNX model takes are among them that only losses use."""
    needed = net.exported().inputs
    return bool((set(taken) & set(net.inputs)) - needed.keys())


def _fixed_batch(taken: Mapping[str, Shape]) -> bool:
    """Tell whether a model takes as many samples as its file says, and no others."""
    return any(shape and shape[0] for shape in taken.values())


def _feed_images(
    net: CaffeNet,
    inputs: Mapping[str, Any],
    random: Mapping[str, Tensor],
    preprocessing: Preprocessing,
    image: Shape,
    seed: int,
) -> Feed:
    """Return images, and what `preprocessing` makes of them in the place of the random input."""
    data = image_input(net)
    if not inputs:
        return images_for(net, random, preprocessing, image, len(random[data]), seed)
    images, others = _images_among(inputs, random.keys() - {data})
    tensors = {**random, **tensors_of(net, others)}
    return _prepared(net, tensors, preprocessing, images)


def images_for(
    net: CaffeNet,
    tensors: Mapping[str, Tensor],
    preprocessing: Preprocessing,
    taken: Shape,
    batch: int,
    seed: int,
    size: tuple[int, int] = (270, 341),
) -> Feed:
    """Return random images for a model that takes `taken`, N x H x W x 3; 0 is free: of `size`."""
    _, height, width, _ = taken
    size = (height or size[0], width or size[1])
    return _prepared(net, tensors, preprocessing, random_images(seed, batch, size))


def _prepared(
    net: CaffeNet, tensors: Mapping[str, Tensor], preprocessing: Preprocessing, images: np.ndarray
) -> Feed:
    data = Transform(preprocessing, net.dtype).to(net.device)(images)
    return Feed({**tensors, image_input(net): data}, images, preprocessing)


def _images_among(
    inputs: Mapping[str, Any], others: Collection[str]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the images, and what is given of other inputs."""
    given = {name: value for name, value in inputs.items() if name in others}
    images = [np.asarray(value) for name, value in inputs.items() if name not in others]
    if len(images) != 1 or images[0].dtype != np.uint8:
        names = ", ".join(inputs)
        raise ShapeError(f"the inputs are {names}, the model wants images: N x H x W x 3 bytes")
    return images[0], given
