"""ResNeXt with bottleneck attention modules (BAM, BMVC 2018). In SKNet's style."""

from __future__ import annotations

from typing_extensions import Unpack

from .definition import Definition
from .resnext import Place, ResNeXtOptions, conv_bn, resnext

REDUCTION = 16
DILATION = 4


def attend(net: Definition, place: Place, x: str) -> str:
    """Add `x + x * sigmoid(channels(x) + places(x))` behind a stage.

    The first term weighs whole channels, through C / 16 of them; the second weighs places, with
    two dilated 3x3 convolutions of C / 16 channels.
    """
    name, channels = f"{place.name}/bam", 2 * place.channels
    inner = channels // REDUCTION
    top = net.global_pooling(f"{name}_pool", x, "AVE")
    top = conv_bn(net, f"{name}_fc1", top, inner, 1, relu=True, bias_term=True)
    top = net.convolution(f"{name}_fc2", top, channels, 1, bias_term=True)
    by_channel = net.reshape(f"{name}_channels", top, [0, 0])
    top = conv_bn(net, f"{name}_1x1_reduce", x, inner, 1, relu=True, bias_term=True)
    for index in (1, 2):
        top = conv_bn(
            net,
            f"{name}_3x3d{DILATION}_{index}",
            top,
            inner,
            3,
            pad=DILATION,
            dilation=DILATION,
            relu=True,
            bias_term=True,
        )
    top = net.convolution(f"{name}_places", top, 1, 1, bias_term=True)
    # Caffe broadcasts a blob that covers the first axes, as the channels' does, and no other.
    top = net.tile(f"{name}_tile", top, channels)
    top = net.bias_by(f"{name}_sum", top, by_channel, axis=0)
    top = net.sigmoid(f"{name}_sigmoid", top)
    top = net.product(f"{name}_scale", [x, top])
    return net.sum(name, [x, top])


def bam_resnext50(**options: Unpack[ResNeXtOptions]) -> Definition:
    """Return ResNeXt-50 with a module behind each stage but the last."""
    return resnext("bam_resnext50", (3, 4, 6, 3), between=attend, **options)


def bam_resnext101(**options: Unpack[ResNeXtOptions]) -> Definition:
    """Return ResNeXt-101 with a module behind each stage but the last."""
    return resnext("bam_resnext101", (3, 4, 23, 3), between=attend, **options)
