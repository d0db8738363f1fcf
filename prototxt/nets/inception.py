"""What the Inception networks are made of: towers of convolutions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from .definition import Definition
from .resnext import conv_bn

IMAGES = (32, 3, 299, 299)

Size: TypeAlias = int | tuple[int, int]
Tower: TypeAlias = Sequence[tuple[Size, int] | str]
"""Convolutions from the bottom up, each (kernel size, channels); MAX or AVE stands for a 3x3
pooling. The sizes are kept, unless the block has a stride, which is then the last one's."""


def block(net: Definition, name: str, bottom: str, *towers: Tower, stride: int = 1) -> str:
    """Add towers on one bottom, and concatenate their tops."""
    tops = [
        tower(net, f"{name}/{index}", bottom, steps, stride=stride)
        for index, steps in enumerate(towers, 1)
    ]
    return net.concat(name, tops)


def tower(net: Definition, name: str, bottom: str, steps: Tower, *, stride: int = 1) -> str:
    """Add one convolution after the other; the last has the stride, and then no padding."""
    top = bottom
    for index, step in enumerate(steps):
        by = stride if index + 1 == len(steps) else 1
        if isinstance(step, str):
            top = pool3x3(net, f"{name}_{step.lower()}", top, step, by)
        else:
            size, channels = step
            pad = same(size) if by == 1 else 0
            top = conv(net, f"{name}_{index + 1}", top, channels, size, stride=by, pad=pad)
    return top


def pool3x3(net: Definition, name: str, bottom: str, pool: str, stride: int) -> str:
    """Add a 3x3 pooling, padded to keep the size unless it has a stride."""
    return net.pooling(name, bottom, pool, kernel_size=3, stride=stride, pad=int(stride == 1))


def conv(
    net: Definition,
    name: str,
    bottom: str,
    channels: int,
    size: Size,
    *,
    stride: int = 1,
    pad: Size = 0,
) -> str:
    """Add a convolution with normalisation and ReLU, its size added to its name."""
    rows, columns = (size, size) if isinstance(size, int) else size
    name = f"{name}_{rows}x{columns}" + ("_s2" if stride == 2 else "")
    return conv_bn(net, name, bottom, channels, size, stride=stride, pad=pad, relu=True)


def same(size: Size) -> Size:
    """Return the padding that keeps a map's size."""
    return size // 2 if isinstance(size, int) else (size[0] // 2, size[1] // 2)


def begin(name: str, data: Sequence[int], scale: int) -> tuple[Definition, str]:
    """Return a new definition with the three convolutions that all these networks begin with."""
    net = Definition(name)
    net.input("input", data=data, label=data[:1])
    top = conv(net, "conv1", "data", 32 // scale, 3, stride=2)
    top = conv(net, "conv2", top, 32 // scale, 3)
    return net, conv(net, "conv3", top, 64 // scale, 3, pad=1)


def old_stem(net: Definition, bottom: str, scale: int) -> str:
    """Add what follows in Inception-v3 and Inception-ResNet-v2: 192 channels of 35 x 35."""
    top = net.pooling("pool1/3x3_s2", bottom, "MAX", kernel_size=3, stride=2)
    top = conv(net, "conv4", top, 80 // scale, 1)
    top = conv(net, "conv5", top, 192 // scale, 3)
    return net.pooling("pool2/3x3_s2", top, "MAX", kernel_size=3, stride=2)


def finish(net: Definition, top: str, dropout: float, num_classes: int) -> Definition:
    """Add the global pooling, a Dropout and the classifier."""
    top = net.global_pooling("avepool", top, "AVE")
    net.classify(net.dropout("dropout", top, dropout), num_classes)
    return net
