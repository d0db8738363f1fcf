"""Which preprocessing a network wants: as its definition says, or as its family is known to."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from converter.loading.options import Phase
from converter.network.net import CaffeNet
from prototxt import Net, filter_net
from prototxt.errors import UnsupportedError, UsageError
from prototxt.named_file import find_named

from .declared import declared_sizes
from .spec import Mean, Preprocessing, Sides, mean_file, read_mean, read_size

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
WAYS = (
    "give --family, or --mean (and --scale, --channels, --resize, --crop), or --raw to feed images "
    "as they are"
)
"""How a user says what images need."""


def preprocessing_of(
    net: CaffeNet,
    *,
    family: str | None = None,
    channels: str | None = None,
    mean: Mean | None = None,
    scale: float | None = None,
    resize: Sides | None = None,
    crop: Sides | None = None,
    raw: bool = False,
    image: str | None = None,
) -> Preprocessing:
    """Return what a network's input wants done to an image.

    It is in the definition's `transform_param`, else known of the family that the network is
    recognised as. What is given replaces parts of it, written as on the command line or as numbers.

    Args:
        net: the network.
        family: whose images they are, one of `FAMILIES`, in place of what the definition says.
        channels: their order in the input, "RGB" or "BGR".
        mean: what is subtracted: "104,117,123" or numbers in the input's order, an array channels x
            height x width, or a `.binaryproto` or `.npy`.
        scale: what is multiplied by, after the mean.
        resize: the size before the crop: "256" or 256 for the shorter side, "256x256" or (256, 256)
            for height and width.
        crop: the middle that is kept: "224", 224, "224x224" or (224, 224).
        raw: images are the input as they are, in Caffe's order of channels; it stands alone.
        image: the input's name (default: the network's only one that takes images).

    Raises UnsupportedError where nothing says it, ShapeError where it does not fit the input.
    """
    shape: Any = net.input_shapes[image_input(net) if image is None else image]
    given = _read_settings(channels, mean, scale, resize, crop)
    if raw:
        return _raw(shape, family, given)
    base = _family(family) or _declared(net, shape, given) or _recognised(net, shape, given)
    if base is None:
        if mean is None:
            raise UnsupportedError(
                f"nothing says how images become the input of {net.name or 'the network'}",
                fix=WAYS,
            )
        base = _plain(shape)
    return _replaced(base, given, shape)


def preprocessing_for(
    shape: tuple[int, ...],
    *,
    family: str | None = None,
    channels: str | None = None,
    mean: Mean | None = None,
    scale: float | None = None,
    resize: Sides | None = None,
    crop: Sides | None = None,
    raw: bool = False,
    known: Preprocessing | None = None,
) -> Preprocessing:
    """Return what an input N x C x H x W of some model wants, of which this much is `known`.

    The settings are those of `preprocessing_of`, and replace parts of it. Raises UnsupportedError
    where neither says it, ShapeError where it does not fit the input.
    """
    given = _read_settings(channels, mean, scale, resize, crop)
    if raw:
        return _raw(shape, family, given)
    base = _family(family) or known
    if base is None:
        if mean is None:
            raise UnsupportedError("nothing says how images become the model's input", fix=WAYS)
        base = _plain(shape)
    return _replaced(base, given, shape)


def _read_settings(
    channels: str | None,
    mean: Mean | None,
    scale: float | None,
    resize: Sides | None,
    crop: Sides | None,
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


def _raw(shape: tuple[int, ...], family: str | None, given: dict[str, Any]) -> Preprocessing:
    if family or given:
        raise UsageError(
            "images cannot be fed as they are and be prepared",
            fix="give --raw alone, or what is to be done to them",
        )
    return replace(_plain(shape), origin="raw, as asked", exact=True).for_input(shape)


def _plain(shape: tuple[int, ...]) -> Preprocessing:
    """Return what changes nothing but the order of the channels."""
    return Preprocessing("GRAY" if shape[1] == 1 else "BGR", (0.0,))


def _replaced(base: Preprocessing, given: dict[str, Any], shape: tuple[int, ...]) -> Preprocessing:
    """Return what is known with what is given in its place, for an input of this shape.

    Where nothing says a size, an image is resized to its mean image's, or else to the input.
    """
    origin = f"{base.origin}, in part as given" if base.origin else "as given"
    whole = replace(base, **given, origin=origin) if given else base
    if whole.resize is None and whole.mean_image is not None:
        _, height, width = whole.mean_image.shape
        whole = replace(whole, resize=(height, width))
    elif whole.resize is None and whole.crop is None:
        whole = replace(whole, resize=(shape[2], shape[3]))
    return whole.for_input(shape)


def image_inputs(net: CaffeNet) -> list[str]:
    """Return the names of the inputs that have 4 axes and 1 or 3 channels."""
    shapes = net.input_shapes.items()
    return [name for name, shape in shapes if shape and len(shape) == 4 and shape[1] in (1, 3)]


def image_input(net: CaffeNet) -> str:
    """Return the name of the network's only image input; UnsupportedError if there is none."""
    images = image_inputs(net)
    if len(images) != 1:
        inputs = ", ".join(f"{name} {shape}" for name, shape in net.input_shapes.items())
        raise UnsupportedError(
            f"preprocessing wants one image input of 1 or 3 channels, the inputs are {inputs}"
        )
    return images[0]


