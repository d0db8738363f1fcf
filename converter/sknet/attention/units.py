"""The SK units of a network, converted or native, and what they attend to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from converter.network.net import CaffeNet
from converter.network.selections import Branch, Found, find_selections
from converter.network.steps import StepIndex
from converter.preprocessing import image_input
from converter.sknet.model import PlainSKNet, SelectiveKernel
from prototxt.errors import UnsupportedError

UNIT = re.compile(r"conv(\d+)_(\d+)(?:/.*)?")
FIRST_STAGE = 2  # the paper counts the stem as the first


@dataclass(frozen=True)
class Unit:
    """One selection: its name in the paper (SK_3_4) and how many channels select.

    `kernels` has a size for each branch: how many pixels its convolution spans, dilation counted.
    """

    name: str
    kernels: tuple[int, ...]
    channels: int

    @property
    def branches(self) -> int:
        """How many branches there are to select from."""
        return len(self.kernels)

    @property
    def smallest(self) -> int:
        """The branch with the smallest kernel."""
        return self.kernels.index(min(self.kernels))

    @property
    def largest(self) -> int:
        """The branch with the largest kernel."""
        return self.kernels.index(max(self.kernels))


def units_of(net: CaffeNet | PlainSKNet) -> list[Unit]:
    """Return a network's SK units in order; UnsupportedError for a network without."""
    if isinstance(net, CaffeNet):
        found = [_unit(net, selection) for selection in _selections(net)]
    else:
        found = [
            Unit(
                name,
                tuple(map(_branch_span, kernels.branches)),
                kernels.select.out_channels // len(kernels.branches),
            )
            for name, kernels in _kernels(net)
        ]
    if not found:
        raise UnsupportedError(
            "the network has no selective kernels",
            fix="wants a Softmax over branches whose result is sliced into them",
        )
    return found


def attention_of(net: CaffeNet | PlainSKNet, images: Tensor) -> dict[str, Tensor]:
    """Return each unit's attention for a batch of inputs: N x branches x channels, 1 in sum."""
    with torch.no_grad():
        if isinstance(net, CaffeNet):
            return _of_converted(net, images)
        with _listening(net) as heard:
            net(images)
        return heard


def _of_converted(net: CaffeNet, images: Tensor) -> dict[str, Tensor]:
    units = units_of(net)
    fed = net.feed({image_input(net): images})
    values = net.run(fed, net.plan(fed))
    return {
        unit.name: _softmax(values[found.scores], unit)
        for unit, found in zip(units, _selections(net), strict=True)
    }


def _softmax(scores: Tensor, unit: Unit) -> Tensor:
    return scores.reshape(len(scores), unit.branches, unit.channels).softmax(1)


def _selections(net: CaffeNet) -> Iterator[Found]:
    return find_selections(net.steps, net.layers, net.shapes())


def _unit(net: CaffeNet, found: Found) -> Unit:
    index = StepIndex(net.steps)
    kernels = tuple(_kernel(net, index, branch) for branch in found.branches)
    return Unit(_paper_name(found.step.key), kernels, found.channels)


def _kernel(net: CaffeNet, index: StepIndex, branch: Branch) -> int:
    """Return the span of the convolution that a branch's features come from."""
    maker = index.maker(branch.features)
    while maker is not None and maker.cls.caffe_type != "Convolution":
        maker = index.maker(maker.bottoms[0]) if maker.bottoms else None
    if maker is None:
        raise UnsupportedError(
            f"what the weights {branch.weights!r} multiply comes from no convolution",
            fix="is this the selection of an SK unit?",
        )
    window: Any = net.layers[maker.key].window
    return _span(window.kernel, window.dilation)


def _span(kernel: Sequence[int], dilation: Sequence[int]) -> int:
    """Return how many pixels a convolution sees along an axis."""
    return dilation[0] * (kernel[0] - 1) + 1


def _branch_span(branch: nn.Module) -> int:
    conv: Any = branch.conv
    return _span(conv.kernel_size, conv.dilation)


def _paper_name(layer: str) -> str:
    place = UNIT.fullmatch(layer)
    return f"SK_{place[1]}_{place[2]}" if place else layer


def _kernels(net: nn.Module) -> Iterator[tuple[str, SelectiveKernel]]:
    for name, module in net.named_modules():
        if isinstance(module, SelectiveKernel) and len(module.branches) > 1:
            place = re.search(r"stages\.(\d+)\.(\d+)", name)
            stage, unit = (int(place[1]), int(place[2])) if place else (0, 0)
            yield f"SK_{stage + FIRST_STAGE}_{unit + 1}", module


@contextmanager
def _listening(net: PlainSKNet) -> Iterator[dict[str, Tensor]]:
    heard: dict[str, Tensor] = {}
    hooks = [
        kernels.select.register_forward_hook(partial(_hear, heard, name, len(kernels.branches)))
        for name, kernels in _kernels(net)
    ]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _hear(
    heard: dict[str, Tensor], name: str, branches: int, _: nn.Module, __: Any, scores: Tensor
) -> None:
    heard[name] = scores.reshape(len(scores), branches, -1).softmax(1)
