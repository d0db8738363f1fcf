"""Which preprocessing a network wants: as its definition says, or as its family is known to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from converter.loading.options import Phase
from converter.network.net import CaffeNet
from prototxt import Net, filter_net
from prototxt.errors import UnsupportedError, UsageError
from prototxt.named_file import find_named

from .spec import Preprocessing, mean_image, read_mean, read_size

FAMILIES = {
    "sknet": Preprocessing("BGR", (103.94, 116.78, 123.68), 0.017, 256, origin="known of SKNet"),
    "senet": Preprocessing("BGR", (104.0, 117.0, 123.0), 1.0, 256, origin="known of SENet"),
    "bvlc": Preprocessing(
        "BGR", (104.0, 117.0, 123.0), 1.0, (256, 256), origin="known of BVLC's models"
    ),
}
"""What the released networks want. SENet's mean is in a comment of each released definition."""

NETWORK_NAMES = {
    "sknet": re.compile(r"sk-?net.*", re.IGNORECASE),
    "senet": re.compile(r"SE-(ResNet|ResNeXt|BN-Inception).*|SENet.*"),
    "bvlc": re.compile(
        r"CaffeNet|AlexNet|GoogleNet|FlickrStyleCaffeNet|R-CNN-ilsvrc13|VGG_ILSVRC.*"
    ),
}
"""By what names their definitions go."""

COLOUR_CHANNELS = 3
IMAGE_SIZES = ((224, 224), (227, 227))
CLASSES = 1000
BY_NAME = "by the name alone"
"""What an origin ends in where nothing but a definition's name tells its family.

Trackers, detectors and hashing networks have kept the name of what they began as.
"""


def preprocessing_of(
    net: CaffeNet,
    *,
    family: str | None = None,
    channels: str | None = None,
    mean: str | None = None,
    scale: float | None = None,
    resize: str | None = None,
    crop: str | None = None,
) -> Preprocessing:
    """Return what a network's input wants done to an image.

    From the definition's `transform_param`, else from the family that the network is recognised
    as, or that `family` names; the other arguments, written as on the command line, replace parts.
    Raises UnsupportedError where nothing says it, ShapeError where it does not fit the input.
    """
    shape = _image_input(net)
    given = _read_settings(channels, mean, scale, resize, crop)
    base = _family(family) or _declared(net, shape) or _recognised(net, shape)
    if base is None:
        if mean is None:
            raise UnsupportedError(
                f"nothing says how images become the input of {net.name or 'the network'}",
                fix="give --family, or --mean (and --scale, --channels, --resize, --crop)",
            )
        base = _whole(shape)
    return _replaced(base, given).for_input(shape)


def preprocessing_for(
    shape: tuple[int, ...],
    *,
    family: str | None = None,
    channels: str | None = None,
    mean: str | None = None,
    scale: float | None = None,
    resize: str | None = None,
    crop: str | None = None,
) -> Preprocessing:
    """Return what an input N x C x H x W of some model wants, by the settings alone.

    What they leave open is as it is: the whole image is resized to the input, in Caffe's order.
    """
    given = _read_settings(channels, mean, scale, resize, crop)
    return _replaced(_family(family) or _whole(shape), given).for_input(shape)


def _read_settings(
    channels: str | None,
    mean: str | None,
    scale: float | None,
    resize: str | None,
    crop: str | None,
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if channels is not None:
        given["order"] = channels.upper()
    if mean is not None:
        given.update(read_mean(mean))
    if scale is not None:
        given["scale"] = scale
    if resize is not None:
        given["resize"] = read_size(resize, shorter=True)
    if crop is not None:
        given["crop"] = read_size(crop)
    return given


def _family(name: str | None) -> Preprocessing | None:
    if name is not None and name not in FAMILIES:
        raise UnsupportedError(f"family {name!r} is unknown", fix=f"known: {', '.join(FAMILIES)}")
    return FAMILIES[name] if name else None


def _whole(shape: tuple[int, ...]) -> Preprocessing:
    order = "GRAY" if shape[1] == 1 else "BGR"
    return Preprocessing(order, (0.0,), resize=(shape[2], shape[3]))


def _replaced(base: Preprocessing, given: dict[str, Any]) -> Preprocessing:
    if not given:
        return base
    origin = f"{base.origin}, in part as given" if base.origin else "as given"
    return replace(base, **given, origin=origin)


def image_input(net: CaffeNet) -> str:
    """Return the name of the network's only image input; UnsupportedError if there is none."""
    images = [
        name for name, shape in net.input_shapes.items() if len(shape) == 4 and shape[1] in (1, 3)
    ]
    if len(images) != 1:
        inputs = ", ".join(f"{name} {shape}" for name, shape in net.input_shapes.items())
        raise UnsupportedError(
            f"preprocessing wants one image input of 1 or 3 channels, the inputs are {inputs}"
        )
    return images[0]


def _image_input(net: CaffeNet) -> Any:
    return net.input_shapes[image_input(net)]


def _declared(net: CaffeNet, shape: tuple[int, ...]) -> Preprocessing | None:
    """Read the transformation of the data layer, of TEST before that of TRAIN."""
    definition = net.origin.definition
    if definition is None:
        return None
    phases: tuple[Phase, Phase] = ("TEST", "TRAIN")
    for phase in phases:
        for layer in _transforming(filter_net(definition, phase=phase)):
            origin = f"transform_param of layer {layer.name!r}, {phase}"
            return _from_layer(layer, definition, shape, origin)
    return None


def _transforming(net: Net) -> Iterable[Any]:
    return (layer for layer in net.layers if layer.HasField("transform_param") and not layer.bottom)


def _from_layer(layer: Any, definition: Net, shape: tuple[int, ...], origin: str) -> Preprocessing:
    param = layer.transform_param
    order = "GRAY" if shape[1] == 1 else "BGR"
    mean = tuple(param.mean_value) or (0.0,)
    crop = (param.crop_size, param.crop_size) if param.crop_size else None
    # A data layer crops images as they are: only their own tools resized them, or ImageData.
    image, resize = None, None if crop else (shape[2], shape[3])
    if param.mean_file:
        image = mean_image(_mean_file(param.mean_file, definition))
        resize = (image.shape[1], image.shape[2])
    elif layer.type == "ImageData" and layer.image_data_param.new_height:
        resize = (layer.image_data_param.new_height, layer.image_data_param.new_width)
    return Preprocessing(order, mean, param.scale, resize, crop, image, origin)


def _mean_file(name: str, definition: Net) -> Path:
    if found := find_named(name, Path(definition.source)):
        return found
    raise UsageError(
        f"{definition.source}: its mean_file {name!r} is not there",
        fix="give the mean with --mean 104,117,123 or --mean FILE.binaryproto",
    )


def _recognised(net: CaffeNet, shape: tuple[int, ...]) -> Preprocessing | None:
    families = [family for family, names in NETWORK_NAMES.items() if names.fullmatch(net.name)]
    if not families or shape[1] != COLOUR_CHANNELS:
        return None
    known = FAMILIES[families[0]]
    if families[0] != "bvlc" or _is_of_imagenet(net, shape):
        return known
    return replace(known, origin=f"{known.origin}, {BY_NAME}")


def _is_of_imagenet(net: CaffeNet, shape: tuple[int, ...]) -> bool:
    """Tell whether a network takes images as BVLC's do and ends in as many classes."""
    shapes = net.shapes()
    outputs = [shapes[value] for value in net.exported().plan.outputs.values()]
    return shape[2:] in IMAGE_SIZES and any(CLASSES in output[1:2] for output in outputs)
