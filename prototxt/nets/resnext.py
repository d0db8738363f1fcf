"""ResNeXt, and the trunk that SKNet and its rivals share. In the style of SKNet's definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, TypedDict

from typing_extensions import Unpack

from .definition import ConvolutionOptions, Definition

MOMENTUM = 0.95
STEM = 64  # channels of the first convolution
IMAGES = (32, 3, 224, 224)


class Place(NamedTuple):
    """A unit's place in the trunk: its inner `channels`, half of the outer ones, and its stride.

    `project` says that the shortcut needs a projection, `height` and `width` what comes out.
    """

    name: str
    stage: int
    channels: int
    stride: int
    project: bool
    height: int
    width: int


Unit: TypeAlias = Callable[[Definition, Place, str], str]
"""Adds a unit behind a blob, and gives its top."""


class ResNeXtOptions(TypedDict, total=False):
    """The numbers of `resnext`, of whose units other functions may take a part."""

    groups: int
    width: int
    num_classes: int
    data: Sequence[int]


def resnext(
    name: str,
    layers: Sequence[int],
    *,
    groups: int = 32,
    width: int = 128,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
    refine: Unit | None = None,
    between: Unit | None = None,
) -> Definition:
    """Return a ResNeXt with so many units in each stage, its loss and its accuracies.

    Stage s has units of C = `width * 2^s` inner channels and twice as many outer ones; each but
    the first begins with stride 2. `refine` may change what a unit adds to its shortcut, and
    `between` what each stage but the last hands on.
    """

    def unit(net: Definition, place: Place, bottom: str) -> str:
        unit, channels = place.name, place.channels
        top = conv_bn(net, f"{unit}/1x1_reduce", bottom, channels, 1, relu=True)
        top = conv_bn(
            net,
            f"{unit}/3x3g{groups}",
            top,
            channels,
            3,
            stride=place.stride,
            pad=1,
            group=groups,
            relu=True,
        )
        top = conv_bn(net, f"{unit}/1x1_increase", top, 2 * channels, 1)
        top = refine(net, place, top) if refine else top
        return add_shortcut(
            net, unit, bottom, top, channels, stride=place.stride, project=place.project
        )

    return trunk(
        name, layers, unit, width=width, num_classes=num_classes, data=data, between=between
    )


def trunk(
    name: str,
    layers: Sequence[int],
    unit: Unit,
    *,
    width: int,
    num_classes: int,
    data: Sequence[int],
    between: Unit | None = None,
) -> Definition:
    """Return the network of these units: stem, stages, classifier."""
    net = Definition(name)
    net.input("input", data=data, label=data[:1])
    top = conv_bn(net, "conv1/7x7_s2", "data", STEM, 7, stride=2, pad=3, relu=True)
    top = net.pooling("pool1/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    # Halved by the convolution, rounded up, and by the pooling, which rounds its windows up.
    rows, columns = ((size + 1) // 2 // 2 for size in data[2:])
    for stage, units in enumerate(layers):
        channels = width << stage
        for index in range(units):
            begins = index == 0  # with another size or another number of channels
            stride = 2 if begins and stage else 1
            rows, columns = ((size + stride - 1) // stride for size in (rows, columns))
            project = begins and (stage > 0 or 2 * channels != STEM)
            unit_name = f"conv{stage + 2}_{index + 1}"
            place = Place(unit_name, stage, channels, stride, project, rows, columns)
            top = unit(net, place, top)
        if between is not None and stage + 1 < len(layers):
            top = between(net, place, top)
    pool = "avepool/7x7"  # as the released definitions, which are for 224 x 224 images, call it
    if (rows, columns) == (7, 7):
        top = net.pooling(pool, top, "AVE", kernel_size=7, stride=1)
    else:
        top = net.global_pooling(pool, top, "AVE")
    net.classify(top, num_classes)
    return net


def add_shortcut(
    net: Definition,
    unit: str,
    bottom: str,
    top: str,
    channels: int,
    *,
    stride: int,
    project: bool,
) -> str:
    """Add a unit's `relu(top + bottom)`; `project` fits `bottom` to twice the `channels`."""
    if project:
        bottom = conv_bn(net, f"{unit}/1x1_proj", bottom, 2 * channels, 1, stride=stride)
    return net.relu(f"{unit}/relu", net.sum(unit, [top, bottom]))


def conv_bn(
    net: Definition,
    name: str,
    bottom: str,
    channels: int,
    size: int | tuple[int, int],
    *,
    relu: bool = False,
    **how: Unpack[ConvolutionOptions],
) -> str:
    """Add a convolution, its normalisation and, with `relu`, its ReLU."""
    top = net.convolution(name, bottom, channels, size, **how)
    top = net.cudnn_batch_norm(f"{name}/bn", top, MOMENTUM)
    return net.relu(f"{name}/relu", top) if relu else top


def resnext50(**options: Unpack[ResNeXtOptions]) -> Definition:
    """Return ResNeXt-50, 32x4d."""
    return resnext("resnext50", (3, 4, 6, 3), **options)


def resnext101(**options: Unpack[ResNeXtOptions]) -> Definition:
    """Return ResNeXt-101, 32x4d."""
    return resnext("resnext101", (3, 4, 23, 3), **options)
