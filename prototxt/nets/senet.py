"""SENet: ResNet and ResNeXt with squeeze and excitation. From SENet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from typing_extensions import Unpack

from .definition import Definition, Value

REDUCTION = 16
OUTER = 256  # channels of the first stage's units


class SENetOptions(TypedDict, total=False):
    """`senet`'s keywords."""

    width: int
    groups: int
    inner: int | None
    stem: Sequence[int]
    stride_in_reduce: bool
    projection: int
    outer: int
    num_classes: int
    data: Sequence[int]


def senet(
    name: str,
    layers: Sequence[int],
    *,
    width: int,
    groups: int = 1,
    inner: int | None = None,
    stem: Sequence[int] = (64,),
    stride_in_reduce: bool = False,
    projection: int = 1,
    outer: int = OUTER,
    num_classes: int = 1000,
    data: Sequence[int] = (1, 3, 224, 224),
) -> Definition:
    """Return an SENet with so many units in each stage, as the released definitions are written.

    The units of stage s have `width * 2^s` channels before their 3x3 convolution of `groups`,
    `inner * 2^s` behind it (the same, if not said), and `outer * 2^s` outside. A stage's stride
    is that of its first 3x3 convolution, or with `stride_in_reduce` of the 1x1 before it. The
    `stem` is one 7x7 convolution, or several 3x3 ones, of so many channels; `projection` is the
    kernel of the shortcuts' projections from the second stage on.

    Caffe: hujie-frank/SENet, models/SE-ResNeXt-50.prototxt
    """
    net = Definition(name)
    net.input("data", data=data)
    top = add_stem(net, stem)
    top = net.pooling("pool1/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    for stage, units in enumerate(layers):
        reduced, between = width << stage, (inner or width) << stage
        for index in range(units):
            unit = f"conv{stage + 2}_{index + 1}"
            stride = 2 if stage and not index else 1
            first, second = (stride, 1) if stride_in_reduce else (1, stride)
            main = conv_bn(net, f"{unit}_1x1_reduce", top, reduced, 1, stride=first, relu=True)
            main = conv_bn(
                net, f"{unit}_3x3", main, between, 3, stride=second, group=groups, relu=True
            )
            main = conv_bn(net, f"{unit}_1x1_increase", main, outer << stage, 1)
            weights = squeeze_excite(net, unit, main, outer << stage)
            if index == 0:
                size = projection if stage else 1
                top = conv_bn(net, f"{unit}_1x1_proj", top, outer << stage, size, stride=stride)
            top = net.relu(f"{unit}/relu", net.axpy(unit, weights, main, top))
    top = net.pooling("pool5/7x7_s1", top, "AVE", kernel_size=7, stride=1)
    top = net.layer(
        "classifier", "InnerProduct", [top], inner_product_param={"num_output": num_classes}
    )
    net.layer("prob", "Softmax", [top])
    return net


def add_stem(net: Definition, widths: Sequence[int]) -> str:
    """Add the convolutions before the pooling, of which the first has stride 2."""
    if len(widths) == 1:
        top = conv_bn(net, "conv1/7x7_s2", "data", widths[0], 7, stride=2)
        return net.relu("conv1/relu_7x7_s2", top)
    top = "data"
    for index, channels in enumerate(widths):
        size = "3x3" if index else "3x3_s2"
        name = f"conv1_{index + 1}"
        top = conv_bn(net, f"{name}/{size}", top, channels, 3, stride=1 if index else 2)
        top = net.relu(f"{name}/relu_{size}", top)
    return top


def squeeze_excite(net: Definition, unit: str, bottom: str, channels: int) -> str:
    """Add what weighs the channels of a unit."""
    top = net.global_pooling(f"{unit}_global_pool", bottom, "AVE")
    top = convolution(net, f"{unit}_1x1_down", top, channels // REDUCTION, 1, bias_term=True)
    top = net.relu(f"{unit}_1x1_down/relu", top)
    top = convolution(net, f"{unit}_1x1_up", top, channels, 1, bias_term=True)
    return net.layer(f"{unit}_prob", "Sigmoid", [top], [top])


def conv_bn(
    net: Definition,
    name: str,
    bottom: str,
    channels: int,
    size: int,
    *,
    stride: int = 1,
    group: int = 1,
    relu: bool = False,
) -> str:
    """Add a convolution and, in its place, BatchNorm, Scale and with `relu` a ReLU."""
    top = convolution(net, name, bottom, channels, size, stride=stride, group=group)
    param = {"use_global_stats": True}
    net.layer(f"{name}/bn", "BatchNorm", [top], [top], batch_norm_param=param)
    net.layer(f"{name}/bn/scale", "Scale", [top], [top], scale_param={"bias_term": True})
    return net.relu(f"{name}/relu", top) if relu else top


def convolution(
    net: Definition,
    name: str,
    bottom: str,
    channels: int,
    size: int,
    *,
    stride: int = 1,
    group: int = 1,
    bias_term: bool = False,
) -> str:
    param: dict[str, Value] = {"num_output": channels}
    if not bias_term:
        param["bias_term"] = False
    if size > 1:
        param["pad"] = size // 2
    param["kernel_size"] = size
    if group > 1:
        param["group"] = group
    return net.layer(name, "Convolution", [bottom], convolution_param=param | {"stride": stride})


def se_resnet50(**options: Unpack[SENetOptions]) -> Definition:
    """Return the released SE-ResNet-50."""
    return se_resnet("SE-ResNet-50", (3, 4, 6, 3), **options)


def se_resnet101(**options: Unpack[SENetOptions]) -> Definition:
    """Return the released SE-ResNet-101."""
    return se_resnet("SE-ResNet-101", (3, 4, 23, 3), **options)


def se_resnet152(**options: Unpack[SENetOptions]) -> Definition:
    """Return the released SE-ResNet-152."""
    return se_resnet("SE-ResNet-152", (3, 8, 36, 3), **options)


def se_resnet(name: str, layers: Sequence[int], **options: Unpack[SENetOptions]) -> Definition:
    """Return an SE-ResNet, whose stages begin with a strided 1x1 convolution."""
    given: SENetOptions = {"width": 64, "stride_in_reduce": True, **options}
    return senet(name, layers, **given)


def se_resnext50(**options: Unpack[SENetOptions]) -> Definition:
    """Return the released SE-ResNeXt-50, 32x4d: the paper's SENet-50."""
    return se_resnext("SE-ResNeXt-50 (32 x 4d)", (3, 4, 6, 3), **options)


def se_resnext101(**options: Unpack[SENetOptions]) -> Definition:
    """Return the released SE-ResNeXt-101, 32x4d: the paper's SENet-101."""
    return se_resnext("SE-ResNeXt-101 (32 x 4d)", (3, 4, 23, 3), **options)


def se_resnext(name: str, layers: Sequence[int], **options: Unpack[SENetOptions]) -> Definition:
    """Return an SE-ResNeXt of 32 groups, 4 channels wide in the first stage."""
    given: SENetOptions = {"width": 128, "groups": 32, **options}
    return senet(name, layers, **given)


def senet154(**options: Unpack[SENetOptions]) -> Definition:
    """Return the released SENet-154."""
    given: SENetOptions = {
        "width": 128,
        "inner": 256,
        "groups": 64,
        "stem": (64, 64, 128),
        "projection": 3,
        **options,
    }
    return senet("SENet", (3, 8, 36, 3), **given)
