"""What Caffe writes down of a network beside its blobs, and how that is read again.

Caffe: src/caffe/net.cpp, ToProto
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from prototxt.net import Net, copied

from .filter import PHASES


def saved_form(net: Net, phase: str, losses: Collection[int]) -> Net:
    """Return a network as its saved file holds it.

    Of the header there is the name alone, an empty one too; every layer that has no phase of its
    own gets the network's, and the `losses`, layers by their places, their weight of 1.
    """
    header = type(net.header)()
    header.name = net.header.name
    layers = [copied(layer) for layer in net.layers]
    for index, layer in enumerate(layers):
        if not layer.HasField("phase"):
            layer.phase = PHASES[phase]
        if index in losses and not layer.loss_weight:
            layer.loss_weight.append(1)
    return replace(net, header=header, layers=layers)


def unstamp(net: Net) -> Net:
    """Return a saved network without the phases.

    Caffe runs no network from such a file. Here it is one in any phase, as its definition was:
    with its stamps a network saved in training would normalise by the batch for ever.
    """
    if not all(layer.HasField("phase") for layer in net.layers):
        return net
    layers = [copied(layer) for layer in net.layers]
    for layer in layers:
        layer.ClearField("phase")
    return replace(net, layers=layers)
