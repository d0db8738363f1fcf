"""A small SK network for scikit-learn's digits: the demo's."""

from __future__ import annotations

from .definition import Definition, SolverDefinition, Word, gaussian
from .resnext import conv_bn
from .sknet import residual_unit

GROUPS = 4
ATTENTION = 8
BRIGHTEST = 16


def digits_sk(batch: int = 64) -> Definition:
    """Return a classifier of 1 x 8 x 8 digits with two SK units, its loss and its accuracy."""
    net = Definition("digits_sk")
    net.input("input", data=(batch, 1, 8, 8), label=(batch,))
    _add_layers(net)
    return net


def digits_sk_train() -> Definition:
    """Return the same network, reading bytes of brightness 0 to 16 from two databases.

    Their images have a border, so that the crops of training lie one pixel to any side.
    """
    net = Definition("digits_sk")
    for source, batch, phase in (("digits_train", 64, "TRAIN"), ("digits_test", 90, "TEST")):
        net.data("digits", source, batch, phase=phase, scale=1 / BRIGHTEST, crop_size=8)
    _add_layers(net)
    return net


def digits_sk_solver() -> SolverDefinition:
    """Return the solver of its training: 880 iterations of SGD, 39 times through the digits.

    A test sees each of the 360 held-out digits once.
    """
    return SolverDefinition(
        net="digits_sk_train.prototxt",
        test_iter=4,
        test_interval=220,
        base_lr=0.05,
        momentum=0.9,
        weight_decay=0.005,
        lr_policy="multistep",
        gamma=0.1,
        stepvalue=[550, 770],
        display=110,
        max_iter=880,
        snapshot_prefix="digits_sk",
        random_seed=1701,
        solver_mode=Word("CPU"),
    )


def _add_layers(net: Definition) -> None:
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
