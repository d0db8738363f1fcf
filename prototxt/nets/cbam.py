"""ResNeXt with convolutional block attention modules (CBAM, ECCV 2018). In SKNet's style."""

from __future__ import annotations

from typing_extensions import Unpack

from .definition import Definition
from .resnext import Place, ResNeXtOptions, conv_bn, resnext

REDUCTION = 16
KERNEL = 7


def refine(net: Definition, place: Place, x: str) -> str:
    """Add both gates of a unit: first whole channels are weighed, then places."""
    name, channels = f"{place.name}/cbam", 2 * place.channels
    x = gate_channels(net, name, x, channels)
    return gate_places(net, name, x, channels, place.height)


def gate_channels(net: Definition, name: str, x: str, channels: int) -> str:
    """Add `x * sigmoid(mlp(mean of x) + mlp(maximum of x))`, the mlp through C / 16 channels.

    Mean and maximum pass through the mlp as two places of one blob, so that both share it.
    """
    mean = net.global_pooling(f"{name}_ave", x, "AVE")
    most = net.global_pooling(f"{name}_max", x, "MAX")
    top = net.concat(f"{name}_pools", [mean, most], axis=2)
    top = net.convolution(f"{name}_fc1", top, channels // REDUCTION, 1, bias_term=True)
    top = net.relu(f"{name}_fc1/relu", top)
    top = net.convolution(f"{name}_fc2", top, channels, 1, bias_term=True)
    parts = [f"{name}_fc2_ave", f"{name}_fc2_max"]
    net.slice(f"{name}_slice", top, parts, axis=2)
    top = net.sigmoid(f"{name}_sigmoid", net.sum(f"{name}_sum", parts))
    weights = net.reshape(f"{name}_channels", top, [0, 0])
    return net.scale_by(f"{name}_scale", x, weights, axis=0)


def gate_places(net: Definition, name: str, x: str, channels: int, height: int) -> str:
    """Add `x * sigmoid(bn(conv7x7(maximum and mean of x over its channels)))`.

    Caffe pools over the last two axes only, so the channels become rows of one plane before and
    the places get their `height` back after.
    """
    rows = net.reshape(f"{name}_rows", x, [0, 1, channels, -1])
    planes = []
    for pool in ("MAX", "AVE"):
        top = net.pooling(f"{name}_{pool.lower()}_rows", rows, pool, (channels, 1), 1)
        planes.append(net.reshape(f"{name}_{pool.lower()}_plane", top, [0, 1, height, -1]))
    top = net.concat(f"{name}_planes", planes)
    top = conv_bn(net, f"{name}_{KERNEL}x{KERNEL}", top, 1, KERNEL, pad=KERNEL // 2)
    top = net.tile(f"{name}_tile", net.sigmoid(f"{name}_places", top), channels)
    return net.product(name, [x, top])


def cbam_resnext50(**options: Unpack[ResNeXtOptions]) -> Definition:
    """Return ResNeXt-50 with a module in each unit."""
    return resnext("cbam_resnext50", (3, 4, 6, 3), refine=refine, **options)


def cbam_resnext101(**options: Unpack[ResNeXtOptions]) -> Definition:
    """Return ResNeXt-101 with a module in each unit."""
    return resnext("cbam_resnext101", (3, 4, 23, 3), refine=refine, **options)
