"""A small SK network for scikit-learn's digits: the demo's."""

from __future__ import annotations

from prototxt.nets.definition import Definition, gaussian
from prototxt.nets.sknet import conv_bn, residual_unit

GROUPS = 4
ATTENTION = 8


def digits_sk(batch: int = 64) -> Definition:
    """Give a classifier of 1 x 8 x 8 images of digits with two SK units, its loss and accuracy."""
    net = Definition("digits_sk")
    net.input("input", data=(batch, 1, 8, 8), label=(batch,))
    top = conv_bn(net, "conv1/3x3", "data", 16, 3, pad=1, relu=True)
    for name, channels, stride in (("conv2_1", 16, 1), ("conv3_1", 32, 2)):
        top = residual_unit(
            net,
            name,
            top,
            channels,
            stride=stride,
            project=True,
            branches=2,
            groups=GROUPS,
            attention=ATTENTION,
        )
    top = net.global_pooling("avepool", top, "AVE")
    classifier = net.inner_product("classifier", top, 10, gaussian(0.01))
    net.softmax_with_loss("loss", classifier, "label")
    net.accuracy("accuracy", classifier, "label")
    return net