def _declared(net: CaffeNet, shape: tuple[int, ...], given: Container[str]) -> Preprocessing | None:
    """Read the transformation of the data layer, of TEST before that of TRAIN."""
    definition = net.origin.definition
    if definition is None:
        return None
    phases: tuple[Phase, Phase] = ("TEST", "TRAIN")
    for phase in phases:
        for layer in _transforming(filter_net(definition, phase=phase)):
            origin = f"transform_param of layer {layer.name!r}, {phase}"
            base = replace(_plain(shape), scale=layer.transform_param.scale, origin=origin)
            base = _sized(base, layer, definition, given)
            mean = {} if "mean_image" in given else _mean(layer.transform_param, definition)
            return replace(base, **mean)
    return None


def _transforming(net: Net) -> Iterable[Any]:
    return (layer for layer in net.layers if layer.HasField("transform_param") and not layer.bottom)


def _sized(
    base: Preprocessing, layer: Any, definition: Net, given: Container[str]
) -> Preprocessing:
    """Return what a data layer does, with its sizes.

    UsageError where it does more, unless the caller says the mean, and with it what images need.
    """
    sizes = declared_sizes(layer, definition.schema)
    left = [
        one for one in sizes.undone if "resize" not in given or not one.endswith("resize_param")
    ]
    if left and "mean_image" not in given:
        raise UsageError(
            f"{definition.source}: layer {layer.name!r} does more to images than is done here: "
            f"{', '.join(left)}",
            fix=f"say what is left without it: {WAYS}",
        )
    without = f", without {', '.join(left)}" if left else ""
    return replace(base, resize=sizes.resize, crop=sizes.crop, origin=f"{base.origin}{without}")


def _mean(param: Any, definition: Net) -> dict[str, Any]:
    if param.mean_file and param.mean_value:
        raise UsageError(
            f"{definition.source}: a transform_param has both mean_file and mean_value, wants one",
            fix="give the mean with --mean",
        )
    if param.mean_file:
        return mean_file(_mean_file(param.mean_file, definition))
    return {"mean": tuple(param.mean_value)} if param.mean_value else {}


def _mean_file(name: str, definition: Net) -> Path:
    if found := find_named(name, Path(definition.source)):
        return found
    raise UsageError(
        f"{definition.source}: its mean_file {name!r} is not there",
        fix="give the mean with --mean 104,117,123 or --mean FILE.binaryproto",
    )


def _recognised(
    net: CaffeNet, shape: tuple[int, ...], given: Container[str]
) -> Preprocessing | None:
    """Return what the family is known to want that a network's name tells.

    UnsupportedError where nothing but the name tells it, and no mean is given: trackers, detectors
    and hashing networks have kept the name of what they began as.
    """
    families = [family for family, names in NETWORK_NAMES.items() if names.fullmatch(net.name)]
    if not families or shape[1] != COLOUR_CHANNELS:
        return None
    known = FAMILIES[families[0]]
    if families[0] != "bvlc" or _is_of_imagenet(net, shape):
        return known
    if "mean_image" in given:
        return None
    raise UnsupportedError(
        f"{net.name!r} is the name of one of BVLC's models, but this network is another: the name "
        "alone does not say how images become its input",
        fix=f"say that it is so with --family bvlc; or {WAYS}",
    )


def _is_of_imagenet(net: CaffeNet, shape: tuple[int, ...]) -> bool:
    """Tell whether a network takes images as BVLC's do and ends in as many classes."""
    shapes = net.shapes()
    outputs = [shapes[value] for value in net.exported().plan.outputs.values()]
    return shape[2:] in IMAGE_SIZES and any(CLASSES in output[1:2] for output in outputs)
