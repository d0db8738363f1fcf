"""DPN, the dual path network (NIPS 2017). In SKNet's style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from typing_extensions import Unpack

from prototxt.errors import UnsupportedError

from .definition import Definition
from .resnext import IMAGES, MOMENTUM, conv_bn

OUTER = 256  # channels of the residual path in the first stage


class Paths(NamedTuple):
    """What a unit hands on: the path that is summed and the one that grows."""

    residual: str
    dense: str


class DPNOptions(TypedDict, total=False):
    """`dpn`'s keywords."""

    stem: int
    width: int
    groups: int
    growth: Sequence[int]
    outer: int
    num_classes: int
    data: Sequence[int]


def dpn(
    name: str,
    layers: Sequence[int],
    *,
    stem: int,
    width: int,
    groups: int,
    growth: Sequence[int],
    outer: int = OUTER,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
) -> Definition:
    """Return a DPN with so many units in each stage, its loss and its accuracies.

    Stage s has units of `width * 2^s` inner channels in `groups`, adds to `outer * 2^s` channels
    of the residual path, and appends `growth[s]` to the other; what opens a stage appends thrice
    that. `stem` is the number of channels that the first convolution makes.
    """
    if len(growth) != len(layers):
        wants = f"one for each of {len(layers)} stages"
        raise UnsupportedError(f"growth {tuple(growth)} wants {wants}")
    net = Definition(name)
    net.input("input", data=data, label=data[:1])
    top = conv_bn(net, "conv1", "data", stem, 7, stride=2, pad=3, relu=True)
    top = net.pooling("pool1", top, "MAX", kernel_size=3, stride=2, pad=1, round_mode="FLOOR")
    paths = Paths("", "")
    number = 0
    for stage, units in enumerate(layers):
        for index in range(units):
            number += 1
            unit = f"dpn{number}"
            stride = 2 if stage and not index else 1
            summed, grown = outer << stage, growth[stage]
            if number > 1:
                top = net.concat(f"{unit}/input", paths)
            if index == 0:
                paths = open_stage(net, unit, top, summed, grown, stride)
            top = bn_relu(net, unit, top)
            top = conv_bn(net, f"{unit}/1x1_reduce", top, width << stage, 1, relu=True)
            top = conv_bn(
                net,
                f"{unit}/3x3g{groups}",
                top,
                width << stage,
                3,
                stride=stride,
                pad=1,
                group=groups,
                relu=True,
            )
            top = net.convolution(f"{unit}/1x1_increase", top, summed + grown, 1)
            new = split(net, f"{unit}/1x1_increase", top, summed)
            paths = Paths(
                net.sum(f"{unit}/sum", [paths.residual, new.residual]),
                net.concat(f"{unit}/concat", [paths.dense, new.dense]),
            )
    top = bn_relu(net, "pool5", net.concat("pool5/input", paths))
    net.classify(net.global_pooling("pool5", top, "AVE"), num_classes)
    return net


def open_stage(
    net: Definition, unit: str, bottom: str, summed: int, grown: int, stride: int
) -> Paths:
    """Add the projection that both paths of a stage begin with."""
    name = f"{unit}/1x1_proj"
    top = bn_relu(net, name, bottom)
    top = net.convolution(name, top, summed + 2 * grown, 1, stride=stride)
    return split(net, name, top, summed)


def split(net: Definition, name: str, bottom: str, summed: int) -> Paths:
    paths = Paths(f"{name}/residual", f"{name}/dense")
    param = {"slice_point": summed}
    net.layer(f"{name}/slice", "Slice", [bottom], paths, slice_param=param)
    return paths


def bn_relu(net: Definition, name: str, bottom: str) -> str:
    return net.relu(f"{name}/relu", net.cudnn_batch_norm(f"{name}/bn", bottom, MOMENTUM))


def dpn92(**options: Unpack[DPNOptions]) -> Definition:
    """Return DPN-92, 32x3d."""
    given: DPNOptions = {
        "stem": 64,
        "width": 96,
        "groups": 32,
        "growth": (16, 32, 24, 128),
        **options,
    }
    return dpn("dpn92", (3, 4, 20, 3), **given)


def dpn98(**options: Unpack[DPNOptions]) -> Definition:
    """Return DPN-98, 40x4d."""
    given: DPNOptions = {
        "stem": 96,
        "width": 160,
        "groups": 40,
        "growth": (16, 32, 32, 128),
        **options,
    }
    return dpn("dpn98", (3, 6, 20, 3), **given)
