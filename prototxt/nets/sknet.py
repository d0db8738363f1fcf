"""SKNet: ResNeXt with selective kernels. From SKNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from typing_extensions import Unpack

from prototxt.errors import UnsupportedError

from .definition import Definition, gaussian
from .resnext import IMAGES, Place, add_shortcut, conv_bn, trunk

MIN_ATTENTION = 32  # channels that the attention keeps at least


class SKNetOptions(TypedDict, total=False):
    """`sknet`'s keywords."""

    branches: int
    groups: int | Sequence[int]
    dilated: bool
    selection: bool
    reduction: int
    attention: Sequence[int] | None
    width: int
    num_classes: int
    data: Sequence[int]


def sknet(
    name: str,
    layers: Sequence[int],
    *,
    branches: int = 2,
    groups: int | Sequence[int] = 32,
    dilated: bool = True,
    selection: bool = True,
    reduction: int = 16,
    attention: Sequence[int] | None = None,
    width: int = 128,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
) -> Definition:
    """Return an SKNet with so many units in each stage, its loss and its accuracies.

    Stage s has units of C = `width * 2^s` inner channels and twice as many outer ones; each but
    the first begins with stride 2. Kernel m of the `branches` is 3x3 with dilation m, or without
    `dilated` as large as that makes it see: 3x3, 5x5, 7x7. Each has its own number of `groups`,
    or all have one. The attention of a unit passes through max(C / `reduction`, 32) channels, or
    through those that `attention` gives for its stage; without `selection` the branches are only
    summed. One branch needs no attention: that is ResNeXt. `data` is the shape of the input.

    Caffe: implus/SKNet, models/sknet50.prototxt
    """
    if attention is None:
        widths = [width << stage for stage in range(len(layers))]
        attention = [max(channels // reduction, MIN_ATTENTION) for channels in widths]
    if len(attention) != len(layers):
        wants = f"one for each of {len(layers)} stages"
        raise UnsupportedError(f"attention {tuple(attention)} wants {wants}")
    squeezed = list(attention)

    def unit(net: Definition, place: Place, bottom: str) -> str:
        return residual_unit(
            net,
            place.name,
            bottom,
            place.channels,
            stride=place.stride,
            project=place.project,
            branches=branches,
            groups=groups,
            attention=squeezed[place.stage] if selection else 0,
            dilated=dilated,
        )

    return trunk(name, layers, unit, width=width, num_classes=num_classes, data=data)


def residual_unit(
    net: Definition,
    unit: str,
    bottom: str,
    channels: int,
    *,
    stride: int,
    project: bool,
    branches: int,
    groups: int | Sequence[int],
    attention: int,
    dilated: bool = True,
) -> str:
    """Add `relu(increase(select(reduce(bottom))) + bottom)`; `project` fits the shortcut to it."""
    top = conv_bn(net, f"{unit}/1x1_reduce", bottom, channels, 1, relu=True)
    each = [groups] * branches if isinstance(groups, int) else groups
    if len(each) != branches:
        raise UnsupportedError(f"groups {tuple(each)} wants one for each of {branches} branches")
    tops = [
        split_branch(net, unit, top, channels, 1 + branch, stride, group, dilated=dilated)
        for branch, group in zip(range(branches), each, strict=True)
    ]
    if branches == 1:
        top = tops[0]
    elif attention:
        top = select(net, unit, tops, channels, attention)
    else:
        top = net.sum(f"{unit}_3x3", tops)
    top = conv_bn(net, f"{unit}/1x1_increase", top, 2 * channels, 1)
    return add_shortcut(net, unit, bottom, top, channels, stride=stride, project=project)


def split_branch(
    net: Definition,
    unit: str,
    bottom: str,
    channels: int,
    reach: int,
    stride: int,
    groups: int,
    *,
    dilated: bool,
) -> str:
    """Add one of the kernels to select from, which sees `reach` pixels to each side."""
    size, dilation = (3, reach) if dilated else (2 * reach + 1, 1)
    return conv_bn(
        net,
        f"{unit}/{size}x{size}g{groups}" + (f"d{dilation}" if dilation > 1 else ""),
        bottom,
        channels,
        size,
        stride=stride,
        pad=reach,
        dilation=dilation,
        group=groups,
        relu=True,
    )


def select(
    net: Definition, unit: str, branches: Sequence[str], channels: int, attention: int
) -> str:
    """Add the sum of all branches, each channel weighted by a softmax over the branches.

    Caffe has no layer for it: the scores become N x branches x C x 1, softmax runs over axis 1,
    a slice gives each branch its N x C x 1 x 1, and Scale and Axpy do the weighted sum.
    """
    part = f"{unit}/B"
    top = net.sum(f"{unit}_3x3", branches)
    top = net.global_pooling(f"{part}_global_pool", top, "AVE")
    top = conv_bn(net, f"{part}_fc1", top, attention, 1, relu=True, weight_filler=gaussian(0.01))
    scores = len(branches) * channels
    top = net.convolution(f"{part}_fc2", top, scores, 1, weight_filler=gaussian(0.01))
    top = net.reshape(f"{part}_re", top, [0, len(branches), -1, 0])
    top = net.softmax(f"{part}_softmax", top, axis=1)
    rows = [f"{part}_slice{index}" for index in range(len(branches))]
    net.slice(f"{part}_slice", top, [f"{row}_" for row in rows], axis=1)
    for row in reversed(rows):
        net.reshape(row, f"{row}_", [0, channels, -1, 0])
    first = net.reshape(f"{part}_w0/reshape", rows[0], [0, 0])
    top = net.scale_by(f"{unit}/scale", branches[0], first, axis=0)
    last = len(branches) - 1
    for index in range(1, len(branches)):
        name = f"{part}_axpy" if index == last else f"{part}_axpy{index}"
        top = net.axpy(name, rows[index], branches[index], top)
    return top


def sknet50(**options: Unpack[SKNetOptions]) -> Definition:
    """Return the released SKNet-50; `options` are those of `sknet`."""
    return sknet("sknet50_basic", (3, 4, 6, 3), **options)


def sknet101(**options: Unpack[SKNetOptions]) -> Definition:
    """Return the released SKNet-101, whose attention is narrower in its second stage."""
    given: SKNetOptions = {"attention": (32, 16, 32, 64), **options}
    return sknet("sknet101", (3, 4, 23, 3), **given)
