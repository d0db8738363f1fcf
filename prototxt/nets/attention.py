"""The residual attention networks (CVPR 2017). In SKNet's style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from typing_extensions import Unpack

from .definition import Definition
from .resnext import IMAGES, MOMENTUM, conv_bn

STEM = 64


class AttentionOptions(TypedDict, total=False):
    """`attention`'s keywords."""

    groups: int
    width: int
    outer: int
    last: int
    skips: bool
    num_classes: int
    data: Sequence[int]


def attention(
    name: str,
    modules: Sequence[int],
    *,
    groups: int,
    width: int,
    outer: int = 256,
    last: int = 3,
    skips: bool = True,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
) -> Definition:
    """Return a network of so many attention modules in each stage, its loss and its accuracies.

    Stage s begins with a residual unit; its units have `width * 2^s` inner and `outer * 2^s`
    outer channels, and its masks look down as many levels as stages follow, of which the very
    last has `last` units and no module. One group means ResNet's unit, normalised first; several
    mean ResNeXt's. Without `skips` what a mask's skips carry passes through no unit.

    Caffe: fwang91/residual-attention-network, imagenet_model
    """
    net = Definition(name)
    net.input("input", data=data, label=data[:1])
    top = conv_bn(net, "conv1/7x7_s2", "data", STEM, 7, stride=2, pad=3, relu=True)
    top = net.pooling("pool1/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    for stage, count in enumerate(modules):
        part = Stage(net, width << stage, outer << stage, groups, len(modules) - stage, skips)
        top = part.unit(f"stage{stage + 1}", top, stride=2 if stage else 1, project=True)
        for index in range(count):
            top = part.module(f"attention{stage + 1}_{index + 1}", top)
    part = Stage(net, width << len(modules), outer << len(modules), groups, 0, skips)
    for index in range(last):
        unit = f"stage{len(modules) + 1}_{index + 1}"
        top = part.unit(unit, top, stride=1 if index else 2, project=not index)
    top = bn_relu(net, "last", top) if part.normalizes_first else top
    net.classify(net.global_pooling("avepool", top, "AVE"), num_classes)
    return net


@dataclass(frozen=True)
class Stage:
    """Units of one width, and modules made of them, whose masks look `levels` down."""

    net: Definition
    inner: int
    outer: int
    groups: int
    levels: int
    skips: bool

    @property
    def normalizes_first(self) -> bool:
        """Tell ResNet's unit of 2016 from ResNeXt's."""
        return self.groups == 1

    def unit(self, name: str, bottom: str, *, stride: int = 1, project: bool = False) -> str:
        """Add a residual unit; `project` says that its shortcut needs a projection."""
        net, middle = self.net, f"{name}/3x3g{self.groups}"
        start = bn_relu(net, f"{name}/pre", bottom) if self.normalizes_first else bottom
        top = conv_bn(net, f"{name}/1x1_reduce", start, self.inner, 1, relu=True)
        top = conv_bn(
            net, middle, top, self.inner, 3, stride=stride, pad=1, group=self.groups, relu=True
        )
        increase, shortcut = f"{name}/1x1_increase", f"{name}/1x1_proj"
        if self.normalizes_first:
            top = net.convolution(increase, top, self.outer, 1)
            if project:
                bottom = net.convolution(shortcut, start, self.outer, 1, stride=stride)
            return net.sum(name, [top, bottom])
        top = conv_bn(net, increase, top, self.outer, 1)
        if project:
            bottom = conv_bn(net, shortcut, start, self.outer, 1, stride=stride)
        return net.relu(f"{name}/relu", net.sum(name, [top, bottom]))

    def module(self, name: str, bottom: str) -> str:
        """Add `trunk * (1 + mask)`, with a unit before the fork and one behind the sum."""
        first = self.unit(f"{name}/before", bottom)
        trunk = self.unit(f"{name}/trunk2", self.unit(f"{name}/trunk1", first))
        mask = self.mask(f"{name}/mask", first, trunk)
        weighed = self.net.product(f"{name}/weighed", [trunk, mask])
        return self.unit(name, self.net.sum(f"{name}/sum", [weighed, trunk]))

    def mask(self, name: str, bottom: str, trunk: str) -> str:
        """Add weights for `trunk`: by pooling down all levels, and up by resizing, with skips."""
        net, top = self.net, bottom
        seen = []
        for level in range(1, self.levels + 1):
            top = net.pooling(f"{name}/pool{level}", top, "MAX", kernel_size=3, stride=2)
            top = self.unit(f"{name}/down{level}", top)
            seen.append(top)
        top = self.unit(f"{name}/bottom", top)
        for level in reversed(range(1, self.levels)):
            across = seen[level - 1]
            across = self.unit(f"{name}/skip{level}", across) if self.skips else across
            top = net.interp_like(f"{name}/interp{level + 1}", top, seen[level - 1])
            top = self.unit(f"{name}/up{level}", net.sum(f"{name}/sum{level}", [across, top]))
        top = net.interp_like(f"{name}/interp1", top, trunk)
        if self.normalizes_first:
            top = bn_relu(net, f"{name}/pre", top)
        top = conv_bn(net, f"{name}/linear1", top, self.outer, 1, relu=True)
        return net.sigmoid(name, net.convolution(f"{name}/linear2", top, self.outer, 1))


def bn_relu(net: Definition, name: str, bottom: str) -> str:
    return net.relu(f"{name}/relu", net.cudnn_batch_norm(f"{name}/bn", bottom, MOMENTUM))


def attention56(**options: Unpack[AttentionOptions]) -> Definition:
    """Return Attention-56."""
    given: AttentionOptions = {"groups": 1, "width": 64, **options}
    return attention("attention56", (1, 1, 1), **given)


def attention92(**options: Unpack[AttentionOptions]) -> Definition:
    """Return Attention-92."""
    given: AttentionOptions = {"groups": 1, "width": 64, **options}
    return attention("attention92", (1, 2, 3), **given)


def attentionnext56(**options: Unpack[AttentionOptions]) -> Definition:
    """Return AttentionNeXt-56."""
    given: AttentionOptions = {"groups": 32, "width": 128, **options}
    return attention("attentionnext56", (1, 1, 1), **given)
