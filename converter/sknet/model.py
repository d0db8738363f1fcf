"""SKNet as a plain PyTorch network: this file needs torch alone. From SKNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

EPS = 1e-5
MOMENTUM = 1 - torch.tensor(0.95, dtype=torch.float32).item()  # Caffe's 0.95 is a float32 number
STEM = 64  # channels of the first convolution
MIN_ATTENTION = 32  # channels that the attention keeps at least

Weigh = Callable[..., Tensor]  # scores and branches to the selected features, as `weigh`


class ConvBN(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless `relu` is False, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=EPS, momentum=MOMENTUM)
        if relu:
            self.relu = nn.ReLU(inplace=True)


def weigh(scores: Tensor, *branches: Tensor) -> Tensor:
    """Return `sum_m softmax_m(scores) * branches[m]`; scores are N x M*C x 1 x 1."""
    weights = torch.unflatten(scores, 1, (len(branches), -1)).softmax(1).unbind(1)
    selected = branches[0] * weights[0]
    for weight, branch in zip(weights[1:], branches[1:], strict=True):
        selected = selected + weight * branch
    return selected


class SelectiveKernel(nn.Module):
    """`sum_m softmax_m(select(fuse(mean(sum_m y_m)))) * y_m` with `y_m = branch_m(x)`.

    x is N x C x H x W; branch m is a 3x3 convolution of dilation m. The mean is over H and W, so
    that each of the C channels selects its own kernel size by a softmax over the M branches. One
    branch is taken as it is: there is nothing to select.
    """

    def __init__(
        self,
        channels: int,
        *,
        stride: int = 1,
        branches: int = 2,
        groups: int = 32,
        attention: int,
        weigh: Weigh = weigh,
    ) -> None:
        super().__init__()
        self.weigh = weigh
        self.branches = nn.ModuleList(
            ConvBN(channels, channels, 3, stride=stride, dilation=1 + branch, groups=groups)
            for branch in range(branches)
        )
        if branches > 1:
            self.fuse = ConvBN(channels, attention, 1)
            self.select = nn.Conv2d(attention, branches * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = [branch(x) for branch in self.branches]
        first, *others = outputs
        if not others:
            return first
        mean = sum(others, first).mean((2, 3), keepdim=True)
        scores: Tensor = self.select(self.fuse(mean))
        return self.weigh(scores, *outputs)


class Bottleneck(nn.Module):
    """`relu(increase(kernels(reduce(x))) + shortcut(x))`, twice as wide outside as inside."""

    expansion = 2

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        branches: int = 2,
        groups: int = 32,
        attention: int,
        weigh: Weigh = weigh,
    ) -> None:
        super().__init__()
        out_channels = self.expansion * channels
        self.reduce = ConvBN(in_channels, channels, 1)
        self.kernels = SelectiveKernel(
            channels,
            stride=stride,
            branches=branches,
            groups=groups,
            attention=attention,
            weigh=weigh,
        )
        self.increase = ConvBN(channels, out_channels, 1, relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = ConvBN(in_channels, out_channels, 1, stride=stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        increased: Tensor = self.increase(self.kernels(self.reduce(x)))
        return torch.relu(increased + self.shortcut(x))


class PlainSKNet(nn.Module):
    """Selective Kernel Network: N x 3 x H x W images to N x `num_classes` scores.

    `layers` is the number of units in each stage; the units of stage s (from 0) have
    C = `width * 2^s` inner channels, `branches` kernels to select from (M) and `groups` groups in
    each (G). The attention passes through max(C / `reduction`, 32) channels, or through those that
    `attention` gives for each stage. One branch makes it a ResNeXt. `weigh` computes
    the selections.

    Any H and W of at least 3 will do: the last pooling takes the mean of what there is.

    Caffe: implus/SKNet, models/sknet50.prototxt
    """

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 6, 3),
        *,
        branches: int = 2,
        groups: int = 32,
        reduction: int = 16,
        attention: Sequence[int] | None = None,
        width: int = 128,
        num_classes: int = 1000,
        weigh: Weigh = weigh,
    ) -> None:
        super().__init__()
        widths = [width << stage for stage in range(len(layers))]
        if attention is None:
            attention = [max(channels // reduction, MIN_ATTENTION) for channels in widths]
        self.stem = ConvBN(3, STEM, 7, stride=2)
        # Caffe rounds the size of a pooled map up, and this pooling has no padding.
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.stages = nn.Sequential()
        in_channels = STEM
        for stage, (units, channels) in enumerate(zip(layers, widths, strict=True)):
            unit = partial(
                Bottleneck,
                channels=channels,
                branches=branches,
                groups=groups,
                attention=attention[stage],
                weigh=weigh,
            )
            out_channels = Bottleneck.expansion * channels
            first = unit(in_channels, stride=2 if stage else 1)
            others = [unit(out_channels) for _ in range(units - 1)]
            self.stages.append(nn.Sequential(first, *others))
            in_channels = out_channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(in_channels, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew, as the released definitions' fillers do."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, SelectiveKernel) and len(module.branches) > 1:
                nn.init.normal_(module.fuse.conv.weight, std=0.01)
                nn.init.normal_(module.select.weight, std=0.01)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def parameter_groups(self, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Return the parameters as an optimizer takes them, with the released multipliers.

        Normalisation does not decay; the classifier's bias does not, and learns twice as fast.
        """
        plain = [
            parameter
            for module in self.modules()
            if isinstance(module, nn.BatchNorm2d)
            for parameter in module.parameters()
        ]
        others = {*plain, self.fc.bias}
        decaying = [parameter for parameter in self.parameters() if parameter not in others]
        return [
            {"params": decaying, "lr": lr, "weight_decay": weight_decay},
            {"params": plain, "lr": lr, "weight_decay": 0.0},
            {"params": [self.fc.bias], "lr": 2 * lr, "weight_decay": 0.0},
        ]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.maxpool(self.stem(x)))
        scores: Tensor = self.fc(self.avgpool(x).flatten(1))
        return scores
