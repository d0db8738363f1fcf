"""Losses of the forks that detect edges: BVLC's names and fields, another formula.

In HED and RCF each pixel's SigmoidCrossEntropyLoss is weighed by the share of the other class among
the labels (RCF: that of the negatives times 1.1, and labels other than 0 and 1 do not count), and
the sum divided by the images; DeepSkeleton weighs SoftmaxWithLoss so too, background against the
rest. No field tells, but the file's other layers do.

Caffe: s9xie/hed, src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp; zeakey/DeepSkeleton,
src/caffe/layers/softmax_loss_layer.cpp; yun-liu/rcf
"""

from __future__ import annotations

from converter.network.net import CaffeNet
from prototxt import Net
from prototxt.errors import UnsupportedError, within

EDGE_DATA = "ImageLabelmapData"


def refuse_edge_losses(net: CaffeNet, dialect: str | None) -> None:
    """Raise UnsupportedError for a loss that the network's fork means otherwise than BVLC.

    `dialect` "bvlc" says that BVLC's loss is wanted all the same.
    """
    definition = net.origin.definition
    if dialect == "bvlc" or definition is None:
        return
    signs = _signs(definition)
    for step in net.steps:
        sign = signs.get(step.layer.type)
        if sign and any(step.loss_weights):
            with within(net.source), within(step.place):
                raise UnsupportedError(
                    f"it weighs classes by their shares in a fork that detects edges, as HED's, "
                    f"whose sign is {sign}: training on that loss is not supported",
                    fix="--dialect bvlc trains on BVLC's, without these weights",
                )


def _signs(definition: Net) -> dict[str, str]:
    """Return what tells that a type of loss is a fork's; nothing where nothing does."""
    layers = definition.layers
    if any(layer.type == EDGE_DATA for layer in layers):
        sign = f"the layer type {EDGE_DATA}"
        return dict.fromkeys(("SigmoidCrossEntropyLoss", "SoftmaxWithLoss"), sign)
    crops = [layer for layer in layers if layer.type in ("Crop", "AutoCrop")]
    bare = all(one.type == "AutoCrop" or not one.HasField("crop_param") for one in crops)
    return {"SigmoidCrossEntropyLoss": "a Crop without crop_param"} if crops and bare else {}
