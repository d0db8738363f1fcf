"""SKNet: ResNeXt with selective kernels. From SKNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prototxt.nets.definition import Definition, gaussian

MOMENTUM = 0.95
STEM = 64  # channels of the first convolution
MIN_ATTENTION = 32  # channels that the attention keeps at least


def sknet(
    name: str,
    layers: Sequence[int],
    *,
    branches: int = 2,
    groups: int = 32,
    reduction: int = 16,
    attention: Sequence[int] | None = None,
    width: int = 128,
    num_classes: int = 1000,
    data: Sequence[int] = (32, 3, 224, 224),
) -> Definition:
    """Give an SKNet with so many units in each stage, its loss and its accuracies.

    Stage s has units of C = `width * 2^s` inner channels and twice as many outer ones; each but
    the first begins with stride 2. The attention of a unit passes through max(C / `reduction`, 32)
    channels, or through those that `attention` gives for its stage. One branch needs no attention:
    that is ResNeXt. `data` is the shape of the input.

    Caffe: implus/SKNet, models/sknet50.prototxt
    """
    net = Definition(name)
    net.input("input", data=data, label=data[:1])
    top = conv_bn(net, "conv1/7x7_s2", "data", STEM, 7, stride=2, pad=3, relu=True)
    top = net.pooling("pool1/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    widths = [width << stage for stage in range(len(layers))]
    if attention is None:
        attention = [max(channels // reduction, MIN_ATTENTION) for channels in widths]
    for stage, (units, channels) in enumerate(zip(layers, widths, strict=True)):
        for unit in range(units):
            begins = unit == 0  # with another size or another number of channels
            top = residual_unit(
                net,
                f"conv{stage + 2}_{unit + 1}",
                top,
                channels,
                stride=2 if begins and stage else 1,
                project=begins and (stage > 0 or 2 * channels != STEM),
                branches=branches,
                groups=groups,
                attention=attention[stage],
            )
    top = net.pooling("avepool/7x7", top, "AVE", kernel_size=7, stride=1)
    classifier = net.inner_product("classifier", top, num_classes, gaussian(0.01))
    net.softmax_with_loss("loss", classifier, "label")
    net.accuracy("top-1", classifier, "label")
    net.accuracy("top-5", classifier, "label", top_k=5)
    return net


def residual_unit(
    net: Definition,
    unit: str,
    bottom: str,
    channels: int,
    *,
    stride: int,
    project: bool,
    branches: int,
    groups: int,
    attention: int,
) -> str:
    """Add `relu(increase(select(reduce(bottom))) + bottom)`; `project` fits the shortcut to it."""
    top = conv_bn(net, f"{unit}/1x1_reduce", bottom, channels, 1, relu=True)
    tops = [
        split_branch(net, unit, top, channels, stride=stride, groups=groups, dilation=1 + branch)
        for branch in range(branches)
    ]
    top = select(net, unit, tops, channels, attention) if branches > 1 else tops[0]
    top = conv_bn(net, f"{unit}/1x1_increase", top, 2 * channels, 1)
    if project:
        bottom = conv_bn(net, f"{unit}/1x1_proj", bottom, 2 * channels, 1, stride=stride)
    return net.relu(f"{unit}/relu", net.sum(unit, [top, bottom]))


def split_branch(
    net: Definition,
    unit: str,
    bottom: str,
    channels: int,
    *,
    stride: int,
    groups: int,
    dilation: int,
) -> str:
    """Add one of the kernels to select from: 3x3, seen as wider by its dilation."""
    name = f"{unit}/3x3g{groups}" + (f"d{dilation}" if dilation > 1 else "")
    return conv_bn(
        net,
        name,
        bottom,
        channels,
        3,
        stride=stride,
        pad=dilation,
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


def conv_bn(
    net: Definition,
    name: str,
    bottom: str,
    channels: int,
    size: int,
    *,
    relu: bool = False,
    **how: Any,
) -> str:
    top = net.convolution(name, bottom, channels, size, **how)
    top = net.cudnn_batch_norm(f"{name}/bn", top, MOMENTUM)
    return net.relu(f"{name}/relu", top) if relu else top


def sknet50() -> Definition:
    """Give the released SKNet-50."""
    return sknet("sknet50_basic", (3, 4, 6, 3))


def sknet101() -> Definition:
    """Give the released SKNet-101, whose attention is narrower in its second stage."""
    return sknet("sknet101", (3, 4, 23, 3), attention=(32, 16, 32, 64))
