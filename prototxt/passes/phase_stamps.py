"""The phase that Caffe stamps on every layer of a file that it saves."""

from __future__ import annotations

from dataclasses import replace

from prototxt.net import Net, copied

from .filter import PHASES


def stamp(net: Net, phase: str) -> Net:
    """Return the network with its phase on every layer that has none of its own."""
    layers = [copied(layer) for layer in net.layers]
    for layer in layers:
        if not layer.HasField("phase"):
            layer.phase = PHASES[phase]
    return replace(net, layers=layers)


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
